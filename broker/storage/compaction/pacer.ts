/**
 * Bounds the bytes per second that compaction reads and writes, over all logs of a disk: a bucket
 * that fills at the rate and holds a tenth of a second, so that appends beside it are not disturbed
 * for longer.
 */
import type { Clock } from '../../../base/clock.ts';

/** What an idle bucket holds, and the longest sleep before it looks again. */
const BURST_MS = 100;

export class Pacer {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'after'>;
  #bytesPerSecond: number;
  /** When everything that was taken is paid for. */
  #paidMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Pick<Clock, 'monotonicMs' | 'after'>, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Another rate, for what is taken from here on. */
  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Resolves when `bytes` may be read or written, or, soon, when it `isOver`. */
  async take(bytes: number, isOver: () => boolean): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const fromMs = Math.max(this.#paidMs, nowMs - BURST_MS);
    this.#paidMs = fromMs + (bytes * 1000) / this.#bytesPerSecond;
    for (;;) {
      const waitMs = fromMs - this.#clock.monotonicMs();
      if (waitMs <= 0 || isOver()) return;
      await new Promise<void>((resolve) => {
        this.#clock.after(Math.min(waitMs, BURST_MS), resolve);
      });
    }
  }
}
