import { describe, expect, it } from 'vitest';
import { ClockSkew, median } from '../../../../broker/metadata/clock-skew.ts';

describe('median()', () => {
  it.each([
    { values: [7], result: 7 },
    { values: [9, 1, 5], result: 5 },
    { values: [10, -10], result: 0 },
    { values: [4, 1, 3, 2], result: 2.5 },
  ])('of $values is $result', ({ values, result }) => expect(median(values)).toBe(result));
});

interface Row {
  readonly name: string;
  /** Broker, its wall clock and when it was heard; the last one is judged. */
  readonly heard: readonly (readonly [brokerId: number, wallMs: number, nowMs: number])[];
  readonly skewMs: number;
}

const ROWS: readonly Row[] = [
  { name: 'a broker alone is right', heard: [[1, 5_000_000, 100]], skewMs: 0 },
  {
    name: 'clocks that run together are right, whenever they are heard',
    heard: [
      [1, 1_000, 0],
      [2, 1_400, 400],
      [3, 1_900, 900],
    ],
    skewMs: 0,
  },
  {
    name: 'one that is ahead of two',
    heard: [
      [1, 1_000, 0],
      [2, 1_000, 0],
      [3, 91_000, 0],
    ],
    skewMs: 90_000,
  },
  {
    name: 'one of the two that a third is behind of',
    heard: [
      [3, -500_000, 0],
      [2, 1_000, 0],
      [1, 1_001, 0],
    ],
    skewMs: 1,
  },
  {
    name: 'of two that disagree neither is believed',
    heard: [
      [1, 0, 0],
      [2, 200_000, 0],
    ],
    skewMs: 100_000,
  },
  {
    name: 'a clock that was set back is heard anew',
    heard: [
      [1, 0, 0],
      [2, 0, 0],
      [3, 90_000, 0],
      [3, 10, 10],
    ],
    skewMs: 0,
  },
  {
    name: 'a broker that fell silent does not count',
    heard: [
      [1, 0, 0],
      [2, 1_000_000, 0],
      [1, 60_001, 60_001],
    ],
    skewMs: 0,
  },
];

describe('ClockSkew.note()', () => {
  it.each(ROWS)('says of $name', ({ heard, skewMs }) => {
    const skew = new ClockSkew();
    expect(
      heard.map(([brokerId, wallMs, nowMs]) => skew.note(brokerId, wallMs, nowMs)).at(-1),
    ).toBe(skewMs);
  });
});
