/**
 * What was applied, and what the API server made of it. A policy that changes what we write, or
 * somebody who changes it back, is not fought: the same again is applied less and less often, and
 * told. Kept in memory: whoever takes over tries once.
 */

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 300_000;

interface Application {
  readonly text: string;
  readonly count: number;
  readonly dueMs: number;
  /** Fields that were not as applied in the very answer. */
  readonly mutated: readonly string[];
}

/** How an object that differs from what is wanted is to be seen. */
export interface Standing {
  /** It is as far as applying it has brought it: not to be applied now. */
  readonly isSettled: boolean;
  /** Fields that others keep otherwise than applied. */
  readonly mutated: readonly string[];
}

export class Applications {
  readonly #applied = new Map<string, Application>();

  /** @param mutated fields that the answer showed otherwise than applied */
  applied(id: string, text: string, mutated: readonly string[], nowMs: number): void {
    const before = this.#applied.get(id);
    const count = before?.text === text ? before.count + 1 : 1;
    const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** (count - 1));
    this.#applied.set(id, { text, count, dueMs: nowMs + pauseMs, mutated });
  }

  /**
   * @param fields that differ from `text` now; none: it is as wanted, which is forgotten only once
   * it has lasted, for somebody may be changing it back and forth
   */
  standing(id: string, text: string, fields: readonly string[], nowMs: number): Standing {
    const known = this.#applied.get(id);
    if (fields.length === 0) {
      if (known !== undefined && nowMs > known.dueMs + PAUSE_MS_MAX) this.#applied.delete(id);
      return { isSettled: true, mutated: [] };
    }
    if (known?.text !== text) return { isSettled: false, mutated: [] };
    const isFought = known.count > 1 || known.mutated.length > 0;
    return { isSettled: nowMs < known.dueMs, mutated: isFought ? fields : [] };
  }
}
