/**
 * Holds a rewritten segment, as it was read back from the disk, against the one, or the ones, that
 * it is to replace, frame by frame and record by record (K9): the producer's checksum ends at a
 * rewrite, so this is what vouches from then on. It knows the frames of the old segment and what of
 * them stays, and nothing of how the new ones were made.
 */
import type { LeaderEpoch, Offset, WallMs } from '../../base/units.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';
import { checkFrame, checkStamp, endOffsetOf, frameLength } from '../../wire/batch/frame.ts';
import { isGap } from './frames.ts';
import type { RewriteOptions } from './segment-rewrite.ts';

/**
 * Bytes of each side that were compared: what is left is to be shown again, with more behind it.
 */
export interface Compared {
  readonly old: number;
  readonly fresh: number;
  /** What differs, in words; null: nothing so far. */
  readonly difference: string | null;
}

interface Range {
  readonly baseOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  endOffset: Offset;
  maxTimestampMs: WallMs;
}

export class SegmentComparison {
  readonly #options: RewriteOptions;
  /** Offsets of the old segment for which a gap must come. */
  #gap: Range | null = null;

  constructor(options: RewriteOptions) {
    this.#options = options;
  }

  /** Whole frames of both, each from where the last call left off. */
  take(old: Uint8Array, fresh: Uint8Array): Compared {
    let [atOld, atFresh] = [0, 0];
    while (atOld < old.length) {
      const frame = old.subarray(atOld, atOld + frameLength(old, atOld));
      const header = checkFrame(frame, 0, this.#options.access.crc32);
      const isLiving = this.#isLiving(header);
      const isJoined = !isLiving && this.#isJoined(header);
      // What stands in the place of this frame, or of the gap before it.
      if ((isLiving || (this.#gap !== null && !isJoined)) && atFresh >= fresh.length) break;
      if (this.#gap !== null && !isJoined) {
        const difference = this.#compareGap(fresh, atFresh);
        if (difference !== null) return { old: atOld, fresh: atFresh, difference };
        atFresh += frameLength(fresh, atFresh);
        continue;
      }
      if (isLiving) {
        const length = frameLength(fresh, atFresh);
        const difference = this.#compare(header, frame, fresh.subarray(atFresh, atFresh + length));
        if (difference !== null) return { old: atOld, fresh: atFresh, difference };
        atFresh += length;
      } else this.#extendGap(header);
      atOld += frame.length;
    }
    return { old: atOld, fresh: atFresh, difference: null };
  }

  /** The old segment has ended; `fresh` is what is left of the new one. */
  finish(fresh: Uint8Array): string | null {
    let at = 0;
    if (this.#gap !== null) {
      if (fresh.length === 0) return `no gap from offset ${this.#gap.baseOffset} on`;
      const difference = this.#compareGap(fresh, 0);
      if (difference !== null) return difference;
      at = frameLength(fresh, 0);
    }
    return at === fresh.length ? null : `${fresh.length - at} bytes too many`;
  }

  #isLiving(header: BatchHeader): boolean {
    return !isGap(header) && this.#options.survivors.fateOf(header) !== 'gone';
  }

  #isJoined({ leaderEpoch, lastOffsetDelta, baseOffset }: BatchHeader): boolean {
    const open = this.#gap;
    if (open === null || open.leaderEpoch !== leaderEpoch) return open === null;
    return baseOffset + lastOffsetDelta + 1 - open.baseOffset <= 2 ** 32;
  }

  #extendGap(header: BatchHeader): void {
    const { baseOffset, leaderEpoch, maxTimestampMs } = header;
    const endOffset = endOffsetOf(header);
    if (this.#gap === null) this.#gap = { baseOffset, leaderEpoch, endOffset, maxTimestampMs };
    else {
      this.#gap.endOffset = endOffset;
      this.#gap.maxTimestampMs = Math.max(this.#gap.maxTimestampMs, maxTimestampMs);
    }
  }

  #compareGap(fresh: Uint8Array, at: number): string | null {
    const gap = this.#gap;
    this.#gap = null;
    const header = this.#check(fresh, at);
    const isSame =
      isGap(header) &&
      header.baseOffset === gap?.baseOffset &&
      endOffsetOf(header) === gap.endOffset &&
      header.leaderEpoch === gap.leaderEpoch &&
      header.maxTimestampMs === gap.maxTimestampMs;
    return isSame ? null : `the gap from offset ${gap?.baseOffset ?? 0} on is another`;
  }

  #compare(header: BatchHeader, old: Uint8Array, fresh: Uint8Array): string | null {
    const staysAsItIs = this.#options.survivors.fateOf(header) === 'as-is';
    if (this.#options.access.isSame(old, fresh)) {
      const mayStay = staysAsItIs || !this.#canBeThinned(old);
      return mayStay ? null : `the batch at offset ${header.baseOffset} was left as it was`;
    }
    if (staysAsItIs) return `the batch at offset ${header.baseOffset} is not as it was`;
    const found = this.#check(fresh, 0);
    for (const field of FIELDS)
      if (found[field] !== header[field])
        return `${field} of the batch at offset ${header.baseOffset} is ${found[field]}, was ${header[field]}`;
    const { access, survivors } = this.#options;
    const difference = access.difference(old, fresh, (offset) => !survivors.isDead(offset));
    return difference === null
      ? null
      : `the batch at offset ${header.baseOffset} differs: ${difference}`;
  }

  #canBeThinned(old: Uint8Array): boolean {
    const { access, survivors, target } = this.#options;
    try {
      access.thin(old, (offset) => !survivors.isDead(offset), target);
      return true;
    } catch {
      return false;
    }
  }

  #check(bytes: Uint8Array, at: number): BatchHeader {
    const { access, target } = this.#options;
    checkStamp(bytes, at, target, access.crc32);
    return checkFrame(bytes, at, access.crc32);
  }
}

/** What no rewrite changes. */
const FIELDS = [
  'baseOffset',
  'leaderEpoch',
  'lastOffsetDelta',
  'baseTimestampMs',
  'maxTimestampMs',
  'producerId',
  'producerEpoch',
  'baseSequence',
  'crc',
  'isControl',
] as const;
