/**
 * Bounds what readers of queues hold of logs beyond what their owners have looked at, for all of a
 * broker: past the bound those let go that nobody wants anything of, the longest first. They read
 * it again once they are wanted. What is wanted is looked at in the same turn of the loop, so that
 * it waits for nobody and is bounded by what one read brings.
 */

/** Whoever holds frames. */
export interface ReadingAhead {
  /** Holds nothing any more, and says so by {@link ReadAhead.note}. */
  letGo(): void;
}

export class ReadAhead {
  readonly #bytesMax: number;
  readonly #held = new Map<ReadingAhead, number>();
  /** In the order in which they came to be so. */
  readonly #idle = new Set<ReadingAhead>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How much it holds now, and whether anybody wants some of it. */
  note(reader: ReadingAhead, bytes: number, isWanted: boolean): void {
    this.#bytes += bytes - (this.#held.get(reader) ?? 0);
    if (bytes === 0) this.#held.delete(reader);
    else this.#held.set(reader, bytes);
    if (isWanted || bytes === 0) this.#idle.delete(reader);
    else this.#idle.add(reader);
    for (const each of this.#idle) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#idle.delete(each);
      each.letGo();
    }
  }
}
