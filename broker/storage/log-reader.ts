/**
 * Reads frames of one segment from disk for followers and consumers: one pread, both checksums of
 * every frame, whole frames only. Where a sequential reader left off is remembered as a hint, so
 * that catching up needs no index lookup per read.
 */
import { crc32 } from 'node:zlib';
import {
  checkFrame,
  endOffsetOf,
  frameLength,
  HEADER_BYTES,
  isStamped,
} from '../../wire/batch/frame.ts';
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Offset, WallMs } from '../../base/units.ts';
import type { LogRead } from '../runtime/ports.ts';
import type { Segment } from './segment.ts';
import { reasonOf } from '../../base/reason.ts';

/** Sequential readers of one log that are remembered. */
const HINTS_MAX = 16;
/** Most bytes of one pread, whatever is asked. */
const READ_BYTES_MAX = 16 * 1024 * 1024;

/** What to read: see `PartitionLog.read`. */
export interface ReadRequest {
  readonly segment: Segment;
  readonly fromOffset: Offset;
  readonly upToOffset: Offset;
  readonly bytesMax: number;
}

/** Offsets [startOffset, endOffset). */
export interface OffsetRange {
  readonly startOffset: Offset;
  readonly endOffset: Offset;
}

/** Headers of the batches that hold offsets of the range, in order. Rejects with DATA_CORRUPT. */
export async function collectHeaders(
  name: string,
  segments: readonly Segment[],
  range: OffsetRange,
): Promise<BatchHeader[]> {
  const headers: BatchHeader[] = [];
  for (const segment of segments) {
    if (segment.endOffset <= range.startOffset || segment.baseOffset >= range.endOffset) continue;
    const { position, header } = await segment.locate(
      Math.max(range.startOffset, segment.baseOffset),
    );
    const from = { position, offset: header.baseOffset, epoch: 0, endPosition: segment.bytes };
    const stop = await segment.scan(from, 'headers', (found) => {
      if (found.baseOffset >= range.endOffset) return false;
      headers.push(found);
      return true;
    });
    if (stop.kind === 'invalid' || stop.kind === 'incomplete') {
      throw new BrokerError(
        'DATA_CORRUPT',
        `Cannot read headers of ${name} at offset ${stop.offset}: ${stop.reason}`,
      );
    }
  }
  return headers;
}

/**
 * First batch of records in the range with this timestamp or a later one, or null: the times of
 * control batches are those of elections. Rejects with DATA_CORRUPT.
 */
export async function findByTimestamp(
  name: string,
  segments: readonly Segment[],
  range: OffsetRange,
  timestampMs: WallMs,
): Promise<BatchHeader | null> {
  for (const segment of segments) {
    if (segment.endOffset <= range.startOffset) continue;
    if (segment.baseOffset >= range.endOffset) return null;
    let header = (await segment.locateTime(timestampMs))?.header ?? null;
    // Batches below the log start are gone, even where their bytes are still there.
    if (header !== null && (!hasRecords(header) || endOffsetOf(header) <= range.startOffset)) {
      const headers = await collectHeaders(name, [segment], range);
      const isWanted = (candidate: BatchHeader): boolean =>
        hasRecords(candidate) && candidate.maxTimestampMs >= timestampMs;
      header = headers.find(isWanted) ?? null;
    }
    if (header !== null) return header.baseOffset < range.endOffset ? header : null;
  }
  return null;
}

/** Neither a control batch, nor one that compaction left without records. */
function hasRecords({ isControl, recordCount }: BatchHeader): boolean {
  return !isControl && recordCount > 0;
}

/** Reads of one partition's log. */
export class LogReader {
  readonly #target: StampTarget;
  readonly #name: string;
  #hints = new Map<Offset, number>();

  constructor(name: string, target: StampTarget) {
    this.#name = name;
    this.#target = target;
  }

  /** Positions have changed: forget them. */
  clear(): void {
    // A read that is under way keeps the old ones: what it will remember is of no use any more.
    this.#hints = new Map();
  }

  /** Frames from the one that holds `fromOffset`, within the segment. Rejects with DATA_CORRUPT. */
  async read(request: ReadRequest): Promise<LogRead> {
    const { segment, fromOffset } = request;
    const hints = this.#hints;
    const hint = hints.get(fromOffset);
    hints.delete(fromOffset);
    const position = hint ?? (await segment.locate(fromOffset)).position;
    const end = segment.bytes;
    const most = Math.min(Math.max(request.bytesMax, HEADER_BYTES), READ_BYTES_MAX);
    const wanted = Math.max(0, Math.min(most, end - position));
    let bytes = await segment.load(position, wanted);
    const firstBytes = bytes.length < HEADER_BYTES ? 0 : frameLength(bytes, 0);
    // One frame is always answered, however few bytes were asked.
    if (firstBytes > bytes.length && firstBytes <= end - position)
      bytes = await segment.load(position, firstBytes);
    const { nextOffset, length } = this.#checkFrames(bytes, request);
    if (position + length < end && length > 0) remember(hints, nextOffset, position + length);
    return { chunks: length === 0 ? [] : [bytes.subarray(0, length)], nextOffset };
  }

  /** How many of the bytes are frames to be answered. */
  #checkFrames(
    bytes: Uint8Array,
    request: ReadRequest,
  ): { readonly nextOffset: Offset; readonly length: number } {
    let nextOffset = request.fromOffset;
    let length = 0;
    while (length < bytes.length && nextOffset < request.upToOffset) {
      const isFirst = length === 0;
      const left = bytes.length - length;
      const isCut = left < HEADER_BYTES || frameLength(bytes, length) > left;
      if (isCut && !isFirst) break;
      const header = this.#check(bytes, length, nextOffset);
      const endOffset = endOffsetOf(header);
      const isPlaced = isFirst
        ? header.baseOffset <= nextOffset && endOffset > nextOffset
        : header.baseOffset === nextOffset;
      if (!isPlaced) this.#refuse(nextOffset, `the frame there begins at ${header.baseOffset}`);
      if (endOffset > request.upToOffset || (!isFirst && length + header.length > request.bytesMax))
        break;
      length += header.length;
      nextOffset = endOffset;
    }
    return { nextOffset, length };
  }

  #check(bytes: Uint8Array, at: number, offset: Offset): ReturnType<typeof checkFrame> {
    let header: ReturnType<typeof checkFrame>;
    try {
      header = checkFrame(bytes, at, crc32);
    } catch (error) {
      return this.#refuse(offset, reasonOf(error), error);
    }
    if (!isStamped(bytes, at, this.#target, crc32))
      this.#refuse(offset, "the leader's checksum does not match this partition and place");
    return header;
  }

  #refuse(offset: Offset, reason: string, cause?: unknown): never {
    throw new BrokerError(
      'DATA_CORRUPT',
      `Cannot read ${this.#name} at offset ${offset}: ${reason}`,
      {},
      cause,
    );
  }
}

function remember(hints: Map<Offset, number>, offset: Offset, position: number): void {
  hints.set(offset, position);
  const [oldest] = hints.keys();
  if (hints.size > HINTS_MAX && oldest !== undefined) hints.delete(oldest);
}
