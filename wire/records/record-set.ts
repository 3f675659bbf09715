/**
 * `tidemark.v1.RecordSet` on the wire, written by hand because this is the client's hot path:
 * encoded into one buffer with one allocation, decoded into views of the payload. Byte for byte
 * what generated code writes, and tested against it. Must not know frames' bytes or compression.
 * Source: the Protocol Buffers encoding guide.
 */

import { BrokerError } from '../../base/errors.ts';
import type { Offset, WallMs } from '../../base/units.ts';
import { PAYLOAD_BYTES_MAX } from '../batch/frame.ts';
import { writeU32 } from '../batch/bytes.ts';
import { recordCrc } from './record-crc.ts';
import { WireReader } from './wire-reader.ts';

/** A named value beside a record's own. */
export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array;
}

/** A record to encode. */
export interface RecordInput {
  /** Absent and empty are different keys. */
  readonly key?: Uint8Array | undefined;
  /** Null: a tombstone, which has no value, not even an empty one. */
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[] | undefined;
  readonly timestampMs: WallMs;
}

/**
 * A record as decoded. Its arrays are views of the payload and keep all of it alive: copy what
 * outlives the batch.
 */
export interface DecodedRecord {
  readonly offset: Offset;
  readonly timestampMs: WallMs;
  readonly key: Uint8Array | undefined;
  /** Null: a tombstone, which has no value, not even an empty one. */
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

/** What a payload's records count from. A batch header is one. */
export interface RecordSetOrigin {
  readonly baseOffset: Offset;
  readonly baseTimestampMs: WallMs;
  /** Records that the payload must hold. */
  readonly recordCount: number;
  /** Last offset that they may have, minus the base offset. */
  readonly lastOffsetDelta: number;
  /** Whether offsets may be missing between them. */
  readonly isSparse: boolean;
}

// A tag is the field's number times 8, plus 2 for bytes or 0 for a varint. All of them fit one
// byte.
const TAG_RECORD = 0x0a;
const TAG_KEY = 0x0a;
const TAG_VALUE = 0x12;
const TAG_HEADERS = 0x1a;
const TAG_TIMESTAMP_DELTA = 0x20;
const TAG_TOMBSTONE = 0x28;
const TAG_CRC = 0x35;
export const TAG_OFFSET_GAP = 0x38;
const TAG_HEADER_KEY = 0x0a;
const TAG_HEADER_VALUE = 0x12;

/** Tag and `true`. */
const TOMBSTONE_BYTES = 2;
/** Tag and checksum. */
const CRC_BYTES = 5;
/** Most bytes that a checksum of its own adds to a record: its length may take one byte more. */
export const RECORD_CRC_BYTES_MAX = CRC_BYTES + 1;
/** A zigzag varint of any difference of two safe integers of 0 or more: 54 bits in groups of 7. */
const TIMESTAMP_DELTA_BYTES_MAX = 8;

const EMPTY = new Uint8Array(0);
const NO_HEADERS: readonly RecordHeader[] = [];

/**
 * The serialized set, preceded by `headroomBytes` of zeros where a frame's header can be written
 * without a copy. Throws BATCH_TOO_LARGE over {@link PAYLOAD_BYTES_MAX}, and INVALID_ARGUMENT for a
 * timestamp that is no safe integer of 0 or more.
 */
export function encodeRecordSet(
  records: readonly RecordInput[],
  baseTimestampMs: WallMs,
  headroomBytes = 0,
  hasCrc = false,
): Uint8Array {
  const crcBytes = hasCrc ? CRC_BYTES : 0;
  let payloadBytes = 0;
  for (const record of records)
    payloadBytes += fieldBytes(
      crcBytes + bodyBytes(record, deltaBytes(timestampDelta(record, baseTimestampMs))),
    );
  if (payloadBytes > PAYLOAD_BYTES_MAX) {
    throw new BrokerError(
      'BATCH_TOO_LARGE',
      `Cannot encode batch: its records have ${payloadBytes} bytes, must have ${PAYLOAD_BYTES_MAX} or fewer`,
    );
  }
  const out = new Uint8Array(headroomBytes + payloadBytes);
  let at = headroomBytes;
  for (const record of records)
    at = writeRecord(out, at, record, record.timestampMs - baseTimestampMs, crcBytes);
  return out;
}

/**
 * Most bytes that the record can add to a set, whatever the base timestamp. At most 10 more than it
 * does add; its checksum, where it gets one, is not counted.
 */
export function recordBytes(record: RecordInput): number {
  return fieldBytes(bodyBytes(record, 1 + TIMESTAMP_DELTA_BYTES_MAX));
}

/**
 * The records of an uncompressed payload, one after the other: a few bytes can hold a million of
 * them, whose objects take a hundred times as much. Unknown fields are skipped, as generated code
 * does. Allocates in proportion to the payload, never to a length that it claims.
 */
export class RecordSetReader {
  readonly #payloadBytes: number;
  readonly #origin: RecordSetOrigin;
  readonly #reader: WireReader;
  #count = 0;
  #nextOffset: Offset;
  #bodyStart = 0;

  constructor(payload: Uint8Array, origin: RecordSetOrigin) {
    this.#payloadBytes = payload.length;
    this.#origin = origin;
    this.#reader = new WireReader(payload);
    this.#nextOffset = origin.baseOffset;
  }

  /** Where in the payload the message of the record that was read last begins. */
  get bodyStart(): number {
    return this.#bodyStart;
  }

  /** Where it ends. */
  get bodyEnd(): number {
    return this.#reader.at;
  }

  /**
   * The next record; null when there are no more. Throws CORRUPT_BATCH for anything malformed, and
   * where the payload holds more records than it must, or fewer.
   */
  next(): DecodedRecord | null {
    const reader = this.#reader;
    const { recordCount } = this.#origin;
    while (reader.at < this.#payloadBytes) {
      const tag = reader.tag();
      if (tag !== TAG_RECORD) {
        reader.skip(tag);
        continue;
      }
      if (this.#count === recordCount)
        refuse('record count', `more than ${recordCount}`, `${recordCount}`);
      this.#count += 1;
      const end = reader.fieldEnd(this.#payloadBytes);
      this.#bodyStart = reader.at;
      const record = readRecord(reader, end, this.#nextOffset, this.#origin);
      this.#nextOffset = record.offset + 1;
      return record;
    }
    if (this.#count !== recordCount) refuse('record count', `${this.#count}`, `${recordCount}`);
    return null;
  }
}

/** A record of a set out of the bytes of its message, which state no offset gap, and that gap. */
export function recordField(body: Uint8Array, offsetGap: number): Uint8Array {
  const gapBytes = offsetGap === 0 ? 0 : 1 + varintBytes(offsetGap);
  const out = new Uint8Array(fieldBytes(body.length + gapBytes));
  out[0] = TAG_RECORD;
  const at = writeVarint(out, 1, body.length + gapBytes);
  out.set(body, at);
  if (offsetGap === 0) return out;
  out[at + body.length] = TAG_OFFSET_GAP;
  writeVarint(out, at + body.length + 1, offsetGap);
  return out;
}

/** All records of an uncompressed payload. Throws as {@link RecordSetReader.next} does. */
export function decodeRecordSet(payload: Uint8Array, origin: RecordSetOrigin): DecodedRecord[] {
  const reader = new RecordSetReader(payload, origin);
  const records: DecodedRecord[] = [];
  for (let record = reader.next(); record !== null; record = reader.next()) records.push(record);
  return records;
}

function timestampDelta(record: RecordInput, baseTimestampMs: WallMs): number {
  const { timestampMs } = record;
  if (timestampMs >= 0 && Number.isSafeInteger(timestampMs)) return timestampMs - baseTimestampMs;
  throw new BrokerError(
    'INVALID_ARGUMENT',
    `Cannot encode record: timestamp is ${timestampMs}, must be 0 to ${Number.MAX_SAFE_INTEGER}`,
  );
}

/** Bytes of a record's message; `timestampBytes` are those of its timestamp field, tag included. */
function bodyBytes(record: RecordInput, timestampBytes: number): number {
  const { key, value, headers } = record;
  let bytes = timestampBytes;
  if (key !== undefined) bytes += fieldBytes(key.length);
  if (value === null) bytes += TOMBSTONE_BYTES;
  else if (value.length > 0) bytes += fieldBytes(value.length);
  if (headers !== undefined) for (const header of headers) bytes += fieldBytes(headerBytes(header));
  return bytes;
}

function headerBytes(header: RecordHeader): number {
  const { key, value } = header;
  return (
    (key.length > 0 ? fieldBytes(utf8Bytes(key)) : 0) +
    (value.length > 0 ? fieldBytes(value.length) : 0)
  );
}

/** Bytes of a field of `length` bytes: tag, length, content. */
function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

/** Bytes of the timestamp field, tag included; zero is left out, as proto3 does. */
function deltaBytes(delta: number): number {
  return delta === 0
    ? 0
    : 1 + (isSmall(delta) ? varintBytes(zigzag(delta)) : bigVarintBytes(bigZigzag(delta)));
}

function writeRecord(
  out: Uint8Array,
  start: number,
  record: RecordInput,
  delta: number,
  crcBytes: number,
): number {
  const { key, value, headers } = record;
  out[start] = TAG_RECORD;
  let at = writeVarint(out, start + 1, crcBytes + bodyBytes(record, deltaBytes(delta)));
  if (key !== undefined) at = writeBytes(out, at, TAG_KEY, key);
  if (value !== null && value.length > 0) at = writeBytes(out, at, TAG_VALUE, value);
  if (headers !== undefined) for (const header of headers) at = writeHeader(out, at, header);
  if (delta !== 0) {
    out[at] = TAG_TIMESTAMP_DELTA;
    at = isSmall(delta)
      ? writeVarint(out, at + 1, zigzag(delta))
      : writeBigVarint(out, at + 1, bigZigzag(delta));
  }
  if (value === null) {
    out[at] = TAG_TOMBSTONE;
    out[at + 1] = 1;
    at += TOMBSTONE_BYTES;
  }
  if (crcBytes === 0) return at;
  out[at] = TAG_CRC;
  writeU32(out, at + 1, recordCrc(record));
  return at + CRC_BYTES;
}

function writeHeader(out: Uint8Array, start: number, header: RecordHeader): number {
  const { key, value } = header;
  out[start] = TAG_HEADERS;
  let at = writeVarint(out, start + 1, headerBytes(header));
  if (key.length > 0) at = writeString(out, at, TAG_HEADER_KEY, key);
  return value.length > 0 ? writeBytes(out, at, TAG_HEADER_VALUE, value) : at;
}

function writeBytes(out: Uint8Array, start: number, tag: number, bytes: Uint8Array): number {
  out[start] = tag;
  const at = writeVarint(out, start + 1, bytes.length);
  out.set(bytes, at);
  return at + bytes.length;
}

const utf8Encoder = new TextEncoder();

function writeString(out: Uint8Array, start: number, tag: number, text: string): number {
  out[start] = tag;
  const bytes = utf8Bytes(text);
  const at = writeVarint(out, start + 1, bytes);
  if (bytes === text.length) {
    for (let index = 0; index < bytes; index += 1) out[at + index] = text.charCodeAt(index);
  } else {
    utf8Encoder.encodeInto(text, out.subarray(at, at + bytes));
  }
  return at + bytes;
}

/** Bytes of the text in UTF-8; a lone surrogate becomes U+FFFD, as `TextEncoder` writes it. */
function utf8Bytes(text: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return Buffer.byteLength(text);
  }
  return text.length;
}

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/** `value` is 0 to 2^32 - 1. */
function writeVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7f) {
    out[at] = (rest & 0x7f) | 0x80;
    at += 1;
    rest >>>= 7;
  }
  out[at] = rest;
  return at + 1;
}

/** Whether the number fits 32 bits, so that its zigzag form needs no BigInt. */
function isSmall(value: number): boolean {
  return value === (value | 0);
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

function bigZigzag(value: number): bigint {
  return value < 0 ? BigInt(value) * -2n - 1n : BigInt(value) * 2n;
}

function bigVarintBytes(value: bigint): number {
  let bytes = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes += 1;
  return bytes;
}

function writeBigVarint(out: Uint8Array, start: number, value: bigint): number {
  let at = start;
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n, at += 1) out[at] = Number(rest & 0x7fn) | 0x80;
  out[at] = Number(rest);
  return at + 1;
}

function readRecord(
  reader: WireReader,
  end: number,
  nextOffset: Offset,
  origin: RecordSetOrigin,
): DecodedRecord {
  let key: Uint8Array | undefined;
  let value: Uint8Array = EMPTY;
  let headers: RecordHeader[] | undefined;
  let delta = 0;
  let isTombstone = false;
  let crc: number | undefined;
  let gap = 0;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === TAG_VALUE) value = reader.view(end);
    else if (tag === TAG_KEY) key = reader.view(end);
    else if (tag === TAG_TIMESTAMP_DELTA) delta = reader.sint64();
    else if (tag === TAG_HEADERS) (headers ??= []).push(readHeader(reader, reader.fieldEnd(end)));
    else if (tag === TAG_TOMBSTONE) isTombstone = reader.bool();
    else if (tag === TAG_CRC) crc = reader.fixed32();
    else if (tag === TAG_OFFSET_GAP) gap = reader.uint64();
    else reader.skip(tag);
  }
  reader.checkEnd(end);
  const timestampMs = origin.baseTimestampMs + delta;
  if (timestampMs < 0 || !Number.isSafeInteger(timestampMs))
    refuse('timestamp', `${timestampMs}`, `0 to ${Number.MAX_SAFE_INTEGER}`);
  if (isTombstone && value.length > 0)
    refuse('value', `${value.length} bytes`, 'empty in a tombstone');
  const record: DecodedRecord = {
    offset: nextOffset + gap,
    timestampMs,
    key,
    value: isTombstone ? null : value,
    headers: headers ?? NO_HEADERS,
  };
  if (gap !== 0 || origin.isSparse) checkGap(gap, nextOffset, origin);
  if (crc !== undefined) checkCrc(record, crc);
  return record;
}

/** No record lies past the last offset of its batch. */
function checkGap(gap: number, nextOffset: Offset, origin: RecordSetOrigin): void {
  const { baseOffset, lastOffsetDelta, isSparse } = origin;
  const gapMax = isSparse ? baseOffset + lastOffsetDelta - nextOffset : 0;
  if (gap > gapMax) refuse('offset gap', `${gap}`, `${gapMax} or less here`);
}

function checkCrc(record: DecodedRecord, crc: number): void {
  const found = recordCrc(record);
  if (found !== crc) refuse('record crc', `${crc}`, `${found}, the checksum of the record`);
}

function readHeader(reader: WireReader, end: number): RecordHeader {
  let key = '';
  let value: Uint8Array = EMPTY;
  while (reader.at < end) {
    const tag = reader.tag();
    if (tag === TAG_HEADER_KEY) key = reader.text(end);
    else if (tag === TAG_HEADER_VALUE) value = reader.view(end);
    else reader.skip(tag);
  }
  reader.checkEnd(end);
  return { key, value };
}

function refuse(field: string, value: string, allowed: string): never {
  throw new BrokerError(
    'CORRUPT_BATCH',
    `Cannot decode records: ${field} is ${value}, must be ${allowed}`,
  );
}
