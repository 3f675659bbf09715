/**
 * Appends that came while nobody may take them: the leader drains or hands over, or there is none
 * yet. Refused at once, their clients would come back after pauses that grow, and sleep through the
 * moment when somebody leads; here they are answered in that moment. Bounded in number and in time.
 * Knows no log.
 */
import type { MonotonicMs } from '../../base/units.ts';
import type { PartitionInput } from './types.ts';

/** Longest wait. Past it the client hears what the matter is, and may come again. */
export const HELD_MS_MAX = 500;

export type AppendInput = Extract<PartitionInput, { kind: 'append' }>;

interface Held {
  readonly input: AppendInput;
  readonly sinceMs: MonotonicMs;
}

export class HeldAppends {
  readonly #countMax: number;
  /** Oldest first. */
  #held: Held[] = [];

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#held.length;
  }

  /** False: there are too many, and this one must be answered now. */
  add(input: AppendInput, nowMs: MonotonicMs): boolean {
    if (this.#held.length >= this.#countMax) return false;
    this.#held.push({ input, sinceMs: nowMs });
    return true;
  }

  /** All, in the order in which they came. */
  takeAll(): AppendInput[] {
    return this.#take(this.#held.length);
  }

  /** Those that have waited for {@link HELD_MS_MAX}. */
  takeOverdue(nowMs: MonotonicMs): AppendInput[] {
    const first = this.#held.findIndex(({ sinceMs }) => nowMs - sinceMs < HELD_MS_MAX);
    return this.#take(first < 0 ? this.#held.length : first);
  }

  #take(count: number): AppendInput[] {
    const taken = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    return taken.map(({ input }) => input);
  }
}
