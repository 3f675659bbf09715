import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageMeter, PIECE_BYTES } from '../../../../broker/network/message-meter.ts';

function framed(lengths: readonly number[]): Uint8Array {
  const messages = lengths.map((length) => {
    const message = Buffer.alloc(5 + length, 0xff);
    message.writeUInt8(0, 0);
    message.writeUInt32BE(length, 1);
    return message;
  });
  return Buffer.concat(messages);
}

describe('MessageMeter', () => {
  it('holds a message until its last byte came', () => {
    const meter = new MessageMeter();
    const bytes = framed([100]);
    meter.take(bytes.subarray(0, 60));
    expect([meter.isUnfinished, meter.unfinishedBytes]).toEqual([true, 60 + PIECE_BYTES]);
    meter.take(bytes.subarray(60, 104));
    expect(meter.unfinishedBytes).toBe(104 + 2 * PIECE_BYTES);
    meter.take(bytes.subarray(104));
    expect([meter.isUnfinished, meter.unfinishedBytes]).toEqual([false, 0]);
    expect(meter.finishedBytes).toBeGreaterThan(105);
  });

  it('counts a byte in a piece of its own with all that keeps it', () => {
    const meter = new MessageMeter();
    for (const byte of framed([1_000]).subarray(0, 1_000)) meter.take(Uint8Array.of(byte));
    expect(meter.unfinishedBytes).toBe(1_000 + 1_000 * PIECE_BYTES);
  });

  it('knows what is not whole, however the bytes are cut', () => {
    const lengths = fc.array(fc.oneof(fc.constant(0), fc.nat(40)), { maxLength: 20 });
    fc.assert(
      fc.property(lengths, fc.array(fc.integer({ min: 1, max: 30 })), (sizes, cuts) => {
        const meter = new MessageMeter();
        const bytes = framed(sizes);
        const ends = new Set<number>([0]);
        let end = 0;
        for (const size of sizes) ends.add((end += size + 5));
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          const piece = bytes.subarray(at, at + cut);
          at += piece.length;
          meter.take(piece);
          const start = Math.max(...[...ends].filter((each) => each <= at));
          expect(meter.isUnfinished).toBe(start < at);
          expect(meter.unfinishedBytes).toBeGreaterThanOrEqual(at - start);
          if (start === at) expect(meter.unfinishedBytes).toBe(0);
        }
      }),
    );
  });
});
