/** What may be said of a record of a queue. Rejects, never repairs. */
import { QUEUE_DELAY_MS_MAX, QUEUE_REASON_LENGTH_MAX } from '../../base/limits.ts';
import { type Check, checkArgument, optional, shape, text, whole } from '../check.ts';

/** How a record goes back. */
export interface ReleaseOptions {
  /** Handed out again not before so many milliseconds have passed, 0 to 3,600,000. Default 0. */
  readonly delayMs?: number;
}

/** Text of at most so many characters. */
export function short(lengthMax: number): Check {
  return (value, name) => {
    const faults = text(value, name);
    if (faults.length > 0 || (value as string).length <= lengthMax) return faults;
    return [`${name} has ${(value as string).length} characters, must have at most ${lengthMax}`];
  };
}

const RELEASE = shape({ delayMs: optional(whole(0, QUEUE_DELAY_MS_MAX)) });

/** Throws INVALID_ARGUMENT. */
export function checkRelease(doing: string, options: unknown): void {
  checkArgument(doing, RELEASE, options);
}

/** Throws INVALID_ARGUMENT. */
export function checkReason(doing: string, reason: unknown): void {
  checkArgument(doing, short(QUEUE_REASON_LENGTH_MAX), reason, 'reason');
}
