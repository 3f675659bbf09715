/**
 * Whether a broker may believe its own wall clock, and what time it is for all that. Two sources:
 * what the controller says of its skew with each answered heartbeat, and its own monotonic clock,
 * which a jump of the wall clock leaves behind. Retention by time asks here before it retires
 * (docs/rules.md#retention). Must not know what is done with the verdict.
 */
import type { MonotonicMs, WallMs } from '../../base/units.ts';
import { CLOCK_SKEW_MS_MAX } from './clock-skew.ts';

/** Good comparisons in a row, and the time they must span, before a clock is believed. */
export const GOOD_LOOKS_MIN = 5;
export const GOOD_LOOKS_SPAN_MS_MIN = 5_000;
/**
 * The same after a jump. The comparison cannot tell when all clocks jump together, as they do on
 * one machine, or when there is one broker: then a person has this long to set the clock right.
 */
export const GOOD_LOOKS_SPAN_MS_AFTER_JUMP = 15 * 60_000;

/** Why a broker does not believe its clock. */
export type ClockDoubt =
  /** No controller that heard a majority of brokers has compared it since this start, or now. */
  | 'not-compared'
  /** The controller has not answered for a session. */
  | 'unheard'
  /** It is too far from the median of the brokers' clocks. */
  | 'off'
  /** It moved against the monotonic clock, and was not good for long enough since. */
  | 'jumped'
  /** It was good too few times in a row. */
  | 'settling';

/** One answered heartbeat. */
export interface Comparison {
  /** What the controller said: null when it cannot compare. */
  readonly skewMs: number | null;
  /** Both clocks when the heartbeat was sent: that is what was compared. */
  readonly wallMs: WallMs;
  readonly sentMs: MonotonicMs;
}

/** Wall clock less monotonic clock, and how far ahead of the median that is. */
interface Base {
  readonly offsetMs: number;
  readonly skewMs: number;
}

export class ClockTrust {
  readonly #sessionTimeoutMs: number;
  /** The newest comparison that said something. It outlives its controller. */
  #base: Base | null = null;
  #isCompared = false;
  #heardMs: MonotonicMs | null = null;
  /** Comparisons that were good without a break, and when the first was sent. */
  #goodLooks = 0;
  #goodSinceMs: MonotonicMs = 0;
  #spanMs = GOOD_LOOKS_SPAN_MS_MIN;

  /** @param sessionTimeoutMs silence of the controller after which its word is no longer good */
  constructor(sessionTimeoutMs: number) {
    this.#sessionTimeoutMs = sessionTimeoutMs;
  }

  /** A heartbeat was answered. */
  compared({ skewMs, wallMs, sentMs }: Comparison): void {
    this.#look(wallMs, sentMs);
    this.#heardMs = sentMs;
    this.#isCompared = skewMs !== null;
    if (skewMs !== null) this.#base = { offsetMs: wallMs - sentMs, skewMs };
    if (skewMs === null || Math.abs(skewMs) > CLOCK_SKEW_MS_MAX) this.#goodLooks = 0;
    else {
      if (this.#goodLooks === 0) this.#goodSinceMs = sentMs;
      this.#goodLooks += 1;
    }
  }

  /** Looks at both clocks, read together. @returns null: the wall clock is to be believed */
  look(wallMs: WallMs, nowMs: MonotonicMs): ClockDoubt | null {
    const doubt = this.#look(wallMs, nowMs);
    if (doubt !== null) return doubt;
    const isSettled =
      this.#goodLooks >= GOOD_LOOKS_MIN && nowMs - this.#goodSinceMs >= this.#spanMs;
    if (!isSettled) return this.#spanMs === GOOD_LOOKS_SPAN_MS_MIN ? 'settling' : 'jumped';
    this.#spanMs = GOOD_LOOKS_SPAN_MS_MIN;
    return null;
  }

  /**
   * How far ahead of the brokers' median the wall clock is: the last comparison, and what the wall
   * clock has moved against the monotonic clock since. Null before the first.
   */
  skewMs(wallMs: WallMs, nowMs: MonotonicMs): number | null {
    return this.#base === null ? null : this.#base.skewMs + (wallMs - nowMs - this.#base.offsetMs);
  }

  /** Every doubt ends the row of good looks. */
  #look(wallMs: WallMs, nowMs: MonotonicMs): Exclude<ClockDoubt, 'settling'> | null {
    const skewMs = this.skewMs(wallMs, nowMs);
    const movedMs = this.#base === null ? 0 : wallMs - nowMs - this.#base.offsetMs;
    const isUnheard = this.#heardMs !== null && nowMs - this.#heardMs >= this.#sessionTimeoutMs;
    const hasJumped = Math.abs(movedMs) > CLOCK_SKEW_MS_MAX;
    if (hasJumped) this.#spanMs = GOOD_LOOKS_SPAN_MS_AFTER_JUMP;
    const doubt = hasJumped
      ? 'jumped'
      : skewMs !== null && Math.abs(skewMs) > CLOCK_SKEW_MS_MAX
        ? 'off'
        : isUnheard
          ? 'unheard'
          : skewMs === null || !this.#isCompared
            ? 'not-compared'
            : null;
    if (doubt !== null) this.#goodLooks = 0;
    return doubt;
  }
}
