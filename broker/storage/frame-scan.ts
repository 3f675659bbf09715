/**
 * Walks the frames of one segment file in order. Three depths of trust: `headers` checks structure,
 * place and the leader's checksum of each header; `full` checks the producer's checksum over the
 * payload too. Decides nothing: it says where the good frames stop and why, and recovery judges
 * (P6, P9).
 */
import { crc32 } from 'node:zlib';
import {
  checkFrame,
  endOffsetOf,
  HEADER_BYTES,
  isStamped,
  readHeader,
  withControl,
} from '../../wire/batch/frame.ts';
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';

/** Reads at a position of one file, as many bytes as there are, up to the buffer's length. */
export type ReadAt = (into: Uint8Array, position: number) => Promise<number>;

export interface ScanRequest {
  readonly target: StampTarget;
  readonly depth: 'headers' | 'full';
  /** A frame begins here, with this offset. */
  readonly position: number;
  readonly offset: Offset;
  /** The scan ends here at the latest; a frame that reaches beyond is incomplete. */
  readonly endPosition: number;
  /** Epochs never fall: that of the frame before, or 0. */
  readonly epoch: LeaderEpoch;
}

/**
 * Where the good frames stop. `end`: exactly at the end. `incomplete`: the rest is the beginning of
 * one frame, or zeros only; a write that was cut. `invalid`: bytes that are no frame of this place.
 * `stopped`: the visitor asked for it.
 */
export interface ScanStop {
  readonly kind: 'end' | 'incomplete' | 'invalid' | 'stopped';
  readonly position: number;
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  /** In words, for `incomplete` and `invalid`. */
  readonly reason: string;
}

/** Called with every good frame; `false` stops before it. */
export type FrameVisitor = (header: BatchHeader, position: number) => boolean | void;

const BLOCK_BYTES = 1024 * 1024;
/**
 * Of a headers scan: many small frames at a time, but large ones are passed over by their headers
 * alone.
 */
const HEADERS_BLOCK_BYTES = 64 * 1024;
const LONE_HEADER_BLOCK_BYTES = 4 * 1024;
const LARGE_FRAME_BYTES = 16 * 1024;

/** Visits good frames from `position` on until they stop. Rejects only as `readAt` does. */
export async function scanFrames(
  readAt: ReadAt,
  request: ScanRequest,
  visit: FrameVisitor,
): Promise<ScanStop> {
  const block = new Block(
    readAt,
    request.endPosition,
    request.depth === 'full' ? BLOCK_BYTES : HEADERS_BLOCK_BYTES,
  );
  let { position, offset, epoch } = request;
  const stop = (kind: ScanStop['kind'], reason: string): ScanStop => ({
    kind,
    position,
    offset,
    epoch,
    reason,
  });
  while (position < request.endPosition) {
    const left = request.endPosition - position;
    const head = await block.view(position, Math.min(left, HEADER_BYTES));
    if (left < HEADER_BYTES || head.length < HEADER_BYTES)
      return stop('incomplete', `${left} bytes are left, a header has ${HEADER_BYTES}`);
    const header = orFault(() => readHeader(head, 0));
    if (typeof header === 'string') {
      const isZero = await isZeroUntilEnd(block, position, request.endPosition);
      return isZero
        ? stop('incomplete', 'zeros only')
        : stop('invalid', `no batch header: ${header}`);
    }
    const fault = placeFault(head, header, offset, epoch, request.target);
    if (fault !== null) return stop('invalid', fault);
    if (header.length > left)
      return stop('incomplete', `frame of ${header.length} bytes has ${left}`);
    let found = header;
    if (request.depth === 'full') {
      const frame = await block.view(position, header.length);
      const whole = orFault(() => {
        checkFrame(frame, 0, crc32);
        return withControl(frame, 0, header);
      });
      if (typeof whole === 'string') return stop('invalid', whole);
      found = whole;
    }
    if (visit(found, position) === false) return stop('stopped', '');
    if (request.depth === 'headers')
      block.bytesMin =
        header.length >= LARGE_FRAME_BYTES ? LONE_HEADER_BLOCK_BYTES : HEADERS_BLOCK_BYTES;
    position += header.length;
    offset = endOffsetOf(header);
    epoch = header.leaderEpoch;
  }
  return stop('end', '');
}

/** Why a header does not belong at this offset of this partition, or null. */
function placeFault(
  head: Uint8Array,
  header: BatchHeader,
  offset: Offset,
  epoch: LeaderEpoch,
  target: StampTarget,
): string | null {
  if (!isStamped(head, 0, target, crc32))
    return "leader's checksum does not match this partition and place";
  if (header.baseOffset !== offset) return `base offset is ${header.baseOffset}, must be ${offset}`;
  if (header.leaderEpoch < epoch)
    return `leader epoch falls from ${epoch} to ${header.leaderEpoch}`;
  return null;
}

/** What is read, or what is wrong with it: it may be of a newer build. */
function orFault<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'CORRUPT_BATCH') return error.message;
    throw error;
  }
}

async function isZeroUntilEnd(
  block: Block,
  position: number,
  endPosition: number,
): Promise<boolean> {
  for (let at = position; at < endPosition; at += HEADERS_BLOCK_BYTES) {
    const bytes = await block.view(at, Math.min(HEADERS_BLOCK_BYTES, endPosition - at));
    if (bytes.some((byte) => byte !== 0)) return false;
  }
  return true;
}

/** A window on the file that moves forward, read block by block. */
class Block {
  readonly #readAt: ReadAt;
  readonly #endPosition: number;
  /** What one read fetches, unless more is asked or less is left. */
  bytesMin: number;
  #bytes = new Uint8Array(0);
  #from = 0;
  #filled = 0;

  constructor(readAt: ReadAt, endPosition: number, bytesMin: number) {
    this.#readAt = readAt;
    this.#endPosition = endPosition;
    this.bytesMin = bytesMin;
  }

  /** The bytes at `position`: `count`, or fewer where the file ends. Valid until the next call. */
  async view(position: number, count: number): Promise<Uint8Array> {
    if (position < this.#from || position + count > this.#from + this.#filled)
      await this.#load(position, count);
    const at = position - this.#from;
    return this.#bytes.subarray(at, Math.min(at + count, this.#filled));
  }

  async #load(position: number, count: number): Promise<void> {
    const bytes = Math.max(count, Math.min(this.bytesMin, this.#endPosition - position));
    if (this.#bytes.length < bytes) this.#bytes = new Uint8Array(bytes);
    this.#from = position;
    this.#filled = await this.#readAt(this.#bytes.subarray(0, bytes), position);
  }
}
