import { expect, test } from 'vitest';
import {
  attributesByte,
  checkAttributes,
  checkReserved,
  codecOf,
  isControl,
  isSparse,
} from '../../../../wire/batch/attributes.ts';

test('every byte is read back from what was written, or refused by the name of what is unknown', () => {
  const known = new Set<number>();
  for (const codec of [0, 1, 2] as const) {
    for (const control of [false, true]) {
      for (const sparse of [false, true]) {
        const byte = attributesByte({ codec, isControl: control, isSparse: sparse });
        known.add(byte);
        expect([codecOf(byte), isControl(byte), isSparse(byte)]).toEqual([codec, control, sparse]);
      }
    }
  }
  expect(known.size).toBe(12);
  for (let byte = 0; byte < 256; byte += 1) {
    const check = () => checkAttributes(7, byte);
    if (known.has(byte)) expect(check).not.toThrow();
    else
      expect(check).toThrow(
        /^Cannot read batch at byte 7: (codec is [3-7] |payload kind is [1-3] |attribute bit 7 is set)/,
      );
  }
});

test.each([
  { byte: 3, fault: 'codec is 3 (snappy, reserved), must be 0 (none), 1 (gzip) or 2 (zstd)' },
  { byte: 4, fault: 'codec is 4 (lz4, reserved), must be 0 (none), 1 (gzip) or 2 (zstd)' },
  { byte: 5, fault: 'codec is 5 (unknown), must be 0 (none), 1 (gzip) or 2 (zstd)' },
  {
    byte: 0x20,
    fault: 'payload kind is 1 (a Kafka record batch, reserved), must be 0 (records)',
  },
  { byte: 0x40, fault: 'payload kind is 2 (unknown), must be 0 (records)' },
  {
    byte: 0x80,
    fault: 'attribute bit 7 is set, must be clear: this build does not know it',
  },
])('$byte is refused: $fault', ({ byte, fault }) => {
  expect(() => checkAttributes(0, byte)).toThrow(`Cannot read batch at byte 0: ${fault}`);
});

test('reserved bits are refused by their number', () => {
  expect(() => checkReserved(0, 0)).not.toThrow();
  for (let bit = 0; bit < 16; bit += 1)
    expect(() => checkReserved(0, 1 << bit)).toThrow(`reserved bit ${bit} is set, must be clear`);
});
