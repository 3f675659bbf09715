import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AssertionError } from '../../../../base/assert.ts';
import {
  readI64,
  readU16,
  readU32,
  readU64,
  writeU16,
  writeU32,
  writeU64,
} from '../../../../wire/batch/bytes.ts';

const offsets = fc.integer({ min: 0, max: 8 });

describe('readers', () => {
  test('agree with DataView on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), offsets, (bytes, at) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        expect(readU16(bytes, at)).toBe(view.getUint16(at, true));
        expect(readU32(bytes, at)).toBe(view.getUint32(at, true));
        const unsigned = view.getBigUint64(at, true);
        const signed = view.getBigInt64(at, true);
        expect(Number.isSafeInteger(readU64(bytes, at))).toBe(
          unsigned <= BigInt(Number.MAX_SAFE_INTEGER),
        );
        expect(readU64(bytes, at)).toBe(Number(unsigned));
        expect(readI64(bytes, at)).toBe(Number(signed));
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    { name: 'the largest safe integer', value: 2n ** 53n - 1n, safe: true },
    { name: 'the integer after it', value: 2n ** 53n, safe: false },
    { name: 'one that rounds down to a power of two', value: 2n ** 53n + 1n, safe: false },
    { name: 'the largest of 64 bits', value: 2n ** 64n - 1n, safe: false },
  ])('readU64() is a safe integer for exactly the safe ones: $name', ({ value, safe }) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    expect(Number.isSafeInteger(readU64(bytes, 0))).toBe(safe);
  });
});

describe('writers', () => {
  test('write what the readers read', () => {
    fc.assert(
      fc.property(
        fc.nat(0xffff),
        fc.nat(0xffff_ffff),
        fc.maxSafeNat(),
        offsets,
        (small, medium, large, at) => {
          const bytes = new Uint8Array(16);
          writeU16(bytes, at, small);
          expect(readU16(bytes, at)).toBe(small);
          writeU32(bytes, at, medium);
          expect(readU32(bytes, at)).toBe(medium);
          writeU64(bytes, at, large);
          expect(readU64(bytes, at)).toBe(large);
          expect(readI64(bytes, at)).toBe(large);
        },
      ),
    );
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 16])('writeU16() refuses %d', (value) => {
    expect(() => writeU16(new Uint8Array(8), 0, value)).toThrow(AssertionError);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 32])('writeU32() refuses %d', (value) => {
    expect(() => writeU32(new Uint8Array(8), 0, value)).toThrow(AssertionError);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('writeU64() refuses %d', (value) => {
    expect(() => writeU64(new Uint8Array(8), 0, value)).toThrow(AssertionError);
  });
});
