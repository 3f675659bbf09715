/**
 * Restarts brokers whose pods are not of the present template. One set at a time: gates, ledger
 * entry, leadership drained, pod deleted, then everything has to be as it was before the next. It
 * never gives up, and always says what it waits for (docs/rules.md#careful-operator).
 */
import type { Disruption } from '../api/types.ts';
import {
  certified,
  controllerKnown,
  firstRefusal,
  type Gate,
  harmless,
  leadersHome,
  marksMove,
  metadataHeard,
  notPaused,
  othersCaughtUp,
  othersInService,
  rolloutPermitted,
} from './gates.ts';
import {
  brokersNamed,
  canStay,
  catchUpFault,
  isStranded,
  leadershipFault,
  podOf,
  prepareStop,
  registeredBroker,
  serviceFault,
} from './service.ts';
import { acts, begins, NOTHING, refuses, type Step, waits } from './step.ts';
import type { Action, Observation, PodView, Refusal } from './types.ts';

/** Before a broker is stopped; {@link rolloutPermitted} counts only where a roll begins. */
const STOP_GATES: readonly Gate[] = [
  notPaused,
  certified,
  controllerKnown,
  othersInService,
  othersCaughtUp,
  metadataHeard,
  marksMove,
  leadersHome,
  harmless,
];

const workloadCurrent: Gate = ({ workload, template }): Refusal | null =>
  workload?.isCurrent === true && workload.isObserved && workload.templateHash === template.hash
    ? null
    : {
        gate: 'WorkloadBehind',
        message: 'waiting for the StatefulSet controller to see the new template',
      };

/**
 * Pods that a roll has to replace, in its order: those that do not work anyway, then by number, the
 * controller last.
 */
export function outdatedPods(
  observation: Pick<
    Observation,
    'cluster' | 'pods' | 'template' | 'workload' | 'answers' | 'metadata'
  >,
): PodView[] {
  const { pods, template, workload, metadata } = observation;
  const isUseless = (pod: PodView): boolean => !pod.isReady || isStranded(observation, pod);
  const rank = (pod: PodView): number =>
    (isUseless(pod) ? 0 : 1) + (metadata?.controller === pod.brokerId ? 2 : 0);
  return pods
    .filter(
      (pod) =>
        pod.brokerId < (workload?.replicas ?? 0) &&
        (pod.templateHash !== template.hash ||
          // Brokers that cannot take a stop back lead again only once they start anew.
          (isStranded(observation, pod) && !canStay(observation))),
    )
    .sort((left, right) => rank(left) - rank(right) || left.brokerId - right.brokerId);
}

/**
 * Sets that may be stopped together next, smallest first: within one rack, so that other racks hold
 * a copy of everything.
 */
function candidateSets(observation: Observation): number[][] {
  const [first, ...rest] = outdatedPods(observation);
  if (first === undefined) return [];
  const rackOf = (id: number): string => registeredBroker(observation, id)?.rack ?? '';
  const rack = rackOf(first.brokerId);
  const isController = (id: number): boolean => observation.metadata?.controller === id;
  const together = rest.filter(
    ({ brokerId, isReady }) =>
      isReady && rack !== '' && rackOf(brokerId) === rack && !isController(brokerId),
  );
  const ids = [first, ...together]
    .slice(0, observation.cluster.spec.rollout.maxUnavailable)
    .map(({ brokerId }) => brokerId);
  return ids.map((_, index) => ids.slice(0, index + 1));
}

/** Pods that a disruption found when it began, and that are still there. */
function podsOf(
  observation: Pick<Observation, 'pods'>,
  { brokerIds, podUids }: Disruption,
): PodView[] {
  return brokerIds.flatMap((id, index) => {
    const pod = podOf(observation, id);
    return pod !== undefined && pod.uid === podUids[index] ? [pod] : [];
  });
}

function standingOf(observation: Pick<Observation, 'pods'>, entry: Disruption): PodView[] {
  return podsOf(observation, entry).filter(({ isTerminating }) => !isTerminating);
}

/**
 * Sets of more than one that the controller has to be asked about: those that may be stopped next,
 * and what is left standing of one that was begun.
 */
export function jointSets(observation: Observation): number[][] {
  const entry = observation.cluster.status?.disruption;
  const begun = entry?.kind === 'Roll' ? standingOf(observation, entry) : [];
  const sets = [...candidateSets(observation), begun.map(({ brokerId }) => brokerId)];
  return sets.filter(({ length }) => length > 1);
}

/**
 * Pods of an old template that do not run: replacing them harms nobody, and a corrected spec goes
 * on by itself.
 */
export function healStuck(observation: Observation, nowMs: number): Step {
  const stuck = outdatedPods(observation).filter(
    ({ stuck: why, isReady, isTerminating, templateHash }) =>
      templateHash !== observation.template.hash && why !== null && !isReady && !isTerminating,
  );
  if (
    stuck.length === 0 ||
    firstRefusal([notPaused, rolloutPermitted, workloadCurrent], observation, [], nowMs) !== null
  )
    return NOTHING;
  return acts(
    `replacing ${stuck.map(({ name }) => name).join(', ')}`,
    stuck.map(({ brokerId, name, uid }) => ({ kind: 'delete-pod', brokerId, name, uid })),
    stuck.map(({ brokerId, name, stuck: why }) => ({
      reason: 'StuckPodReplaced',
      note: `Pod ${name} did not run (${why}) and is not of the present template`,
      brokerId,
    })),
  );
}

/** Begins to restart the next set; null where every pod is of the present template. */
export function beginRoll(observation: Observation, nowMs: number): Step | null {
  const outdated = outdatedPods(observation);
  if (outdated.length === 0) return null;
  const sets = candidateSets(observation);
  // What was begun is finished, whatever the policy says by now.
  const isBegun =
    observation.workload?.templateHash === observation.template.hash &&
    outdated.some((pod) => isStranded(observation, pod));
  const policy = isBegun ? [] : [rolloutPermitted];
  const refusals = sets.map((set) =>
    firstRefusal([...policy, workloadCurrent, ...STOP_GATES], observation, set, nowMs),
  );
  const chosen = sets.findLast((_, index) => refusals[index] === null);
  const [alone] = refusals;
  const doing = `restarting ${outdated.length} of ${observation.workload?.replicas} brokers`;
  if (chosen === undefined)
    return refuses(doing, alone ?? { gate: 'Unknown', message: 'waiting for a pod' });
  return begins(observation, 'Roll', chosen, {
    doing: `restarting ${brokersNamed(chosen)}`,
    phase: 'stop',
    nowMs,
  });
}

/** Goes on with what the ledger says. */
export function continueRoll(observation: Observation, entry: Disruption, nowMs: number): Step {
  const { brokerIds } = entry;
  const doing = `restarting ${brokersNamed(brokerIds)}`;
  const old = podsOf(observation, entry);
  const standing = standingOf(observation, entry);
  if (standing.length > 0) return stopAll(observation, entry, standing, nowMs);
  if (old.length > 0)
    return waits(doing, `waiting for ${brokersNamed(old.map(({ brokerId }) => brokerId))} to stop`);
  const fault = brokerIds.map((id) => rejoinFault(observation, id)).find((why) => why !== null);
  if (fault != null)
    return brokerIds.some((id) => isGivenUp(observation, id))
      ? { ...NOTHING, doing, disruption: null }
      : waits(doing, fault);
  return {
    ...NOTHING,
    doing,
    disruption: null,
    events: brokerIds.map((brokerId) => ({
      reason: 'BrokerRestarted',
      note: `Broker ${brokerId} is back in every sync set and leads what it should`,
      brokerId,
    })),
  };
}

/**
 * Made from a template that is wanted no longer, and does not serve: it may never do so. As the
 * first that is outdated it is restarted next, through every gate.
 */
function isGivenUp(observation: Observation, brokerId: number): boolean {
  const pod = podOf(observation, brokerId);
  return (
    pod !== undefined &&
    !pod.isReady &&
    !pod.isTerminating &&
    pod.templateHash !== observation.template.hash
  );
}

function stopAll(
  observation: Observation,
  { brokerIds }: Disruption,
  standing: readonly PodView[],
  nowMs: number,
): Step {
  const doing = `restarting ${brokersNamed(brokerIds)}`;
  // Wanted no longer: the spec went back, or another operator did it.
  const isWanted = standing.some(
    (pod) =>
      pod.templateHash !== observation.template.hash ||
      (isStranded(observation, pod) && !canStay(observation)),
  );
  if (!isWanted) return { ...NOTHING, doing, disruption: null };
  const isBegun =
    standing.length < brokerIds.length ||
    (!canStay(observation) && standing.some((pod) => isStranded(observation, pod)));
  // Of the others of the set, stopped by whoever began this, nothing is to be asked but that they
  // are back.
  const ids = standing.map(({ brokerId }) => brokerId);
  const refusal = firstRefusal([workloadCurrent, ...STOP_GATES], observation, ids, nowMs);
  // Nothing has happened yet: another disruption may be more urgent than one that has to wait.
  if (refusal !== null)
    return isBegun ? refuses(doing, refusal) : { ...refuses(doing, refusal), disruption: null };
  // One that does not answer hands nothing over, and is to be restarted all the more.
  const stops = standing.flatMap(({ brokerId, name, uid }): Action[] => [
    ...prepareStop(observation, brokerId),
    { kind: 'delete-pod', brokerId, name, uid },
  ]);
  return acts(
    doing,
    [{ kind: 'check-safe', brokerIds: ids }, ...stops],
    standing.map(({ brokerId, name }) => ({
      reason: 'BrokerRestarting',
      note: `Restarting broker ${brokerId} (pod ${name}) for template ${observation.template.hash}`,
      brokerId,
    })),
  );
}

/**
 * What a restarted broker lacks: in service, caught up, leading. That it is a new incarnation shows
 * in its pod, which is another one and ready, and in its epoch, which the process and the
 * controller agree on. The epoch in the ledger proves nothing: it was asked of the brokers, and the
 * pod beside it came from a cache that may have been behind.
 */
function rejoinFault(observation: Observation, brokerId: number): string | null {
  const service = serviceFault(observation, brokerId);
  if (service !== null) return `waiting for broker ${brokerId} to be in service: ${service}`;
  const why = catchUpFault(observation, brokerId) ?? leadershipFault(observation, brokerId);
  return why === null ? null : `waiting for broker ${brokerId} ${why}`;
}
