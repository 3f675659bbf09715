/** How far a leader has its log compacted, and what it counts as dirt. */
import { describe, expect, it } from 'vitest';
import {
  type CompactionView,
  compactTo,
  dirtyBytes,
  OffsetAges,
} from '../../../../../broker/runtime/partitions/compaction.ts';

function segment(startOffset: number, endOffset: number, bytes: number) {
  return { startOffset, endOffset, bytes, maxTimestampMs: 0 };
}

/** Three sealed segments and the one that is written to; compacted up to 100. */
const VIEW: CompactionView = {
  config: { compactionDirtyPercent: 50 },
  status: { orderedTo: 100, limit: 350 },
  segments: [
    segment(0, 100, 1_000),
    segment(100, 200, 800),
    segment(200, 300, 800),
    segment(300, 400, 400),
  ],
  oldTo: Number.MAX_SAFE_INTEGER,
  overdueTo: 0,
  dataEndBelow: (offset) => offset,
};

describe('compactTo()', () => {
  it.each<{ name: string; view: Partial<CompactionView>; upTo: number }>([
    { name: 'the end of what is sealed', view: {}, upTo: 300 },
    { name: 'no further than may be', view: { status: { orderedTo: 100, limit: 299 } }, upTo: 0 },
    {
      name: 'less, where that is dirty enough',
      view: { config: { compactionDirtyPercent: 40 }, status: { orderedTo: 100, limit: 299 } },
      upTo: 200,
    },
    { name: 'nothing that is young', view: { oldTo: 150 }, upTo: 0 },
    {
      name: 'nothing while too little is dirty',
      view: { config: { compactionDirtyPercent: 62 } },
      upTo: 0,
    },
    {
      name: 'at once what is dirty enough to the percent',
      view: { config: { compactionDirtyPercent: 61 } },
      upTo: 300,
    },
    {
      name: 'anything new where no percent is asked for',
      view: { config: { compactionDirtyPercent: 0 }, status: { orderedTo: 200, limit: 350 } },
      upTo: 300,
    },
    {
      name: 'nothing again',
      view: { config: { compactionDirtyPercent: 0 }, status: { orderedTo: 300, limit: 350 } },
      upTo: 0,
    },
    {
      name: 'nothing for the sake of batches of control',
      view: { config: { compactionDirtyPercent: 0 }, dataEndBelow: () => 100 },
      upTo: 0,
    },
    {
      name: 'all that may go where a record has waited for too long',
      view: { config: { compactionDirtyPercent: 100 }, overdueTo: 101 },
      upTo: 350,
    },
    {
      name: 'but not where only what is compacted has',
      view: { config: { compactionDirtyPercent: 100 }, overdueTo: 100 },
      upTo: 0,
    },
    {
      name: 'nor where only a batch of control has',
      view: {
        config: { compactionDirtyPercent: 100 },
        overdueTo: 120,
        dataEndBelow: () => 100,
      },
      upTo: 0,
    },
  ])('is $name', ({ view, upTo }) => {
    expect(compactTo({ ...VIEW, ...view })).toBe(upTo);
  });

  it('is nothing of a log that has one segment', () => {
    const segments = [segment(0, 400, 5_000)];
    expect(compactTo({ ...VIEW, status: { orderedTo: 0, limit: 400 }, segments })).toBe(0);
  });
});

describe('dirtyBytes()', () => {
  it.each([
    { name: 'the ends of segments', orderedTo: 200, upTo: 300, clean: 1_800, dirty: 800 },
    { name: 'offsets within them', orderedTo: 150, upTo: 350, clean: 1_400, dirty: 1_400 },
    { name: 'nothing', orderedTo: 400, upTo: 400, clean: 3_000, dirty: 0 },
  ])('counts by $name', ({ orderedTo, upTo, clean, dirty }) => {
    const view = { ...VIEW, status: { orderedTo, limit: 400 } };
    expect(dirtyBytes(view, upTo)).toEqual({ clean, dirty });
  });
});

describe('OffsetAges', () => {
  it('tells what has been committed for long enough, and never too much', () => {
    const ages = new OffsetAges();
    for (let nowMs = 0; nowMs <= 5_000; nowMs += 7) {
      ages.note(nowMs, nowMs, 1_000);
      const old = ages.olderThan(1_000, nowMs);
      expect(old).toBeLessThanOrEqual(Math.max(0, nowMs - 1_000));
      // Samples are a thirty-second of the lag apart, and one look.
      expect(old).toBeGreaterThanOrEqual(Math.max(0, nowMs - 1_000 - 32 - 7));
    }
  });

  it('knows of nothing older at first, and at once what need not be', () => {
    const ages = new OffsetAges();
    ages.note(7, 100, 50);
    expect([ages.olderThan(50, 100), ages.olderThan(0, 100)]).toEqual([0, 7]);
  });

  it('is never told too much, however the lag is changed', () => {
    const ages = new OffsetAges();
    for (let nowMs = 0; nowMs < 10_000; nowMs += 5) {
      const lagMs = nowMs % 700 < 350 ? 3_000 : 20;
      ages.note(nowMs, nowMs, lagMs);
      for (const asked of [3_000, 20])
        expect(ages.olderThan(asked, nowMs)).toBeLessThanOrEqual(Math.max(0, nowMs - asked));
    }
  });
});
