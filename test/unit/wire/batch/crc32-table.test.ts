import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32Table } from '../../../../wire/batch/crc32-table.ts';

test('crc32Table() gives the check value of the CRC catalogue', () => {
  expect(crc32Table(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
});

test('crc32Table() equals the native checksum for any bytes and seed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(0xffff_ffff), (bytes, seed) => {
      expect(crc32Table(bytes)).toBe(crc32(bytes));
      expect(crc32Table(bytes, seed)).toBe(crc32(bytes, seed));
    }),
    { numRuns: 500 },
  );
});
