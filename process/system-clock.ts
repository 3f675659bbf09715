/** The Clock port on the machine's own clocks. */
import type { Clock } from '../base/clock.ts';

/** Node turns a longer timer into one that fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  every: (periodMs, callback) => {
    const timer = setInterval(callback, periodMs);
    return () => {
      clearInterval(timer);
    };
  },
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
