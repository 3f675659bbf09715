/**
 * Time, as every part sees it: injected, so that tests and the simulator decide when it passes.
 * Intervals are measured on the monotonic clock; the wall clock is only for what is shown, stored
 * or compared with producers' timestamps.
 */
import type { MonotonicMs, WallMs } from './units.ts';

/** Stops a timer. Harmless when called twice. */
export type Cancel = () => void;

export interface Clock {
  /** Never goes back; from an origin of its own. */
  monotonicMs(): MonotonicMs;
  /** May jump either way. */
  wallMs(): WallMs;
  every(periodMs: number, callback: () => void): Cancel;
  /** Calls once, `delayMs` from now. */
  after(delayMs: number, callback: () => void): Cancel;
  /** At the end of this turn of the loop, once what has arrived is taken in. */
  soon(callback: () => void): void;
}
