/** A record without a value goes through the plain calls, and is not an empty one. */
import { type ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';

import {
  AckLevel,
  type AppendRecord,
  type AppendResponse,
  LogServiceService,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { type FakeBroker, FakeCluster, within } from './fake-broker.ts';

const EMPTY = new Uint8Array(0);

let cluster: FakeCluster;
let broker: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  broker = await cluster.add(1);
  cluster.lead([1, 1]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

function append(...records: readonly Partial<AppendRecord>[]): Promise<AppendResponse> {
  const whole = { partition: 0, key: EMPTY, value: EMPTY, headers: [], timestampMs: 5 };
  const request = {
    topic: 'events',
    records: records.map((record) => ({ ...whole, tombstone: false, ...record })),
    acks: AckLevel.ACK_LEVEL_ALL,
    condition: undefined,
  };
  return callUnary(cluster.client(broker), LogServiceService.append, request, within(4_000));
}

it('is appended and read as one, beside a record with an empty value', async () => {
  const { results } = await append({ tombstone: true }, {});
  expect(results.map(({ offset, error }) => [offset, error])).toEqual([
    [0, undefined],
    [1, undefined],
  ]);
  const request = {
    topic: 'events',
    partitions: [],
    start: undefined,
    cursors: [],
    maxRecords: 0,
    follow: false,
  };
  const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
  const stream: ClientReadableStream<ReadResponse> = cluster
    .client(broker)
    .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, new Metadata());
  const found: unknown[] = [];
  for await (const { records } of stream as AsyncIterable<ReadResponse>)
    found.push(...records.map(({ offset, value, tombstone }) => [offset, value.length, tombstone]));
  expect(found).toEqual([
    [0, 0, true],
    [1, 0, false],
  ]);
});

it('is refused with a value', async () => {
  await expect(append({}, { tombstone: true, value: Uint8Array.of(1) })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringContaining(
      'records[1].value length is 1, must be 0 in a tombstone',
    ) as string,
  });
  expect(broker.log(0).end).toBe(0);
});
