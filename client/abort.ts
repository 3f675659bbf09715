/** `AbortSignal` as every call takes it that waits. */
import { optional, shape, signal as isSignal } from './check.ts';
import { type Effect } from '../base/errors.ts';
import { TidemarkError } from './errors.ts';

/** What every call takes that waits. */
export interface CallControl {
  /** Ends the waiting: the call rejects with ABORTED, whose `cause` is the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** {@link CallControl}, checked. */
export const CONTROL = shape({ signal: optional(isSignal) });

/** ABORTED. `effect`: whether what was asked may still be done. */
export function aborted(doing: string, signal: AbortSignal, effect: Effect): TidemarkError {
  return new TidemarkError(
    'ABORTED',
    `Cannot ${doing}: its signal was aborted`,
    'no',
    { effect },
    signal.reason,
  );
}

/** What `wait` resolves to, or ABORTED as soon as the signal is. `wait` itself goes on. */
export async function orAborted<T>(
  wait: Promise<T>,
  signal: AbortSignal | undefined,
  doing: string,
  effect: Effect = 'none',
): Promise<T> {
  if (signal === undefined) return wait;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(aborted(doing, signal, effect));
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, wait]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Whoever lost the race is heard by nobody.
    wait.catch(() => undefined);
  }
}
