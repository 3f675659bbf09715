/** Whole frames of a block, and what is asked of the records inside. */
import { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { BatchHeader, Crc32, StampTarget } from '../../wire/batch/frame.ts';
import { checkFrame, checkStamp, endOffsetOf, HEADER_BYTES } from '../../wire/batch/frame.ts';

/** Decodes records; knows compression, which no core does. All of it throws CORRUPT_BATCH. */
export interface RecordAccess {
  readonly crc32: Crc32;
  /** Whether two arrays hold the same bytes. */
  isSame(one: Uint8Array, other: Uint8Array): boolean;
  /** The records of a batch, in order. */
  visit(
    frame: Uint8Array,
    visit: (offset: Offset, key: Uint8Array | undefined, isTombstone: boolean) => void,
  ): void;
  /**
   * The sparse frame that is left, stamped. Throws BATCH_TOO_LARGE where it would be larger than a
   * frame may be.
   */
  thin(frame: Uint8Array, keep: (offset: Offset) => boolean, target: StampTarget): Uint8Array;
  /** First difference between the records of `fresh` and those of `old` that stay, or null. */
  difference(old: Uint8Array, fresh: Uint8Array, keep: (offset: Offset) => boolean): string | null;
}

/** Where the next frame begins, and the epoch before it. */
export interface FramePlace {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
}

/**
 * Visits the frames of a block, each checked before: both checksums, place and order. Returns where
 * the block ends. Throws CORRUPT_BATCH.
 */
export function visitFrames(
  frames: Uint8Array,
  from: FramePlace,
  { target, crc32 }: { readonly target: StampTarget; readonly crc32: Crc32 },
  visit: (header: BatchHeader, frame: Uint8Array) => void,
): FramePlace {
  let { offset, epoch } = from;
  for (let at = 0; at < frames.length; ) {
    const header = checkFrame(frames, at, crc32);
    checkStamp(frames, at, target, crc32);
    if (header.baseOffset !== offset) refuse(`base offset is ${header.baseOffset}`, `${offset}`);
    if (header.leaderEpoch < epoch)
      refuse(`leader epoch is ${header.leaderEpoch}`, `${epoch} or more`);
    visit(header, frames.subarray(at, at + header.length));
    at += header.length;
    offset = endOffsetOf(header);
    epoch = header.leaderEpoch;
  }
  return { offset, epoch };
}

/** A header alone, which stands for batches that are gone. */
export function isGap({ isSparse, length }: BatchHeader): boolean {
  return isSparse && length === HEADER_BYTES;
}

/**
 * The records of a batch cannot be read, though its frame is whole: it is as its producer sent it.
 */
export function isUnreadable(error: unknown): boolean {
  return (
    error instanceof BrokerError &&
    (error.code === 'CORRUPT_BATCH' || error.code === 'BATCH_TOO_LARGE')
  );
}

function refuse(found: string, must: string): never {
  throw new BrokerError('CORRUPT_BATCH', `Cannot compact: ${found}, must be ${must}`);
}
