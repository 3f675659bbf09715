/** What is ordered of a log, when it is carried out, and whose logs it leaves behind. */
import { describe, expect, it } from 'vitest';
import {
  type CompactionGround,
  Compactions,
  nextCompaction,
} from '../../../../broker/replication/compactions.ts';
import { Partition } from '../../../../broker/replication/partition.ts';
import { PRODUCER_KEPT_MS, ProducerTable } from '../../../../broker/replication/producers.ts';
import type {
  Assignment,
  LogState,
  PartitionInput,
  PartitionOutput,
  Position,
} from '../../../../broker/replication/types.ts';
import type { CompactionMark } from '../../../../wire/batch/control.ts';
import { assignment, replicas } from './assignment.ts';
import { header } from './header.ts';

const LOG: LogState = {
  startOffset: 0,
  endOffset: 10,
  epochs: [{ epoch: 1, startOffset: 0 }],
  highWaterMark: 10,
  syncedOffset: 10,
};
const LED = assignment({ replicas: replicas(1, 2, 3), syncSet: [1, 2], quorum: 2 });
const MARK: CompactionMark = {
  upTo: 6,
  tombstonesBelow: 0,
  producersBelow: 0,
  forgottenIdMax: 0,
  agingTo: 6,
  agingSinceMs: 1_000,
};

function opened(log: Partial<LogState> = {}): Partition {
  return new Partition(
    { self: 1, selfEpoch: 11, key: 'topic/0', lagMsMax: 1e9, appendsPendingMax: 99, nowMs: 0 },
    { ...LOG, ...log },
    new ProducerTable({ producersMax: 10, nowMs: 0 }),
  );
}

/** Led by broker 1 in epoch 5, which begins at 10; brokers 2 and 3 have followed it so far. */
function led(with_: Partial<Assignment> = {}, log: Partial<LogState> = {}): Partition {
  const core = opened(log);
  core.step({ kind: 'assign', assignment: { ...LED, ...with_ } });
  core.step({ kind: 'written', writeId: 1 });
  return core;
}

function follows(core: Partition, from: number, fields: Partial<Position> = {}): PartitionOutput {
  const { writtenEnd: endOffset } = core.status();
  const stated = { lastEpoch: 5, endOffset, syncedOffset: 0, ...fields };
  const position = { from, brokerEpoch: 10 + from, leaderEpoch: 5, ...stated };
  return core.step({ kind: 'position', position });
}

const WANT = { kind: 'compact', upTo: 99, wallMs: 5_000, tombstonesKeptMs: 100 } as const;

function ordered({ writes }: PartitionOutput): CompactionMark | undefined {
  const [write] = writes;
  return write?.kind === 'control' ? write.compaction : undefined;
}

describe('an order of a leader', () => {
  it('reaches no further than the mark, and what min members and it have synced', () => {
    const core = led();
    follows(core, 2, { syncedOffset: 7 });
    expect(ordered(core.step(WANT))?.upTo).toBe(7);
  });

  it('counts nobody who is not trusted, and waits for the end to be known', () => {
    const core = led({ suspects: [2] });
    follows(core, 2, { syncedOffset: 7 });
    expect(ordered(core.step(WANT))).toBeUndefined();
    const trusted = led();
    expect(ordered(trusted.step(WANT))).toBeUndefined();
    follows(trusted, 2, { syncedOffset: 7 });
    expect(ordered(trusted.step(WANT))).toBeDefined();
  });

  it('is given once, and not again before it is committed', () => {
    const core = led();
    follows(core, 2, { syncedOffset: 7 });
    expect(ordered(core.step({ ...WANT, upTo: 5 }))).toEqual({
      ...MARK,
      upTo: 5,
      producersBelow: 5,
      agingTo: 5,
      agingSinceMs: 5_000,
    });
    expect(core.step({ ...WANT, upTo: 6 }).writes).toEqual([]);
    core.step({ kind: 'written', writeId: 2 });
    follows(core, 2, { syncedOffset: 7 });
    expect(core.step({ ...WANT, upTo: 5 }).writes).toEqual([]);
    expect(ordered(core.step({ ...WANT, upTo: 6 }))?.upTo).toBe(6);
  });

  it.each<
    [string, CompactionMark | null, Partial<CompactionGround>, Partial<CompactionMark> | null]
  >([
    ['nothing to do', MARK, { wanted: 6, wallMs: 1_099 }, null],
    ['X never falls', MARK, { wanted: 3, wallMs: 1_099 }, null],
    [
      'tombstones are too young',
      MARK,
      { wanted: 8, wallMs: 1_099 },
      { tombstonesBelow: 0, agingTo: 6 },
    ],
    [
      'they are old enough',
      MARK,
      { wanted: 8 },
      { tombstonesBelow: 6, agingTo: 8, agingSinceMs: 1_100 },
    ],
    ['they alone are a reason', MARK, { wanted: 0 }, { upTo: 6, tombstonesBelow: 6 }],
    [
      'a member of S lags',
      MARK,
      { wanted: 8, acknowledgedEnd: 5 },
      { tombstonesBelow: 0, agingTo: 6 },
    ],
    ['a member is not known', MARK, { wanted: 8, acknowledgedEnd: -1 }, { tombstonesBelow: 0 }],
    ['the one before is not committed', MARK, { isNewestCommitted: false }, null],
    [
      'what was begun is known, and no order of it',
      null,
      { begun: { upTo: 7, tombstonesBelow: 4, producersBelow: 3 } },
      { upTo: 10, tombstonesBelow: 4, producersBelow: 3, agingTo: 10 },
    ],
    [
      'what was begun is more than the log orders, as after an unclean election',
      MARK,
      { wallMs: 1_000, begun: { upTo: 7, tombstonesBelow: 4, producersBelow: 3 } },
      { upTo: 10, tombstonesBelow: 4, producersBelow: 3 },
    ],
  ])('%s', (_, newest, with_, expected) => {
    const next = nextCompaction(newest, {
      wanted: 99,
      begun: { upTo: 0, tombstonesBelow: 0, producersBelow: 0 },
      isNewestCommitted: true,
      highWaterMark: 10,
      syncedEnd: 10,
      acknowledgedEnd: 10,
      wallMs: 1_100,
      tombstonesKeptMs: 100,
      silent: { below: 0, forgottenIdMax: 0 },
      ...with_,
    });
    if (expected === null) expect(next).toBeNull();
    else expect(next).toMatchObject(expected);
  });
});

describe('an order in the log', () => {
  function frames(fields: object = {}): PartitionInput {
    const control = header({
      baseOffset: 10,
      leaderEpoch: 5,
      isControl: true,
      dataEnd: 10,
      ...fields,
    });
    return {
      kind: 'frames',
      from: 2,
      leaderEpoch: 5,
      highWaterMark: 11,
      logStartOffset: 0,
      headers: [control],
    };
  }

  function following(log: Partial<LogState> = {}): Partition {
    const core = opened(log);
    core.step({ kind: 'assign', assignment: { ...LED, leader: 2 } });
    return core;
  }

  it('is carried out once it is committed and synced, and the log matches', () => {
    const core = following();
    expect(core.step(frames({ compaction: MARK })).compaction).toBeNull();
    expect(core.step({ kind: 'written', writeId: 1 }).compaction).toBeNull();
    const { compaction } = core.step({ kind: 'synced', offset: 11 });
    expect(compaction).toEqual({ upTo: 6, tombstonesBelow: 0, producersBelow: 0 });
    expect(core.step({ kind: 'tick', nowMs: 1 }).compaction).toBeNull();
  });

  it('waits for the mark, though it is synced', () => {
    const core = following();
    core.step({ ...frames({ compaction: MARK }), highWaterMark: 10 } as PartitionInput);
    core.step({ kind: 'written', writeId: 1 });
    expect(core.step({ kind: 'synced', offset: 11 }).compaction).toBeNull();
    const push = { ...frames(), headers: [] } as PartitionInput;
    expect(core.step(push).compaction).toMatchObject({ upTo: 6 });
  });

  it('is gone on with after a start, by what the journal says', () => {
    const compacted = { upTo: 6, tombstonesBelow: 2, producersBelow: 0 };
    const core = following({ compacted });
    expect(core.step(frames()).compaction).toEqual(compacted);
  });

  it('is asked for again once the log was cut, and matches again', () => {
    const compacted = { upTo: 6, tombstonesBelow: 2, producersBelow: 0 };
    const core = following({ compacted, highWaterMark: 7, syncedOffset: 9 });
    core.step({ ...frames(), highWaterMark: 7, headers: [] } as PartitionInput);
    const next = { ...LED, leader: 2, leaderEpoch: 6, partitionEpoch: 2 };
    core.step({ kind: 'assign', assignment: next });
    const diverged = { kind: 'diverged', from: 2, leaderEpoch: 6, epoch: 1, endOffset: 8 } as const;
    expect(core.step(diverged).writes).toMatchObject([{ kind: 'truncate', toOffset: 8 }]);
    expect(core.step({ kind: 'written', writeId: 1, endOffset: 8 }).compaction).toBeNull();
    const push = { ...frames(), leaderEpoch: 6, highWaterMark: 7, headers: [] } as PartitionInput;
    expect(core.step(push).compaction).toEqual(compacted);
    expect(core.step({ kind: 'tick', nowMs: 1 }).compaction).toBeNull();
  });

  it('of above where it stands is refused with its stream', () => {
    const core = following();
    const output = core.step(frames({ compaction: { ...MARK, upTo: 11 } }));
    expect(output.refused?.reason).toContain('a compaction to 11, must be 0 to 10');
  });

  it('leaves a log that ends below it without evidence', () => {
    const core = opened({ compacted: { upTo: 11, tombstonesBelow: 0, producersBelow: 0 } });
    const { writes } = core.step({ kind: 'tick', nowMs: 1 });
    const start = { offset: 10, epoch: 1, retiredTo: 0 };
    expect(writes).toEqual([{ kind: 'reset', writeId: 1, start, keepAside: true }]);
  });
});

describe('a log that lacks tombstones', () => {
  const D = { tombstonesBelow: 8 };
  const compacted = { upTo: 8, tombstonesBelow: 8, producersBelow: 0 };

  /** Has begun to drop tombstones below 8. */
  function dropping(): Partition {
    const core = opened({ compacted });
    expect(core.step({ kind: 'assign', assignment: LED }).compaction).toEqual(compacted);
    core.step({ kind: 'written', writeId: 1 });
    return core;
  }

  it('is copied anew, once the leader has dropped all of them', () => {
    const core = dropping();
    expect(follows(core, 3, { endOffset: 5, lastEpoch: 1 }).messages).toEqual([]);
    const { messages } = core.step({ kind: 'compacted', order: compacted });
    expect(messages).toEqual([
      { kind: 'reset-to', to: 3, leaderEpoch: 5, startOffset: 0, startEpoch: 0, ...D },
    ]);
    const start = { offset: 0, epoch: 0, retiredTo: 0, ...D };
    follows(core, 3, { endOffset: 0, lastEpoch: 0, start });
    expect(core.pushWindow(3)).toMatchObject({ from: 0 });
    // Its copy was begun without them: it may be interrupted.
    follows(core, 3, { endOffset: 4, lastEpoch: 1, start, resend: true });
    expect(core.pushWindow(3)).toMatchObject({ from: 4 });
  });

  it('is so too where it was matched before, but not where it was sent them', () => {
    const core = led(
      {},
      {
        controls: [{ baseOffset: 9, dataEnd: 9, compaction: { ...MARK, ...compacted } }],
        syncedOffset: 9,
      },
    );
    follows(core, 3, { endOffset: 5, lastEpoch: 1 });
    follows(core, 2, { endOffset: 9, lastEpoch: 1 });
    const { compaction } = core.step({ kind: 'synced', offset: 10 });
    expect(compaction).toEqual(compacted);
    expect([core.pushWindow(2)?.from, core.pushWindow(3)]).toEqual([9, null]);
    const { messages } = core.step({ kind: 'compacted', order: compacted });
    expect(messages).toMatchObject([{ kind: 'reset-to', to: 3 }]);
  });

  it('starts anew as a follower, and is not told twice', () => {
    const core = opened();
    core.step({ kind: 'assign', assignment: { ...LED, leader: 2 } });
    const told: PartitionInput = {
      kind: 'reset-to',
      from: 2,
      leaderEpoch: 5,
      startOffset: 0,
      tombstonesBelow: 11,
    };
    const { writes } = core.step(told);
    const start = { offset: 0, epoch: 0, retiredTo: 0, tombstonesBelow: 11 };
    expect(writes).toEqual([{ kind: 'reset', writeId: 1, start, keepAside: true }]);
    core.step({ kind: 'written', writeId: 1 });
    expect(core.step(told).writes).toEqual([]);
    expect(core.position()?.position.start).toEqual(start);
  });

  it('that ends above them stays', () => {
    const core = opened();
    core.step({ kind: 'assign', assignment: { ...LED, leader: 2 } });
    const told = { kind: 'reset-to', from: 2, leaderEpoch: 5, startOffset: 0 } as const;
    expect(core.step({ ...told, tombstonesBelow: 10 }).writes).toEqual([]);
  });
});

describe('what was synced', () => {
  it.each([
    { name: 'at once where its topic is compacted', before: true },
    { name: 'once its topic is compacted', before: false },
  ])('is stated where nothing more comes: $name', ({ before }) => {
    const core = opened();
    core.step({ kind: 'assign', assignment: { ...LED, leader: 2, isCompacted: before } });
    const control = header({ baseOffset: 10, leaderEpoch: 5, isControl: true, dataEnd: 10 });
    core.step({
      kind: 'frames',
      ...{ from: 2, leaderEpoch: 5, highWaterMark: 11, logStartOffset: 0, headers: [control] },
    });
    const { position } = core.step({ kind: 'written', writeId: 1 });
    expect(position?.position).toMatchObject({ endOffset: 11, syncedOffset: 10 });
    const synced = { kind: 'synced', offset: 11 } as const;
    const stated = [core.step(synced).position];
    stated.push(core.step(synced).position);
    const later = { ...LED, leader: 2, isCompacted: true, partitionEpoch: 9 };
    stated.push(core.step({ kind: 'assign', assignment: later }).position);
    expect(stated.map((one) => one?.position.syncedOffset)).toEqual(
      before ? [11, undefined, undefined] : [undefined, undefined, 11],
    );
  });

  it('is not said of offsets that are given anew', () => {
    const core = opened();
    core.step({ kind: 'assign', assignment: { ...LED, leader: 2 } });
    core.step({ kind: 'diverged', from: 2, leaderEpoch: 5, epoch: 1, endOffset: 10 });
    const told = { kind: 'reset-to', from: 2, leaderEpoch: 5, startOffset: 20 } as const;
    core.step(told);
    // A flush of the log as it was ends now.
    core.step({ kind: 'synced', offset: 10 });
    core.step({ kind: 'synced', offset: 30 });
    core.step({ kind: 'written', writeId: 1 });
    expect(core.status().syncedOffset).toBe(20);
    const frame = header({ baseOffset: 20, leaderEpoch: 5, lastOffsetDelta: 9 });
    const push = { kind: 'frames', from: 2, leaderEpoch: 5, highWaterMark: 20 } as const;
    core.step({ ...push, logStartOffset: 20, headers: [frame] });
    core.step({ kind: 'written', writeId: 2 });
    expect(core.status()).toMatchObject({ writtenEnd: 30, syncedOffset: 20 });
  });
});

describe('producers that are silent', () => {
  const wrote = (producerId: number, baseOffset: number) =>
    header({ producerId, baseOffset, baseSequence: 0 });

  function table(): ProducerTable {
    const producers = new ProducerTable({ producersMax: 10, nowMs: 0 });
    producers.apply(wrote(7, 0));
    producers.apply(wrote(5, 1));
    producers.tick(1_000);
    producers.apply(wrote(9, 2));
    producers.commit(3);
    return producers;
  }

  it('are those for which nobody repeats a batch any more', () => {
    const producers = table();
    expect(producers.silentBelow()).toEqual({ below: 0, forgottenIdMax: 0 });
    producers.tick(PRODUCER_KEPT_MS);
    expect(producers.silentBelow()).toEqual({ below: 2, forgottenIdMax: 7 });
    producers.forgetBeginning();
    expect(producers.silentBelow().below).toBe(0);
  });

  it('are forgotten with the order that says so, by whoever reads it', () => {
    const producers = table();
    const mark = { ...MARK, producersBelow: 2, forgottenIdMax: 8 };
    producers.apply(header({ isControl: true, baseOffset: 3, compaction: mark }));
    expect(producers.size).toBe(1);
    expect(producers.check(wrote(8, 4))).toMatchObject({ error: { code: 'UNKNOWN_PRODUCER' } });
    expect(producers.check(wrote(10, 4))).toEqual({ kind: 'ok' });
  });
});

describe('Compactions.status()', () => {
  const order = (upTo: number, tombstonesBelow: number) => ({
    upTo,
    tombstonesBelow,
    producersBelow: 0,
  });

  /** An order is committed and synced, and begins. */
  function begun(
    compactions: Compactions,
    at: number,
    upTo: number,
    tombstonesBelow: number,
  ): void {
    compactions.note(at, { ...MARK, upTo, tombstonesBelow });
    compactions.due(at + 1, at + 1);
  }

  it('says that tombstones may be gone from when a pass begins, and what it did once it is done', () => {
    const compactions = new Compactions(LOG);
    begun(compactions, 6, 5, 0);
    expect(compactions.status(0)).toMatchObject({ floor: 0, doneTo: 0 });
    compactions.done(order(5, 0));
    expect(compactions.status(0)).toMatchObject({ floor: 0, doneTo: 5 });
    begun(compactions, 9, 8, 5);
    expect(compactions.status(0)).toMatchObject({ floor: 5, doneTo: 5 });
    compactions.done(order(8, 5));
    expect(compactions.status(0)).toMatchObject({ floor: 5, doneTo: 8 });
    compactions.reset(4);
    expect(compactions.status(0)).toMatchObject({ floor: 4, doneTo: 4 });
    // Of the log that was there before.
    compactions.done(order(8, 4));
    expect(compactions.status(0)).toMatchObject({ doneTo: 4 });
  });

  it('knows no more after a start than what tombstones tell', () => {
    const compactions = new Compactions({ ...LOG, compacted: order(8, 5), tombstonesBelow: 5 });
    expect(compactions.status(0)).toMatchObject({ floor: 5, doneTo: 5 });
  });
});
