import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TokenBucket } from '../../../../broker/access/token-bucket.ts';

describe('TokenBucket', () => {
  it('gives a second at once, and the rest as it fills', () => {
    const bucket = new TokenBucket(10, 0);
    expect(bucket.waitMs(0, 10)).toBe(0);
    bucket.take(0, 10);
    expect(bucket.waitMs(0)).toBe(0);
    expect(bucket.waitMs(0, 1)).toBe(100);
    expect(bucket.waitMs(99, 1)).toBe(1);
    expect(bucket.waitMs(100, 1)).toBe(0);
  });

  it('lets a debt be paid, however large, and never holds more than a second', () => {
    const bucket = new TokenBucket(10, 0);
    bucket.take(0, 110);
    expect(bucket.waitMs(0)).toBe(10_000);
    expect(bucket.waitMs(9_999)).toBe(1);
    expect(bucket.isFull(10_999)).toBe(false);
    expect(bucket.isFull(11_000)).toBe(true);
    bucket.take(1_000_000, 11);
    expect(bucket.waitMs(1_000_000)).toBe(100);
  });

  it('asks for no more than there ever is', () => {
    const bucket = new TokenBucket(10, 0);
    expect(bucket.waitMs(0, 1_000)).toBe(0);
    bucket.take(0, 5);
    expect(bucket.waitMs(0, 1_000)).toBe(500);
  });

  it('pays a debt at a new pace from the moment on that it changes', () => {
    const bucket = new TokenBucket(10, 0);
    bucket.take(0, 30);
    bucket.setRate(1_000, 100);
    expect(bucket.waitMs(1_000)).toBe(100);
    bucket.setRate(1_000, 1);
    expect(bucket.waitMs(1_000)).toBe(10_000);
    const full = new TokenBucket(100, 0);
    full.setRate(0, 1);
    full.take(0, 1);
    expect(full.waitMs(0, 1)).toBe(1_000);
  });

  it('takes a clock that stands still or goes back for one that stands', () => {
    const bucket = new TokenBucket(10, 1_000);
    bucket.take(1_000, 20);
    expect(bucket.waitMs(500)).toBe(1_000);
    expect(bucket.waitMs(1_000)).toBe(1_000);
    expect(bucket.waitMs(1_500)).toBe(500);
  });

  it('gives whoever waits its pace in the long run, and a second and one thing more', () => {
    const step = fc.record({ amount: fc.integer({ min: 1, max: 5_000 }), idle: fc.nat(2_000) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000 }), fc.array(step), (perSecond, steps) => {
        const bucket = new TokenBucket(perSecond, 0);
        let nowMs = 0;
        let before = 0;
        for (const { amount, idle } of steps) {
          nowMs += idle + bucket.waitMs(nowMs + idle);
          // Less the last thing, which is still to be paid.
          expect(before).toBeLessThanOrEqual((perSecond * (nowMs + 1_000)) / 1_000 + 1e-6);
          bucket.take(nowMs, amount);
          before += amount;
        }
      }),
    );
  });
});
