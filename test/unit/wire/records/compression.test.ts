import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { compress, decompress } from '../../../../wire/records/compression.ts';

const CODECS = [0, 1, 2] as const;
const COMPRESSORS = [
  { name: 'gzip', codec: 1, run: gzipSync },
  { name: 'zstd', codec: 2, run: zstdCompressSync },
] as const;

test.each(CODECS)('decompress() undoes compress() with codec %d', (codec) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(3), (piece, repeats) => {
      const payload = Uint8Array.from(
        { length: piece.length * repeats },
        (_, index) => piece[index % piece.length] ?? 0,
      );
      expect(Uint8Array.from(decompress(compress(payload, codec), codec))).toEqual(payload);
    }),
  );
});

test('compress() and decompress() hand codec 0 through without a copy', () => {
  const payload = Uint8Array.of(1, 2, 3);
  expect(compress(payload, 0)).toBe(payload);
  expect(decompress(payload, 0)).toBe(payload);
});

describe('decompress()', () => {
  test.each(CODECS)('takes exactly the limit and refuses one more byte with codec %d', (codec) => {
    const payload = compress(new Uint8Array(5000), codec);
    expect(decompress(payload, codec, 5000).length).toBe(5000);
    expect(() => decompress(payload, codec, 4999)).toThrow(
      new BrokerError(
        'BATCH_TOO_LARGE',
        'Cannot decompress batch: it has more than 4999 bytes, must have 4999 or fewer',
      ),
    );
  });

  test.each(COMPRESSORS)('stops a bomb of $name at the limit of the format', ({ codec, run }) => {
    const bomb = run(new Uint8Array(32 * 1024 * 1024));
    expect(() => decompress(bomb, codec)).toThrow(
      'it has more than 8388540 bytes, must have 8388540 or fewer',
    );
  });

  test('refuses a zstd window beyond 8 MiB before it is allocated', () => {
    // Magic; no flags; window of 2^27 bytes (RFC 8878, 3.1.1.1.2); an empty last block.
    const frame = (windowDescriptor: number) =>
      Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, windowDescriptor, 1, 0, 0);
    expect(decompress(frame(13 << 3), 2).length).toBe(0);
    expect(() => decompress(frame(17 << 3), 2)).toThrow('Cannot decompress batch with zstd');
  });

  test('takes what zstd writes at its highest level from a stream of the largest payload', () => {
    const payload = new Uint8Array(300_000).map((_, index) => index * index);
    const compressed = zstdCompressSync(payload, {
      params: { [constants.ZSTD_c_compressionLevel]: 19 },
    });
    expect(decompress(compressed, 2).length).toBe(payload.length);
  });

  test.each(COMPRESSORS)('refuses bytes of $name cut anywhere', ({ codec, run }) => {
    const compressed = run(Buffer.from('tide'.repeat(50)));
    for (let cut = 0; cut < compressed.length; cut += 1) {
      expect(() => decompress(compressed.subarray(0, cut), codec)).toThrow(BrokerError);
    }
  });

  test.each(COMPRESSORS)(
    'survives bytes of $name with any byte replaced, and random bytes',
    ({ codec, run }) => {
      const compressed = run(Buffer.from('tide'.repeat(50)));
      const survives = (bytes: Uint8Array) => {
        try {
          decompress(bytes, codec);
        } catch (error) {
          if (!(error instanceof BrokerError)) throw error;
        }
      };
      fc.assert(
        fc.property(
          fc.nat(compressed.length - 1),
          fc.nat(255),
          fc.uint8Array({ maxLength: 40 }),
          (at, byte, noise) => {
            const changed = Uint8Array.from(compressed);
            changed[at] = byte;
            survives(changed);
            survives(noise);
          },
        ),
        { numRuns: 300 },
      );
    },
  );
});
