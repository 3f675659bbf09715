/** Records and logs for the tests of the client. */
import { crc32 } from 'node:zlib';
import { decodeBatch, encodeBatch } from '../../../wire/records/batch.ts';
import type { FakeCluster } from './fake-cluster.ts';

const utf8 = new TextDecoder();

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Of a tombstone: `(none)`. */
export function text(value: Uint8Array | null): string {
  return value === null ? '(none)' : utf8.decode(value);
}

/** A frame of these values from a producer without an id. */
export function frameOf(...values: string[]): Uint8Array {
  return encodeBatch(
    values.map((value) => ({ value: bytes(value), timestampMs: 1 })),
    { codec: 0 },
    crc32,
  );
}

/** Values in a partition's log, in order. */
export function logOf(cluster: FakeCluster, partition = 0): string[] {
  return cluster.partitions[partition]!.frames.flatMap((frame) =>
    decodeBatch(frame, 0, crc32).records.map(({ value }) => text(value)),
  );
}

/** `prefix`0 to `prefix`(count - 1). */
export function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}
