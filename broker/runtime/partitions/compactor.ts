/**
 * The passes of compaction that this broker has under way, over all its replicas, and the merges of
 * segments behind them: so many at a time, the others in the order in which they were asked for.
 * Counts what they come to. Each replica waits once at most, so the queue is as long as there are
 * replicas.
 */
import { COMPACTION_PASSES_MAX } from '../../../base/limits.ts';
import type { CompactionOutcome, MergeOutcome } from '../ports.ts';

/** What the passes of this broker have come to since it started. */
export interface CompactionTotals {
  /** That carried their order out. */
  readonly passes: number;
  /** That ended with an error. */
  readonly failures: number;
  /** Of the logs that they were about, when they began and when they ended. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Segments that are part of others now. */
  readonly segmentsMerged: number;
  /** Of the last one that failed, in words; null: none did. */
  readonly lastError: string | null;
}

export const NO_PASSES: CompactionTotals = {
  passes: 0,
  failures: 0,
  bytesBefore: 0,
  bytesAfter: 0,
  segmentsMerged: 0,
  lastError: null,
};

export class Compactor {
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  #totals = NO_PASSES;

  get totals(): CompactionTotals {
    return this.#totals;
  }

  /** Runs a pass, or a merge, now or later. @param pass never rejects */
  add(pass: () => Promise<void>): void {
    this.#waiting.push(pass);
    this.#next();
  }

  ended({ bytesBefore, bytesAfter, isComplete }: CompactionOutcome): void {
    const { passes, ...totals } = this.#totals;
    this.#totals = {
      ...totals,
      passes: passes + (isComplete ? 1 : 0),
      bytesBefore: totals.bytesBefore + bytesBefore,
      bytesAfter: totals.bytesAfter + bytesAfter,
    };
  }

  merged({ removed }: MergeOutcome): void {
    const segmentsMerged = this.#totals.segmentsMerged + removed;
    this.#totals = { ...this.#totals, segmentsMerged };
  }

  failed(lastError: string): void {
    this.#totals = { ...this.#totals, failures: this.#totals.failures + 1, lastError };
  }

  #next(): void {
    if (this.#running >= COMPACTION_PASSES_MAX) return;
    const pass = this.#waiting.shift();
    if (pass === undefined) return;
    this.#running += 1;
    void pass().finally(() => {
      this.#running -= 1;
      this.#next();
    });
  }
}
