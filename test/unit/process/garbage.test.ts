import { PerformanceObserver, constants } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { noteBuffers } from '../../../process/garbage.ts';

const MIB = 1024 * 1024;

describe('the collections of a program through which bytes stream', () => {
  it('collects young objects, and them alone, once for each six mebibytes', async () => {
    const kinds: unknown[] = [];
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const { kind, flags } = (entry as unknown as { detail: { kind: number; flags: number } })
          .detail;
        if ((flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0) kinds.push(kind);
      }
    });
    observer.observe({ entryTypes: ['gc'] });

    for (let mebibytes = 0; mebibytes < 13; mebibytes += 1) noteBuffers(MIB);
    while (kinds.length < 2) await turn();
    observer.disconnect();

    const { NODE_PERFORMANCE_GC_MINOR } = constants;
    expect(kinds).toEqual([NODE_PERFORMANCE_GC_MINOR, NODE_PERFORMANCE_GC_MINOR]);
  });
});
