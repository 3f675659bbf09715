/**
 * One process on simulated time: its clock, and the one loop through which everything reaches it. A
 * callback of a dead process never runs; one of a stopped process (an event loop that stalls) runs
 * when it goes on, in the order in which it was due.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import type { SimTime } from './sim-time.ts';
import { every } from '../../fixtures/every.ts';

export class SimProcess {
  readonly name: string;
  readonly clock: Clock;
  readonly #time: SimTime;
  readonly #onThrow: (error: unknown) => void;
  readonly #wallMs: () => number;
  #isDead = false;
  #stalledUntilMs = 0;

  /** @param wallMs the host's wall clock. @param onThrow hears what would have ended the process */
  constructor(
    name: string,
    time: SimTime,
    {
      wallMs,
      onThrow,
    }: { readonly wallMs: () => number; readonly onThrow: (error: unknown) => void },
  ) {
    this.name = name;
    this.#time = time;
    this.#wallMs = wallMs;
    this.#onThrow = onThrow;
    this.clock = this.#makeClock();
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isStalled(): boolean {
    return !this.#isDead && this.#stalledUntilMs > this.#time.nowMs;
  }

  /** From here on nothing of it runs. */
  kill(): void {
    this.#isDead = true;
  }

  /** The loop stands still for so long; what is due meanwhile comes late. */
  stall(forMs: number): void {
    this.#stalledUntilMs = Math.max(this.#stalledUntilMs, this.#time.nowMs + forMs);
  }

  /** Runs `callback` in this process, `delayMs` from now or when its loop goes on. */
  after(delayMs: number, callback: () => void): Cancel {
    let cancel = this.#time.after(Math.max(0, delayMs), () => {
      if (this.#isDead) return;
      const lateMs = this.#stalledUntilMs - this.#time.nowMs;
      if (lateMs > 0) cancel = this.after(lateMs, callback);
      else this.#run(callback);
    });
    return () => {
      cancel();
    };
  }

  #run(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#onThrow(error);
    }
  }

  #makeClock(): Clock {
    return {
      monotonicMs: () => this.#time.nowMs,
      wallMs: () => Math.floor(this.#wallMs()),
      after: (delayMs, callback) => this.after(delayMs, callback),
      every: (periodMs, callback) =>
        every((delayMs, each) => this.after(delayMs, each), periodMs, callback),
      soon: (callback) => {
        this.after(0, callback);
      },
    };
  }
}
