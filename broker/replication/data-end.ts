/**
 * Where the data of one log ends: offset of its last record that is no control record, plus 1.
 * "Append if nothing was appended since" is judged by it, so that an election, which appends a
 * control batch, breaks nobody's expectation. Kept from headers as batches come and go; nothing is
 * kept for a data batch. Knows no peers and no disk.
 *
 * It is exact while a data batch stands in the log. Where all of them are retired and nobody stated
 * it, it is the log start: too high refuses an append that might have been taken, too low would
 * take one that must be refused.
 */
import type { Offset } from '../../base/units.ts';
import type { ControlMark, EpochStart } from './types.ts';

/** Control batches without data between them that state the same, [from, to). */
interface Run {
  from: Offset;
  to: Offset;
  /** End of the data below them. */
  dataEnd: Offset;
}

interface DataEndState {
  readonly startOffset: Offset;
  readonly epochs: readonly EpochStart[];
  /** Those that recovery has read. */
  readonly controls?: readonly ControlMark[];
}

export class DataEnds {
  readonly #runs: Run[] = [];
  #startOffset: Offset;
  #startDataEnd: Offset;
  /** Nobody knows whether a control batch stands at the log start. */
  #isStartUnknown: boolean;

  /**
   * Every epoch begins with a control batch (rule 3), so the epochs name those that recovery had no
   * need to read. Of an epoch that began below the log start nobody knows what stands there. What
   * a control batch states was judged when it was appended, by whoever knew what stands below it:
   * here trims may be missing, which the journal names no more.
   */
  constructor({ startOffset, epochs, controls = [] }: DataEndState) {
    this.#startOffset = startOffset;
    this.#startDataEnd = startOffset;
    const marks = new Map<Offset, Offset | undefined>();
    for (const epoch of epochs)
      if (epoch.startOffset > startOffset || startOffset === 0)
        marks.set(epoch.startOffset, undefined);
    for (const { baseOffset, dataEnd } of controls)
      if (baseOffset >= startOffset) marks.set(baseOffset, dataEnd);
    const [first] = epochs;
    this.#isStartUnknown = first?.startOffset === startOffset && !marks.has(startOffset);
    for (const [baseOffset, dataEnd] of [...marks].sort(([a], [b]) => a - b))
      this.#note(baseOffset, dataEnd ?? this.below(baseOffset));
  }

  /** Where the data ends in the part of the log below `endOffset`, which is from its start on. */
  below(endOffset: Offset): Offset {
    if (endOffset <= this.#startOffset) return this.#startDataEnd;
    for (let index = this.#runs.length - 1; index >= 0; index -= 1) {
      const run = this.#runs[index] as Run;
      if (run.from < endOffset) return endOffset <= run.to ? run.dataEnd : endOffset;
    }
    return endOffset;
  }

  /** {@link below}, or 0 where no batch in the log is known to be one of data. */
  knownBelow(endOffset: Offset): Offset {
    const dataEnd = this.below(endOffset);
    const least = this.#startOffset + (this.#isStartUnknown ? 1 : 0);
    return dataEnd > least ? dataEnd : 0;
  }

  /** A control batch of one offset is appended at `baseOffset`, the end of the log. */
  noteControl(baseOffset: Offset, stated: Offset | undefined): void {
    this.#note(baseOffset, Math.max(stated ?? this.below(baseOffset), this.knownBelow(baseOffset)));
  }

  #note(baseOffset: Offset, dataEnd: Offset): void {
    const last = this.#runs.at(-1);
    // What it states of its own goes again with it, if it is cut.
    if (last?.to === baseOffset && last.dataEnd === dataEnd) {
      last.to += 1;
    } else {
      this.#runs.push({ from: baseOffset, to: baseOffset + 1, dataEnd });
    }
  }

  /** The log now ends at `endOffset`. */
  truncate(endOffset: Offset): void {
    while ((this.#runs.at(-1)?.from ?? -1) >= endOffset) this.#runs.pop();
    const last = this.#runs.at(-1);
    if (last !== undefined) last.to = Math.min(last.to, endOffset);
  }

  /** The log now starts at `startOffset`, at or below its end. */
  retire(startOffset: Offset): void {
    this.#startDataEnd = this.below(startOffset);
    if (startOffset > this.#startOffset) this.#isStartUnknown = false;
    this.#startOffset = startOffset;
    let gone = 0;
    while ((this.#runs[gone]?.to ?? Infinity) <= startOffset) gone += 1;
    if (gone > 0) this.#runs.splice(0, gone);
    const first = this.#runs[0];
    if (first !== undefined) first.from = Math.max(first.from, startOffset);
  }

  /** The log holds nothing, and starts at `startOffset`: what stood below is not known. */
  reset(startOffset: Offset): void {
    this.#runs.length = 0;
    this.#startOffset = startOffset;
    this.#startDataEnd = startOffset;
    this.#isStartUnknown = false;
  }
}
