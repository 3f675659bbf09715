/** What others may evict: the budget follows the safety function, so that `kubectl drain` waits exactly where we would (operators.md section 6, idea 6). */
import type { Disruption } from '../api/types.ts';
import { catchUpFault, expectedBrokers, harmOf, serviceFault, verdictOn } from './service.ts';
import type { Action, Observation } from './types.ts';

/** 1 where any one broker may be evicted, else 0. A cluster of one has nothing to protect by waiting, so it stays drainable. */
export function evictable(observation: Observation, disruption: Disruption | null): 0 | 1 {
  const brokers = expectedBrokers(observation);
  if (brokers.length <= 1) return 1;
  // Before there is a cluster there is nothing to lose, but then nothing is known either.
  if (observation.metadata === null || disruption !== null) return 0;
  const isFit = (id: number): boolean => {
    const verdict = verdictOn(observation, [id]);
    if (serviceFault(observation, id) !== null || catchUpFault(observation, id) !== null)
      return false;
    return verdict !== undefined && harmOf(observation, verdict) === null;
  };
  return brokers.every(isFit) ? 1 : 0;
}

export function budgetActions(observation: Observation, maxUnavailable: 0 | 1): Action[] {
  const { budget } = observation;
  return budget?.isCurrent === true && budget.maxUnavailable === maxUnavailable
    ? []
    : [{ kind: 'apply-budget', maxUnavailable }];
}
