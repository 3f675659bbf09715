/**
 * Counts the bytes of records that wait or are in flight, refuses past a bound, and tells who waits
 * for room or for the end.
 */
import { TidemarkError } from '../errors.ts';

/**
 * Record objects, arrays and promises cost about this much beside the bytes: counted, so that tiny
 * records are bounded too.
 */
const RECORD_OVERHEAD_BYTES = 96;
/** Not woken at the first free byte: a caller that is woken for every batch sends small ones. */
const WAKE_FRACTION = 0.75;

export class SendBuffer {
  readonly #bytesMax: number;
  readonly #readyWaiters: (() => void)[] = [];
  readonly #emptyWaiters: (() => void)[] = [];
  #bytes = 0;
  #records = 0;
  #isFull = false;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#records === 0;
  }

  /**
   * Takes `records` of `bytes` together; false when there is no room, and from then on until a
   * quarter is free.
   */
  reserve(bytes: number, records = 1): boolean {
    const cost = bytes + records * RECORD_OVERHEAD_BYTES;
    if (this.#isFull || this.#bytes + cost > this.#bytesMax) {
      this.#isFull = true;
      return false;
    }
    this.#bytes += cost;
    this.#records += records;
    return true;
  }

  /** Gives back what {@link reserve} took for `records` of `bytes` together. */
  release(bytes: number, records: number): void {
    this.#bytes -= bytes + records * RECORD_OVERHEAD_BYTES;
    this.#records -= records;
    if (this.#isFull && this.#bytes <= this.#bytesMax * WAKE_FRACTION) this.wake();
    if (this.#records === 0) for (const resolve of this.#emptyWaiters.splice(0)) resolve();
  }

  /** BUFFER_FULL. */
  full(): TidemarkError {
    const message = `Cannot send: ${this.#bytes} bytes are waiting, must be below ${this.#bytesMax}; await ready() first`;
    return new TidemarkError('BUFFER_FULL', message, 'same');
  }

  /** Resolves when there is room. */
  ready(): Promise<void> {
    if (!this.#isFull) return Promise.resolve();
    return new Promise((resolve) => this.#readyWaiters.push(resolve));
  }

  /** Resolves when nothing waits or is in flight. */
  empty(): Promise<void> {
    if (this.#records === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptyWaiters.push(resolve));
  }

  /** Lets those go who wait for room. */
  wake(): void {
    this.#isFull = false;
    for (const resolve of this.#readyWaiters.splice(0)) resolve();
  }
}
