/**
 * What others may evict: the budget follows the safety function, so that `kubectl drain` waits
 * exactly where we would (docs/rules.md#careful-operator).
 */
import type { Disruption } from '../api/types.ts';
import {
  brokersNamed,
  catchUpFault,
  expectedBrokers,
  harmOf,
  leavingBroker,
  podOf,
  prepareStop,
  registeredBroker,
  serviceFault,
  verdictOn,
} from './service.ts';
import type { Action, Observation, Part } from './types.ts';
import { isForeign } from './workload.ts';

/**
 * 1 where any one broker may be evicted, else 0. A cluster of one has nothing to protect by
 * waiting, so it stays drainable.
 *
 * 1 also where one broker does not run and is not needed: Kubernetes counts its pod as the one that
 * is unavailable, lets that pod be evicted, and nobody else's.
 */
export function evictable(observation: Observation, disruption: Disruption | null): 0 | 1 {
  const brokers = expectedBrokers(observation);
  if (brokers.length <= 1) return 1;
  // Before there is a cluster there is nothing to lose, but then nothing is known either.
  if (observation.metadata === null || !isMoveOnly(disruption)) return 0;
  const isWhole = (id: number): boolean =>
    serviceFault(observation, id) === null && catchUpFault(observation, id) === null;
  const broken = brokers.filter((id) => !isWhole(id));
  const [alone] = broken;
  if (alone === undefined) return brokers.every((id) => isHarmless(observation, id)) ? 1 : 0;
  return broken.length === 1 && doesNotRun(observation, alone) && isHarmless(observation, alone)
    ? 1
    : 0;
}

/** Nobody is stopped, and nobody is about to be. */
function isMoveOnly(disruption: Disruption | null): boolean {
  return disruption === null || (disruption.kind === 'ScaleDown' && disruption.phase === 'move');
}

function isHarmless(observation: Observation, brokerId: number): boolean {
  const verdict = verdictOn(observation, [brokerId]);
  return verdict !== undefined && harmOf(observation, verdict) === null;
}

function doesNotRun(observation: Observation, brokerId: number): boolean {
  const pod = podOf(observation, brokerId);
  return pod !== undefined && pod.stuck !== null && !pod.isReady;
}

export function budgetActions(observation: Observation, maxUnavailable: 0 | 1): Action[] {
  const { budget } = observation;
  if (isForeign(observation, 'PodDisruptionBudget')) return [];
  return budget?.isCurrent === true && budget.maxUnavailable === maxUnavailable
    ? []
    : [{ kind: 'apply-budget', maxUnavailable }];
}

/**
 * A node is cordoned before its pods are evicted: the broker on it hands its leaderships over while
 * nothing presses, as in an orderly stop. It leads again once the node is not cordoned any more, or
 * the eviction has not come for minutes: `stay.ts` takes the stop back then.
 *
 * @param allowed what may be evicted now, as {@link evictable} has it
 */
export function withdraw(observation: Observation, allowed: 0 | 1): Part {
  const brokerId = leavingBroker(observation);
  const isLeading = observation.metadata?.topics.some(({ partitions }) =>
    partitions.some(({ leader }) => leader === brokerId),
  );
  if (
    brokerId === null ||
    isLeading !== true ||
    allowed === 0 ||
    serviceFault(observation, brokerId) !== null ||
    registeredBroker(observation, brokerId)?.isStopping === true
  )
    return { actions: [], events: [] };
  const node = podOf(observation, brokerId)?.node;
  const note = `Node ${node} is cordoned: ${brokersNamed([brokerId])} gives its leaderships away before it is evicted`;
  return {
    actions: prepareStop(observation, brokerId),
    events: [{ reason: 'LeadershipsGivenAway', note, brokerId }],
  };
}
