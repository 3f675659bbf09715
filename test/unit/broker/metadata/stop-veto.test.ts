import { describe, expect, test } from 'vitest';
import { stopVeto } from '../../../../broker/metadata/safety.ts';
import type {
  BrokerState,
  PartitionState,
  TopicConfig,
} from '../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from './fixtures.ts';

interface Case {
  readonly name: string;
  readonly brokers?: readonly (Partial<BrokerState> & { readonly brokerId: number })[];
  readonly partition?: Partial<PartitionState>;
  readonly config?: Partial<TopicConfig>;
  readonly voters?: readonly number[];
  readonly expected: 'may stop' | 'recovering' | 'away';
}

/** Broker 0 is to be stopped; there are 0, 1 and 2, in service but for what a case says. */
const CASES: readonly Case[] = [
  { name: 'everything in sync', expected: 'may stop' },
  {
    name: 'another one stopping, so that one would be left',
    brokers: [{ brokerId: 1, stopping: true }],
    expected: 'away',
  },
  {
    name: 'another one stopping, and a minimum of one',
    brokers: [{ brokerId: 1, stopping: true }],
    config: { minInSyncReplicas: 1 },
    voters: [0],
    expected: 'may stop',
  },
  {
    name: 'another one fenced',
    brokers: [{ brokerId: 2, fenced: true }],
    partition: { syncSet: [0, 1], quorum: 2 },
    expected: 'away',
  },
  {
    name: 'another one back and behind',
    partition: { syncSet: [0, 1], quorum: 2 },
    expected: 'recovering',
  },
  {
    name: 'another one in S and not trusted',
    partition: { suspects: [2] },
    expected: 'recovering',
  },
  {
    name: 'the partition not here',
    partition: { replicas: [1, 2], syncSet: [1], quorum: 1 },
    expected: 'may stop',
  },
  {
    name: 'the only copy',
    partition: { replicas: [0], syncSet: [0], quorum: 1 },
    config: { minInSyncReplicas: 1 },
    expected: 'may stop',
  },
  {
    name: 'a minimum of all copies, which are all in sync',
    config: { minInSyncReplicas: 3 },
    expected: 'may stop',
  },
  {
    name: 'a minimum of all copies, one of which is behind',
    config: { minInSyncReplicas: 3 },
    partition: { syncSet: [0, 1], quorum: 2 },
    expected: 'recovering',
  },
  {
    name: 'a minimum of all copies, one of which is stopping',
    config: { minInSyncReplicas: 3 },
    brokers: [{ brokerId: 1, stopping: true }],
    expected: 'away',
  },
  {
    name: 'the quorum at its majority',
    brokers: [{ brokerId: 2, fenced: true }],
    partition: { replicas: [1], syncSet: [1], quorum: 1 },
    expected: 'away',
  },
  {
    name: 'one voter, which it is',
    partition: { replicas: [1], syncSet: [1], quorum: 1 },
    voters: [0],
    expected: 'may stop',
  },
  {
    name: 'no vote',
    brokers: [{ brokerId: 2, fenced: true }],
    partition: { replicas: [1], syncSet: [1], quorum: 1 },
    voters: [1, 2, 3],
    expected: 'may stop',
  },
];

describe('stopVeto()', () => {
  test.each(CASES)('$name: $expected', ({ brokers = [], partition, config, voters, expected }) => {
    const states = [0, 1, 2].map((id) =>
      brokerState(id, brokers.find(({ brokerId }) => brokerId === id) ?? {}),
    );
    const image = imageOf(states, [
      topicState([partitionState(partition)], { minInSyncReplicas: 2, ...config }),
    ]);
    const veto = stopVeto(image, 0, voters ?? [0, 1, 2]);
    const said = veto === null ? 'may stop' : veto.isRecovering ? 'recovering' : 'away';
    expect(said).toBe(expected);
    expect(veto?.reason).not.toBe('');
  });

  test('names a partition and counts the others', () => {
    const row = { syncSet: [0, 1], quorum: 2 };
    const image = imageOf(
      [0, 1, 2].map((id) => brokerState(id)),
      [
        topicState([partitionState(row), partitionState({ ...row, partition: 1 })], {
          minInSyncReplicas: 2,
        }),
      ],
    );
    expect(stopVeto(image, 0, [0, 1, 2])?.reason).toBe(
      '2 partitions would suffer: t/0 (1 trusted unfenced members of S would be left, minInSyncReplicas is 2; 1 members of S would be left to acknowledge, q would be 2) …',
    );
  });
});
