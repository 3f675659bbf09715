/**
 * Fewer brokers: cordon, move, verify empty twice, stop, deregister, one at a time from the highest
 * number. More brokers: they join by themselves, then replicas move to them. What to do follows
 * from what is seen, so a change of mind midway needs no undoing but a recommission. The spec is
 * never rewritten.
 */
import type { Disruption } from '../api/types.ts';
import { controllerKnown, firstRefusal, harmless, notPaused, othersInService } from './gates.ts';
import { counted, listed, partitionsOf, podOf, prepareStop, registeredBroker } from './service.ts';
import { acts, begins, NOTHING, refuses, type Step, waits } from './step.ts';
import type { Action, ClaimView, Observation, Refusal } from './types.ts';

/**
 * Volumes that an earlier scale-down kept, of numbers that are wanted again. Their brokers were
 * removed, and a removed broker's directory never joins again: what it holds was found empty and
 * given up. A broker that is still registered keeps its volume, and so does another cluster.
 */
export function leftoverClaims({
  cluster,
  clusterId,
  workload,
  metadata,
  claims,
}: Observation): ClaimView[] {
  if (workload === null || metadata === null) return [];
  return claims.filter(
    ({ brokerId, clusterId: marked }) =>
      (marked === null || marked === clusterId) &&
      brokerId >= workload.replicas &&
      brokerId < cluster.spec.replicas &&
      !metadata.brokers.some((broker) => broker.brokerId === brokerId),
  );
}

/**
 * Volumes of brokers that a scale-down has taken out, where the spec wants them deleted: found
 * empty, stopped, and forgotten by the cluster. One that no broker has marked is nobody's.
 */
export function emptiedClaims({
  cluster,
  clusterId,
  workload,
  metadata,
  claims,
  pods,
}: Observation): ClaimView[] {
  if (cluster.spec.storage.whenScaled !== 'Delete') return [];
  if (workload?.isObserved !== true || metadata === null) return [];
  const departed = Math.max(workload.replicas, cluster.spec.replicas);
  const isKnown = (id: number): boolean =>
    [...pods, ...metadata.brokers].some(({ brokerId }) => brokerId === id);
  return claims.filter(
    (claim) =>
      claim.clusterId === clusterId &&
      claim.brokerId >= departed &&
      !claim.isTerminating &&
      !isKnown(claim.brokerId),
  );
}

/**
 * A broker that could hold replicas and holds less than half of an even share. A newcomer counts as
 * one until most of its share is there, so that a pass that was cut short is taken up again;
 * whoever places replicas by hand is left alone as long as no broker is far behind.
 */
export function hasNewcomer({ metadata }: Pick<Observation, 'metadata'>): boolean {
  const held = (metadata?.topics ?? []).flatMap(({ partitions }) =>
    partitions.flatMap(({ replicas }) => replicas),
  );
  const able = (metadata?.brokers ?? []).filter(
    ({ isFenced, isCordoned }) => !isFenced && !isCordoned,
  );
  const evenShare = held.length / able.length;
  return able.some(({ brokerId }) => held.filter((id) => id === brokerId).length < evenShare / 2);
}

/**
 * Brokers that the spec wants and that were cordoned by an earlier scale-down: it was taken back.
 */
export function recommissions({ cluster, metadata }: Observation): Action[] {
  return (metadata?.brokers ?? [])
    .filter(({ brokerId, isCordoned }) => isCordoned && brokerId < cluster.spec.replicas)
    .map(({ brokerId }) => ({ kind: 'recommission', brokerId }));
}

/** The spec's limit on moves, where it has one and the brokers have another. */
export function limitMoves({ cluster, metadata }: Observation): Action[] {
  const { moveBytesPerSecond } = cluster.spec;
  return moveBytesPerSecond === undefined ||
    metadata === null ||
    metadata.moveBytesPerSecond === moveBytesPerSecond
    ? []
    : [{ kind: 'limit-moves', moveBytesPerSecond }];
}

/**
 * Moves replicas to brokers that have too few. All at once: the brokers' own limit on moving bytes
 * does the rest.
 */
export function rebalance(observation: Observation, nowMs: number): Step {
  const { rebalance: moves, metadata, workload, cluster } = observation;
  if (
    moves === null ||
    moves.length === 0 ||
    workload?.replicas !== cluster.spec.replicas ||
    cluster.spec.paused !== undefined
  )
    return NOTHING;
  // A broker that leaves is not to be given anything.
  if (metadata?.brokers.some(({ brokerId }) => brokerId >= workload.replicas) === true)
    return NOTHING;
  const moving = (metadata?.topics ?? [])
    .flatMap(({ partitions }) => partitions)
    .filter(({ adding, removing }) => adding.length + removing.length > 0);
  const doing = 'moving replicas to new brokers';
  // With some of them only, everything would be moved once more when the others join.
  const refusal = firstRefusal([controllerKnown, othersInService], observation, [], nowMs);
  if (refusal !== null) return waits(doing, refusal.message);
  if (moving.length > 0)
    return waits(doing, `waiting for ${counted(moving.length, 'partition')} on the move`);
  return acts(
    doing,
    moves.map((move) => ({ kind: 'reassign', move })),
    [
      {
        reason: 'RebalanceStarted',
        note: `Moving ${counted(moves.length, 'partition')} to brokers that hold few or none`,
      },
    ],
  );
}

/** The next part of a scale-down; null where no broker is too many. */
export function scaleDown(observation: Observation, nowMs: number): Step | null {
  const { cluster, workload, metadata } = observation;
  const wanted = cluster.spec.replicas;
  if (workload === null || metadata === null) return null;
  // Each is forgotten before the next is stopped: the quorum must have gone on without it.
  const isDeparting = ({ brokerId }: { readonly brokerId: number }): boolean =>
    brokerId >= Math.max(workload.replicas, wanted);
  const ghost = metadata.brokers.find(isDeparting) ?? observation.pods.find(isDeparting);
  if (ghost === undefined && workload.replicas > wanted) return shrink(observation, nowMs);
  if (ghost === undefined)
    return cluster.status?.disruption?.kind === 'ScaleDown'
      ? { ...NOTHING, disruption: null }
      : null;
  return forget(observation, ghost.brokerId);
}

/** Deregisters a broker whose pod the StatefulSet has taken away. */
function forget(observation: Observation, brokerId: number): Step {
  const doing = `removing broker ${brokerId}`;
  const pod = podOf(observation, brokerId);
  const registered = registeredBroker(observation, brokerId);
  // It may have registered just as its pod was taken away.
  if (registered?.isFenced === false && !registered.isCordoned) return cordon(doing, [brokerId]);
  if (pod !== undefined) return waits(doing, `waiting for pod ${pod.name} to stop`);
  if (registered?.isFenced === false)
    return waits(doing, `waiting for the controller to notice that broker ${brokerId} has stopped`);
  if (registered?.isVoter === true)
    return waits(doing, `waiting for the metadata quorum to go on without broker ${brokerId}`);
  const note = `Broker ${brokerId} held nothing, has stopped, and is forgotten`;
  return acts(doing, [{ kind: 'remove-broker', brokerId }], [{ reason: 'BrokerRemoved', note }]);
}

function shrink(observation: Observation, nowMs: number): Step {
  const { cluster, workload, metadata } = observation;
  const wanted = cluster.spec.replicas;
  const current = workload?.replicas ?? 0;
  const victim = current - 1;
  const doing = `scaling from ${current} to ${wanted} brokers`;
  const refusal =
    tooFewLeft(observation) ??
    firstRefusal([notPaused, controllerKnown], observation, [victim], nowMs);
  if (refusal !== null) return { ...refuses(doing, refusal), disruption: null };
  const victims = (metadata?.brokers ?? []).filter(({ brokerId }) => brokerId >= wanted);
  const uncordoned = victims
    .filter(({ isCordoned }) => !isCordoned)
    .map(({ brokerId }) => brokerId);
  if (uncordoned.length > 0) return cordon(doing, uncordoned);
  const entry = cluster.status?.disruption;
  if (entry?.brokerIds[0] !== victim)
    return begins(observation, 'ScaleDown', [victim], { doing, phase: 'move', nowMs });
  const left = partitionsOf(observation, victim);
  if (left.length > 0) {
    const names = left.map(({ topic, state }) => `${topic.name}/${state.partition}`);
    return {
      ...waits(
        doing,
        `waiting for broker ${victim} to hand over ${counted(left.length, 'replica')}: ${listed(names)}`,
      ),
      disruption: { ...entry, phase: 'move' },
    };
  }
  if (entry.phase !== 'empty')
    return { ...NOTHING, doing, disruption: { ...entry, phase: 'empty' } };
  return removePod(observation, victim, doing, nowMs);
}

/** All at once: replicas then go straight to brokers that stay. */
function cordon(doing: string, brokerIds: readonly number[]): Step {
  return acts(
    doing,
    brokerIds.map((brokerId) => ({ kind: 'decommission', brokerId })),
    brokerIds.map((brokerId) => ({
      reason: 'BrokerDecommissioning',
      note: `Moving everything away from broker ${brokerId}`,
      brokerId,
    })),
  );
}

function removePod(observation: Observation, victim: number, doing: string, nowMs: number): Step {
  const isRegistered = registeredBroker(observation, victim) !== undefined;
  const refusal = isRegistered ? firstRefusal([harmless], observation, [victim], nowMs) : null;
  if (refusal !== null) return refuses(doing, refusal);
  const confirm: Action[] = isRegistered
    ? [
        { kind: 'confirm-empty', brokerId: victim },
        { kind: 'check-safe', brokerIds: [victim] },
      ]
    : [];
  const drain = isRegistered ? prepareStop(observation, victim) : [];
  const lower: Action = {
    kind: 'apply-workload',
    replicas: victim,
    resourceVersion: observation.workload?.resourceVersion ?? null,
  };
  const note = `Broker ${victim} holds nothing any more and is stopped`;
  return acts(
    doing,
    [...confirm, ...drain, lower],
    [{ reason: 'BrokerStopped', note, brokerId: victim }],
  );
}

/** Topics that need more brokers than would be left. */
function tooFewLeft({ cluster, metadata }: Observation): Refusal | null {
  const wanted = cluster.spec.replicas;
  const topics = (metadata?.topics ?? []).filter(
    ({ replicationFactor }) => replicationFactor > wanted,
  );
  if (topics.length === 0) return null;
  const names = listed(
    topics.map(({ name, replicationFactor }) => `${name} (${replicationFactor})`),
  );
  return {
    gate: 'TooFewBrokers',
    message: `spec.replicas is ${wanted}, must be at least the replication factor of every topic: ${names}`,
  };
}

/** Whether the spec wants the brokers of this entry back. */
export function isTakenBack(
  { cluster, workload }: Observation,
  { kind, brokerIds }: Disruption,
): boolean {
  return (
    kind === 'ScaleDown' &&
    brokerIds.every((id) => id < cluster.spec.replicas && id < (workload?.replicas ?? 0))
  );
}
