import { crc32 } from 'node:zlib';

import { type ClientReadableStream, Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  LogServiceService,
  type ReadRequest,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { fromCall } from '../../../../client/errors.ts';
import { encodeFrame, NO_SEQUENCE } from '../../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { type FakeBroker, FakeCluster } from './fake-broker.ts';

const RECORDS = 20_000;
/** What a gRPC client takes unless it is told otherwise. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
  cluster.lead([1, 2]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

/** One batch of so many records, of a few kilobytes. */
function manyInLittle(valueBytes: number): Uint8Array {
  const value = new Uint8Array(valueBytes);
  const records = Array.from({ length: RECORDS }, () => ({ value, timestampMs: 5 }));
  return encodeBatch(records, { codec: 1 }, crc32);
}

function read(partition: number, follow: boolean): ClientReadableStream<ReadResponse> {
  const request: ReadRequest = {
    topic: 'events',
    partitions: [partition],
    start: undefined,
    cursors: [],
    maxRecords: follow ? RECORDS : 0,
    follow,
  };
  const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
  const stream: ClientReadableStream<ReadResponse> = cluster
    .client(one)
    .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, new Metadata());
  return stream;
}

const OFFSETS = Array.from({ length: RECORDS }, (_, offset) => offset);

/** A frame whose checksums are right, and whose three records are not there. */
function garbage(): Uint8Array {
  const fields = {
    codec: 0 as const,
    isControl: false,
    lastOffsetDelta: 2,
    recordCount: 3,
    baseTimestampMs: 5,
    maxTimestampMs: 5,
    producerId: 0,
    producerEpoch: 0,
    baseSequence: NO_SEQUENCE,
  };
  return encodeFrame(fields, new Uint8Array([0xff, 0xff, 0xff]), crc32);
}

describe('ReadSession with a batch that nobody can decode', () => {
  it('sends everything before it, and says that it is the data, where, and what is next', async () => {
    const records = ['a', 'b'].map((value) => ({ value: Buffer.from(value), timestampMs: 5 }));
    one.write(0, encodeBatch(records, { codec: 0 }, crc32));
    one.write(0, garbage());
    const offsets: number[] = [];
    const reading = (async () => {
      for await (const response of read(0, false) as AsyncIterable<ReadResponse>)
        offsets.push(...response.records.map(({ offset }) => offset));
    })();
    const error: unknown = await reading.catch((failure: unknown) => failure);
    expect(fromCall(error, 'broker')).toMatchObject({
      code: 'UNDECODABLE',
      retry: 'no',
      message: expect.stringContaining('events/0 offset 2 (next is 5)') as string,
    });
    expect(error).toMatchObject({ code: status.DATA_LOSS });
    expect(offsets).toEqual([0, 1]);
  });
});

describe('ReadSession with a batch that holds much in few bytes', () => {
  it.each([
    { name: 'records without content', valueBytes: 0 },
    { name: 'compressed records', valueBytes: 400 },
  ])('sends it in messages that any client takes: $name', async ({ valueBytes }) => {
    one.write(0, manyInLittle(valueBytes));

    const offsets: number[] = [];
    const sizes: number[] = [];
    for await (const response of read(0, false) as AsyncIterable<ReadResponse>) {
      sizes.push(LogServiceService.read.responseSerialize(response).length);
      offsets.push(...response.records.map(({ offset }) => offset));
      // Who resumes after any message misses nothing.
      expect(response.cursors).toMatchObject([{ offset: (offsets.at(-1) ?? -1) + 1 }]);
    }

    expect(offsets).toEqual(OFFSETS);
    expect(sizes.length).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThan(MESSAGE_BYTES_MAX / 4);
  });

  it('goes on within it at the next leader', async () => {
    const batch = manyInLittle(400);
    two.write(1, batch);
    const offsets: number[] = [];
    for await (const { records } of read(1, true) as AsyncIterable<ReadResponse>) {
      if (offsets.length === 0) {
        const log = one.log(1);
        log.frames.push(...two.log(1).frames);
        log.end = two.log(1).end;
        cluster.lead([1, 1], 2);
      }
      offsets.push(...records.map(({ offset }) => offset));
    }
    expect(offsets).toEqual(OFFSETS);
  });
});
