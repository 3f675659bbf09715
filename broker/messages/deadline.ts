/** How long a call may be worked at: whoever waits for something in a handler waits no longer. */
import type { Clock } from '../../base/clock.ts';

/** Time for a call that states no deadline, and the most that one is worked at. */
const DEADLINE_MS_DEFAULT = 30_000;
const DEADLINE_MS_MAX = 300_000;
/**
 * Of that, what stays for the way back, so that the caller hears our reason and not its own clock.
 */
const ANSWER_MS = 50;

/** Milliseconds that may be spent on a call. */
export function remainingMs(
  call: { getDeadline(): Date | number },
  clock: Pick<Clock, 'wallMs'>,
): number {
  const deadline = Number(call.getDeadline());
  if (!Number.isFinite(deadline)) return DEADLINE_MS_DEFAULT;
  return Math.max(1, Math.min(deadline - clock.wallMs() - ANSWER_MS, DEADLINE_MS_MAX));
}
