/**
 * Volumes: they grow in place, also when full; a volume whose node is gone is given up, once
 * nothing depends on it. Pure.
 */
import type { Disruption } from '../api/types.ts';
import { GIVE_UP_ANNOTATION } from '../api/names.ts';
import { quantityValue } from '../api/quantity.ts';
import { controllerKnown, firstRefusal, type Gate, harmless, notPaused } from './gates.ts';
import {
  brokersNamed,
  counted,
  expectedBrokers,
  listed,
  partitionsOf,
  podOf,
  registeredBroker,
  serviceFault,
} from './service.ts';
import { acts, begins, NOTHING, refuses, type Step, waits } from './step.ts';
import type { Action, ClaimView, Observation } from './types.ts';

/**
 * Growth of the volumes in use. A failed attempt is repeated by Kubernetes, not by us: the claim
 * asks for the size already.
 */
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

/** How long a node must have been missing, and in how many looks, until it is believed. */
const MISSING_MS_MIN = 120_000;
const SIGHTINGS_MIN = 3;

const nodeGone: Gate = ({ claims }, [brokerId]) => {
  const claim = claims.find((each) => each.brokerId === brokerId);
  const { forMs = 0, sightings = 0 } = claim?.missing ?? {};
  return forMs >= MISSING_MS_MIN && sightings >= SIGHTINGS_MIN
    ? null
    : {
        gate: 'NodeMissing',
        message: `waiting until node ${claim?.node} has been missing for ${MISSING_MS_MIN / 1_000} s: it may register again`,
      };
};

/**
 * A volume that holds the last copy of a partition is given up only by a person who names it. A
 * copy elsewhere counts where its broker serves, and its log is evidence.
 */
const copiedElsewhere: Gate = (observation, [brokerId = 0]) => {
  const { cluster, claims, metadata } = observation;
  const claim = claims.find((each) => each.brokerId === brokerId);
  const hasCopy = (id: number): boolean =>
    id !== brokerId &&
    metadata?.brokers.some((broker) => broker.brokerId === id && !broker.isFenced) === true;
  const last = partitionsOf(observation, brokerId).filter(
    ({ state: { syncSet, suspects } }) =>
      !syncSet.some((id) => hasCopy(id) && !suspects.includes(id)),
  );
  if (last.length === 0 || claim === undefined) return null;
  if (cluster.metadata.annotations?.[GIVE_UP_ANNOTATION] === claim.name) return null;
  const names = listed(last.map(({ topic, state }) => `${topic.name}/${state.partition}`));
  const message = `claim ${claim.name} holds the last copy of ${counted(last.length, 'partition')}: ${names}; annotation ${GIVE_UP_ANNOTATION}: ${claim.name} gives it up`;
  return { gate: 'LastCopy', message };
};

const GATES: readonly Gate[] = [
  notPaused,
  controllerKnown,
  fenced,
  nodeGone,
  copiedElsewhere,
  harmless,
];

/** Pods that cannot be placed since their volume is on a node that is not there. */
function lostClaims(observation: Observation): ClaimView[] {
  return observation.claims.filter(
    ({ brokerId, missing }) =>
      missing !== null &&
      expectedBrokers(observation).includes(brokerId) &&
      podOf(observation, brokerId)?.node === null,
  );
}

/**
 * A volume that is lost for good, and whose replacement is more urgent than what the ledger holds:
 * that may wait for this very broker. Replacing stops nobody who serves, so it harms no disruption
 * that was begun; what is suspended is begun again later, through every gate. Null where there is
 * none.
 */
export function urgentReplace(
  observation: Observation,
  entry: Disruption,
  nowMs: number,
): Step | null {
  const isOwn = (id: number): boolean =>
    entry.kind === 'ReplaceVolume' && entry.brokerIds.includes(id);
  // One after the other: two that are lost must not put each other off.
  if (lostClaims(observation).some(({ brokerId }) => isOwn(brokerId))) return null;
  const step = beginReplace(observation, nowMs);
  return step?.refusal === null ? step : null;
}

/** Begins to replace a volume that is lost for good; null where none is. */
export function beginReplace(observation: Observation, nowMs: number): Step | null {
  const steps = lostClaims(observation).map(({ brokerId, node }) => {
    const doing = `replacing the volume of broker ${brokerId}, whose node ${node} is gone`;
    const refusal = firstRefusal(GATES, observation, [brokerId], nowMs);
    if (refusal !== null) return refuses(doing, refusal);
    return begins(observation, 'ReplaceVolume', [brokerId], { doing, phase: 'delete', nowMs });
  });
  return steps.find(({ refusal }) => refusal === null) ?? steps[0] ?? null;
}

export function continueReplace(observation: Observation, entry: Disruption, nowMs: number): Step {
  const [brokerId = 0] = entry.brokerIds;
  const doing = `replacing the volume of broker ${brokerId}`;
  const claim = lostClaims(observation).find((each) => each.brokerId === brokerId);
  const pod = podOf(observation, brokerId);
  if (claim !== undefined) {
    const refusal = firstRefusal(GATES, observation, [brokerId], nowMs);
    if (refusal !== null) return { ...refuses(doing, refusal), disruption: null };
    const actions: Action[] = [];
    if (claim.volume !== null) actions.push({ kind: 'keep-volume', name: claim.volume });
    if (!claim.isTerminating)
      actions.push({ kind: 'delete-claim', name: claim.name, uid: claim.uid });
    // The claim goes once no pod uses it.
    if (pod !== undefined && !pod.isTerminating)
      actions.push({ kind: 'delete-pod', brokerId, name: pod.name, uid: pod.uid });
    const note = `Node ${claim.node} is gone with the volume of broker ${brokerId}; it begins with an empty one and copies from the others. PersistentVolume ${claim.volume} is kept`;
    return acts(doing, actions, [{ reason: 'VolumeReplaced', note, brokerId }]);
  }
  // What it holds it copies as it can; whoever is stopped next waits for that by the gates.
  const fault = serviceFault(observation, brokerId);
  return fault === null
    ? { ...NOTHING, doing, disruption: null }
    : waits(doing, `waiting for broker ${brokerId} to be in service: ${fault}`);
}
