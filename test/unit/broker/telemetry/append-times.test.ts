import { describe, expect, it } from 'vitest';
import { APPEND_BOUNDS_US, AppendTimes } from '../../../../broker/telemetry/append-times.ts';

describe('AppendTimes', () => {
  it('has a class for each half power of two from a quarter of a millisecond on', () => {
    expect(APPEND_BOUNDS_US.slice(0, 4)).toEqual([250, 354, 500, 707]);
    expect(APPEND_BOUNDS_US.at(-1)).toBe(32_768_000);
  });

  it('counts a batch in the first class whose bound it does not exceed, and the rest last', () => {
    const times = new AppendTimes();
    for (const durationMs of [0, 0.25, 0.2501, 32_768, 40_000]) times.observe(durationMs);
    const { boundsUs, counts } = times.report();
    expect(counts).toHaveLength(boundsUs.length + 1);
    expect(counts.slice(0, 3)).toEqual([2, 1, 0]);
    expect(counts.slice(-2)).toEqual([1, 1]);
  });

  it('reports what it has counted until then', () => {
    const times = new AppendTimes();
    const before = times.report();
    times.observe(1);
    expect(before.counts.every((count) => count === 0)).toBe(true);
  });
});
