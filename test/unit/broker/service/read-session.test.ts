import { crc32 } from 'node:zlib';

import { type ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  LogServiceService,
  type ReadRequest,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { encodeBatch } from '../../../../proto/records/batch.ts';
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
