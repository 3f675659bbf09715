import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitLines } from '../../../../client/cli/lines.ts';

async function* chunked(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

describe('splitLines()', () => {
  it('loses no byte, however the input is cut into chunks', async () => {
    // Few different bytes, so that delimiters are common.
    const chunk = fc.uint8Array({ min: 9, max: 12, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(chunk), async (chunks) => {
        const parts: Uint8Array[] = [];
        for await (const lines of splitLines(chunked(chunks), 10, 1000)) {
          for (const { bytes, isTerminated } of lines) {
            expect(bytes.includes(10)).toBe(false);
            parts.push(bytes, Uint8Array.from(isTerminated ? [10] : []));
          }
        }
        expect(Buffer.concat(parts)).toEqual(Buffer.concat(chunks));
      }),
    );
  });
});
