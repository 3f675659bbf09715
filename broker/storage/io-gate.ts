/**
 * Bounds the data calls that are in libuv's pool at one time, so that data never takes the last
 * thread: behind it the metadata log syncs (P1), and a device that throttles dirty pages can hold a
 * thread for seconds (docs/rules.md#what-a-sync-may-not-hold-up). Waiting calls queue in order; the
 * queue is bounded by its callers, who have at most one write and one flush per partition and one
 * call per read.
 */

/** Data calls at one time when the pool has 16 threads, as the image sets it. */
const DATA_CALLS_MAX = 8;
/** libuv's size when nobody sets UV_THREADPOOL_SIZE. */
const POOL_THREADS_DEFAULT = 4;

/** Data calls that may be in the pool: half of it, eight at most, one at least. */
export function dataCallsMax(poolThreads: number = POOL_THREADS_DEFAULT): number {
  return Math.max(1, Math.min(DATA_CALLS_MAX, Math.floor(poolThreads / 2)));
}

/** At most so many calls at one time; the rest wait in order. */
export class IoGate {
  readonly #callsMax: number;
  readonly #waiting: (() => void)[] = [];
  #calls = 0;

  constructor(callsMax: number) {
    this.#callsMax = callsMax;
  }

  /** Runs `work` when there is room; resolves or rejects as it does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#calls < this.#callsMax) this.#calls += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place passes to the next in line, so nobody who comes later can take it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#calls -= 1;
      else next();
    }
  }
}
