import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff, jittered, TokenBucket } from '../../../../operator/kube/backoff.ts';

const BOUNDS = { delayMsMin: 100, delayMsMax: 1_000 };

describe('Backoff', () => {
  it('stays within its bounds, and within three times the last pause', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { maxLength: 30 }),
        (draws) => {
          let index = 0;
          const backoff = new Backoff(BOUNDS, () => draws[index++] ?? 0);
          let last = BOUNDS.delayMsMin;
          for (const _ of draws) {
            const next = backoff.nextMs();
            expect(next).toBeGreaterThanOrEqual(BOUNDS.delayMsMin);
            expect(next).toBeLessThanOrEqual(Math.min(BOUNDS.delayMsMax, last * 3));
            last = next;
          }
        },
      ),
    );
  });

  it('grows to its bound and starts again after a success', () => {
    const backoff = new Backoff(BOUNDS, () => 0.999_999);
    const pauses = Array.from({ length: 5 }, () => Math.round(backoff.nextMs()));
    expect(pauses).toEqual([300, 900, 1_000, 1_000, 1_000]);
    backoff.reset();
    expect(Math.round(backoff.nextMs())).toBe(300);
  });
});

describe('jittered', () => {
  it.each([
    [0, 80],
    [0.5, 100],
    [1, 120],
  ])('draws %d of a fifth either way', (draw, expected) => {
    expect(jittered(100, 0.2, () => draw)).toBeCloseTo(expected);
  });
});

describe('TokenBucket', () => {
  it('lets a burst through, then one after the other', () => {
    const bucket = new TokenBucket(10, 2, 0);
    expect([0, 0, 0, 0].map((nowMs) => bucket.reserveMs(nowMs))).toEqual([0, 0, 100, 200]);
    expect(bucket.reserveMs(10_000)).toBe(0);
  });

  it('never holds more than a burst', () => {
    const bucket = new TokenBucket(10, 2, 0);
    expect([1, 1, 1].map(() => bucket.tryTake(1_000_000))).toEqual([true, true, false]);
    expect(bucket.tryTake(1_000_100)).toBe(true);
  });
});
