import { describe, expect, test } from 'vitest';
import { reportSpread } from '../../../../broker/metadata/spread.ts';
import type { BrokerState, PartitionState } from '../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from './fixtures.ts';

describe('reportSpread()', () => {
  test.each<{
    title: string;
    racks: readonly string[];
    row?: Partial<PartitionState>;
    expected: object[];
  }>([
    { title: 'is silent where every replica has its rack', racks: ['a', 'b', 'c'], expected: [] },
    {
      title: 'says that racks are too few',
      racks: ['a', 'b', 'b'],
      expected: [
        {
          partition: 0,
          reason: 'too-few-racks',
          message: 'replicas stand at brokers 0 on a, 1 on b, 2 on b: 3 replicas, 2 racks',
        },
      ],
    },
    {
      title: 'says that a rebalance would mend it',
      racks: ['a', 'b', 'b', 'c'],
      expected: [
        {
          reason: 'misplaced',
          message:
            'replicas stand at brokers 0 on a, 1 on b, 2 on b: 3 replicas, 3 racks, only 2 of them used',
        },
      ],
    },
    {
      title: 'says that it is being mended',
      racks: ['a', 'b', 'b', 'c'],
      row: {
        replicas: [0, 1, 2, 3],
        syncSet: [0, 1, 2],
        adding: [3],
        removing: [2],
        target: [0, 1, 3],
      },
      expected: [
        {
          reason: 'moving',
          message:
            'replicas stand at brokers 0 on a, 1 on b, 2 on b, and are moving to 0 on a, 1 on b, 3 on c',
        },
      ],
    },
    {
      title: 'says whose rack is not known',
      racks: ['a', '', 'c'],
      expected: [{ reason: 'racks-unknown', message: 'the racks of brokers 1 are not known' }],
    },
  ])('$title', ({ racks, row = {}, expected }) => {
    const brokers: BrokerState[] = racks.map((rack, id) => brokerState(id, { rack }));
    expect(
      reportSpread(
        imageOf(brokers, [topicState([partitionState({ replicas: [0, 1, 2], ...row })])]),
      ),
    ).toMatchObject(expected);
  });
});
