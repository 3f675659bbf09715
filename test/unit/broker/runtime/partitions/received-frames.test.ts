/** What a leader pushed is checked before a core hears of it: both checksums of every batch. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { receiveFrames } from '../../../../../broker/runtime/partitions/received-frames.ts';
import { topicIdToBytes } from '../../../../../wire/batch/frame.ts';
import { frame, TOPIC } from '../../../../fixtures/frames.ts';

const PLACE = { topicIdBytes: topicIdToBytes(TOPIC), partition: 0 };

function received(change: (bytes: Uint8Array) => void, partition = 0): unknown {
  const bytes = Uint8Array.from(frame(7).bytes);
  change(bytes);
  const result = receiveFrames(1, bytes, { ...PLACE, partition }, crc32);
  return result instanceof BrokerError
    ? result.code
    : result.headers.map(({ baseOffset }) => baseOffset);
}

describe('receiveFrames()', () => {
  it('gives whole frames of this partition', () => {
    expect(received(() => {})).toEqual([7]);
  });

  it('refuses one whose last byte was changed on the way', () => {
    expect(
      received((bytes) => {
        bytes[bytes.length - 1] = 0xff;
      }),
    ).toBe('CORRUPT_BATCH');
  });

  it('refuses one of another partition', () => {
    expect(received(() => {}, 1)).toBe('CORRUPT_BATCH');
  });
});
