/** Times are answered to the record, by whichever broker is asked. */
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogServiceService } from '../../../../proto/gen/tidemark/v1/log.ts';
import { controlFrame, encodeFrame, NO_SEQUENCE } from '../../../../wire/batch/frame.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { type FakeBroker, FakeCluster, within } from './fake-broker.ts';

let cluster: FakeCluster;
let broker: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  broker = await cluster.add(1);
  await cluster.add(2);
  cluster.lead([1]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

/** A batch of records with these times, whose header may name another largest one. */
function batch(times: readonly number[], codec: 0 | 2 = 0): Uint8Array {
  const value = Buffer.from('value '.repeat(20));
  return encodeBatch(
    times.map((timestampMs) => ({ value, timestampMs })),
    { codec },
    crc32,
  );
}

/** Two records that are not there, the later one of time 60. */
function garbage(): Uint8Array {
  const fields = {
    codec: 0 as const,
    isControl: false,
    lastOffsetDelta: 1,
    recordCount: 2,
    baseTimestampMs: 50,
    maxTimestampMs: 60,
    producerId: 0,
    producerEpoch: 0,
    baseSequence: NO_SEQUENCE,
  };
  return encodeFrame(fields, new Uint8Array([0xff]), crc32);
}

async function offsetAt(timestampMs: number, brokerId = 1): Promise<number | undefined> {
  const { offsets } = await callUnary(
    cluster.client(cluster.brokers.get(brokerId)!),
    LogServiceService.listOffsets,
    {
      topic: 'events',
      partitions: [0],
      start: { point: { $case: 'timestampMs', value: timestampMs } },
    },
    within(4_000),
  );
  return offsets[0]?.offset;
}

it.each([0, 2] as const)('names the record inside its batch, with codec %i', async (codec) => {
  broker.write(0, batch([10, 30, 20, 40], codec));
  broker.write(0, batch([15, 50], codec));
  for (const [timestampMs, offset] of [
    [0, 0],
    [11, 1],
    [30, 1],
    [31, 3],
    [41, 5],
    [51, 6],
  ] as const)
    expect([timestampMs, await offsetAt(timestampMs)]).toEqual([timestampMs, offset]);
  expect(await offsetAt(31, 2)).toBe(3);
});

it('names the start of a batch that cannot be decoded', async () => {
  broker.write(0, batch([10]));
  broker.write(0, garbage());
  expect(await offsetAt(20)).toBe(1);
});

it('goes on where a header promised more than its records hold', async () => {
  broker.write(0, batch([10]));
  broker.write(
    0,
    controlFrame({ brokerId: 1, dataEnd: 0, leaderEpoch: 1, timestampMs: 99 }, crc32),
  );
  broker.write(0, batch([20]));
  broker.write(0, batch([70]));
  expect(await offsetAt(60)).toBe(3);
  expect(await offsetAt(98)).toBe(4);
});
