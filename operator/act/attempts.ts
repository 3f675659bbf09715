/**
 * What one cluster's parts of a plan came to, from pass to pass: a part that fails is tried again
 * after twice the last pause, while all others go on. Kept in memory: whoever takes over begins
 * anew.
 */
import type { Part } from '../decide/types.ts';

const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 30_000;
/** Failures that may pass by themselves are told from this one on. */
const TOLD_FROM = 3;

/** A part that fails, as it is to be told. */
export interface Failure {
  readonly message: string;
  /** Not told before. */
  readonly isNew: boolean;
}

interface Attempt {
  count: number;
  nextMs: number;
  /** Null: nothing that a person should hear of. */
  message: string | null;
  isTold: boolean;
}

export class Attempts {
  readonly #attempts = new Map<string, Attempt>();

  /** Parts that are not planned any more need no memory. */
  keep(parts: readonly Part[]): void {
    const ids = new Set(parts.map(idOf));
    for (const id of [...this.#attempts.keys()]) if (!ids.has(id)) this.#attempts.delete(id);
  }

  isDue(part: Part, nowMs: number): boolean {
    return (this.#attempts.get(idOf(part))?.nextMs ?? nowMs) <= nowMs;
  }

  succeeded(part: Part): void {
    this.#attempts.delete(idOf(part));
  }

  /**
   * @param message null: what was looked at has changed, which is no failure to tell of
   * @param isFinal the same again is answered the same, until somebody changes something
   */
  failed(part: Part, nowMs: number, message: string | null, isFinal: boolean): void {
    const id = idOf(part);
    const { count = 0, isTold = false } = this.#attempts.get(id) ?? {};
    const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** count);
    const isHeard = message !== null && (isFinal || isTold || count + 1 >= TOLD_FROM);
    this.#attempts.set(id, {
      count: count + 1,
      nextMs: nowMs + delayMs,
      message: isHeard ? message : null,
      isTold,
    });
  }

  /** What fails now; each is new once. */
  failures(): Failure[] {
    return [...this.#attempts.values()].flatMap((attempt) => {
      const { message } = attempt;
      if (message === null) return [];
      const isNew = !attempt.isTold;
      attempt.isTold = true;
      return [{ message, isNew }];
    });
  }

  /** When the next failed part is due; undefined where none has failed. */
  nextMs(): number | undefined {
    const times = [...this.#attempts.values()].map(({ nextMs }) => nextMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

/** By what is done to what: versions and sizes may differ from one pass to the next. */
function idOf({ actions }: Part): string {
  return actions
    .map((action) => {
      const { kind, brokerId, name, brokerIds, move } = action as {
        readonly kind: string;
        readonly brokerId?: number;
        readonly name?: string;
        readonly brokerIds?: readonly number[];
        readonly move?: { readonly topic: string; readonly partition: number };
      };
      const target = name ?? brokerId ?? brokerIds?.join() ?? '';
      return move === undefined ? `${kind} ${target}` : `${kind} ${move.topic}/${move.partition}`;
    })
    .join('; ');
}
