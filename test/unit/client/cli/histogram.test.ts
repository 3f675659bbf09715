import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../../../client/cli/histogram.ts';

describe('Histogram.percentileMs()', () => {
  it('is within 2 % of the sorted values', () => {
    const value = fc.double({ min: 0.001, max: 100_000, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1 }),
        fc.constantFrom(0.5, 0.9, 0.99, 1),
        (values, quantile) => {
          const histogram = new Histogram();
          for (const one of values) histogram.record(one);
          const exact = values.toSorted((a, b) => a - b)[Math.ceil(values.length * quantile) - 1]!;
          const found = histogram.percentileMs(quantile);
          expect(found).toBeGreaterThanOrEqual(exact * 0.98);
          expect(found).toBeLessThanOrEqual(exact * 1.02);
        },
      ),
    );
  });

  it('is 0 without values', () => {
    expect(new Histogram().summary()).toEqual({ p50: 0, p99: 0, p999: 0, max: 0, mean: 0 });
  });
});
