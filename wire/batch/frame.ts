/**
 * Record-batch frame: a header of 68 bytes and an opaque payload, the unit that is produced,
 * stored, replicated and fetched without ever being decoded. Pure: the checksum function is passed
 * in. FORMAT.md beside this file is the specification.
 *
 * Two checksums (Saltzer, Reed and Clark, 1984): the producer's covers what the producer wrote and
 * is never touched again; the leader's covers where the leader put it, so a frame in the wrong
 * partition, offset or epoch is found as surely as a flipped bit.
 */

import { FRAME_BYTES_MAX, RECORDS_PER_BATCH_MAX } from '../../base/limits.ts';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch, Offset, TopicId, WallMs } from '../../base/units.ts';
import {
  attributesByte,
  checkAttributes,
  checkReserved,
  type Codec,
  codecOf,
  isControl,
  isSparse,
} from './attributes.ts';
import { readI64, readU16, readU32, readU64, writeU32, writeU64 } from './bytes.ts';
import {
  type CompactionMark,
  type ControlContent,
  controlPayload,
  readControl,
} from './control.ts';
import { refuse, refuseVersion } from './refusal.ts';

/** Bytes of a header, and so the smallest frame. */
export const HEADER_BYTES = 68;
/**
 * Bytes before the payload of a sparse batch: the header, and the checksum of whoever took records
 * out of it.
 */
export const SPARSE_HEADER_BYTES = 72;
/** The one version there is. */
export const BATCH_VERSION = 1;
/**
 * Largest payload, also after decompression: whether a record fits must not depend on how well it
 * compresses.
 */
export const PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES;
/** `baseSequence` of a batch without a producer. */
export const NO_SEQUENCE = 0xffff_ffff;
/** Number of sequences: after 2^31 - 1 comes 0. */
export const SEQUENCES = 0x8000_0000;
/** Bytes of a topic id in binary. */
export const TOPIC_ID_BYTES = 16;

/**
 * CRC-32 of zlib; `seed` is the checksum of the bytes before. `crc32` of `node:zlib` fits, and so
 * does `crc32Table`.
 */
export type Crc32 = (bytes: Uint8Array, seed?: number) => number;

/** What the producer of a batch decides. */
export interface BatchFields {
  readonly codec: Codec;
  /** Written by the broker itself; consumers skip it. */
  readonly isControl: boolean;
  /** Compaction took records out; absent: none. */
  readonly isSparse?: boolean;
  /** Last offset that the batch covers, minus the base offset. */
  readonly lastOffsetDelta: number;
  /** 1 to {@link RECORDS_PER_BATCH_MAX}; 0 only in a sparse batch. */
  readonly recordCount: number;
  /** Sequence of the first record, or {@link NO_SEQUENCE}. */
  readonly baseSequence: number;
  readonly baseTimestampMs: WallMs;
  readonly maxTimestampMs: WallMs;
  /** 0: none. */
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** A header as read. */
export interface BatchHeader extends BatchFields {
  readonly baseOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  /** Bytes of the frame, header included. */
  readonly length: number;
  readonly leaderCrc: number;
  /** The producer's, also in a sparse batch. */
  readonly crc: number;
  readonly isSparse: boolean;
  /** Of a control batch whose payload was read as well: see `control.ts`. */
  readonly dataEnd?: Offset | undefined;
  /** As `dataEnd`, of a trim: where the log is to begin. */
  readonly trimTo?: Offset | undefined;
  /** As `dataEnd`, of a compaction that is ordered. */
  readonly compaction?: CompactionMark | undefined;
}

/** The partition that a frame belongs to, as the leader's checksum covers it. */
export interface StampTarget {
  /** {@link TOPIC_ID_BYTES} bytes. */
  readonly topicIdBytes: Uint8Array;
  readonly partition: number;
}

/** Everything the leader stamps. */
export interface Stamp extends StampTarget {
  readonly baseOffset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

/** A frame found in a buffer. */
export interface FramePosition {
  /** First byte of the frame. */
  readonly at: number;
  readonly header: BatchHeader;
}

const AT_BASE_OFFSET = 0;
const AT_LEADER_EPOCH = 8;
const AT_LENGTH = 12;
const AT_LEADER_CRC = 16;
const AT_CRC = 20;
/** First byte under the producer's checksum. */
const AT_CHECKED = 24;
const AT_ATTRIBUTES = 25;
const AT_RESERVED = 26;
const AT_LAST_OFFSET_DELTA = 28;
const AT_RECORD_COUNT = 32;
const AT_BASE_SEQUENCE = 36;
const AT_BASE_TIMESTAMP = 40;
const AT_MAX_TIMESTAMP = 48;
const AT_PRODUCER_ID = 56;
const AT_PRODUCER_EPOCH = 64;

/**
 * A frame of these fields around a copy of `payload`; base offset, leader epoch and leader checksum
 * are zero. Throws BATCH_TOO_LARGE for a payload over {@link PAYLOAD_BYTES_MAX}.
 */
export function encodeFrame(fields: BatchFields, payload: Uint8Array, crc32: Crc32): Uint8Array {
  checkFrameBytes(HEADER_BYTES + payload.length, FRAME_BYTES_MAX);
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame.set(payload, HEADER_BYTES);
  sealFrame(frame, fields, crc32);
  return frame;
}

/**
 * Writes the header into `frame`, whose payload stands at {@link HEADER_BYTES} already:
 * {@link encodeFrame} without the copy. Throws BATCH_TOO_LARGE as that does.
 */
export function sealFrame(frame: Uint8Array, fields: BatchFields, crc32: Crc32): void {
  checkFrameBytes(frame.length, FRAME_BYTES_MAX);
  frame.fill(0, 0, HEADER_BYTES);
  writeU32(frame, AT_LENGTH, frame.length);
  frame[AT_CHECKED] = BATCH_VERSION;
  frame[AT_ATTRIBUTES] = attributesByte(fields);
  writeU32(frame, AT_LAST_OFFSET_DELTA, fields.lastOffsetDelta);
  writeU32(frame, AT_RECORD_COUNT, fields.recordCount);
  writeU32(frame, AT_BASE_SEQUENCE, fields.baseSequence);
  writeU64(frame, AT_BASE_TIMESTAMP, fields.baseTimestampMs);
  writeU64(frame, AT_MAX_TIMESTAMP, fields.maxTimestampMs);
  writeU64(frame, AT_PRODUCER_ID, fields.producerId);
  writeU32(frame, AT_PRODUCER_EPOCH, fields.producerEpoch);
  writeU32(frame, AT_CRC, crc32(frame.subarray(AT_CHECKED)));
  // What is written must be what a reader takes: relations between the fields are stated once,
  // there.
  readHeader(frame, 0);
}

/**
 * The header of the frame at byte `at`, its structure checked, its checksums not. Only the header
 * need be in the buffer. Throws CORRUPT_BATCH.
 */
export function readHeader(bytes: Uint8Array, at: number): BatchHeader {
  if (bytes.length - at < HEADER_BYTES)
    refuse(at, 'header bytes', bytes.length - at, `${HEADER_BYTES}`);
  const length = readU32(bytes, at + AT_LENGTH);
  if (length < HEADER_BYTES || length > FRAME_BYTES_MAX)
    refuse(at, 'length', length, `${HEADER_BYTES} to ${FRAME_BYTES_MAX}`);
  const version = bytes[at + AT_CHECKED] ?? 0;
  if (version !== BATCH_VERSION) refuseVersion(at, 'version', version, BATCH_VERSION);
  const attributes = bytes[at + AT_ATTRIBUTES] ?? 0;
  checkAttributes(at, attributes);
  checkReserved(at, readU16(bytes, at + AT_RESERVED));
  const recordCount = readU32(bytes, at + AT_RECORD_COUNT);
  const lastOffsetDelta = readU32(bytes, at + AT_LAST_OFFSET_DELTA);
  if (isSparse(attributes)) {
    checkSparse(bytes, at, { attributes, length, recordCount, lastOffsetDelta });
  } else {
    if (recordCount < 1 || recordCount > RECORDS_PER_BATCH_MAX)
      refuse(at, 'recordCount', recordCount, `1 to ${RECORDS_PER_BATCH_MAX}`);
    if (lastOffsetDelta !== recordCount - 1)
      refuse(
        at,
        'lastOffsetDelta',
        lastOffsetDelta,
        `${recordCount - 1} in a batch that is not sparse`,
      );
  }
  const baseOffset = readU64(bytes, at + AT_BASE_OFFSET);
  const baseOffsetMax = baseOffsetLimit(lastOffsetDelta);
  if (baseOffset > baseOffsetMax) refuse(at, 'baseOffset', baseOffset, `0 to ${baseOffsetMax}`);
  return {
    baseOffset,
    leaderEpoch: readU32(bytes, at + AT_LEADER_EPOCH),
    length,
    leaderCrc: readU32(bytes, at + AT_LEADER_CRC),
    crc: readU32(bytes, at + AT_CRC),
    codec: codecOf(attributes),
    isControl: isControl(attributes),
    isSparse: isSparse(attributes),
    lastOffsetDelta,
    recordCount,
    baseSequence: readU32(bytes, at + AT_BASE_SEQUENCE),
    baseTimestampMs: safeOrRefuse(at, 'baseTimestamp', readI64(bytes, at + AT_BASE_TIMESTAMP)),
    maxTimestampMs: safeOrRefuse(at, 'maxTimestamp', readI64(bytes, at + AT_MAX_TIMESTAMP)),
    producerId: safeOrRefuse(at, 'producerId', readU64(bytes, at + AT_PRODUCER_ID)),
    producerEpoch: readU32(bytes, at + AT_PRODUCER_EPOCH),
  };
}

interface SparseHeader {
  readonly attributes: number;
  readonly length: number;
  readonly recordCount: number;
  readonly lastOffsetDelta: number;
}

/**
 * A sparse batch is of the producer, less some records; or, as a header alone, a gap, which stands
 * for batches that are gone.
 */
function checkSparse(bytes: Uint8Array, at: number, header: SparseHeader): void {
  const { attributes, length, recordCount, lastOffsetDelta } = header;
  if (isControl(attributes)) refuse(at, 'control bit', 'set', 'clear in a sparse batch');
  if (recordCount > RECORDS_PER_BATCH_MAX)
    refuse(at, 'recordCount', recordCount, `0 to ${RECORDS_PER_BATCH_MAX} in a sparse batch`);
  if (lastOffsetDelta < recordCount - 1)
    refuse(at, 'lastOffsetDelta', lastOffsetDelta, `${recordCount - 1} or more in a sparse batch`);
  if (recordCount > 0) {
    if (length < SPARSE_HEADER_BYTES)
      refuse(at, 'length', length, `${SPARSE_HEADER_BYTES} or more in a sparse batch with records`);
    return;
  }
  if (codecOf(attributes) !== 0) refuse(at, 'codec', codecOf(attributes), '0 without records');
  if (length === SPARSE_HEADER_BYTES) return;
  if (length !== HEADER_BYTES)
    refuse(at, 'length', length, `${HEADER_BYTES} or ${SPARSE_HEADER_BYTES} without records`);
  const producerId = readU64(bytes, at + AT_PRODUCER_ID);
  if (producerId !== 0) refuse(at, 'producerId', producerId, '0 in a gap');
  const producerEpoch = readU32(bytes, at + AT_PRODUCER_EPOCH);
  if (producerEpoch !== 0) refuse(at, 'producerEpoch', producerEpoch, '0 in a gap');
  const baseSequence = readU32(bytes, at + AT_BASE_SEQUENCE);
  if (baseSequence !== NO_SEQUENCE)
    refuse(at, 'baseSequence', baseSequence, `${NO_SEQUENCE} (none) in a gap`);
}

/**
 * {@link readHeader}, and the checksum over the whole frame, which must be in the buffer: the
 * producer's, or, of a sparse batch, that of whoever took records out. Throws CORRUPT_BATCH.
 */
export function checkFrame(bytes: Uint8Array, at: number, crc32: Crc32): BatchHeader {
  const header = readHeader(bytes, at);
  if (bytes.length - at < header.length)
    refuse(at, 'frame bytes', bytes.length - at, `${header.length}`);
  if (header.isSparse && header.length > HEADER_BYTES) {
    checkRewrite(bytes, at, header.length, crc32);
    return header;
  }
  const crc = crc32(bytes.subarray(at + AT_CHECKED, at + header.length));
  if (crc !== header.crc) refuse(at, 'crc', header.crc, `${crc}, the checksum of the bytes`);
  return header;
}

const AT_REWRITE_CRC = HEADER_BYTES;

function checkRewrite(bytes: Uint8Array, at: number, length: number, crc32: Crc32): void {
  const rewriteCrc = readU32(bytes, at + AT_REWRITE_CRC);
  const crc = rewriteCrcOf(bytes, at, length, crc32);
  if (crc !== rewriteCrc) refuse(at, 'rewriteCrc', rewriteCrc, `${crc}, the checksum of the bytes`);
}

/** Of all but the leader's checksum and itself. */
function rewriteCrcOf(bytes: Uint8Array, at: number, length: number, crc32: Crc32): number {
  const place = crc32(bytes.subarray(at, at + AT_LEADER_CRC));
  const header = crc32(bytes.subarray(at + AT_CRC, at + HEADER_BYTES), place);
  return crc32(bytes.subarray(at + SPARSE_HEADER_BYTES, at + length), header);
}

/**
 * Finishes a sparse frame with records taken out: gives it the producer's checksum back, stamps its
 * place, and writes the checksum over both and what is left.
 */
export function sealRewritten(frame: Uint8Array, crc: number, stamp: Stamp, crc32: Crc32): void {
  writeU32(frame, AT_CRC, crc);
  stampFrame(frame, 0, stamp, crc32);
  writeU32(frame, AT_REWRITE_CRC, rewriteCrcOf(frame, 0, frame.length, crc32));
}

/** Bytes of the frame that precede its payload. */
export function payloadStart(header: BatchHeader): number {
  return header.isSparse && header.length > HEADER_BYTES ? SPARSE_HEADER_BYTES : HEADER_BYTES;
}

/**
 * Writes what the leader decides into the frame at `at`, in place, without touching what the
 * producer's checksum covers.
 */
export function stampFrame(bytes: Uint8Array, at: number, stamp: Stamp, crc32: Crc32): void {
  const baseOffsetMax = baseOffsetLimit(readU32(bytes, at + AT_LAST_OFFSET_DELTA));
  if (stamp.baseOffset > baseOffsetMax)
    assert(false, `baseOffset is ${stamp.baseOffset}, must be 0 to ${baseOffsetMax}`);
  writeU64(bytes, at + AT_BASE_OFFSET, stamp.baseOffset);
  writeU32(bytes, at + AT_LEADER_EPOCH, stamp.leaderEpoch);
  writeU32(bytes, at + AT_LEADER_CRC, leaderCrcOf(bytes, at, stamp, crc32));
}

/**
 * Whether the leader's checksum of the frame at `at` (a header is enough) belongs to this place in
 * this partition.
 */
export function isStamped(
  bytes: Uint8Array,
  at: number,
  target: StampTarget,
  crc32: Crc32,
): boolean {
  return (
    bytes.length - at >= HEADER_BYTES &&
    readU32(bytes, at + AT_LEADER_CRC) === leaderCrcOf(bytes, at, target, crc32)
  );
}

/** {@link isStamped} as a check. Throws CORRUPT_BATCH. */
export function checkStamp(bytes: Uint8Array, at: number, target: StampTarget, crc32: Crc32): void {
  if (isStamped(bytes, at, target, crc32)) return;
  const topicId = topicIdFromBytes(target.topicIdBytes);
  refuse(
    at,
    'leaderCrc',
    readU32(bytes, at + AT_LEADER_CRC),
    `the checksum of this place in ${topicId}/${target.partition}`,
  );
}

/**
 * The whole frames of a buffer, in order, structure checked. `rest` is the number of bytes after
 * the last whole frame: 0, or a frame that is still arriving. Throws CORRUPT_BATCH, and
 * BATCH_TOO_LARGE for a frame over `frameBytesMax`.
 */
export function splitFrames(
  bytes: Uint8Array,
  frameBytesMax: number = FRAME_BYTES_MAX,
): { readonly frames: readonly FramePosition[]; readonly rest: number } {
  const frames: FramePosition[] = [];
  let at = 0;
  while (bytes.length - at >= HEADER_BYTES) {
    const header = readHeader(bytes, at);
    checkFrameBytes(header.length, frameBytesMax);
    if (header.length > bytes.length - at) break;
    frames.push({ at, header });
    at += header.length;
  }
  return { frames, rest: bytes.length - at };
}

/** Offset after the last one that a batch covers. */
export function endOffsetOf({
  baseOffset,
  lastOffsetDelta,
}: Pick<BatchHeader, 'baseOffset' | 'lastOffsetDelta'>): Offset {
  return baseOffset + lastOffsetDelta + 1;
}

/**
 * What a leader asks of a client's batch beyond its structure, so that no client can write control
 * batches, leave gaps in the offsets, or confuse the producer window. Throws INVALID_ARGUMENT.
 */
export function checkClientBatch(header: BatchHeader): void {
  if (header.isControl) refuseClient('control bit', 'set', 'clear');
  if (header.isSparse) refuseClient('sparse bit', 'set', 'clear');
  if (header.lastOffsetDelta !== header.recordCount - 1) {
    refuseClient(
      'lastOffsetDelta',
      header.lastOffsetDelta,
      `recordCount - 1 (${header.recordCount - 1})`,
    );
  }
  if (header.maxTimestampMs < header.baseTimestampMs) {
    refuseClient(
      'maxTimestamp',
      header.maxTimestampMs,
      `baseTimestamp (${header.baseTimestampMs}) or more`,
    );
  }
  if (header.producerId !== 0) {
    if (header.baseSequence >= SEQUENCES) {
      refuseClient(
        'baseSequence',
        header.baseSequence,
        `below ${SEQUENCES} with producerId ${header.producerId}`,
      );
    }
  } else if (header.baseSequence !== NO_SEQUENCE) {
    refuseClient('baseSequence', header.baseSequence, `${NO_SEQUENCE} (none) without a producerId`);
  } else if (header.producerEpoch !== 0) {
    refuseClient('producerEpoch', header.producerEpoch, '0 without a producerId');
  }
}

/**
 * Sequence after a batch that covers `count` offsets (lastOffsetDelta + 1, never the record count)
 * from `base` on. Sequences wrap at 2^31.
 */
export function nextSequence(base: number, count: number): number {
  return (base + count) % SEQUENCES;
}

/**
 * Bytes of the frame at `at`. This and the next three allocate and check nothing: the header is in
 * the buffer and was checked.
 */
export function frameLength(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + AT_LENGTH);
}

/** Base offset of the frame at `at`. */
export function frameBaseOffset(bytes: Uint8Array, at: number): Offset {
  return readU64(bytes, at + AT_BASE_OFFSET);
}

/** Offset of the last record of the frame at `at`. */
export function frameLastOffset(bytes: Uint8Array, at: number): Offset {
  return readU64(bytes, at + AT_BASE_OFFSET) + readU32(bytes, at + AT_LAST_OFFSET_DELTA);
}

/** Leader epoch of the frame at `at`. */
export function frameEpoch(bytes: Uint8Array, at: number): LeaderEpoch {
  return readU32(bytes, at + AT_LEADER_EPOCH);
}

/**
 * A control batch: the one that a leader appends first in its epoch (rule 3), or, with `trimTo` or
 * `compaction`, what they say. It takes one offset and is stamped like any other frame.
 */
export function controlFrame(
  control: ControlContent & { readonly leaderEpoch: LeaderEpoch; readonly timestampMs: WallMs },
  crc32: Crc32,
): Uint8Array {
  const fields: BatchFields = {
    codec: 0,
    isControl: true,
    lastOffsetDelta: 0,
    recordCount: 1,
    baseSequence: NO_SEQUENCE,
    baseTimestampMs: control.timestampMs,
    maxTimestampMs: control.timestampMs,
    producerId: 0,
    producerEpoch: 0,
  };
  const frame = encodeFrame(fields, controlPayload(control), crc32);
  writeU32(frame, AT_LEADER_EPOCH, control.leaderEpoch);
  return frame;
}

/**
 * The header of the frame at `at`, which was read, with what its payload says where it is a control
 * batch. Throws CORRUPT_BATCH.
 */
export function withControl(bytes: Uint8Array, at: number, header: BatchHeader): BatchHeader {
  if (!header.isControl) return header;
  const payload = bytes.subarray(at + HEADER_BYTES, at + header.length);
  const control = readControl(payload, header.baseOffset);
  const { dataEnd } = control;
  if (control.kind === 'trim') return { ...header, dataEnd, trimTo: control.trimTo };
  if (control.kind === 'compaction') return { ...header, dataEnd, compaction: control.compaction };
  return { ...header, dataEnd };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The 16 bytes of a topic id, in the order in which it is written. Throws INVALID_ARGUMENT. */
export function topicIdToBytes(topicId: TopicId): Uint8Array {
  if (!UUID.test(topicId)) {
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `Cannot read topic id: it is "${topicId}", must be a UUID in lower case`,
    );
  }
  const digits = topicId.replaceAll('-', '');
  return Uint8Array.from({ length: TOPIC_ID_BYTES }, (_, index) =>
    Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16),
  );
}

/** The topic id of 16 bytes. Throws INVALID_ARGUMENT. */
export function topicIdFromBytes(bytes: Uint8Array): TopicId {
  if (bytes.length !== TOPIC_ID_BYTES) {
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `Cannot read topic id: it has ${bytes.length} bytes, must have ${TOPIC_ID_BYTES}`,
    );
  }
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join('-');
}

const AT_STAMP_CRC = 16;
const AT_STAMP_TOPIC = 20;
const AT_STAMP_PARTITION = 36;
/**
 * What the leader's checksum covers, gathered: one native call instead of three. Never read before
 * it is filled.
 */
const stampInput = new Uint8Array(40);

function leaderCrcOf(bytes: Uint8Array, at: number, target: StampTarget, crc32: Crc32): number {
  const { topicIdBytes, partition } = target;
  if (topicIdBytes.length !== TOPIC_ID_BYTES)
    assert(false, `topic id has ${topicIdBytes.length} bytes, must have ${TOPIC_ID_BYTES}`);
  for (let index = 0; index < AT_STAMP_CRC; index += 1) stampInput[index] = bytes[at + index] ?? 0;
  for (let index = 0; index < 4; index += 1)
    stampInput[AT_STAMP_CRC + index] = bytes[at + AT_CRC + index] ?? 0;
  for (let index = 0; index < TOPIC_ID_BYTES; index += 1)
    stampInput[AT_STAMP_TOPIC + index] = topicIdBytes[index] ?? 0;
  writeU32(stampInput, AT_STAMP_PARTITION, partition);
  return crc32(stampInput);
}

/** Largest base offset whose last record, and the end after it, are safe integers. */
function baseOffsetLimit(lastOffsetDelta: number): number {
  return Number.MAX_SAFE_INTEGER - 1 - lastOffsetDelta;
}

function safeOrRefuse(at: number, field: string, value: number): number {
  if (value < 0 || !Number.isSafeInteger(value))
    refuse(at, field, value, `0 to ${Number.MAX_SAFE_INTEGER}`);
  return value;
}

function checkFrameBytes(frameBytes: number, frameBytesMax: number): void {
  if (frameBytes <= frameBytesMax) return;
  throw new BrokerError(
    'BATCH_TOO_LARGE',
    `Cannot take batch: it has ${frameBytes} bytes, must have ${frameBytesMax} or fewer`,
  );
}

function refuseClient(field: string, value: number | string, allowed: string): never {
  throw new BrokerError(
    'INVALID_ARGUMENT',
    `Cannot append batch: ${field} is ${value}, must be ${allowed}`,
  );
}
