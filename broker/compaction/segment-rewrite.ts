/**
 * What is left of the frames of one segment, or of several that become one, in order. Frames that
 * lose nothing are copied byte for byte; living ones keep their place; what is gone is left to
 * gaps, of which adjoining ones of one epoch become one (K2). What a segment holds is so decided by
 * what it held and by the order, wherever it begins: gaps that adjoin across segments count as one
 * wherever logs are compared.
 */
import type { LeaderEpoch, Offset, WallMs } from '../../base/units.ts';
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { endOffsetOf } from '../../wire/batch/frame.ts';
import { gapFrame } from '../../wire/batch/sparse.ts';
import type { FramePlace, RecordAccess } from './frames.ts';
import { isGap, isUnreadable, visitFrames } from './frames.ts';
import type { Fates } from './survivors.ts';

/** Most offsets of a gap: its delta has 32 bits. */
const GAP_OFFSETS_MAX = 2 ** 32;

/** Offsets that nothing is left of. */
interface OpenGap {
  readonly baseOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  endOffset: Offset;
  maxTimestampMs: WallMs;
  /** The frame, while it is one gap that stood in the log as it is. */
  frame: Uint8Array | null;
}

export interface RewriteOptions {
  readonly survivors: Fates;
  readonly target: StampTarget;
  readonly access: RecordAccess;
}

/** What stands in the place of the frames of a block. */
export interface RewrittenBlock {
  /** New memory. A gap at its end waits for what follows. */
  readonly frames: Uint8Array;
  /** False: all that the segment gave so far is as it was. */
  readonly isChanged: boolean;
  readonly next: FramePlace;
}

export class SegmentRewrite {
  readonly #options: RewriteOptions;
  #out: Uint8Array[] = [];
  #gap: OpenGap | null = null;
  #isChanged = false;

  constructor(options: RewriteOptions) {
    this.#options = options;
  }

  /** Throws CORRUPT_BATCH. */
  take(frames: Uint8Array, from: FramePlace): RewrittenBlock {
    const { target, access } = this.#options;
    const next = visitFrames(frames, from, { target, crc32: access.crc32 }, (header, frame) => {
      this.#take(header, frame);
    });
    return { frames: this.#flush(), isChanged: this.#isChanged, next };
  }

  /** The segment has ended: the gap that waited. */
  finish(): Uint8Array {
    this.#closeGap();
    return this.#flush();
  }

  #take(header: BatchHeader, frame: Uint8Array): void {
    const fate = this.#options.survivors.fateOf(header);
    if (fate === 'gone') this.#extendGap(header, null);
    else if (isGap(header)) this.#extendGap(header, frame);
    else {
      this.#closeGap();
      this.#out.push(fate === 'thin' ? this.#thin(frame) : frame);
    }
  }

  #thin(frame: Uint8Array): Uint8Array {
    const { survivors, access, target } = this.#options;
    try {
      const thinned = access.thin(frame, (offset) => !survivors.isDead(offset), target);
      this.#isChanged = true;
      return thinned;
    } catch (error) {
      // A frame of the largest size that loses a byte or two would get four more. It stays whole.
      if (isUnreadable(error)) return frame;
      throw error;
    }
  }

  /** @param frame of a gap that stands there already */
  #extendGap(header: BatchHeader, frame: Uint8Array | null): void {
    const { baseOffset, leaderEpoch, maxTimestampMs } = header;
    const endOffset = endOffsetOf(header);
    const open = this.#gap;
    const isJoined =
      open?.leaderEpoch === leaderEpoch && endOffset - open.baseOffset <= GAP_OFFSETS_MAX;
    if (frame === null || isJoined) this.#isChanged = true;
    if (open === null || !isJoined) {
      this.#closeGap();
      // The block may go before what follows has come.
      const own = frame === null ? null : frame.slice();
      this.#gap = { baseOffset, leaderEpoch, endOffset, maxTimestampMs, frame: own };
      return;
    }
    open.endOffset = endOffset;
    open.maxTimestampMs = Math.max(open.maxTimestampMs, maxTimestampMs);
    open.frame = null;
  }

  #closeGap(): void {
    const gap = this.#gap;
    if (gap === null) return;
    this.#gap = null;
    const lastOffsetDelta = gap.endOffset - gap.baseOffset - 1;
    const { target, access } = this.#options;
    this.#out.push(gap.frame ?? gapFrame({ ...gap, lastOffsetDelta }, target, access.crc32));
  }

  #flush(): Uint8Array {
    let bytes = 0;
    for (const part of this.#out) bytes += part.length;
    const frames = new Uint8Array(bytes);
    let at = 0;
    for (const part of this.#out) {
      frames.set(part, at);
      at += part.length;
    }
    this.#out = [];
    return frames;
  }
}
