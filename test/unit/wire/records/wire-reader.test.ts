import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WireReader } from '../../../../wire/records/wire-reader.ts';

describe('WireReader.sint64()', () => {
  test('reads what the library writes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: -300, max: 300 }), fc.maxSafeInteger()), (value) => {
        const reader = new WireReader(new BinaryWriter().sint64(value).finish());
        expect(reader.sint64()).toBe(value);
      }),
      { numRuns: 500 },
    );
  });

  test('is no safe integer for what is none', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const read = new WireReader(new BinaryWriter().sint64(value).finish()).sint64();
        expect(read).toBe(Number(value));
      }),
    );
  });

  test('refuses to read past the end', () => {
    expect(() => new WireReader(new Uint8Array(0)).sint64()).toThrow(
      'number ends at byte 0, where the payload ends',
    );
  });
});

test('WireReader.text() reads what the library writes, byte-order marks included', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.string({ maxLength: 60 }),
    fc.constant('\ufeffmark'),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const bytes = new BinaryWriter().string(text).finish();
      expect(new WireReader(bytes).text(bytes.length)).toBe(text);
    }),
    { numRuns: 300 },
  );
});

test('WireReader.view() of an empty field keeps no buffer alive', () => {
  const bytes = Uint8Array.of(0, 1);
  expect(new WireReader(bytes).view(2).buffer).not.toBe(bytes.buffer);
});
