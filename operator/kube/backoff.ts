/**
 * Pauses between attempts. Source of the decorrelated jitter: "Exponential Backoff And Jitter", M.
 * Brooker, 2015: each pause is drawn between the shortest one and three times the last, so that
 * clients that failed together do not come back together.
 */

/** A number in [0, 1). */
export type Random = () => number;

export interface BackoffBounds {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
}

export class Backoff {
  readonly #bounds: BackoffBounds;
  readonly #random: Random;
  #lastMs: number;

  constructor(bounds: BackoffBounds, random: Random) {
    this.#bounds = bounds;
    this.#random = random;
    this.#lastMs = bounds.delayMsMin;
  }

  /** Milliseconds to wait before the next attempt, in [`delayMsMin`, `delayMsMax`]. */
  nextMs(): number {
    const { delayMsMin, delayMsMax } = this.#bounds;
    const drawnMs = delayMsMin + this.#random() * (this.#lastMs * 3 - delayMsMin);
    this.#lastMs = Math.min(delayMsMax, drawnMs);
    return this.#lastMs;
  }

  /** After a success: the next failure waits little again. */
  reset(): void {
    this.#lastMs = this.#bounds.delayMsMin;
  }
}

/**
 * `periodMs` give or take `share` of it (0 to 1): many copies of this program must not work in
 * step.
 */
export function jittered(periodMs: number, share: number, random: Random): number {
  return periodMs * (1 - share + 2 * share * random());
}

/** Events per second in the long run, after a burst. Says how long to wait instead of refusing. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledMs = nowMs;
  }

  /** Takes one token, from the future if need be. Returns the milliseconds until it is there. */
  reserveMs(nowMs: number): number {
    this.#fill(nowMs);
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : (-this.#tokens / this.#perSecond) * 1_000;
  }

  /** Takes one token if there is one. */
  tryTake(nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #fill(nowMs: number): void {
    const grown = ((nowMs - this.#filledMs) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + grown);
    this.#filledMs = nowMs;
  }
}
