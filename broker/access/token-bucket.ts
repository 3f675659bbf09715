/**
 * What may be taken in a second, as a bucket that fills by that: up to a second's worth is taken at
 * once. What is taken beyond is a debt, and whoever took it waits until it is paid. So however
 * large one thing is, in the long run no more is taken than fills.
 */
export class TokenBucket {
  #perSecond: number;
  /** In thousandths, so that whole milliseconds add whole numbers. */
  #level: number;
  #atMs: number;

  /**
   * Full.
   *
   * @param perSecond above 0
   * @param nowMs monotonic, as everywhere here
   */
  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#level = perSecond * 1000;
    this.#atMs = nowMs;
  }

  /**
   * Whole milliseconds until so much is there, or as much as ever is; of 0: until no debt is left.
   */
  waitMs(nowMs: number, amount = 0): number {
    this.#fill(nowMs);
    const missing = Math.min(amount, this.#perSecond) * 1000 - this.#level;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perSecond);
  }

  /** Takes it, whether it is there or not. */
  take(nowMs: number, amount: number): void {
    this.#fill(nowMs);
    this.#level -= amount * 1000;
  }

  /** A debt stays as it is, and is paid at the new pace. */
  setRate(nowMs: number, perSecond: number): void {
    this.#fill(nowMs);
    this.#perSecond = perSecond;
    this.#level = Math.min(this.#level, perSecond * 1000);
  }

  /** As good as a new one. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#level >= this.#perSecond * 1000;
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#atMs);
    this.#level = Math.min(this.#perSecond * 1000, this.#level + elapsedMs * this.#perSecond);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}
