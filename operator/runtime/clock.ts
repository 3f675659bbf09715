/**
 * Time as the machinery of the operator sees it: injected everywhere, so that tests decide when it passes. Intervals are measured on the
 * monotonic clock; the wall clock is only for what is shown or stored.
 */

export interface Clock {
  /** Milliseconds on a clock that never goes back, from an origin of its own. */
  nowMs(): number;
  /** Milliseconds since 1970: may jump either way. */
  wallMs(): number;
  /** Calls `call` once, `delayMs` from now. Returns what cancels it. */
  after(delayMs: number, call: () => void): () => void;
}

/** Node turns a longer timer into one that fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, call) {
    const timer = setTimeout(call, Math.min(delayMs, TIMER_MS_MAX));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs`, or as soon as `signal` aborts: the caller looks at the signal. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = (): void => {
      cancel();
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = clock.after(delayMs, wake);
    signal.addEventListener('abort', wake);
  });
}

/** `MicroTime` of Kubernetes: exactly six fractional digits, or the API server refuses it. `wallMs` is milliseconds since 1970. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}
