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
  ledBy,
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

const MINUTE_MS = 60_000;

/** Brokers can take stops back; the node of broker 0, which leads, was cordoned just now. */
function cordoned(change: (seen: Observation) => Partial<Observation> = () => ({})): Observation {
  return observation({
    change: (healthy) => {
      const seen: Observation = {
        ...healthy,
        pods: healthy.pods.with(0, pod(0, { cordonedForMs: 0 })),
        metadata: { ...healthy.metadata!, settings: { brokerOptions: {}, topicDefaults: {} } },
      };
      return { ...seen, ...change(seen) };
    },
  });
}

/** It was told to stop for that. */
function withdrawn(change: (seen: Observation) => Partial<Observation> = () => ({})): Observation {
  return cordoned((seen) => {
    const { metadata } = seen;
    const topics = [
      { ...topic('orders', [[0, 1, 2]]), partitions: [partition(0, [0, 1, 2], { leader: 1 })] },
    ];
    const next: Observation = {
      ...seen,
      metadata: {
        ...metadata!,
        brokers: metadata!.brokers.map((each) => ({ ...each, isStopping: each.brokerId === 0 })),
        topics,
      },
      answers: [0, 1, 2].map((id) => answer(id, { replicas: ledBy(id, topics) })),
    };
    return { ...next, ...change(next) };
  });
}

const stops = (seen: Observation): string[] =>
  actionsOf(decide(seen, 0))
    .filter(({ kind }) => kind === 'prepare-stop' || kind === 'cancel-stop')
    .map((action) => `${action.kind} ${'brokerId' in action ? action.brokerId : ''}`);

test.each<[string, Observation, string[]]>([
  ['gives its leaderships away', cordoned(), ['prepare-stop 0']],
  [
    'keeps them where nodes are not read',
    cordoned(({ pods }) => ({ pods: pods.with(0, pod(0)) })),
    [],
  ],
  [
    'keeps them where it may not be evicted',
    cordoned(() => ({ verdicts: [harmful([0], 'orders', 'last copy'), safe(1), safe(2)] })),
    [],
  ],
  [
    'keeps them where another node was cordoned too',
    cordoned(({ pods }) => ({ pods: pods.with(1, pod(1, { cordonedForMs: MINUTE_MS })) })),
    [],
  ],
  [
    'gives them away where another was cordoned long ago',
    cordoned(({ pods }) => ({ pods: pods.with(1, pod(1, { cordonedForMs: 6 * MINUTE_MS })) })),
    ['prepare-stop 0'],
  ],
  [
    'keeps them once minutes have passed',
    cordoned(({ pods }) => ({ pods: pods.with(0, pod(0, { cordonedForMs: 5 * MINUTE_MS + 1 })) })),
    [],
  ],
  [
    'keeps them where stops cannot be taken back',
    cordoned(({ metadata }) => ({ metadata: { ...metadata!, settings: null } })),
    [],
  ],
  [
    'keeps them while changes are paused',
    cordoned(({ cluster }) => ({
      cluster: { ...cluster, spec: { ...cluster.spec, paused: 'Disruptions' } },
    })),
    [],
  ],
  ['is told once', withdrawn(), []],
  [
    'leads again once its node is not cordoned any more',
    withdrawn(({ pods }) => ({ pods: pods.with(0, pod(0)) })),
    ['cancel-stop 0'],
  ],
  [
    'leads again where the eviction does not come',
    withdrawn(({ pods }) => ({ pods: pods.with(0, pod(0, { cordonedForMs: 6 * MINUTE_MS })) })),
    ['cancel-stop 0'],
  ],
  [
    'leads again where it has fallen out of a sync set, which it could not rejoin',
    withdrawn(({ metadata }) => ({
      metadata: {
        ...metadata!,
        topics: [
          {
            ...topic('orders', [[0, 1, 2]]),
            partitions: [partition(0, [0, 1, 2], { leader: 1, syncSet: [1, 2] })],
          },
        ],
      },
    })),
    ['cancel-stop 0'],
  ],
])('a broker whose node is cordoned %s', (_, seen, expected) => {
  expect(stops(seen)).toEqual(expected);
});

test('a broker that leads nothing for its node may be evicted, and the cluster is Ready', () => {
  const seen = withdrawn();
  expect(evictable(seen, null)).toBe(1);
  const { status } = decide(seen, 0);
  expect(status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('True');
});

test('a broker alone keeps what it leads', () => {
  const alone = observation({
    replicas: 1,
    spec: { replicationFactor: 1, minInSyncReplicas: 1 },
    topics: [topic('orders', [[0]], { minInSyncReplicas: 1 })],
    change: (healthy) => ({
      pods: [pod(0, { cordonedForMs: 0 })],
      metadata: { ...healthy.metadata!, settings: { brokerOptions: {}, topicDefaults: {} } },
    }),
  });
  expect(stops(alone)).toEqual([]);
});
