/**
 * How far each broker's clock is from the others'. The controller keeps, for each broker, the offset of its wall clock against one monotonic clock, and
 * compares with the median: one clock that is wrong, the controller's own among them, does not move it. Must not know what follows from a skew.
 */
import type { BrokerId, MonotonicMs, WallMs } from '../base/units.ts';

/** Past this a broker's clock decides nothing: retention by time would delete records years too early (DESIGN.md section 3). */
export const CLOCK_SKEW_MS_MAX = 60_000;
/** An offset that was not heard again for so long says nothing: clocks are set, brokers are removed. */
const OFFSET_AGE_MS_MAX = 60_000;

interface Heard {
  readonly offsetMs: number;
  readonly atMs: MonotonicMs;
}

/** Bounded by the brokers that heartbeat within {@link OFFSET_AGE_MS_MAX}. */
export class ClockSkew {
  readonly #heard = new Map<BrokerId, Heard>();

  /** A broker stated its clock. @returns its skew against the median, in milliseconds: positive when it is ahead */
  note(brokerId: BrokerId, wallMs: WallMs, nowMs: MonotonicMs): number {
    for (const [other, { atMs }] of this.#heard)
      if (nowMs - atMs > OFFSET_AGE_MS_MAX) this.#heard.delete(other);
    const offsetMs = wallMs - nowMs;
    this.#heard.set(brokerId, { offsetMs, atMs: nowMs });
    return offsetMs - median([...this.#heard.values()].map((heard) => heard.offsetMs));
  }
}

/** Of an even number, the mean of the two in the middle: of two clocks that disagree neither is believed. At least one value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return (lower + upper) / 2;
}
