import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Compactor } from '../../../../../broker/runtime/partitions/compactor.ts';
import { Replica } from '../../../../../broker/runtime/partitions/replica.ts';
import type { ReplicaHost } from '../../../../../broker/runtime/partitions/replica-host.ts';
import { BrokerError } from '../../../../../base/errors.ts';
import type { Position } from '../../../../../broker/replication/types.ts';
import type { LogRead, PartitionLog } from '../../../../../broker/runtime/ports.ts';
import { FakeClock } from '../fake-clock.ts';

const TOPIC_ID = '22222222-2222-4222-8222-222222222222';

const MARKS = { topicId: TOPIC_ID, partition: 0, leaderEpoch: 2 };

const STATE = {
  startOffset: 0,
  endOffset: 10,
  epochs: [{ epoch: 1, startOffset: 0 }],
  highWaterMark: 10,
  syncedOffset: 10,
};

/** As much of a frame as tells where it stands. */
function frame(baseOffset: number): Uint8Array {
  const bytes = new Uint8Array(100);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(baseOffset), true);
  return bytes;
}

interface Scene {
  readonly uncleanEpoch?: number;
  readonly leader?: number;
  readonly syncSet?: readonly number[];
  readonly suspects?: readonly number[];
  readonly isHeard?: boolean;
  readonly host?: Partial<ReplicaHost<Replica>>;
  readonly log?: Partial<PartitionLog>;
}

/** Broker 2's replica: ten records, all committed; broker 1 leads unless said otherwise. */
function replicaOf({
  leader = 1,
  syncSet = [1, 2],
  suspects = [],
  isHeard = true,
  uncleanEpoch = 0,
  host: parts = {},
  log: logParts = {},
}: Scene): Replica {
  const state = { ...STATE, ...logParts.recovery?.state };
  const log = {
    ...logParts,
    recovery: { state, snapshot: null, headers: [], damage: null },
    read:
      logParts.read ??
      ((fromOffset: number, upToOffset: number) => ({
        chunks: [new Uint8Array(1)],
        nextOffset: Math.max(fromOffset, upToOffset),
      })),
    append: async () => undefined,
    noteHighWaterMark: () => undefined,
  } as unknown as PartitionLog;
  const host: ReplicaHost<Replica> = {
    clock: new FakeClock(),
    crc32,
    compactor: new Compactor(),
    sendPosition: () => undefined,
    sendMessage: () => undefined,
    proposeSyncSet: () => Promise.resolve(),
    onChanged: () => undefined,
    onConsumed: () => undefined,
    onStopped: () => undefined,
    onRefused: () => undefined,
    onDamage: () => undefined,
    producerFault: () => null,
    producersGiven: () => Promise.resolve({ idMax: 0, epochs: new Map() }),
    isHeard: () => isHeard,
    onFact: () => undefined,
    ...parts,
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
    uncleanEpoch,
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

  it.each([
    {
      name: 'asks a leader again that does not know the epoch',
      leader: 2,
      code: 'OFFSET_NOT_AVAILABLE',
    },
    { name: 'is served by a follower up to what is committed', leader: 1, code: null },
  ])('$name', ({ leader, code }) => {
    const read = () => replicaOf({ leader }).read({ ...NEAR, offset: 3, epoch: 3 });

    if (code === null) expect(read()).toMatchObject({ nextOffset: 10 });
    else expect(read).toThrow(expect.objectContaining({ code }) as Error);
  });

  it('refuses such a position at the leader', () => {
    expect(() => replicaOf({ leader: 2 }).read({ ...NEAR, offset: 13 })).toThrow(
      expect.objectContaining({ code: 'OFFSET_OUT_OF_RANGE' }) as Error,
    );
  });

  it('tells whose position was cut off so, also where the log is shorter by now', () => {
    expect(() => replicaOf({ leader: 2 }).read({ ...NEAR, offset: 13, epoch: 1 })).toThrow(
      expect.objectContaining({
        code: 'POSITION_DIVERGED',
        details: { logStart: 0, logEnd: 10, agreedEpoch: 1 },
      }) as Error,
    );
  });
});

describe('Replica.inspect()', () => {
  it('tells end, epoch and high-water mark', () => {
    expect(replicaOf({}).inspect(2)).toEqual({
      lastEpoch: 1,
      endOffset: 10,
      highWaterMark: 10,
      start: { offset: 0, epoch: 0, retiredTo: 0 },
    });
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

describe('Replica.trim()', () => {
  it('begins where a batch does, also one that is committed while it is asked', async () => {
    const state = {
      startOffset: 0,
      endOffset: 10,
      epochs: [{ epoch: 1, startOffset: 0 }],
      highWaterMark: 8,
      syncedOffset: 10,
    };
    const replica = replicaOf({
      leader: 2,
      log: {
        recovery: { state, snapshot: null, headers: [], damage: null },
        // Batches of two.
        read: (offset, upTo) =>
          offset >= upTo
            ? { chunks: [], nextOffset: offset }
            : { chunks: [frame(offset - (offset % 2))], nextOffset: upTo },
      },
    });
    await new Promise(setImmediate);
    void replica.trim(9);
    const acknowledged = { lastEpoch: 2, endOffset: 11, syncedOffset: 0 };
    replica.position({ from: 1, brokerEpoch: 1, leaderEpoch: 2, ...acknowledged });
    await new Promise(setImmediate);
    expect(replica.status()).toMatchObject({ highWaterMark: 11, undecidedTo: 8 });
  });

  it('is answered although the replica is closed while it is asked', async () => {
    let found: (read: LogRead) => void = () => undefined;
    const read = (): Promise<LogRead> =>
      new Promise((resolve) => {
        found = resolve;
      });
    const close = (): Promise<void> => Promise.resolve();
    const replica = replicaOf({
      leader: 2,
      log: { read, close, saveSnapshot: () => undefined },
    });
    const asked = replica.trim(5);
    await replica.close();
    found({ chunks: [frame(4)], nextOffset: 6 });
    await expect(asked).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });
});

describe('Replica.frames()', () => {
  it('asks again for what fails its checksums, gives the credit back, and leaves the stream alone', () => {
    const clock = new FakeClock();
    const positions: Position[] = [];
    const consumed: number[] = [];
    const refused: string[] = [];
    const replica = replicaOf({
      host: {
        clock,
        sendPosition: (_to, _replica, position) => positions.push(position),
        onConsumed: (_from, bytes) => consumed.push(bytes),
        onRefused: (_replica, peer) => refused.push(`peer ${peer}`),
      },
    });
    const corrupt = {
      topicId: TOPIC_ID,
      partition: 0,
      leaderEpoch: 2,
      highWaterMark: 10,
      logStartOffset: 0,
      chunks: [new Uint8Array(200).fill(7)],
    };
    const asked = (): number => positions.filter(({ resend }) => resend === true).length;

    replica.frames(1, corrupt);
    expect([asked(), consumed]).toEqual([1, [200]]);
    expect(positions.at(-1)).toMatchObject({ endOffset: 10, resend: true });

    // Each time the leader pushes the same: after a few tries it is said to be corrupt, once, and
    // asked rarely.
    for (let seconds = 0; seconds < 60; seconds += 1) {
      const before = asked();
      clock.advance(1_000);
      replica.tick();
      if (asked() > before) replica.frames(1, corrupt);
    }
    expect(refused).toEqual(['peer 1']);
    expect(asked()).toBeGreaterThan(3);
    expect(asked()).toBeLessThan(8);
  });
});

/** Epochs 1 and 2, of which the second begins at 6; committed up to 4. A batch of two is at 6. */
function divergent(parts: Scene) {
  const refused: string[] = [];
  const cuts: number[] = [];
  const state = {
    startOffset: 0,
    endOffset: 10,
    epochs: [
      { epoch: 1, startOffset: 0 },
      { epoch: 2, startOffset: 6 },
    ],
    highWaterMark: 4,
    syncedOffset: 4,
  };
  const replica = replicaOf({
    ...parts,
    host: {
      onRefused: (_replica, peer, reason) => refused.push(`${peer}: ${reason}`),
      ...parts.host,
    },
    log: {
      recovery: { state, snapshot: null, headers: [], damage: null },
      read: (offset) => Promise.resolve({ chunks: [frame(offset - (offset % 2))], nextOffset: 10 }),
      truncate: (offset) => {
        cuts.push(offset);
        return Promise.resolve(offset - (offset % 2));
      },
      ...parts.log,
    },
  });
  return { replica, refused, cuts };
}

describe('Replica.followerMessage()', () => {
  it.each([
    { name: 'the end of a batch', endOffset: 8, expected: { cuts: [8], refused: 0 } },
    { name: 'an offset within a batch', endOffset: 7, expected: { cuts: [7], refused: 0 } },
    { name: 'the end of the log', endOffset: 10, expected: { cuts: [], refused: 0 } },
    { name: 'an offset beyond the end', endOffset: 11, expected: { cuts: [], refused: 0 } },
    { name: 'no offset', endOffset: NaN, expected: { cuts: [], refused: 1 } },
    { name: 'an offset below the start', endOffset: -1, expected: { cuts: [], refused: 1 } },
  ])('judges a divergence at $name', async ({ endOffset, expected }) => {
    const { replica, refused, cuts } = divergent({});

    replica.followerMessage(1, { kind: 'diverged', to: 2, leaderEpoch: 2, epoch: 2, endOffset });
    await new Promise(setImmediate);

    expect({ cuts, refused: refused.length }).toEqual(expected);
    expect(replica.stopped).toBeNull();
    // A cut within a batch ends where that begins.
    const [cut = 10] = cuts;
    expect(replica.status().logEnd).toBe(cut - (cut % 2));
  });
});

describe('Replica whose producers cannot be read after a cut', () => {
  const corrupt = new BrokerError('DATA_CORRUPT', 'a bad checksum');

  it.each([
    {
      name: 'want of descriptors',
      error: new BrokerError('OVERLOADED', 'no descriptor'),
      damages: 0,
    },
    { name: 'damage', error: corrupt, damages: 1 },
  ])('says that it cannot lead and reads them again: $name', async ({ error, damages }) => {
    const clock = new FakeClock();
    const facts: string[] = [];
    const damaged: unknown[] = [];
    const tries = [() => Promise.reject(error), () => Promise.resolve([])];
    const { replica } = divergent({
      uncleanEpoch: 2,
      host: {
        clock,
        onFact: (...[event]) => facts.push(event),
        onDamage: (_replica, found) => damaged.push(found),
      },
      log: { headers: () => tries.shift()!() },
    });
    const cut = { kind: 'diverged', to: 2, leaderEpoch: 2, epoch: 1, endOffset: 2 } as const;
    replica.followerMessage(1, cut);
    await new Promise(setImmediate);

    const unread = replica.cannotLead;
    clock.advance(1_000);
    replica.tick();
    await new Promise(setImmediate);

    expect([unread, replica.cannotLead, replica.stopped]).toEqual(['producers-unread', null, null]);
    expect(facts).toContain('producers-unread');
    expect(damaged).toHaveLength(damages);
  });

  it('reads on where retention moved the start meanwhile', async () => {
    const starts: number[] = [];
    const gone = new BrokerError('OFFSET_OUT_OF_RANGE', 'below the start');
    const { replica } = divergent({
      uncleanEpoch: 2,
      log: {
        retire: () => Promise.resolve(),
        headers: (start) => {
          starts.push(start);
          if (start === 1) return Promise.resolve([]);
          const frames = { ...MARKS, highWaterMark: 2, logStartOffset: 1 };
          replica.frames(1, { ...frames, chunks: [] });
          return Promise.reject(gone);
        },
      },
    });
    const cut = { kind: 'diverged', to: 2, leaderEpoch: 2, epoch: 1, endOffset: 2 } as const;
    replica.followerMessage(1, cut);
    await new Promise(setImmediate);

    expect(starts).toEqual([0, 1]);
    expect(replica.cannotLead).toBeNull();
  });
});

describe('Replica and what is ordered of its log', () => {
  const compacted = { upTo: 8, tombstonesBelow: 4, producersBelow: 0 };
  const outcome = { bytesBefore: 9, bytesAfter: 5, isComplete: true };

  function compacting() {
    const facts: string[] = [];
    const pass = Promise.withResolvers<typeof outcome>();
    const state = { ...STATE, compacted };
    const replica = replicaOf({
      host: { onFact: (...[event]) => facts.push(event) },
      log: {
        recovery: { state, snapshot: null, headers: [], damage: null },
        compact: () => pass.promise,
        merge: () => Promise.resolve({ removed: 0, bytes: 0, segments: 1 }),
        reset: () => Promise.resolve(),
      },
    });
    replica.frames(1, { ...MARKS, highWaterMark: 10, logStartOffset: 0, chunks: [] });
    return { replica, facts, pass };
  }

  it('carries it out once its log matches, and says so', async () => {
    const { replica, facts, pass } = compacting();
    expect(replica.compaction()).toMatchObject({ upTo: 8, tombstonesBelow: 0, phase: 'running' });
    pass.resolve(outcome);
    await new Promise(setImmediate);
    expect(replica.compaction()).toMatchObject({ tombstonesBelow: 4, phase: 'idle' });
    expect(facts).toEqual(['compacted']);
  });

  it('says nothing of a log that was emptied under it', async () => {
    const { replica, facts, pass } = compacting();
    const reset = { kind: 'reset-to', to: 2, leaderEpoch: 2, startOffset: 20 } as const;
    replica.followerMessage(1, reset);
    pass.resolve(outcome);
    await new Promise(setImmediate);
    expect(replica.compaction()).toMatchObject({ upTo: 0, tombstonesBelow: 0, phase: 'idle' });
    expect(facts).toEqual(['reset']);
  });
});
