import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBucket } from '../../../../../broker/runtime/partitions/token-bucket.ts';

describe('TokenBucket', () => {
  it.each([
    { name: 'nothing after a burst of a tenth of a second', taken: 100, nowMs: 0, waitMs: 1 },
    { name: 'less by what time has earned', taken: 1_100, nowMs: 500, waitMs: 501 },
    { name: 'nothing once the debt is paid', taken: 1_100, nowMs: 1_001, waitMs: 0 },
  ])('waits for $name', ({ taken, nowMs, waitMs }) => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.take(taken);
    expect(bucket.waitMs(nowMs)).toBe(waitMs);
  });

  it('lets everything pass without a limit, and nothing at 0', () => {
    const bucket = new TokenBucket(-1, 0);
    bucket.take(1e12);
    expect([bucket.isUnlimited, bucket.waitMs(0)]).toEqual([true, 0]);
    bucket.setLimit(0, 0);
    expect([bucket.isUnlimited, bucket.waitMs(1e9)]).toEqual([false, Infinity]);
  });

  it('forgives the debt when the limit changes', () => {
    const bucket = new TokenBucket(1_000, 0);
    bucket.take(1_000_000);
    bucket.setLimit(2_000, 0);
    expect(bucket.waitMs(1)).toBe(0);
  });

  it('never lets more pass than limit, burst and one piece', () => {
    const pieces = fc.array(
      fc.record({ pauseMs: fc.nat(300), bytes: fc.integer({ min: 1, max: 5_000 }) }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), pieces, (limit, steps) => {
        const bucket = new TokenBucket(limit, 0);
        let [nowMs, passed, largest] = [0, 0, 0];
        for (const { pauseMs, bytes } of steps) {
          nowMs += pauseMs;
          if (bucket.waitMs(nowMs) > 0) continue;
          bucket.take(bytes);
          passed += bytes;
          largest = Math.max(largest, bytes);
        }
        expect(passed).toBeLessThanOrEqual((limit * (nowMs + 100)) / 1000 + largest + 1e-6);
      }),
    );
  });
});
