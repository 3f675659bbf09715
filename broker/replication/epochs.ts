/**
 * Epoch map of one log: leader epoch to first offset. It is what truncation goes by (rules 1 to 3):
 * an offset says how long a log is, only the epochs say whose it is. Knows no peers and no disk.
 * Sources: KIP-101, KIP-279.
 */
import { assert } from '../../base/assert.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { EpochStart } from './types.ts';

/**
 * Where the batches of an epoch and all earlier ones end in a log. `epoch` 0: the log holds no
 * batch that old.
 */
export interface EpochEnd {
  readonly epoch: LeaderEpoch;
  readonly endOffset: Offset;
}

/**
 * Epochs of the batches of one log, in order, and the epoch of the batch before its start. Its size
 * is the number of elections that the log spans, not of batches.
 */
export class EpochMap {
  readonly #starts: EpochStart[] = [];
  #startEpoch: LeaderEpoch;

  /**
   * Throws AssertionError unless epochs and offsets rise: a partial or shuffled map must never be
   * acted on (rule 3).
   *
   * @param startEpoch see {@link EpochMap.startEpoch}
   */
  constructor(starts: readonly EpochStart[], startEpoch: LeaderEpoch = 0) {
    this.#startEpoch = startEpoch;
    for (const { epoch, startOffset } of starts) {
      const before = this.#starts.at(-1)?.epoch ?? 0;
      assert(epoch > before, `epoch ${epoch} must be above ${before}, the one before`);
      this.note(epoch, startOffset);
    }
  }

  /**
   * Epoch of the batch before the log start, which is gone; 0: there was none, or nobody knows it.
   */
  get startEpoch(): LeaderEpoch {
    return this.#startEpoch;
  }

  /**
   * Epoch of the last batch that ever stood in the log below its end: a log that was retired or
   * reset keeps it. 0: none.
   */
  get lastEpoch(): LeaderEpoch {
    return this.#starts.at(-1)?.epoch ?? this.#startEpoch;
  }

  /** The log holds no batch. */
  get isEmpty(): boolean {
    return this.#starts.length === 0;
  }

  entries(): readonly EpochStart[] {
    return this.#starts;
  }

  /**
   * A batch of `epoch` is appended at `baseOffset`. Throws AssertionError for an epoch below the
   * last one.
   */
  note(epoch: LeaderEpoch, baseOffset: Offset): void {
    const last = this.#starts.at(-1);
    if (last !== undefined && last.epoch === epoch) return;
    assert(
      epoch >= this.lastEpoch,
      `epoch ${epoch} must not be below ${this.lastEpoch}, the last one`,
    );
    if (last !== undefined) {
      assert(
        baseOffset > last.startOffset,
        `epoch ${epoch} starts at ${baseOffset}, must be above ${last.startOffset}`,
      );
    }
    this.#starts.push({ epoch, startOffset: baseOffset });
  }

  /**
   * The log now ends at `endOffset`: epochs that started there or later are gone, even if no byte
   * was (rule 3).
   */
  truncate(endOffset: Offset): void {
    while ((this.#starts.at(-1)?.startOffset ?? -1) >= endOffset) this.#starts.pop();
  }

  /**
   * The log now starts at `startOffset`, at or below its end: epochs that ended at or before it are
   * gone.
   */
  retire(startOffset: Offset, endOffset: Offset): void {
    this.#startEpoch = this.epochBefore(startOffset);
    if (startOffset >= endOffset) {
      this.#starts.length = 0;
      return;
    }
    let gone = 0;
    while ((this.#starts[gone + 1]?.startOffset ?? Infinity) <= startOffset) gone += 1;
    if (gone > 0) this.#starts.splice(0, gone);
    const first = this.#starts[0];
    if (first !== undefined && first.startOffset < startOffset)
      this.#starts[0] = { epoch: first.epoch, startOffset };
  }

  /** The log holds no batch any more, and what stood before its start was of `startEpoch`. */
  reset(startEpoch: LeaderEpoch): void {
    this.#starts.length = 0;
    this.#startEpoch = startEpoch;
  }

  /**
   * Epoch of the batch that holds `offset`, which must be below the end of the log; 0 below the
   * first batch.
   */
  epochOf(offset: Offset): LeaderEpoch {
    for (let index = this.#starts.length - 1; index >= 0; index -= 1) {
      const start = this.#starts[index] as EpochStart;
      if (start.startOffset <= offset) return start.epoch;
    }
    return 0;
  }

  /** Epoch of the batch that ends at `offset`, which is from the start of the log to its end. */
  epochBefore(offset: Offset): LeaderEpoch {
    for (let index = this.#starts.length - 1; index >= 0; index -= 1) {
      const start = this.#starts[index] as EpochStart;
      if (start.startOffset < offset) return start.epoch;
    }
    return this.#startEpoch;
  }

  /**
   * The largest epoch of the log that is not above `epoch`, and its end (rule 2, KIP-279). `log`
   * gives the bounds of the log. The epoch before the log start ends there. For an epoch below that
   * one: epoch 0, which ends at the log start.
   */
  endOf(
    epoch: LeaderEpoch,
    log: { readonly startOffset: Offset; readonly endOffset: Offset },
  ): EpochEnd {
    let endOffset = log.endOffset;
    for (let index = this.#starts.length - 1; index >= 0; index -= 1) {
      const start = this.#starts[index] as EpochStart;
      if (start.epoch <= epoch) return { epoch: start.epoch, endOffset };
      endOffset = start.startOffset;
    }
    const isBefore = this.#startEpoch <= epoch;
    return { epoch: isBefore ? this.#startEpoch : 0, endOffset: log.startOffset };
  }
}
