/**
 * Checksum of one record, of what its producer wrote: the only one from end to end once compaction
 * has taken its neighbours. FORMAT.md has the bytes that it covers; they are the same whatever
 * encoder wrote the record.
 */
import { crc32 } from 'node:zlib';
import { writeU32, writeU64 } from '../batch/bytes.ts';
import type { WallMs } from '../../base/units.ts';

/** What a producer wrote. */
interface Content {
  readonly key?: Uint8Array | undefined;
  readonly value: Uint8Array | null;
  readonly headers?: readonly { readonly key: string; readonly value: Uint8Array }[] | undefined;
  readonly timestampMs: WallMs;
}

/** Length of what is absent. */
const ABSENT = 0xffff_ffff;
const EMPTY = new Uint8Array(0);

const utf8 = new TextEncoder();

export function recordCrc({ timestampMs, key, value, headers = [] }: Content): number {
  const timestamp = new Uint8Array(8);
  writeU64(timestamp, 0, timestampMs);
  let crc = add(add(crc32(timestamp), key ?? null), value);
  for (const header of headers) crc = add(add(crc, utf8.encode(header.key)), header.value);
  return crc;
}

/** Of the length and the bytes, after what came before. */
function add(before: number, bytes: Uint8Array | null): number {
  const length = new Uint8Array(4);
  writeU32(length, 0, bytes?.length ?? ABSENT);
  return crc32(bytes ?? EMPTY, crc32(length, before));
}
