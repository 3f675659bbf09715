/**
 * A limit on bytes per second that a taker may overdraw by the piece in hand, and then pays off: a
 * piece larger than the limit still passes, late. Knows no clock: the caller says what time it is.
 */
import type { MonotonicMs } from '../../../base/units.ts';

/**
 * Time whose worth of bytes may be saved up. Short, so that a limit holds for each second and not
 * on average only.
 */
const BURST_MS = 100;

export class TokenBucket {
  #bytesPerSecond: number;
  #bytes: number;
  #filledMs: MonotonicMs;

  /** @param bytesPerSecond 0 lets nothing pass; negative: no limit */
  constructor(bytesPerSecond: number, nowMs: MonotonicMs) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#filledMs = nowMs;
    this.#bytes = this.#bytesMax();
  }

  get isUnlimited(): boolean {
    return this.#bytesPerSecond < 0;
  }

  /** Bytes per second; negative: no limit. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /**
   * The new limit holds from now on. A debt is no larger than the old limit's pieces were: it is
   * forgiven, so that a raised limit is felt at once.
   */
  setLimit(bytesPerSecond: number, nowMs: MonotonicMs): void {
    if (bytesPerSecond === this.#bytesPerSecond) return;
    this.#fill(nowMs);
    this.#bytesPerSecond = bytesPerSecond;
    this.#bytes = Math.min(Math.max(this.#bytes, 0), this.#bytesMax());
  }

  /** Milliseconds until something may be taken; 0: now. Infinity: not under this limit. */
  waitMs(nowMs: MonotonicMs): number {
    if (this.isUnlimited) return 0;
    this.#fill(nowMs);
    if (this.#bytes > 0) return 0;
    if (this.#bytesPerSecond === 0) return Infinity;
    return ((1 - this.#bytes) * 1000) / this.#bytesPerSecond;
  }

  /** Takes what was let pass. */
  take(bytes: number): void {
    if (!this.isUnlimited) this.#bytes -= bytes;
  }

  #fill(nowMs: MonotonicMs): void {
    const earned = (Math.max(0, nowMs - this.#filledMs) * this.#bytesPerSecond) / 1000;
    this.#filledMs = nowMs;
    if (!this.isUnlimited) this.#bytes = Math.min(this.#bytes + earned, this.#bytesMax());
  }

  #bytesMax(): number {
    return Math.max(0, (this.#bytesPerSecond * BURST_MS) / 1000);
  }
}
