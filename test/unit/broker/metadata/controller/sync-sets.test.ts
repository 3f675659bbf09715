/** Changes of many sync sets in one request: each is judged alone, all are one proposal. */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import type { PartitionState } from '../../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';
import { Bench, codeOf } from './bench.ts';

const LAGS: Partial<PartitionState> = { syncSet: [0, 1], quorum: 2 };

/** Broker 0 leads partitions 0 and 1, which miss broker 2; broker 1 leads partition 2. */
function bench(): Bench {
  const rows = [
    partitionState({ partition: 0, ...LAGS }),
    partitionState({ partition: 1, ...LAGS }),
    partitionState({ partition: 2, leader: 1, ...LAGS }),
  ];
  return new Bench(
    imageOf(
      [0, 1, 2].map((id) => brokerState(id)),
      [topicState(rows, { minInSyncReplicas: 2 })],
    ),
  );
}

function addOf(world: Bench, partition: number) {
  const memberEpoch = world.image.brokers.get(2)?.brokerEpoch ?? 0;
  return { partition, change: { op: 'add', member: 2, memberEpoch } as const };
}

function outcomesOf(answer: ReturnType<Bench['alterTogether']>): unknown {
  if (answer instanceof BrokerError || answer?.kind !== 'alter-sync-sets') return answer;
  return answer.outcomes.map((outcome) =>
    outcome instanceof BrokerError ? outcome.code : outcome,
  );
}

describe('changes of many sync sets', () => {
  it('are one proposal', () => {
    const world = bench();
    const before = world.entries.length;
    const answer = world.alterTogether(0, [addOf(world, 0), addOf(world, 1)]);
    const epochs = [0, 1].map((partition) => world.row(partition)?.partitionEpoch);
    expect(outcomesOf(answer)).toEqual(epochs);
    expect([0, 1].map((partition) => world.row(partition)?.syncSet)).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
    expect(world.entries.slice(before).map(({ records }) => records.length)).toEqual([2]);
  });

  it('are refused one by one', () => {
    const world = bench();
    const answer = world.alterTogether(0, [
      { ...addOf(world, 0), partitionEpoch: 0 },
      addOf(world, 2),
      addOf(world, 77),
      addOf(world, 1),
    ]);
    const epoch = world.row(1)?.partitionEpoch;
    expect(outcomesOf(answer)).toEqual(['STALE_EPOCH', 'NOT_LEADER', 'UNKNOWN_PARTITION', epoch]);
    expect([0, 1, 2].map((partition) => world.row(partition)?.syncSet.length)).toEqual([2, 3, 2]);
  });

  it('are judged after those before them', () => {
    const world = bench();
    const answer = world.alterTogether(0, [addOf(world, 0), addOf(world, 0)]);
    expect(outcomesOf(answer)).toEqual([world.row(0)?.partitionEpoch, 'STALE_EPOCH']);
  });

  it('are answered when they are committed', () => {
    const world = bench();
    const brokerEpoch = world.image.brokers.get(0)?.brokerEpoch ?? 0;
    const { leaderEpoch = 0, partitionEpoch = 0 } = world.row(0) ?? {};
    const change = { topicId: 't', leaderEpoch, partitionEpoch, ...addOf(world, 0) };
    const id = world.send({ kind: 'alter-sync-sets', brokerId: 0, brokerEpoch, changes: [change] });
    expect(world.replies.get(id)).toBeUndefined();
    world.commit();
    expect(world.replies.get(id)).toEqual({
      kind: 'alter-sync-sets',
      outcomes: [partitionEpoch + 1],
    });
  });

  it('are refused together for a sender that was replaced', () => {
    const world = bench();
    const brokerEpoch = (world.image.brokers.get(0)?.brokerEpoch ?? 0) - 1;
    const change = { topicId: 't', leaderEpoch: 1, partitionEpoch: 1, ...addOf(world, 0) };
    const answer = world.ask({
      ...{ kind: 'alter-sync-sets', brokerId: 0, brokerEpoch },
      changes: [change],
    });
    expect(codeOf(answer)).toBe('FENCED');
  });
});
