/**
 * Reads one segment to its end, whatever is broken in between: scanFrames says where the good
 * frames stop, and the next header that bears this partition's stamp says where they go on.
 * Recovery cuts at the first fault; whoever asks what a disk holds wants all of them.
 */
import { crc32 } from 'node:zlib';
import { FRAME_BYTES_MAX } from '../../../base/limits.ts';
import type { LeaderEpoch, Offset } from '../../../base/units.ts';
import { frameLength, HEADER_BYTES, isStamped, readHeader } from '../../../wire/batch/frame.ts';
import type { BatchHeader, StampTarget } from '../../../wire/batch/frame.ts';
import { scanFrames } from '../frame-scan.ts';
import type { ReadAt, ScanStop } from '../frame-scan.ts';

export interface SegmentScan {
  readonly readAt: ReadAt;
  readonly target: StampTarget;
  readonly baseOffset: Offset;
  readonly bytes: number;
  /** Of the batch before, 0: none. */
  readonly epoch: LeaderEpoch;
  /** Called with every good frame. */
  readonly onFrame: (header: BatchHeader, position: number) => void;
  /** Called wherever frames stop before the end. `next`: where they go on, or null. */
  readonly onFault: (stop: ScanStop, next: Place | null) => void;
}

/** Where a frame begins. */
export interface Place {
  readonly position: number;
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
}

/** Where the last good frame ended. Rejects only as `readAt` does. */
export async function scanSegment(scan: SegmentScan): Promise<Place> {
  let at: Place = { position: 0, offset: scan.baseOffset, epoch: scan.epoch };
  for (;;) {
    const stop = await scanFrames(
      scan.readAt,
      { ...at, target: scan.target, depth: 'full', endPosition: scan.bytes },
      scan.onFrame,
    );
    if (stop.kind === 'end') return stop;
    const next = await nextPlace(scan, stop);
    scan.onFault(stop, next);
    if (next === null) return stop;
    at = next;
  }
}

async function nextPlace(scan: SegmentScan, stop: ScanStop): Promise<Place | null> {
  if (stop.reason === 'zeros only') return null;
  const here = await headerAt(scan, stop.position);
  // A whole frame of another place: what follows it is judged from there.
  const isElsewhere =
    here !== null && (here.baseOffset !== stop.offset || here.leaderEpoch < stop.epoch);
  if (isElsewhere) return placeOf(stop.position, here);
  // Its length stands under the checksum that failed: it is believed where a frame follows.
  if (here !== null) {
    const after = await headerAt(scan, stop.position + here.length);
    if (after !== null) return placeOf(stop.position + here.length, after);
  }
  return await search(scan, stop.position + 1);
}

function placeOf(position: number, header: BatchHeader): Place {
  return { position, offset: header.baseOffset, epoch: header.leaderEpoch };
}

/** The header at this place, if it is one that a leader of this partition stamped. */
async function headerAt(scan: SegmentScan, position: number): Promise<BatchHeader | null> {
  if (position + HEADER_BYTES > scan.bytes) return null;
  const bytes = new Uint8Array(HEADER_BYTES);
  const read = await scan.readAt(bytes, position);
  return read < HEADER_BYTES ? null : stampedHeader(bytes, 0, scan.target);
}

function stampedHeader(bytes: Uint8Array, at: number, target: StampTarget): BatchHeader | null {
  // A cheap look first: it is made at every byte.
  const length = frameLength(bytes, at);
  if (length < HEADER_BYTES || length > FRAME_BYTES_MAX) return null;
  if (!isStamped(bytes, at, target, crc32)) return null;
  try {
    return readHeader(bytes, at);
  } catch {
    return null;
  }
}

const BLOCK_BYTES = 1024 * 1024;

async function search(scan: SegmentScan, from: number): Promise<Place | null> {
  const block = new Uint8Array(BLOCK_BYTES);
  for (let start = from; start + HEADER_BYTES <= scan.bytes; ) {
    const read = await scan.readAt(block, start);
    const bytes = block.subarray(0, read);
    for (let at = 0; at + HEADER_BYTES <= read; at += 1) {
      const header = stampedHeader(bytes, at, scan.target);
      if (header !== null) return placeOf(start + at, header);
    }
    if (read < BLOCK_BYTES) return null;
    start += BLOCK_BYTES - HEADER_BYTES + 1;
  }
  return null;
}
