/**
 * How long batches waited for their answers since the start of this broker, counted by time. The
 * difference of two reports is the distribution between them, and those of all brokers add up.
 */

/** Each is a half power of two above the one before: a percentile read from them is so exact. */
const FIRST_BOUND_US = 250;
const BOUNDS = 35;
/** Microseconds, ascending: the last is 32.8 s. */
export const APPEND_BOUNDS_US: readonly number[] = Array.from({ length: BOUNDS }, (_, index) =>
  Math.round(FIRST_BOUND_US * 2 ** (index / 2)),
);

/** Counts of `AppendTimes` in admin.proto. */
export interface AppendCounts {
  readonly boundsUs: readonly number[];
  /** One for each bound, and one for what took longer than all of them. */
  readonly counts: readonly number[];
}

export class AppendTimes {
  readonly #counts = Array.from({ length: BOUNDS + 1 }, () => 0);

  /** A batch was appended, and answered so long after it came. */
  observe(durationMs: number): void {
    const durationUs = durationMs * 1_000;
    const found = APPEND_BOUNDS_US.findIndex((bound) => durationUs <= bound);
    const at = found < 0 ? BOUNDS : found;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  report(): AppendCounts {
    return { boundsUs: APPEND_BOUNDS_US, counts: [...this.#counts] };
  }
}
