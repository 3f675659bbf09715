import { describe, expect, it } from 'vitest';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../../broker/metadata/config.ts';
import type { TopicConfig } from '../../../../../broker/metadata/types.ts';
import { logOptionsOf, retireOffset } from '../../../../../broker/runtime/partitions/retention.ts';

/**
 * Three segments of ten records and 1,000 bytes, the newest records of which are 30, 20 and 10 ms
 * old.
 */
const SEGMENTS = [0, 10, 20].map((startOffset, index) => ({
  startOffset,
  endOffset: startOffset + 10,
  bytes: 1_000,
  maxTimestampMs: 70 + 10 * index,
}));

const ROWS = [
  {
    name: 'nothing without bounds',
    retentionMs: -1,
    retentionBytes: -1,
    isClockTrusted: true,
    offset: 0,
  },
  {
    name: 'nothing that is young',
    retentionMs: 30,
    retentionBytes: -1,
    isClockTrusted: true,
    offset: 0,
  },
  {
    name: 'only what is old',
    retentionMs: 25,
    retentionBytes: -1,
    isClockTrusted: true,
    offset: 10,
  },
  { name: 'what is older', retentionMs: 15, retentionBytes: -1, isClockTrusted: true, offset: 20 },
  {
    name: 'nothing by time while the clock is off',
    retentionMs: 15,
    retentionBytes: -1,
    isClockTrusted: false,
    offset: 0,
  },
  {
    name: 'by size even while the clock is off',
    retentionMs: 15,
    retentionBytes: 2_500,
    isClockTrusted: false,
    offset: 10,
  },
];

describe('retireOffset()', () => {
  it.each(ROWS)('retires $name', ({ retentionMs, retentionBytes, isClockTrusted, offset }) => {
    const marks = {
      isLeader: true,
      leader: 1,
      leaderEpoch: 1,
      logStart: 0,
      highWaterMark: 25,
      latest: 25,
    };
    const config = { ...TOPIC_CONFIG_DEFAULTS, retentionMs, retentionBytes };
    const now = { config, marks, nowMs: 100, sizeBytes: 3_000, isClockTrusted };
    expect(retireOffset(SEGMENTS, now)).toBe(offset);
  });

  it.each([
    { name: 'all of it by age', retentionMs: 5, retentionBytes: -1, highWaterMark: 30, offset: 30 },
    {
      name: 'none of the last by size',
      retentionMs: -1,
      retentionBytes: 1,
      highWaterMark: 30,
      offset: 20,
    },
    {
      name: 'nothing of the last that is not committed',
      retentionMs: 5,
      retentionBytes: -1,
      highWaterMark: 29,
      offset: 20,
    },
  ])('retires of a log to which nobody appends $name', (row) => {
    const { retentionMs, retentionBytes, highWaterMark, offset } = row;
    const marks = {
      isLeader: true,
      leader: 1,
      leaderEpoch: 1,
      logStart: 0,
      highWaterMark,
      latest: highWaterMark,
    };
    const config = { ...TOPIC_CONFIG_DEFAULTS, retentionMs, retentionBytes };
    const now = { config, marks, nowMs: 100, sizeBytes: 3_000, isClockTrusted: true };
    expect(retireOffset(SEGMENTS, now)).toBe(offset);
  });
});

describe('retireOffset() by number of records', () => {
  it.each([
    { name: 'nothing while the rest would be too few', records: 16, highWaterMark: 25, offset: 0 },
    { name: 'what has as many behind it', records: 15, highWaterMark: 25, offset: 10 },
    { name: 'only what is committed counts', records: 15, highWaterMark: 24, offset: 0 },
    { name: 'one more segment, and keeps as many', records: 5, highWaterMark: 25, offset: 20 },
    { name: 'none of the last', records: 0, highWaterMark: 30, offset: 20 },
    { name: 'nothing without a bound', records: -1, highWaterMark: 30, offset: 0 },
  ])('retires $name', ({ records, highWaterMark, offset }) => {
    const marks = { logStart: 0, highWaterMark };
    const config = { ...TOPIC_CONFIG_DEFAULTS, retentionMs: -1, retentionRecords: records };
    const now = { config, marks, nowMs: 100, sizeBytes: 3_000, isClockTrusted: false };
    expect(retireOffset(SEGMENTS, now)).toBe(offset);
  });
});

describe('retention of a compacted topic', () => {
  const marks = { logStart: 0, highWaterMark: 30 };
  const due = { ...TOPIC_CONFIG_DEFAULTS, retentionMs: 5, retentionBytes: 1, retentionRecords: 1 };
  const now = { marks, nowMs: 100, sizeBytes: 3_000, isClockTrusted: true };

  it('takes nothing with "compact", and what is due with "both"', () => {
    const retired = (cleanup: TopicConfig['cleanup']): number =>
      retireOffset(SEGMENTS, { ...now, config: { ...due, cleanup } });
    expect([retired('delete'), retired('both'), retired('compact')]).toEqual([30, 30, 0]);
  });

  it('closes no segment early for what does not apply', () => {
    const config = { ...due, segmentMs: 3_600_000 };
    expect(logOptionsOf({ ...config, cleanup: 'compact' }).segmentMs).toBe(3_600_000);
    expect(logOptionsOf({ ...config, cleanup: 'both' }).segmentMs).toBe(1_000);
  });

  it('has segments merged where it takes nothing, since it takes whole ones', () => {
    const merges = (cleanup: TopicConfig['cleanup'], retentionMs: number): boolean =>
      logOptionsOf({ ...due, cleanup, retentionMs }).mergesSegments === true;
    expect([merges('compact', 5), merges('compact', -1)]).toEqual([true, true]);
    for (const cleanup of ['both', 'delete'] as const)
      expect([merges(cleanup, 5), merges(cleanup, -1)]).toEqual([false, false]);
  });
});

describe('logOptionsOf()', () => {
  it.each([
    { name: 'as the topic says without retention by time', retentionMs: -1, expected: 3_600_000 },
    { name: 'when its first records are due', retentionMs: 5_000, expected: 5_000 },
    { name: 'not more than once a second', retentionMs: 1, expected: 1_000 },
    { name: 'as the topic says where that is sooner', retentionMs: 1e9, expected: 3_600_000 },
  ])('closes a segment $name', ({ retentionMs, expected }) => {
    const config = { ...TOPIC_CONFIG_DEFAULTS, segmentMs: 3_600_000, retentionMs };
    expect(logOptionsOf(config).segmentMs).toBe(expected);
  });
});
