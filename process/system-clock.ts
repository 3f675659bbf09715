/** The Clock port on the machine's own clocks. */
import type { Cancel, Clock } from '../base/clock.ts';
import type { MonotonicMs } from '../base/units.ts';

/** Node turns a longer timer into one that fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Timers of the machine round down to whole milliseconds. */
const EARLY_MS = 1;

interface Periodic {
  readonly periodMs: number;
  readonly callback: () => void;
  dueMs: MonotonicMs;
}

/**
 * Calls at whole multiples of each period, so that one wake-up of the process serves all that are
 * due: an idle one spends more on waking than on what it then looks at.
 */
class Periods {
  readonly #all = new Set<Periodic>();
  #timer: NodeJS.Timeout | undefined;
  #wakeMs: MonotonicMs = Number.POSITIVE_INFINITY;

  every(periodMs: number, callback: () => void): Cancel {
    const periodic = { periodMs, callback, dueMs: nextMultiple(performance.now(), periodMs) };
    this.#all.add(periodic);
    if (periodic.dueMs < this.#wakeMs) this.#arm();
    return () => {
      if (this.#all.delete(periodic)) this.#arm();
    };
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#wakeMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#all) this.#wakeMs = Math.min(this.#wakeMs, dueMs);
    if (this.#all.size === 0) return;
    const delayMs = Math.max(0, this.#wakeMs - performance.now());
    this.#timer = setTimeout(() => this.#wake(), Math.min(delayMs, TIMER_MS_MAX));
  }

  #wake(): void {
    const nowMs = performance.now() + EARLY_MS;
    const due = [...this.#all].filter(({ dueMs }) => dueMs <= nowMs);
    for (const periodic of due) periodic.dueMs = nextMultiple(nowMs, periodic.periodMs);
    this.#arm();
    // One of them may cancel another.
    for (const periodic of due) if (this.#all.has(periodic)) periodic.callback();
  }
}

function nextMultiple(nowMs: MonotonicMs, periodMs: number): MonotonicMs {
  return (Math.floor(nowMs / periodMs) + 1) * periodMs;
}

const periods = new Periods();

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  every: (periodMs, callback) => periods.every(periodMs, callback),
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, Math.min(delayMs, TIMER_MS_MAX));
    return () => {
      clearTimeout(timer);
    };
  },
  soon: (callback) => {
    setImmediate(callback);
  },
};
