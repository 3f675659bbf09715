/**
 * The attributes of a batch: one byte that says how the payload is to be read. Pure. Every bit and
 * every value that this build does not know is refused by its name: to pass over one would be to
 * read records that are not there.
 */
import { refuse } from './refusal.ts';

/** Compression of the payload: 0 none, 1 gzip, 2 zstd. 3 (snappy) and 4 (lz4) are reserved. */
export type Codec = 0 | 1 | 2;

/** What the attributes say. */
export interface Attributes {
  readonly codec: Codec;
  /** Written by the broker itself; consumers skip it. */
  readonly isControl: boolean;
  /** Compaction took records out: offsets may be missing before, between and after its records. */
  readonly isSparse: boolean;
}

const CODEC_BITS = 0b0000_0111;
const CONTROL_BIT = 0b0000_1000;
const SPARSE_BIT = 0b0001_0000;
const PAYLOAD_KIND_SHIFT = 5;
const PAYLOAD_KIND_BITS = 0b11;
const UNKNOWN_BIT = 7;

const CODEC_MAX = 2;
const CODEC_NAMES = ['none', 'gzip', 'zstd', 'snappy, reserved', 'lz4, reserved'];
/** 0 is a `RecordSet`; a Kafka batch would be carried as it is. */
const PAYLOAD_KIND_NAMES = ['records', 'a Kafka record batch, reserved'];

/** The byte that {@link readAttributes} reads. */
export function attributesByte(
  attributes: Omit<Attributes, 'isSparse'> & { readonly isSparse?: boolean },
): number {
  const { codec, isControl, isSparse = false } = attributes;
  return codec | (isControl ? CONTROL_BIT : 0) | (isSparse ? SPARSE_BIT : 0);
}

/** Throws CORRUPT_BATCH, with the name of the bit or value, for the frame at byte `at`. */
export function checkAttributes(at: number, byte: number): void {
  // One comparison passes what nearly all batches have.
  if (byte <= (SPARSE_BIT | CONTROL_BIT | CODEC_BITS) && (byte & CODEC_BITS) <= CODEC_MAX) return;
  const codec = byte & CODEC_BITS;
  if (codec > CODEC_MAX)
    refuse(at, 'codec', named(codec, CODEC_NAMES), '0 (none), 1 (gzip) or 2 (zstd)');
  const kind = (byte >> PAYLOAD_KIND_SHIFT) & PAYLOAD_KIND_BITS;
  if (kind !== 0) refuse(at, 'payload kind', named(kind, PAYLOAD_KIND_NAMES), '0 (records)');
  refuse(at, `attribute bit ${UNKNOWN_BIT}`, 'set', 'clear: this build does not know it');
}

/** Throws CORRUPT_BATCH for reserved bits that are set, by their numbers. */
export function checkReserved(at: number, reserved: number): void {
  if (reserved === 0) return;
  const bit = 31 - Math.clz32(reserved);
  refuse(at, `reserved bit ${bit}`, 'set', 'clear: this build does not know it');
}

/** Of a byte that was checked. */
export function codecOf(byte: number): Codec {
  return (byte & CODEC_BITS) as Codec;
}

/** Of a byte that was checked. */
export function isControl(byte: number): boolean {
  return (byte & CONTROL_BIT) !== 0;
}

/** Of a byte that was checked. */
export function isSparse(byte: number): boolean {
  return (byte & SPARSE_BIT) !== 0;
}

function named(value: number, names: readonly string[]): string {
  return `${value} (${names[value] ?? 'unknown'})`;
}
