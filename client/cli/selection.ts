/**
 * Which of the records that come are wanted: up to a place in each partition, with a key, so many.
 * Pure.
 */
import type { RecordBatch } from '../index.ts';

/** What to keep; absent: everything. */
export interface SelectionOptions {
  /** Most records in all. */
  readonly max?: number;
  /** Exclusive end by partition. */
  readonly ends?: ReadonlyMap<number, number>;
  /** Only records with exactly this key. */
  readonly key?: Uint8Array;
}

export class Selection {
  readonly #options: SelectionOptions;
  readonly #open: Set<number>;
  #left: number;

  constructor(options: SelectionOptions) {
    this.#options = options;
    this.#left = options.max ?? Number.POSITIVE_INFINITY;
    // A partition that ends before its first record has nothing to wait for.
    this.#open = new Set([...(options.ends ?? [])].filter(([, end]) => end > 0).map(([id]) => id));
  }

  /** Nothing that comes from now on is wanted. */
  get isDone(): boolean {
    return this.#left <= 0 || (this.#options.ends !== undefined && this.#open.size === 0);
  }

  /** Whether readers that stand there have nothing more that is wanted before them. */
  isPast(positions: readonly { readonly partition: number; readonly offset: number }[]): boolean {
    for (const { partition, offset } of positions)
      if (offset >= (this.#options.ends?.get(partition) ?? Number.POSITIVE_INFINITY))
        this.#open.delete(partition);
    return this.isDone;
  }

  /** The wanted records of a batch, in order. */
  take({ partition, records }: Pick<RecordBatch, 'partition' | 'records'>): RecordBatch['records'] {
    const { ends, key } = this.#options;
    const end = ends === undefined ? Number.POSITIVE_INFINITY : (ends.get(partition) ?? 0);
    const last = records.at(-1)?.offset ?? -1;
    if (last + 1 >= end) this.#open.delete(partition);
    const wanted = records
      .filter((record) => record.offset < end && (key === undefined || isSame(record.key, key)))
      .slice(0, this.#left);
    this.#left -= wanted.length;
    return wanted;
  }
}

function isSame(key: Uint8Array | undefined, wanted: Uint8Array): boolean {
  return key !== undefined && Buffer.compare(key, wanted) === 0;
}
