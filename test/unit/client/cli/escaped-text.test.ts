import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, textOf } from '../../../../client/cli/escaped-text.ts';

describe('textOf() and bytesOf()', () => {
  it('give any bytes back', () => {
    // Bytes that begin, go on with or end a sequence, often enough to make valid ones too.
    const byte = fc.constantFrom(
      0x00,
      0x41,
      0x80,
      0xa0,
      0xbf,
      0xc3,
      0xe2,
      0x82,
      0xed,
      0xf0,
      0x9f,
      0xff,
    );
    const text = fc.string({ unit: 'binary' }).map((value) => [...Buffer.from(value)]);
    const parts = fc
      .array(fc.oneof(fc.array(byte), text))
      .map((all) => Uint8Array.from(all.flat()));
    fc.assert(
      fc.property(parts, (bytes) => {
        expect(Buffer.from(bytesOf(textOf(bytes)))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it('keep what is UTF-8 around a byte that is not', () => {
    const text = textOf(
      Buffer.concat([Buffer.from('Größe '), Buffer.of(0xfc), Buffer.from(' 水')]),
    );
    expect(text).toBe('Größe \udcfc 水');
  });
});
