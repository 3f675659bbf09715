/** Why a scan stops, in the words of what judged the bytes. */
import { crc32 } from 'node:zlib';
import { expect, it } from 'vitest';
import { type ReadAt, scanFrames, type ScanStop } from '../../../../broker/storage/frame-scan.ts';
import {
  encodeFrame,
  HEADER_BYTES,
  NO_SEQUENCE,
  stampFrame,
  topicIdToBytes,
} from '../../../../wire/batch/frame.ts';
import { TOPIC } from './fixture.ts';

const TARGET = { topicIdBytes: topicIdToBytes(TOPIC), partition: 0 };

/** A control batch with this version in its payload, whose checksums are right. */
function controlOf(version: number): Uint8Array {
  const payload = new Uint8Array(16);
  payload[3] = version;
  payload[2] = version;
  const fields = {
    codec: 0,
    isControl: true,
    lastOffsetDelta: 0,
    recordCount: 1,
    baseSequence: NO_SEQUENCE,
    baseTimestampMs: 0,
    maxTimestampMs: 0,
    producerId: 0,
    producerEpoch: 0,
  } as const;
  const frame = encodeFrame(fields, payload, crc32);
  stampFrame(frame, 0, { ...TARGET, baseOffset: 0, leaderEpoch: 1 }, crc32);
  return frame;
}

function scan(bytes: Uint8Array): Promise<ScanStop> {
  const readAt: ReadAt = (into, position) => {
    const part = bytes.subarray(position, position + into.length);
    into.set(part);
    return Promise.resolve(part.length);
  };
  const endPosition = bytes.length;
  const request = { target: TARGET, position: 0, offset: 0, endPosition, epoch: 0 };
  return scanFrames(readAt, { ...request, depth: 'full' }, () => true);
}

it('names what a newer build wrote, whose checksums are right', async () => {
  expect(await scan(controlOf(9))).toMatchObject({
    kind: 'invalid',
    reason: expect.stringContaining('control') as string,
  });
});

it('names the checksum of bytes that changed', async () => {
  const bytes = controlOf(1);
  bytes[HEADER_BYTES + 8] = 1;
  expect(await scan(bytes)).toMatchObject({
    kind: 'invalid',
    reason: expect.stringMatching(/crc|checksum/i) as string,
  });
});
