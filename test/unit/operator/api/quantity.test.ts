import { describe, expect, it } from 'vitest';
import {
  quantityValue,
  retentionSizeBytes,
  retentionTimeMs,
} from '../../../../operator/api/quantity.ts';

describe('quantityValue()', () => {
  it.each([
    ['500m', 0.5],
    [2, 2],
    ['10Gi', 10_737_418_240],
    ['1.5Ti', 1_649_267_441_664],
    ['10G', 10_000_000_000],
    ['1k', 1_000],
    ['many', Number.NaN],
    ['1Zi', Number.NaN],
    ['', Number.NaN],
  ])('of %s is %d', (quantity, value) => {
    expect(quantityValue(quantity)).toBe(value);
  });
});

describe('retentionTimeMs()', () => {
  it.each([
    ['7d', 604_800_000],
    ['12h', 43_200_000],
    ['30m', 1_800_000],
    ['10s', 10_000],
    ['500ms', 500],
    ['forever', -1],
    ['2w', Number.NaN],
  ])('of %s is %d', (time, ms) => {
    expect(retentionTimeMs(time)).toBe(ms);
  });
});

describe('retentionSizeBytes()', () => {
  it.each([
    ['1Gi', 1_073_741_824],
    ['1.5k', 1_500],
    ['unlimited', -1],
    ['all', Number.NaN],
  ])('of %s is %d', (size, bytes) => {
    expect(retentionSizeBytes(size)).toBe(bytes);
  });
});
