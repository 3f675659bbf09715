/**
 * The processor's part of one pass over one log, as calls on blocks of frames: whoever has the disk
 * feeds it, in a worker or in slices.
 *
 *     do {
 *       do observe() everything below X, from the log start; while (endScan())
 *       for each segment below X, oldest first:
 *         beginSegment(), rewrite() its frames, endSegment(); what was read back: compare()
 *     } while (nextRound())
 *
 * Segments that become one file go the same way, after the pass or without one: beginMerge(),
 * rewrite() the frames of all of them, endSegment(), compare().
 *
 * Oldest first, since what masks a record must not go before it: whenever the pass stops, the log
 * holds the last value of every key. Pure.
 */
import type { FramePlace } from './frames.ts';
import { type Compared, SegmentComparison } from './segment-comparison.ts';
import { type RewrittenBlock, SegmentRewrite } from './segment-rewrite.ts';
import { EVERYTHING_STAYS, type Fates, Survivors, type SurvivorsOptions } from './survivors.ts';

export class CompactionJob {
  readonly #options: SurvivorsOptions;
  readonly #survivors: Survivors;
  #rewrite: SegmentRewrite;
  #comparison: SegmentComparison;

  constructor(options: SurvivorsOptions) {
    this.#options = options;
    this.#survivors = new Survivors(options);
    this.#rewrite = this.#rewriteOf(this.#survivors);
    this.#comparison = this.#comparisonOf(this.#survivors);
  }

  /** See {@link Survivors.observe}. */
  observe(frames: Uint8Array, from: FramePlace): FramePlace {
    return this.#survivors.observe(frames, from);
  }

  /** See {@link Survivors.endScan}. */
  endScan(): boolean {
    return this.#survivors.endScan();
  }

  beginSegment(): void {
    this.#begin(this.#survivors);
  }

  /** What comes is of several segments. It stays as it is, but gaps that now adjoin are joined. */
  beginMerge(): void {
    // What a pass found dead is gone, and was counted with what was there before it.
    this.#begin(EVERYTHING_STAYS);
  }

  /** See {@link SegmentRewrite.take}. */
  rewrite(frames: Uint8Array, from: FramePlace): RewrittenBlock {
    return this.#rewrite.take(frames, from);
  }

  /** See {@link SegmentRewrite.finish}. */
  endSegment(): Uint8Array {
    return this.#rewrite.finish();
  }

  /** See {@link SegmentComparison.take}. */
  compare(old: Uint8Array, fresh: Uint8Array): Compared {
    return this.#comparison.take(old, fresh);
  }

  /** See {@link SegmentComparison.finish}. */
  endComparison(fresh: Uint8Array): string | null {
    return this.#comparison.finish(fresh);
  }

  /** See {@link Survivors.nextRound}. */
  nextRound(): boolean {
    return this.#survivors.nextRound();
  }

  #begin(survivors: Fates): void {
    this.#rewrite = this.#rewriteOf(survivors);
    this.#comparison = this.#comparisonOf(survivors);
  }

  #rewriteOf(survivors: Fates): SegmentRewrite {
    return new SegmentRewrite({ ...this.#options, survivors });
  }

  #comparisonOf(survivors: Fates): SegmentComparison {
    return new SegmentComparison({ ...this.#options, survivors });
  }
}
