/**
 * Tells the consensus core that time passed, and wakes up only when it says that a tick does
 * something: an idle broker would otherwise wake a hundred times a second. Inputs that come
 * meanwhile are told the time first.
 *
 * What a wake-up is late by does not count: a process that was stopped, or has no processor, must
 * not take its own silence for its leader's.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import type { MonotonicMs } from '../../../base/units.ts';

/** Of one tick of the consensus core. */
export const RAFT_TICK_MS = 10;
/** Longest sleep: what is late, and so forgotten, is at most one. */
const SLEEP_TICKS_MAX = 10;

export interface RaftTimeOptions {
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  /** How many of the next ticks do nothing. */
  readonly ticksAtRest: () => number;
  readonly tick: () => void;
}

export class RaftTime {
  readonly #options: RaftTimeOptions;
  /** Up to when ticks were told. */
  #toldMs: MonotonicMs = 0;
  /** Ticks from then to the end of the sleep. */
  #ticksAsleep = 0;
  #cancel: Cancel | null = null;
  #isClosed = false;

  constructor(options: RaftTimeOptions) {
    this.#options = options;
  }

  start(): void {
    this.#toldMs = this.#options.clock.monotonicMs();
    this.sleep();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  /** Before an input: tells what passed of the sleep. */
  pass(): void {
    if (this.#cancel === null) return;
    const passedMs = this.#options.clock.monotonicMs() - this.#toldMs;
    const ticks = Math.min(Math.floor(passedMs / RAFT_TICK_MS), this.#ticksAsleep);
    if (ticks <= 0) return;
    this.#toldMs += ticks * RAFT_TICK_MS;
    this.#tell(ticks);
  }

  /** After an input: sleeps until a tick does something, which may be sooner than it was before. */
  sleep(): void {
    const { clock, ticksAtRest } = this.#options;
    const ticks = Math.min(ticksAtRest() + 1, SLEEP_TICKS_MAX);
    if (this.#isClosed || (this.#cancel !== null && this.#ticksAsleep <= ticks)) return;
    this.#cancel?.();
    this.#ticksAsleep = ticks;
    const endMs = this.#toldMs + ticks * RAFT_TICK_MS;
    this.#cancel = clock.after(Math.max(0, endMs - clock.monotonicMs()), () => {
      this.#cancel = null;
      this.#toldMs = clock.monotonicMs();
      this.#tell(this.#ticksAsleep);
      this.sleep();
    });
  }

  #tell(ticks: number): void {
    this.#ticksAsleep -= ticks;
    for (let tick = 0; tick < ticks; tick += 1) this.#options.tick();
  }
}
