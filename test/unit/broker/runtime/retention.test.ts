import { describe, expect, it } from 'vitest';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../broker/metadata/config.ts';
import { retireOffset } from '../../../../broker/runtime/retention.ts';

/** Three segments of ten records and 1,000 bytes, the newest records of which are 30, 20 and 10 ms old. */
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
});
