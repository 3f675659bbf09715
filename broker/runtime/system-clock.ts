/** The Clock port on the machine's own clocks. */
import { performance } from 'node:perf_hooks';
import type { Clock } from './ports.ts';

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
    const timer = setTimeout(callback, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
  soon: (callback) => {
    setImmediate(callback);
  },
};
