/** Plain Read calls over what compaction left of a log. */
import { crc32 } from 'node:zlib';
import { type ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type Cursor,
  LogServiceService,
  type ReadRequest,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { compactedFrames } from '../../../fixtures/compacted.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

const TARGET = { topicIdBytes: topicIdToBytes(TOPIC_ID), partition: 0 };

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

/** Four batches of three records, of which those stay. */
function write(kept: readonly number[]): void {
  for (let batch = 0; batch < 4; batch += 1) {
    const records = [0, 1, 2].map((at) => ({
      key: Buffer.from('k'),
      value: Buffer.from('v'),
      timestampMs: 100 + 3 * batch + at,
    }));
    broker.write(0, encodeBatch(records, { codec: 0 }, crc32));
  }
  const log = broker.log(0);
  log.frames.splice(0, 4, ...compactedFrames(log.frames, (at) => kept.includes(at), TARGET));
}

async function read(
  change: Partial<ReadRequest> = {},
): Promise<{ readonly offsets: number[]; readonly cursor: Cursor | undefined }> {
  const request: ReadRequest = {
    topic: 'events',
    partitions: [0],
    start: undefined,
    cursors: [],
    maxRecords: 0,
    follow: false,
    ...change,
  };
  const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
  const stream: ClientReadableStream<ReadResponse> = cluster
    .client(broker)
    .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, new Metadata());
  const offsets: number[] = [];
  let cursor: Cursor | undefined;
  for await (const { records, cursors } of stream as AsyncIterable<ReadResponse>) {
    offsets.push(...records.map(({ offset }) => offset));
    cursor = cursors[0] ?? cursor;
  }
  return { offsets, cursor };
}

it.each([
  { name: 'gone at the end', kept: [1, 4] },
  { name: 'gone at the beginning', kept: [10, 11] },
  { name: 'all of it gone', kept: [] },
  { name: 'gone in the middle', kept: [0, 11] },
])('ends behind what is gone, and its cursor stands at the end: $name', async ({ kept }) => {
  write(kept);
  const { offsets, cursor } = await read();
  expect(offsets).toEqual(kept);
  expect(cursor).toMatchObject({ partition: 0, offset: 12 });
});

it('begins at a cursor in the middle of what is gone', async () => {
  write([1, 4, 10]);
  for (const offset of [2, 3, 5, 7, 9, 11]) {
    const { offsets } = await read({ cursors: [{ partition: 0, offset, leaderEpoch: 0 }] });
    expect([offset, offsets]).toEqual([offset, [1, 4, 10].filter((at) => at >= offset)]);
  }
});

it('counts records, and not offsets, to as many as were asked for', async () => {
  write([1, 4, 10]);
  const { offsets, cursor } = await read({ maxRecords: 2, follow: true });
  expect(offsets).toEqual([1, 4]);
  const rest = await read({ cursors: [cursor!] });
  expect(rest.offsets).toEqual([10]);
});

it('finds the first that stayed at a time or after it', async () => {
  write([1, 4, 10]);
  const { offsets } = await read({ start: { point: { $case: 'timestampMs', value: 102 } } });
  expect(offsets).toEqual([4, 10]);
});
