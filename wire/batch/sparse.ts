/**
 * The frames that compaction leaves: of a batch that lost records, and of batches that are gone.
 * Pure. Which records stay is not known here.
 */
import type { LeaderEpoch, Offset, WallMs } from '../../base/units.ts';
import type { Codec } from './attributes.ts';
import {
  type BatchFields,
  type BatchHeader,
  type Crc32,
  encodeFrame,
  HEADER_BYTES,
  NO_SEQUENCE,
  sealRewritten,
  SPARSE_HEADER_BYTES,
  stampFrame,
  type StampTarget,
} from './frame.ts';

/**
 * The frame that stays of a batch when some of its records go: its place and its producer are those
 * of `header`, with the producer's checksum; `payload` holds what is left, with offset gaps, and
 * has a checksum of its own. Stamped for `target`.
 */
export function sparseFrame(
  header: BatchHeader,
  left: { readonly recordCount: number; readonly codec: Codec; readonly payload: Uint8Array },
  target: StampTarget,
  crc32: Crc32,
): Uint8Array {
  const { recordCount, codec, payload } = left;
  const content = new Uint8Array(SPARSE_HEADER_BYTES - HEADER_BYTES + payload.length);
  content.set(payload, SPARSE_HEADER_BYTES - HEADER_BYTES);
  const frame = encodeFrame({ ...header, recordCount, codec, isSparse: true }, content, crc32);
  const { baseOffset, leaderEpoch, crc } = header;
  sealRewritten(frame, crc, { ...target, baseOffset, leaderEpoch }, crc32);
  return frame;
}

/** Offsets of one epoch whose batches are all gone. */
export interface Gap {
  readonly baseOffset: Offset;
  readonly lastOffsetDelta: number;
  readonly leaderEpoch: LeaderEpoch;
  /** Largest timestamp of what stood there. */
  readonly maxTimestampMs: WallMs;
}

/**
 * A header alone, which covers the offsets of batches that are gone, so that a log without holes
 * stays the proof that nothing was lost. Stamped for `target`. Anyone may split it or join
 * neighbours of one epoch.
 */
export function gapFrame(gap: Gap, target: StampTarget, crc32: Crc32): Uint8Array {
  const fields: BatchFields = {
    codec: 0,
    isControl: false,
    isSparse: true,
    lastOffsetDelta: gap.lastOffsetDelta,
    recordCount: 0,
    baseSequence: NO_SEQUENCE,
    baseTimestampMs: gap.maxTimestampMs,
    maxTimestampMs: gap.maxTimestampMs,
    producerId: 0,
    producerEpoch: 0,
  };
  const frame = encodeFrame(fields, new Uint8Array(0), crc32);
  const { baseOffset, leaderEpoch } = gap;
  stampFrame(frame, 0, { ...target, baseOffset, leaderEpoch }, crc32);
  return frame;
}
