import { expect, test } from 'vitest';
import type { Disruption } from '../../../../operator/api/types.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import { evictable } from '../../../../operator/decide/drain.ts';
import type { Observation } from '../../../../operator/decide/types.ts';
import {
  answer,
  CLUSTER_ID,
  HASH,
  harmful,
  observation,
  partition,
  pod,
  safe,
  topic,
} from '../../../fixtures/operator/observations.ts';
import type { Situation } from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const entry = (kind: Disruption['kind'], phase: Disruption['phase']): Disruption => ({
  kind,
  brokerIds: [2],
  podUids: ['pod-2'],
  brokerEpochs: [12],
  templateHash: HASH,
  startedAt: '2026-11-23T11:59:00Z',
  phase,
});

/** Broker 2 crashes again and again; the others have everything and may not go. */
const crashing = (change: (healthy: Observation) => Partial<Observation> = () => ({})) => ({
  topics: [
    { ...topic('orders', [[0, 1, 2]]), partitions: [partition(0, [0, 1, 2], { syncSet: [0, 1] })] },
  ],
  change: (healthy: Observation): Partial<Observation> => ({
    pods: healthy.pods.with(2, pod(2, { isReady: false, stuck: 'CrashLoopBackOff: exit code 3' })),
    answers: healthy.answers.with(2, answer(2, { fault: 'no connection' })),
    verdicts: [harmful([0], 'orders', '1 left'), harmful([1], 'orders', '1 left'), safe(2)],
    ...change(healthy),
  }),
});

test.each<[string, Situation, Disruption | null, 0 | 1]>([
  ['1 at rest', {}, null, 1],
  ['1 while a scale-down only moves', {}, entry('ScaleDown', 'move'), 1],
  ['0 once it is about to stop a broker', {}, entry('ScaleDown', 'empty'), 0],
  ['0 while a roll stops a broker', {}, entry('Roll', 'stop'), 0],
  ['1 where only one broker that is not needed does not run', crashing(), null, 1],
  [
    '0 where that one is needed',
    crashing(() => ({ verdicts: [safe(0), safe(1), harmful([2], 'orders', 'last copy')] })),
    null,
    0,
  ],
  [
    '0 where it runs and is not ready, so that it may be ready any moment',
    crashing(({ pods }) => ({ pods: pods.with(2, pod(2, { isReady: false })) })),
    null,
    0,
  ],
  [
    '0 where another is not in service either',
    crashing(({ answers }) => ({
      answers: answers.map(({ brokerId }) =>
        answer(brokerId, brokerId === 0 ? {} : { fault: 'no connection' }),
      ),
    })),
    null,
    0,
  ],
])('the budget is %s', (_, situation, disruption, expected) => {
  expect(evictable(observation(situation), disruption)).toBe(expected);
});

test.each<[string, Partial<Observation>]>([
  ['a pause', {}],
  ['a spec at fault', { faults: ['spec.replicas is 1'] }],
])('%s that holds up a roll does not keep nodes from being drained', (_, fault) => {
  const seen = observation({
    spec: 'faults' in fault ? {} : { paused: 'All' },
    status: { clusterId: CLUSTER_ID, disruption: entry('Roll', 'stop') },
    change: (healthy) => ({ ...fault, budget: { ...healthy.budget!, maxUnavailable: 0 } }),
  });
  expect(actionsOf(decide(seen, 0))).toContainEqual({ kind: 'apply-budget', maxUnavailable: 1 });
});
