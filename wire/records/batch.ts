/**
 * Records to a batch frame and back: what a client does at both ends, and a broker for its plain
 * `Append` and `Read` calls.
 */

import { RECORDS_PER_BATCH_MAX } from '../../base/limits.ts';
import { assert } from '../../base/assert.ts';
import type { Codec } from '../batch/attributes.ts';
import {
  type BatchHeader,
  type Crc32,
  checkFrame,
  encodeFrame,
  HEADER_BYTES,
  NO_SEQUENCE,
  payloadStart,
  sealFrame,
  type StampTarget,
} from '../batch/frame.ts';
import { sparseFrame } from '../batch/sparse.ts';
import { compress, decompress } from './compression.ts';
import {
  type DecodedRecord,
  decodeRecordSet,
  encodeRecordSet,
  type RecordInput,
  RecordSetReader,
} from './record-set.ts';
import { thinRecordSet } from './thin.ts';

/** How a batch is encoded, and who produces it. */
export interface BatchOptions {
  /** Compression to try; a payload that it does not shrink goes out plain. */
  readonly codec: Codec;
  /** Whether each record gets a checksum of its own, which outlives compaction. Default false. */
  readonly recordCrc?: boolean;
  /** Absent: the batch is not idempotent. */
  readonly producer?: ProducerSequence | undefined;
}

/** Identity of an idempotent producer, and the sequence of the batch's first record. */
export interface ProducerSequence {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
}

/** A batch as decoded. `records` is empty for a control batch, and for one that lost them all. */
export interface DecodedBatch {
  readonly header: BatchHeader;
  readonly records: readonly DecodedRecord[];
}

const NO_PRODUCER: ProducerSequence = {
  producerId: 0,
  producerEpoch: 0,
  baseSequence: NO_SEQUENCE,
};

/**
 * One frame of 1 to {@link RECORDS_PER_BATCH_MAX} records, which keep their order. Throws
 * BATCH_TOO_LARGE or INVALID_ARGUMENT as {@link encodeRecordSet} does.
 */
export function encodeBatch(
  records: readonly RecordInput[],
  options: BatchOptions,
  crc32: Crc32,
): Uint8Array {
  const first = records[0];
  assert(
    first !== undefined && records.length <= RECORDS_PER_BATCH_MAX,
    `records is ${records.length}, must be 1 to ${RECORDS_PER_BATCH_MAX}`,
  );
  const fields = {
    codec: 0 as Codec,
    isControl: false,
    lastOffsetDelta: records.length - 1,
    recordCount: records.length,
    baseTimestampMs: first.timestampMs,
    maxTimestampMs: records.reduce((max, record) => Math.max(max, record.timestampMs), 0),
    ...(options.producer ?? NO_PRODUCER),
  };
  const plain = encodeRecordSet(records, first.timestampMs, HEADER_BYTES, options.recordCrc);
  if (options.codec !== 0) {
    const payload = compress(plain.subarray(HEADER_BYTES), options.codec);
    if (payload.length < plain.length - HEADER_BYTES)
      return encodeFrame({ ...fields, codec: options.codec }, payload, crc32);
  }
  sealFrame(plain, fields, crc32);
  return plain;
}

/** A batch whose records are still to be read. `records` is null for a control batch. */
export interface OpenedBatch {
  readonly header: BatchHeader;
  readonly records: RecordSetReader | null;
}

/**
 * The frame at byte `at`, its producer's checksum checked. Records are views of `bytes` unless they
 * were compressed. Throws CORRUPT_BATCH, and BATCH_TOO_LARGE for a payload that decompresses beyond
 * the limit of the format.
 */
export function decodeBatch(bytes: Uint8Array, at: number, crc32: Crc32): DecodedBatch {
  const { header, payload } = unpack(bytes, at, crc32);
  return { header, records: payload === null ? [] : decodeRecordSet(payload, header) };
}

/**
 * As {@link decodeBatch}, for whoever takes the records one by one: they are checked only as they
 * are read.
 */
export function openBatch(bytes: Uint8Array, at: number, crc32: Crc32): OpenedBatch {
  const { header, payload } = unpack(bytes, at, crc32);
  return { header, records: payload === null ? null : new RecordSetReader(payload, header) };
}

/** The header, and the payload decompressed; null for a control batch. */
function unpack(
  bytes: Uint8Array,
  at: number,
  crc32: Crc32,
): { readonly header: BatchHeader; readonly payload: Uint8Array | null } {
  const header = checkFrame(bytes, at, crc32);
  if (header.isControl) return { header, payload: null };
  const stored = bytes.subarray(at + payloadStart(header), at + header.length);
  return { header, payload: decompress(stored, header.codec) };
}

/**
 * The sparse frame that is left of the batch at byte `at` when only the records that `keep` holds
 * for stay. Their bytes are copied, not encoded anew: what this build does not know of them stays.
 * Throws as {@link decodeBatch} does.
 */
export function thinBatch(
  bytes: Uint8Array,
  at: number,
  keep: (record: DecodedRecord) => boolean,
  target: StampTarget,
  crc32: Crc32,
): Uint8Array {
  const { header, payload } = unpack(bytes, at, crc32);
  assert(payload !== null, 'a control batch is never thinned');
  const left = thinRecordSet(payload, header, keep);
  const packed = left.recordCount === 0 ? left.payload : compress(left.payload, header.codec);
  const isSmaller = packed.length < left.payload.length;
  const content = isSmaller
    ? { ...left, codec: header.codec, payload: packed }
    : { ...left, codec: 0 as const };
  return sparseFrame(header, content, target, crc32);
}
