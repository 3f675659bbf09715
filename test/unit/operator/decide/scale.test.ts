import { expect, test } from 'vitest';
import { decide } from '../../../../operator/decide/decide.ts';
import type { Observation } from '../../../../operator/decide/types.ts';
import { emptiedClaims, hasNewcomer, limitMoves } from '../../../../operator/decide/scale.ts';
import {
  broker,
  claim,
  NOW_MS,
  observation,
  pod,
  topic,
} from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const DELETING = { size: '1Gi', whenScaled: 'Delete' };
const claims = [0, 1, 2, 3, 4].map((id) => claim(id));
const LIMIT = { kind: 'limit-moves', moveBytesPerSecond: 1_000_000 } as const;

test.each([
  ['gives the brokers the limit of the spec', 1_000_000, -1, [LIMIT]],
  ['changes another limit', 1_000_000, 50_000, [LIMIT]],
  ['leaves the same limit', 1_000_000, 1_000_000, []],
  ['leaves a limit that the spec says nothing of', undefined, 1_000_000, []],
])('limitMoves %s', (_, wanted, present, actions) => {
  const seen = observation({
    spec: wanted === undefined ? {} : { moveBytesPerSecond: wanted },
    change: ({ metadata }) => ({ metadata: { ...metadata!, moveBytesPerSecond: present } }),
  });
  expect(limitMoves(seen)).toEqual(actions);
});

test('limitMoves waits for the controller', () => {
  const spec = { moveBytesPerSecond: 1_000_000 };
  expect(limitMoves(observation({ spec, change: () => ({ metadata: null }) }))).toEqual([]);
});

test('decide limits moves before it begins one', () => {
  const move = { topic: 'orders', partition: 0, replicas: [0, 1, 3] };
  const spec = { moveBytesPerSecond: 1_000_000 };
  const seen = observation({ replicas: 5, spec, change: () => ({ rebalance: [move] }) });
  const actions = actionsOf(decide(seen, NOW_MS));
  expect(actions.slice(0, 2)).toEqual([LIMIT, { kind: 'reassign', move }]);
});

test.each([
  ['one that holds nothing', [[0, 1, 2]], true],
  [
    'one that holds less than half of its share',
    [...Array.from({ length: 10 }, () => [0, 1, 2]), [1, 2, 3]],
    true,
  ],
  [
    'none that holds half of its share',
    [
      [0, 1, 2],
      [0, 1, 3],
    ],
    false,
  ],
  ['none where nothing is held', [], false],
])('hasNewcomer finds %s', (_, assignments, expected) => {
  const topics = [topic('orders', assignments)];
  expect(hasNewcomer(observation({ replicas: 4, topics }))).toBe(expected);
});

test.each([
  ['of brokers that are forgotten', {}, ['data-tm-3', 'data-tm-4']],
  ['of none where the spec keeps them', { spec: { storage: { size: '1Gi' } } }, []],
  [
    'but for one whose broker is still registered',
    {
      change: ({ metadata }: Observation) => ({
        claims,
        metadata: { ...metadata!, brokers: [...metadata!.brokers, broker(4)] },
      }),
    },
    ['data-tm-3'],
  ],
  [
    'but for one whose pod is still there',
    { change: ({ pods }: Observation) => ({ claims, pods: [...pods, pod(3)] }) },
    ['data-tm-4'],
  ],
  [
    'but for that of another cluster, and one that nobody has marked',
    {
      change: () => ({
        claims: [claim(3, { clusterId: 'another' }), claim(4, { clusterId: null })],
      }),
    },
    [],
  ],
  ['of none that is wanted again', { spec: { storage: DELETING, replicas: 5 } }, []],
  ['of none while no controller answers', { change: () => ({ claims, metadata: null }) }, []],
] as const)('emptiedClaims are those %s', (_, situation, expected) => {
  const seen = observation({
    spec: { storage: DELETING },
    change: () => ({ claims }),
    ...situation,
  });
  expect(emptiedClaims(seen).map(({ name }) => name)).toEqual(expected);
});

test('decide deletes a volume that a scale-down emptied, by its uid', () => {
  const seen = observation({ spec: { storage: DELETING }, change: () => ({ claims }) });
  expect(actionsOf(decide(seen, NOW_MS))).toContainEqual({
    kind: 'delete-claim',
    name: 'data-tm-4',
    uid: 'claim-4',
  });
});

test('decide begins every move of the plan at once: nobody is empty after the first of them', () => {
  const moves = Array.from({ length: 120 }, (_, index) => ({
    topic: `topic-${index}`,
    partition: 0,
    replicas: [0, 1, 3],
  }));
  const actions = actionsOf(
    decide(observation({ replicas: 5, change: () => ({ rebalance: moves }) }), NOW_MS),
  );
  expect(actions.filter(({ kind }) => kind === 'reassign')).toHaveLength(120);
});
