/**
 * Which partition a key belongs to. Pure, and part of the format (FORMAT.md): a client in another
 * language must choose the same partition, so this never changes.
 */

import { assert } from '../../base/assert.ts';

/**
 * Hash of a key, 0 to 2^32 - 1: FNV-1a over its bytes, then the finalizer of MurmurHash3. FNV alone
 * leaves the low bits, which the remainder looks at, badly mixed for short keys; the finalizer
 * spreads every bit over all others.
 */
export function keyHash(key: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1)
    hash = Math.imul(hash ^ (key[index] ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * Partition of a key among `partitions`, which is 1 or more. The empty key has a partition; an
 * absent key has none.
 */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  assert(
    Number.isInteger(partitions) && partitions >= 1,
    `partitions is ${partitions}, must be 1 or more`,
  );
  return keyHash(key) % partitions;
}
