/** Volumes: they grow in place, also when full; a volume whose node is gone is given up, once nothing depends on it. Pure. */
import type { Disruption } from '../api/types.ts';
import { quantityValue } from '../api/quantity.ts';
import { controllerKnown, firstRefusal, type Gate, harmless, notPaused } from './gates.ts';
import { rejoinFault } from './roll.ts';
import {
  brokersNamed,
  counted,
  expectedBrokers,
  listed,
  podOf,
  registeredBroker,
} from './service.ts';
import { acts, begins, NOTHING, refuses, type Step, waits } from './step.ts';
import type { Action, ClaimView, Observation } from './types.ts';

/** Growth of the volumes in use. A failed attempt is repeated by Kubernetes, not by us: the claim asks for the size already. */
export function growVolumes({ cluster, claims, workload }: Observation): Step {
  const { size } = cluster.spec.storage;
  const wanted = quantityValue(size);
  const used = claims.filter(
    ({ brokerId, isTerminating }) => brokerId < (workload?.replicas ?? 0) && !isTerminating,
  );
  const asking = used.filter(({ requestedBytes }) => requestedBytes < wanted);
  const small = used.filter(
    ({ capacityBytes }) => capacityBytes !== null && capacityBytes < wanted,
  );
  if (asking.length === 0 && small.length === 0) return NOTHING;
  const doing = `growing volumes to ${size}`;
  const refused = asking.find(({ growthRefusal }) => growthRefusal !== null);
  if (refused !== undefined) {
    const message = `claim ${refused.name} cannot grow to ${size}: ${refused.growthRefusal}`;
    return refuses(doing, { gate: 'GrowthRefused', message });
  }
  const waitingFor = `waiting for ${counted(small.length, 'volume')} to have ${size}: ${listed(small.map(({ name }) => name))}`;
  return {
    ...NOTHING,
    doing,
    waitingFor: small.length === 0 ? null : waitingFor,
    actions: asking.map(({ name }) => ({ kind: 'grow-claim', name, size })),
  };
}

/** With less than the largest batch a broker refuses some appends, then all. */
const FULL_BYTES = 1_048_576;

/** Brokers whose volume has no more room above their reserve. */
export function fullBrokers({ answers }: Pick<Observation, 'answers'>): number[] {
  return answers
    .filter(
      ({ freeBytes, fault }) => fault === null && freeBytes !== null && freeBytes < FULL_BYTES,
    )
    .map(({ brokerId }) => brokerId);
}

/** Faults of disks, for the condition. */
export function volumeFaults(observation: Observation): string[] {
  const { cluster, claims, answers } = observation;
  const full = fullBrokers(observation);
  const whose =
    full.length === 1
      ? `volume of ${brokersNamed(full)} is`
      : `volumes of ${brokersNamed(full)} are`;
  const fullness =
    full.length === 0
      ? []
      : [
          `the ${whose} full: no records are taken there until retention frees room or spec.storage.size, ${cluster.spec.storage.size}, is raised`,
        ];
  const stopped = answers.flatMap(({ brokerId, replicas }) =>
    replicas
      .filter((replica) => replica.stopped !== '')
      .map(
        ({ topic, partition, stopped: why }) =>
          `${topic}/${partition} is stopped on broker ${brokerId}: ${why}`,
      ),
  );
  const unresized = claims.flatMap(({ name, resizeFault }) =>
    resizeFault === null ? [] : [`claim ${name} does not grow: ${resizeFault}`],
  );
  return [...fullness, ...stopped, ...unresized];
}

const fenced: Gate = (observation, [brokerId = 0]) =>
  registeredBroker(observation, brokerId)?.isFenced === false
    ? { gate: 'BrokerNotFenced', message: `waiting for the controller to fence broker ${brokerId}` }
    : null;

const GATES: readonly Gate[] = [notPaused, controllerKnown, fenced, harmless];

/** A pod that cannot be placed since its volume is on a node that is no more; undefined where there is none, or nodes cannot be read. */
function lostClaim(observation: Observation): ClaimView | undefined {
  const { claims, nodes } = observation;
  if (nodes === null) return undefined;
  const isGone = (node: string | null): boolean =>
    node !== null && !nodes.some(({ name }) => name === node);
  return claims.find(
    ({ brokerId, node }) =>
      expectedBrokers(observation).includes(brokerId) &&
      isGone(node) &&
      podOf(observation, brokerId)?.node === null,
  );
}

/** Begins to replace a volume that is lost for good; null where none is. */
export function beginReplace(observation: Observation, nowMs: number): Step | null {
  const claim = lostClaim(observation);
  if (claim === undefined) return null;
  const doing = `replacing the volume of broker ${claim.brokerId}, whose node ${claim.node} is gone`;
  const refusal = firstRefusal(GATES, observation, [claim.brokerId], nowMs);
  if (refusal !== null) return refuses(doing, refusal);
  return begins(observation, 'ReplaceVolume', [claim.brokerId], { doing, phase: 'delete', nowMs });
}

export function continueReplace(observation: Observation, entry: Disruption, nowMs: number): Step {
  const [brokerId = 0] = entry.brokerIds;
  const doing = `replacing the volume of broker ${brokerId}`;
  const claim = lostClaim(observation);
  const pod = podOf(observation, brokerId);
  if (claim?.brokerId === brokerId) {
    const refusal = firstRefusal(GATES, observation, [brokerId], nowMs);
    if (refusal !== null) return { ...refuses(doing, refusal), disruption: null };
    const actions: Action[] = claim.isTerminating
      ? []
      : [{ kind: 'delete-claim', name: claim.name, uid: claim.uid }];
    // The claim goes once no pod uses it.
    if (pod !== undefined && !pod.isTerminating)
      actions.push({ kind: 'delete-pod', brokerId, name: pod.name, uid: pod.uid });
    const note = `Node ${claim.node} is gone with the volume of broker ${brokerId}; it begins with an empty one and copies from the others`;
    return acts(doing, actions, [
      { type: 'Warning', reason: 'VolumeReplaced', action: 'ReplaceVolume', note, brokerId },
    ]);
  }
  const fault = rejoinFault(observation, brokerId);
  return fault === null ? { ...NOTHING, doing, disruption: null } : waits(doing, fault);
}
