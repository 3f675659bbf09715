/** A pause that a signal ends early. */
import type { Clock } from '../base/clock.ts';

/**
 * Resolves after `delayMs`, or as soon as `signal` aborts: the caller looks at the signal. Never
 * rejects.
 */
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
