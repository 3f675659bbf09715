/**
 * Counts of durations in buckets whose width grows with the value: 2 % precise from a microsecond
 * to an hour, in constant memory (HdrHistogram).
 */

/** Buckets of each power of two. */
const STEPS = 64;
const EXPONENT_MAX = 32;

export class Histogram {
  readonly #counts = new Float64Array(STEPS * (EXPONENT_MAX + 1));
  #total = 0;
  #max = 0;
  #sum = 0;

  /** Adds `count` values of `ms`. */
  record(ms: number, count = 1): void {
    const microseconds = Math.max(1, ms * 1000);
    const exponent = Math.min(Math.floor(Math.log2(microseconds)), EXPONENT_MAX);
    const step = Math.min(Math.floor((microseconds / 2 ** exponent - 1) * STEPS), STEPS - 1);
    this.#counts[exponent * STEPS + step]! += count;
    this.#total += count;
    this.#sum += ms * count;
    this.#max = Math.max(this.#max, ms);
  }

  get count(): number {
    return this.#total;
  }

  get maxMs(): number {
    return this.#max;
  }

  get meanMs(): number {
    return this.#total === 0 ? 0 : this.#sum / this.#total;
  }

  /**
   * The value that `quantile` (0 to 1) of all values do not exceed, in milliseconds; 0 without
   * values.
   */
  percentileMs(quantile: number): number {
    let left = Math.ceil(this.#total * quantile);
    for (let index = 0; index < this.#counts.length; index += 1) {
      left -= this.#counts[index]!;
      if (left > 0 || this.#counts[index] === 0) continue;
      const upper = 2 ** Math.floor(index / STEPS) * (1 + ((index % STEPS) + 1) / STEPS);
      return Math.min(upper / 1000, this.#max);
    }
    return this.#max;
  }

  /** What a benchmark reports, in milliseconds with three digits. */
  summary(): {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
    readonly mean: number;
  } {
    const round = (ms: number): number => Math.round(ms * 1000) / 1000;
    const [p50, p99, p999] = [0.5, 0.99, 0.999].map((quantile) =>
      round(this.percentileMs(quantile)),
    );
    return {
      p50: p50 ?? 0,
      p99: p99 ?? 0,
      p999: p999 ?? 0,
      max: round(this.#max),
      mean: round(this.meanMs),
    };
  }
}
