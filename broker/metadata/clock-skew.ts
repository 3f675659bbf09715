/**
 * How far each broker's clock is from the others'. The controller keeps, for each broker, the
 * offset of its wall clock against one monotonic clock, and compares it with the median. Its own
 * wall clock is one among the others. Must not know what follows from a skew.
 */
import type { BrokerId, MonotonicMs, WallMs } from '../../base/units.ts';

/**
 * Past this a broker's clock decides nothing: retention by time would delete records years too
 * early (docs/rules.md#retention).
 */
export const CLOCK_SKEW_MS_MAX = 60_000;
/** An offset not heard again for so long says nothing: clocks are set, brokers are removed. */
const OFFSET_AGE_MS_MAX = 60_000;

interface Heard {
  readonly offsetMs: number;
  readonly atMs: MonotonicMs;
}

/** Bounded by the registered brokers. One for each time that a controller takes over. */
export class ClockSkew {
  readonly #heard = new Map<BrokerId, Heard>();

  /**
   * A broker stated its clock. @returns its skew against the median of those heard, in
   * milliseconds, positive when it is ahead. Null unless a majority of the registered brokers was
   * heard and stands within {@link CLOCK_SKEW_MS_MAX} of that median: a broker that is heard alone
   * is its own median, and two that disagree say nothing of either.
   */
  note(
    brokerId: BrokerId,
    wallMs: WallMs,
    nowMs: MonotonicMs,
    registered: Iterable<BrokerId>,
  ): number | null {
    const counted = new Set(registered);
    this.#heard.set(brokerId, { offsetMs: wallMs - nowMs, atMs: nowMs });
    for (const [other, { atMs }] of this.#heard)
      if (nowMs - atMs > OFFSET_AGE_MS_MAX || !counted.has(other)) this.#heard.delete(other);
    const own = this.#heard.get(brokerId);
    if (own === undefined) return null;
    const offsets = [...this.#heard.values()].map((heard) => heard.offsetMs);
    const middle = median(offsets);
    const agreed = offsets.filter((offset) => Math.abs(offset - middle) <= CLOCK_SKEW_MS_MAX);
    return agreed.length * 2 > counted.size ? own.offsetMs - middle : null;
  }
}

/**
 * Of an even number, the mean of the two in the middle: of two clocks that disagree neither is
 * believed. At least one value.
 */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return (lower + upper) / 2;
}
