import { expect, it } from 'vitest';
import { CommitTimes } from '../../../../../broker/runtime/groups/commit-times.ts';

it('says since when a record is committed, as it was seen', () => {
  const times = new CommitTimes();
  times.note(1_000, 5);
  times.note(2_000, 5);
  times.note(3_000, 9);
  expect(times.ageAt(9, 10_000)).toEqual({ ageMs: 0, isLeast: false });
  expect(times.ageAt(12, 10_000)).toEqual({ ageMs: 0, isLeast: false });
  expect(times.ageAt(8, 10_000)).toEqual({ ageMs: 7_000, isLeast: false });
  expect(times.ageAt(5, 10_000)).toEqual({ ageMs: 7_000, isLeast: false });
  // Whatever it found when it began may be older.
  expect(times.ageAt(4, 10_000)).toEqual({ ageMs: 9_000, isLeast: true });
});

it('knows nothing before it saw anything', () => {
  expect(new CommitTimes().ageAt(0, 5)).toEqual({ ageMs: 0, isLeast: false });
});

it('begins anew with a log that was cut', () => {
  const times = new CommitTimes();
  times.note(1_000, 50);
  times.note(2_000, 20);
  expect(times.ageAt(30, 3_000)).toEqual({ ageMs: 0, isLeast: false });
  expect(times.ageAt(10, 3_000)).toEqual({ ageMs: 1_000, isLeast: true });
});

it('keeps a bound, and never says less than is true by more than its steps', () => {
  const times = new CommitTimes();
  for (let at = 0; at < 100_000; at += 1) times.note(at * 1_000, at + 1);
  const nowMs = 100_000_000;
  for (const offset of [99_999, 99_990, 99_000, 50_000, 10]) {
    const { ageMs, isLeast } = times.ageAt(offset, nowMs);
    const exactMs = nowMs - offset * 1_000;
    expect(ageMs).toBeLessThanOrEqual(exactMs);
    expect(ageMs).toBeGreaterThanOrEqual(exactMs * 0.8);
    expect(isLeast).toBe(false);
  }
});
