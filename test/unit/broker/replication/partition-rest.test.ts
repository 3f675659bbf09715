/** When time matters to a replica. */
import { describe, expect, it } from 'vitest';
import type { PartitionInput } from '../../../../broker/replication/types.ts';
import { Partition } from '../../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';

const LAG_MS = 1_000;
const BROKERS = [1, 2, 3];
const STATE = {
  startOffset: 0,
  endOffset: 0,
  epochs: [],
  highWaterMark: 0,
  syncedOffset: 0,
};

function partition() {
  const core = new Partition(
    {
      self: 1,
      selfEpoch: 1,
      key: 'orders/0',
      lagMsMax: LAG_MS,
      appendsPendingMax: 10,
      nowMs: 0,
    },
    STATE,
    new ProducerTable({ producersMax: 10, nowMs: 0 }),
  );
  const step = (input: PartitionInput) => core.step(input);
  const leads = (leader: number) =>
    step({
      kind: 'assign',
      assignment: {
        ...{ leader, leaderEpoch: 1, partitionEpoch: 1, syncSet: BROKERS, quorum: 3 },
        replicas: BROKERS.map((brokerId) => ({
          ...{ brokerId, brokerEpoch: 1, fenced: false, stopping: false },
        })),
        ...{ suspects: [], uncleanEpoch: 0, minInSyncReplicas: 2, commitMode: 'in-sync' },
        ...{ batchBytesMax: 1_000, successor: -1 },
      },
    });
  const has = (from: number, endOffset: number, lastEpoch = 1) => {
    const ends = { endOffset, syncedOffset: 0, lastEpoch, leaderEpoch: 1 };
    return step({ kind: 'position', position: { from, brokerEpoch: 1, ...ends } });
  };
  const tick = (nowMs: number) => step({ kind: 'tick', nowMs });
  /** Both followers have the epoch start. */
  const settle = (nowMs: number): void => {
    leads(1);
    step({ kind: 'written', writeId: 1 });
    for (const follower of [2, 3]) {
      has(follower, 0, 0);
      core.pushed(follower, 1, 0);
      has(follower, 1);
    }
    tick(nowMs);
  };
  return { core, step, leads, has, tick, settle };
}

describe('Partition at rest', () => {
  it('rests while it is not assigned, and as a leader whose followers have everything', () => {
    const { core, leads, step, settle } = partition();
    expect(core.isAtRest).toBe(true);
    leads(1);
    expect(core.isAtRest).toBe(false);
    step({ kind: 'written', writeId: 1 });
    expect(core.isAtRest).toBe(false);
    settle(100);
    expect(core.isAtRest).toBe(true);
  });

  it('does not rest while a follower lacks something or is gone, or an answer is awaited', () => {
    const { core, step, tick, settle } = partition();
    settle(100);
    core.followerGone(2);
    expect(core.isAtRest).toBe(false);
    const { proposal } = tick(100 + LAG_MS);
    expect(proposal?.change).toEqual({ op: 'remove', member: 2 });
    expect(core.isAtRest).toBe(false);
    step({ kind: 'drain' });
    expect(core.isAtRest).toBe(false);
  });

  it('counts no lag of the time that it rested, when it is told the time before what ends that', () => {
    const { core, tick, settle } = partition();
    settle(100);
    tick(60_000);
    core.followerGone(3);
    expect(tick(60_000 + LAG_MS - 1).proposal).toBeNull();
    expect(tick(60_000 + LAG_MS).proposal?.change).toEqual({ op: 'remove', member: 3 });
  });

  it('does not rest as a follower whose position is not answered', () => {
    const { core, leads, step } = partition();
    leads(2);
    expect(core.isAtRest).toBe(false);
    const marks = { leaderEpoch: 1, highWaterMark: 0, logStartOffset: 0 };
    step({ kind: 'frames', from: 2, ...marks, headers: [] });
    expect(core.isAtRest).toBe(true);
  });
});
