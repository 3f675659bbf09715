import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOCK_SKEW_MS_MAX, ClockSkew, median } from '../../../../broker/metadata/clock-skew.ts';

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
  /** Brokers 1 up to this one are registered. */
  readonly registered: number;
  /** Broker, its wall clock and when it was heard; the last one is judged. */
  readonly heard: readonly (readonly [brokerId: number, wallMs: number, nowMs: number])[];
  readonly skewMs: number | null;
}

const MONTH_MS = 30 * 86_400_000;

const ROWS: readonly Row[] = [
  { name: 'the only broker', registered: 1, heard: [[1, 5_000_000, 100]], skewMs: 0 },
  { name: 'one heard of three', registered: 3, heard: [[1, MONTH_MS, 0]], skewMs: null },
  {
    name: 'one heard again and again, of three',
    registered: 3,
    heard: [
      [1, MONTH_MS, 0],
      [1, MONTH_MS + 500, 500],
      [1, MONTH_MS + 1_000, 1_000],
    ],
    skewMs: null,
  },
  {
    name: 'two heard of three, in agreement',
    registered: 3,
    heard: [
      [1, 0, 0],
      [2, 40, 20],
    ],
    skewMs: 10,
  },
  {
    name: 'two heard of four',
    registered: 4,
    heard: [
      [1, 0, 0],
      [2, 0, 0],
    ],
    skewMs: null,
  },
  {
    name: 'clocks that run together, whenever they are heard',
    registered: 3,
    heard: [
      [1, 1_000, 0],
      [2, 1_400, 400],
      [3, 1_900, 900],
    ],
    skewMs: 0,
  },
  {
    name: 'one that is ahead of two',
    registered: 3,
    heard: [
      [1, 1_000, 0],
      [2, 1_000, 0],
      [3, 91_000, 0],
    ],
    skewMs: 90_000,
  },
  {
    name: 'one of the two that a third is behind of',
    registered: 3,
    heard: [
      [3, -500_000, 0],
      [2, 1_000, 0],
      [1, 1_001, 0],
    ],
    skewMs: 1,
  },
  {
    name: 'two that disagree',
    registered: 2,
    heard: [
      [1, 0, 0],
      [2, 200_000, 0],
    ],
    skewMs: null,
  },
  {
    name: 'two that disagree, of three',
    registered: 3,
    heard: [
      [1, 0, 0],
      [2, MONTH_MS, 0],
    ],
    skewMs: null,
  },
  {
    name: 'two wrong ones and one right one, of five',
    registered: 5,
    heard: [
      [1, 0, 0],
      [2, MONTH_MS, 0],
      [3, MONTH_MS, 0],
    ],
    skewMs: null,
  },
  {
    name: 'a wrong one among three right ones, of five',
    registered: 5,
    heard: [
      [1, 0, 0],
      [2, 0, 0],
      [4, 0, 0],
      [3, MONTH_MS, 0],
    ],
    skewMs: MONTH_MS,
  },
  {
    name: 'a clock that was set back',
    registered: 3,
    heard: [
      [1, 0, 0],
      [2, 0, 0],
      [3, 90_000, 0],
      [3, 10, 10],
    ],
    skewMs: 0,
  },
  {
    name: 'one whose companion fell silent',
    registered: 2,
    heard: [
      [1, 0, 0],
      [2, 0, 0],
      [1, 60_001, 60_001],
    ],
    skewMs: null,
  },
  {
    name: 'one beside brokers that are not registered',
    registered: 2,
    heard: [
      [7, MONTH_MS, 0],
      [8, MONTH_MS, 0],
      [2, MONTH_MS, 0],
    ],
    skewMs: null,
  },
  { name: 'one that is not registered', registered: 1, heard: [[7, 0, 0]], skewMs: null },
];

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('ClockSkew.note()', () => {
  it.each(ROWS)('says $skewMs of $name', ({ registered, heard, skewMs }) => {
    const skew = new ClockSkew();
    expect(
      heard
        .map(([brokerId, wallMs, nowMs]) => skew.note(brokerId, wallMs, nowMs, upTo(registered)))
        .at(-1),
    ).toBe(skewMs);
  });

  it('never takes a wrong clock for a right one while most registered clocks are right', () => {
    const wrongBy = fc.oneof(
      fc.integer({ min: 3 * CLOCK_SKEW_MS_MAX + 1, max: MONTH_MS }),
      fc.integer({ min: -MONTH_MS, max: -3 * CLOCK_SKEW_MS_MAX - 1 }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }).chain((registered) =>
          fc.record({
            registered: fc.constant(registered),
            wrong: fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: registered }), wrongBy), {
              maxLength: Math.ceil(registered / 2) - 1,
              selector: ([brokerId]) => brokerId,
            }),
            // Each is heard at any moment and any number of times, by a controller that began to
            // listen at 0.
            heard: fc.array(
              fc.tuple(
                fc.integer({ min: 1, max: registered }),
                fc.integer({ min: 0, max: 20_000 }),
                fc.integer({ min: -CLOCK_SKEW_MS_MAX / 2, max: CLOCK_SKEW_MS_MAX / 2 }),
              ),
              { maxLength: 40 },
            ),
          }),
        ),
        ({ registered, wrong, heard }) => {
          const skew = new ClockSkew();
          const offsets = new Map(wrong);
          let nowMs = 0;
          for (const [brokerId, pauseMs, jitterMs] of heard) {
            nowMs += pauseMs;
            const wallMs = nowMs + (offsets.get(brokerId) ?? 0) + jitterMs;
            const said = skew.note(brokerId, wallMs, nowMs, upTo(registered));
            if (said !== null && offsets.has(brokerId))
              expect(Math.abs(said)).toBeGreaterThan(CLOCK_SKEW_MS_MAX);
          }
        },
      ),
    );
  });
});
