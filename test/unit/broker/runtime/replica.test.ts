import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Replica } from '../../../../broker/runtime/replica.ts';
import type { ReplicaHost } from '../../../../broker/runtime/replica.ts';
import type { PartitionLog } from '../../../../broker/runtime/ports.ts';
import { FakeClock } from './fake-clock.ts';

const TOPIC_ID = '22222222-2222-4222-8222-222222222222';

interface Scene {
  readonly leader?: number;
  readonly syncSet?: readonly number[];
  readonly suspects?: readonly number[];
  readonly isHeard?: boolean;
}

/** Broker 2's replica: ten records, all committed; broker 1 leads unless said otherwise. */
function replicaOf({
  leader = 1,
  syncSet = [1, 2],
  suspects = [],
  isHeard = true,
}: Scene): Replica {
  const state = {
    startOffset: 0,
    endOffset: 10,
    epochs: [{ epoch: 1, startOffset: 0 }],
    highWaterMark: 10,
    syncedOffset: 10,
  };
  const log = {
    recovery: { state, snapshot: null, headers: [], damage: null },
    read: (fromOffset: number, upToOffset: number) => ({
      chunks: [new Uint8Array(1)],
      nextOffset: Math.max(fromOffset, upToOffset),
    }),
    append: async () => undefined,
    noteHighWaterMark: () => undefined,
  } as unknown as PartitionLog;
  const host: ReplicaHost = {
    clock: new FakeClock(),
    crc32,
    sendPosition: () => undefined,
    sendMessage: () => undefined,
    proposeSyncSet: () => Promise.resolve(),
    onChanged: () => undefined,
    onConsumed: () => undefined,
    onStopped: () => undefined,
    isHeard: () => isHeard,
    onFact: () => undefined,
  };
  const options = {
    topicId: TOPIC_ID,
    topic: 'orders',
    partition: 0,
    self: 2,
    selfEpoch: 1,
    lagMsMax: 1_000,
    appendsPendingMax: 10,
    producersMax: 10,
  };
  const replica = new Replica(options, log, host);
  replica.assign({
    leader,
    leaderEpoch: 2,
    partitionEpoch: 1,
    replicas: [1, 2].map((brokerId) => ({
      brokerId,
      brokerEpoch: 1,
      fenced: false,
      stopping: false,
    })),
    syncSet,
    quorum: syncSet.length,
    suspects,
    uncleanEpoch: 0,
    minInSyncReplicas: 1,
    commitMode: 'in-sync',
    batchBytesMax: 1_000,
    successor: -1,
  });
  return replica;
}

const NEAR = { epoch: 0, bytesMax: 100, allowFollower: true, inSyncOnly: true };

describe('Replica.read() at a follower', () => {
  it.each([
    { name: 'in sync', scene: {} },
    { name: 'which leads by now', scene: { leader: 2, isHeard: false } },
  ])('gives what is committed: one $name', ({ scene }) => {
    expect(replicaOf(scene).read({ ...NEAR, offset: 3 })).toMatchObject({
      nextOffset: 10,
      marks: { highWaterMark: 10 },
    });
  });

  it.each([
    { name: 'out of the sync set', scene: { syncSet: [1] } },
    { name: 'a suspect', scene: { suspects: [2] } },
    { name: 'not heard by the controller', scene: { isHeard: false } },
  ])('sends readers to the leader: $name', ({ scene }) => {
    expect(() => replicaOf(scene).read({ ...NEAR, offset: 3 })).toThrow(
      expect.objectContaining({
        code: 'NOT_LEADER',
        details: { leader: 1, leaderEpoch: 2 },
      }) as Error,
    );
  });

  it('reads any replica where the reader asked for no more', () => {
    const position = { ...NEAR, inSyncOnly: false, offset: 3 };
    expect(replicaOf({ syncSet: [1], isHeard: false }).read(position)).toMatchObject({
      nextOffset: 10,
    });
  });

  it('lets a position wait that is past what it holds', () => {
    expect(replicaOf({}).read({ ...NEAR, offset: 12, epoch: 1 })).toMatchObject({
      chunks: [],
      nextOffset: 12,
    });
  });

  it('refuses such a position at the leader', () => {
    expect(() => replicaOf({ leader: 2 }).read({ ...NEAR, offset: 13 })).toThrow(
      expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }) as Error,
    );
  });
});

describe('Replica.inspect()', () => {
  it('tells end, epoch and high-water mark', () => {
    expect(replicaOf({}).inspect(2)).toEqual({ lastEpoch: 1, endOffset: 10, highWaterMark: 10 });
  });

  it('says nothing of an epoch that it does not know yet', () => {
    expect(replicaOf({}).inspect(3)).toBe(null);
  });
});

describe('Replica.marks()', () => {
  it.each([
    { name: 'names the latest offset while the controller hears it', isHeard: true, latest: 11 },
    { name: 'does not once the controller may have replaced it', isHeard: false, latest: null },
  ])('at a leader $name', async ({ isHeard, latest }) => {
    const replica = replicaOf({ leader: 2, syncSet: [2], isHeard });
    const written = new Promise<void>((resolve) => {
      replica.watch(resolve);
    });

    await written;

    expect(replica.marks()).toMatchObject({ isLeader: true, highWaterMark: 11, latest });
  });
});
