/** What another process may say, at the ends of what a number can be, field by field. */
import { describe, expect, it } from 'vitest';
import { Partition } from '../../../../broker/replication/partition.ts';
import { OFFSET_MAX } from '../../../../base/limits.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import type {
  LogState,
  PartitionInput,
  PartitionOutput,
  Position,
} from '../../../../broker/replication/types.ts';
import { assignment } from './assignment.ts';
import { header } from './header.ts';

/** No offset, epoch or end is any of these. */
const NONSENSE = [-1, 0.5, NaN, Infinity, Number.MAX_SAFE_INTEGER, 2 ** 53 + 2];

/** 2 to 9, in epochs 2 and 3; committed up to 8. */
const LOG: LogState = {
  startOffset: 2,
  startEpoch: 1,
  endOffset: 10,
  epochs: [
    { epoch: 2, startOffset: 2 },
    { epoch: 3, startOffset: 6 },
  ],
  highWaterMark: 8,
  syncedOffset: 10,
};

function replica(self: number): Partition {
  const options = {
    self,
    selfEpoch: 10 + self,
    key: 'topic/0',
    lagMsMax: 1_000,
    appendsPendingMax: 2,
    nowMs: 0,
  };
  const made = new Partition(options, LOG, new ProducerTable({ producersMax: 10, nowMs: 0 }));
  made.step({ kind: 'assign', assignment: assignment() });
  made.step({ kind: 'written', writeId: 1 });
  return made;
}

/** What became of the log: nothing that a peer cannot say may change it. */
function marks(one: Partition) {
  const { role, logStart, logEnd, highWaterMark } = one.status();
  return { role, logStart, logEnd, highWaterMark };
}

function outcome({ refused, stopped, writes }: PartitionOutput): string {
  if (refused !== null) return 'refused';
  if (stopped !== null) return 'stopped';
  return writes.map(({ kind }) => kind).join() || 'ignored';
}

const FROM_LEADER = { from: 1, leaderEpoch: 5 } as const;
/** What an honest leader of this log could say next. */
const SAID = {
  frames: {
    kind: 'frames',
    ...FROM_LEADER,
    highWaterMark: 9,
    logStartOffset: 2,
    headers: [header({ baseOffset: 10, leaderEpoch: 5 })],
  },
  diverged: { kind: 'diverged', ...FROM_LEADER, epoch: 3, endOffset: 9 },
  resetTo: { kind: 'reset-to', ...FROM_LEADER, startOffset: 20, startEpoch: 4 },
} as const satisfies Record<string, PartitionInput>;

describe('a follower', () => {
  const fields: readonly (readonly [string, (value: number) => PartitionInput])[] = [
    ['a high-water mark', (highWaterMark) => ({ ...SAID.frames, highWaterMark })],
    [
      'a log start',
      (logStartOffset) => ({ ...SAID.frames, highWaterMark: OFFSET_MAX, logStartOffset }),
    ],
    [
      'the base offset of a frame',
      (baseOffset) => ({ ...SAID.frames, headers: [header({ baseOffset, leaderEpoch: 5 })] }),
    ],
    [
      'the epoch of a frame',
      (leaderEpoch) => ({ ...SAID.frames, headers: [header({ baseOffset: 10, leaderEpoch })] }),
    ],
    [
      'the length of a frame in offsets',
      (lastOffsetDelta) => ({
        ...SAID.frames,
        headers: [header({ baseOffset: 10, leaderEpoch: 5, lastOffsetDelta })],
      }),
    ],
    ['the end of a divergence', (endOffset) => ({ ...SAID.diverged, endOffset })],
    ['the epoch of a divergence', (epoch) => ({ ...SAID.diverged, epoch })],
    ['the start of a reset', (startOffset) => ({ ...SAID.resetTo, startOffset })],
    ['the epoch of a reset', (startEpoch) => ({ ...SAID.resetTo, startEpoch })],
  ];
  it.each(fields)('refuses nonsense as %s, and goes on', (_, say) => {
    for (const value of NONSENSE) {
      const follower = replica(2);
      const before = marks(follower);

      const output = follower.step(say(value));

      expect([value, outcome(output), output.refused?.peer]).toEqual([value, 'refused', 1]);
      expect(marks(follower)).toEqual(before);
      // The stream is opened again, and the leader is right.
      expect(follower.position()?.position).toMatchObject({ lastEpoch: 3, endOffset: 10 });
      expect(outcome(follower.step(SAID.frames))).toBe('replicate');
    }
  });

  const cases: { name: string; said: PartitionInput; expected: string }[] = [
    {
      name: 'an epoch of the future',
      said: { ...SAID.frames, leaderEpoch: 6 },
      expected: 'ignored',
    },
    {
      name: 'an epoch of the past',
      said: { ...SAID.resetTo, leaderEpoch: 4 },
      expected: 'ignored',
    },
    { name: 'another broker', said: { ...SAID.resetTo, from: 3 }, expected: 'ignored' },
    {
      name: 'a batch epoch above the leader epoch',
      said: { ...SAID.frames, headers: [header({ baseOffset: 10, leaderEpoch: 6 })] },
      expected: 'refused',
    },
    {
      name: 'epochs that fall',
      said: {
        ...SAID.frames,
        headers: [
          header({ baseOffset: 10, leaderEpoch: 5 }),
          header({ baseOffset: 11, leaderEpoch: 4 }),
        ],
      },
      expected: 'refused',
    },
    {
      name: 'a batch that begins within this log and ends beyond it',
      said: {
        ...SAID.frames,
        headers: [header({ baseOffset: 9, recordCount: 2, leaderEpoch: 5 })],
      },
      expected: 'refused',
    },
    {
      name: 'a log start above the high-water mark',
      said: { ...SAID.frames, logStartOffset: 10 },
      expected: 'refused',
    },
    {
      name: 'a divergence beyond the end',
      said: { ...SAID.diverged, endOffset: OFFSET_MAX },
      expected: 'ignored',
    },
    {
      name: 'a divergence in an epoch that was not stated',
      said: { ...SAID.diverged, epoch: 5, endOffset: 10 },
      expected: 'ignored',
    },
    {
      name: 'a divergence in an epoch of the future',
      said: { ...SAID.diverged, epoch: 6 },
      expected: 'refused',
    },
    {
      name: 'a reset within this log',
      said: { ...SAID.resetTo, startOffset: 9 },
      expected: 'ignored',
    },
    {
      name: 'a reset with an epoch of the future',
      said: { ...SAID.resetTo, startEpoch: 6 },
      expected: 'refused',
    },
  ];
  it.each(cases)('loses nothing by $name', ({ said, expected }) => {
    const follower = replica(2);
    const before = marks(follower);

    expect(outcome(follower.step(said))).toBe(expected);

    expect(marks(follower)).toEqual(before);
    expect(outcome(follower.step(SAID.frames))).toBe('replicate');
  });

  it('retires nothing for a log start that it has not come to', () => {
    const follower = replica(2);
    const far = { highWaterMark: OFFSET_MAX, logStartOffset: OFFSET_MAX };

    const { writes } = follower.step({ ...SAID.frames, ...far });
    for (const { writeId } of writes) follower.step({ kind: 'written', writeId });

    expect(marks(follower)).toMatchObject({ logStart: 2, logEnd: 11, highWaterMark: 11 });
  });
});

describe('a leader', () => {
  const stated = (fields: Partial<Position>): PartitionInput => ({
    kind: 'position',
    position: {
      from: 2,
      brokerEpoch: 12,
      leaderEpoch: 5,
      lastEpoch: 3,
      endOffset: 10,
      syncedOffset: 2,
      start: { offset: 2, epoch: 1, retiredTo: 2 },
      ...fields,
    },
  });
  const start = { offset: 2, epoch: 1, retiredTo: 2 };
  const fields: readonly (readonly [string, (value: number) => PartitionInput])[] = [
    ['an end', (endOffset) => stated({ endOffset })],
    ['a synced end', (syncedOffset) => stated({ syncedOffset })],
    ['a last epoch', (lastEpoch) => stated({ lastEpoch })],
    ['a log start', (offset) => stated({ start: { ...start, offset } })],
    ['the epoch before it', (epoch) => stated({ start: { ...start, epoch } })],
    ['what retention reached', (retiredTo) => stated({ start: { ...start, retiredTo } })],
  ];
  it.each(fields)('refuses nonsense as %s, and leads on', (_, say) => {
    for (const value of NONSENSE) {
      const led = replica(1);
      const before = marks(led);

      const output = led.step(say(value));

      expect([value, outcome(output), output.refused?.peer]).toEqual([value, 'refused', 2]);
      expect(marks(led)).toEqual(before);
      expect(led.pushWindow(2)).toBeNull();
      led.step(stated({}));
      expect(led.pushWindow(2)).toMatchObject({ from: 10, upTo: 11 });
    }
  });

  const cases: { name: string; said: Partial<Position>; expected: string }[] = [
    { name: 'a last epoch of the future', said: { lastEpoch: 6 }, expected: 'refused' },
    {
      name: 'a start in an epoch of the future',
      said: { start: { ...start, epoch: 6 } },
      expected: 'refused',
    },
    {
      name: 'an end of this epoch that was never written',
      said: { lastEpoch: 5, endOffset: 12 },
      expected: 'refused',
    },
    { name: 'a synced end above the end', said: { syncedOffset: 11 }, expected: 'refused' },
    {
      name: 'a start above the end',
      said: { start: { ...start, offset: 11 } },
      expected: 'refused',
    },
    {
      name: 'retention above the start',
      said: { start: { ...start, retiredTo: 3 } },
      expected: 'refused',
    },
    { name: 'batches of no epoch', said: { lastEpoch: 0 }, expected: 'refused' },
    { name: 'a leader epoch of the past', said: { leaderEpoch: 4 }, expected: 'ignored' },
    { name: 'a leader epoch of the future', said: { leaderEpoch: 6 }, expected: 'ignored' },
    {
      name: 'a leader epoch that is none',
      said: { leaderEpoch: NaN, endOffset: 11, lastEpoch: 5 },
      expected: 'ignored',
    },
    { name: 'another registration', said: { brokerEpoch: 11 }, expected: 'ignored' },
    { name: 'itself', said: { from: 1, brokerEpoch: 11 }, expected: 'ignored' },
    { name: 'a stranger', said: { from: 9, brokerEpoch: 0 }, expected: 'ignored' },
    {
      name: 'an end beyond what it has of an earlier epoch',
      said: { endOffset: OFFSET_MAX },
      expected: 'ignored',
    },
  ];
  it.each(cases)('counts nothing on the word of $name', ({ said, expected }) => {
    const led = replica(1);
    const before = marks(led);

    expect(outcome(led.step(stated(said)))).toBe(expected);

    expect(marks(led)).toEqual(before);
    expect(led.pushWindow(2)).toBeNull();
    expect(led.status().followers.every(({ endOffset }) => endOffset === null)).toBe(true);
  });
});
