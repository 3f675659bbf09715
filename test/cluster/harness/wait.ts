/**
 * Waiting for a condition of real processes: by looking again and again, never by a pause that is
 * hoped to be long enough.
 */

/** How long to look, and what else to print when it was in vain. */
export interface WaitOptions {
  readonly deadlineMs?: number;
  /** Pause between two looks. */
  readonly lookMs?: number;
  readonly context?: () => string;
}

/** Remembers what the latest look saw. */
export type Note = (seen: unknown) => void;

const DEADLINE_MS = 30_000;
const LOOK_MS = 25;

/** What a look may find. */
export type Found = true | number | string | (object & { readonly then?: never });

/**
 * Looks until `look` gives something other than undefined: false would be an answer, so its type
 * rules it out. A look that throws counts as not yet.
 * @throws Error that says what was waited for, what the last look saw and, from `context`, what the
 * brokers logged
 */
export async function waitFor<T extends Found>(
  what: string,
  look: (note: Note) => Promise<T | undefined> | T | undefined,
  { deadlineMs = DEADLINE_MS, lookMs = LOOK_MS, context = () => '' }: WaitOptions = {},
): Promise<T> {
  const startMs = performance.now();
  let seen: unknown = 'nothing';
  while (performance.now() - startMs < deadlineMs) {
    try {
      const found = await look((value) => {
        seen = value;
      });
      if (found !== undefined) return found;
    } catch (error) {
      seen = error;
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  throw new Error(`waited ${deadlineMs} ms in vain for ${what}; saw ${text(seen)}\n${context()}`);
}

/** `true` as the answer of a look, where there is nothing to hand back. */
export function when(isSo: boolean): true | undefined {
  return isSo ? true : undefined;
}

function text(seen: unknown): string {
  if (seen instanceof Error) return seen.stack ?? seen.message;
  return typeof seen === 'string' ? seen : JSON.stringify(seen);
}
