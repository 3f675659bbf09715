import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyHash, partitionForKey } from '../../../../wire/batch/key-hash.ts';

/** The text of FORMAT.md, in BigInt. */
function obviousHash(key: Uint8Array): number {
  const mask = 0xffff_ffffn;
  let hash = 0x811c9dc5n;
  for (const byte of key) hash = ((hash ^ BigInt(byte)) * 0x01000193n) & mask;
  hash = ((hash ^ (hash >> 16n)) * 0x85ebca6bn) & mask;
  hash = ((hash ^ (hash >> 13n)) * 0xc2b2ae35n) & mask;
  return Number(hash ^ (hash >> 16n));
}

test('keyHash() equals the definition for any key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (key) => {
      expect(keyHash(key)).toBe(obviousHash(key));
    }),
  );
});

describe('partitionForKey()', () => {
  test('stays below the number of partitions', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 100_000 }), (key, partitions) => {
        const partition = partitionForKey(key, partitions);
        expect(partition).toBeGreaterThanOrEqual(0);
        expect(partition).toBeLessThan(partitions);
      }),
    );
  });

  test('spreads consecutive keys evenly: each of 16 partitions gets 1000 of 16000, within 15 %', () => {
    const counts = new Array<number>(16).fill(0);
    for (let id = 0; id < 16_000; id += 1) {
      const partition = partitionForKey(new TextEncoder().encode(`user-${id}`), 16);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1150);
  });

  test.each([0, -1, 1.5, Number.NaN])('refuses %d partitions', (partitions) => {
    expect(() => partitionForKey(new Uint8Array(1), partitions)).toThrow(
      `partitions is ${partitions}, must be 1 or more`,
    );
  });
});
