/** What became of the records that were handed to a producer, by the lines that they come from. */
import type { DeliveryReport, TidemarkError } from '../index.ts';

/** What a partition was given. */
export interface AppendedRange {
  readonly first: number;
  readonly last: number;
  readonly records: number;
}

export class Tally {
  records = 0;
  /** Of keys, values and framing, before compression. */
  bytes = 0;
  /** Of the input, delimiters included. */
  readBytes = 0;
  /** Lines read so far, those left out included: the number of the last one. */
  lines = 0;
  failed = 0;
  failure: TidemarkError | undefined;
  /** The first line whose record failed. */
  failedLine: number | undefined;
  heardMs = performance.now();
  readonly offsets = new Map<number, AppendedRange>();
  readonly #startMs = performance.now();

  /** Records whose context is the number of their line. */
  add({ partition, baseOffset, recordCount, bytes, contexts, error }: DeliveryReport): void {
    this.heardMs = performance.now();
    if (error !== undefined) {
      this.failed += recordCount;
      const [line] = contexts;
      const isFirst = typeof line !== 'number' || line < (this.failedLine ?? Infinity);
      if (this.failure !== undefined && !isFirst) return;
      this.failure = error;
      if (typeof line === 'number') this.failedLine = line;
      return;
    }
    this.records += recordCount;
    this.bytes += bytes;
    const last = baseOffset < 0 ? -1 : baseOffset + recordCount - 1;
    const range = this.offsets.get(partition);
    this.offsets.set(partition, {
      first: range?.first ?? baseOffset,
      last: Math.max(range?.last ?? last, last),
      records: (range?.records ?? 0) + recordCount,
    });
  }

  get seconds(): number {
    return (performance.now() - this.#startMs) / 1000;
  }

  /** Appended offsets of each partition, in the order of partitions. */
  partitions(): {
    partition: number;
    records: number;
    firstOffset: number;
    lastOffset: number;
  }[] {
    return [...this.offsets]
      .toSorted(([a], [b]) => a - b)
      .map(([partition, { first, last, records }]) => ({
        partition,
        records,
        firstOffset: first,
        lastOffset: last,
      }));
  }
}
