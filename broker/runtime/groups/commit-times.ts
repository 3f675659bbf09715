/**
 * When records were committed, as one replica saw it: the end of the committed data once a second.
 * So a reader's lag has an age that no producer's clock has a part in, and that a new leader knows
 * too. Bounded: the older the moment, the coarser it is known.
 */
import type { MonotonicMs, Offset } from '../../../base/units.ts';

/** Moments that one replica remembers, 16 bytes each. */
const MOMENTS_MAX = 256;

/** How long ago a record was committed. */
export interface Age {
  readonly ageMs: number;
  /** It is longer ago than is remembered. */
  readonly isLeast: boolean;
}

export class CommitTimes {
  /** At `ms` the data ended at `end`: rising in both. */
  #moments: { readonly ms: MonotonicMs; readonly end: Offset }[] = [];

  /** The committed data ends here now. */
  note(ms: MonotonicMs, end: Offset): void {
    const last = this.#moments.at(-1);
    if (last !== undefined && end < last.end) this.#moments = [];
    else if (last?.end === end) return;
    this.#moments.push({ ms, end });
    if (this.#moments.length > MOMENTS_MAX) this.#thin();
  }

  /** Since when a record at `offset` or above is committed; 0: there is none. */
  ageAt(offset: Offset, nowMs: MonotonicMs): Age {
    const last = this.#moments.at(-1);
    if (last === undefined || last.end <= offset) return { ageMs: 0, isLeast: false };
    // The first moment at which it was there; it came after the one before.
    let [low, high] = [0, this.#moments.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#moments[middle]?.end ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return { ageMs: nowMs - (this.#moments[low]?.ms ?? nowMs), isLeast: low === 0 };
  }

  /** The moment goes that is missed least: whose neighbours are nearest, for how old they are. */
  #thin(): void {
    const nowMs = this.#moments.at(-1)?.ms ?? 0;
    let least = Infinity;
    let gone = 1;
    for (let at = 1; at < this.#moments.length - 1; at += 1) {
      const before = this.#moments[at - 1]?.ms ?? 0;
      const after = this.#moments[at + 1]?.ms ?? 0;
      const missed = (after - before) / (nowMs - before);
      if (missed < least) [least, gone] = [missed, at];
    }
    this.#moments.splice(gone, 1);
  }
}
