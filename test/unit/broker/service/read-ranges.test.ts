/** Positions at which nothing can be read. */
import { type ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';

import {
  type Cursor,
  LogServiceService,
  type ReadRequest,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

/** Partition 0 is led by broker 1 and has three records; broker 2 is asked. */
beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
  cluster.lead([1]);
  append();
  append();
  append();
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

function append(): void {
  const records = [{ value: Uint8Array.of(1), timestampMs: 5 }];
  one.write(0, encodeBatch(records, { codec: 0 }, crc32));
}

/** Offsets read from the cursor on. */
async function read(
  cursor: Partial<Cursor>,
  part: Partial<ReadRequest> = {},
  deadlineMs = Infinity,
): Promise<number[]> {
  const request: ReadRequest = {
    topic: 'events',
    partitions: [],
    start: undefined,
    cursors: [{ partition: 0, offset: 0, leaderEpoch: 0, ...cursor }],
    maxRecords: 0,
    follow: false,
    ...part,
  };
  const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
  const stream: ClientReadableStream<ReadResponse> = cluster
    .client(two)
    .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), {
      deadline: Date.now() + deadlineMs,
    });
  const offsets: number[] = [];
  for await (const { records } of stream as AsyncIterable<ReadResponse>)
    offsets.push(...records.map(({ offset }) => offset));
  return offsets;
}

it('reads from a position up to the end, and nothing at the end', async () => {
  expect(await read({ offset: 1, leaderEpoch: 1 })).toEqual([1, 2]);
  expect(await read({ offset: 3, leaderEpoch: 1 })).toEqual([]);
});

it.each([
  { name: 'a cursor', cursor: { offset: 4 }, part: {} },
  {
    name: 'a start',
    cursor: {},
    part: { cursors: [], start: { point: { $case: 'offset', value: 9 } } },
  },
] as const)('refuses $name beyond the end, naming both bounds', async ({ cursor, part }) => {
  await expect(read(cursor, part as Partial<ReadRequest>)).rejects.toMatchObject({
    details: expect.stringContaining('it must be 0 to 3') as string,
  });
});

it('gives what was appended a moment to be committed', async () => {
  const reading = read({ offset: 4 });
  setImmediate(append);

  expect(await reading).toEqual([]);
});

it('refuses an epoch that no leader had', async () => {
  await expect(read({ offset: 1, leaderEpoch: 2 })).rejects.toMatchObject({
    details: expect.stringContaining(
      'cursors.leader_epoch of partition 0 is 2, must be 1 or below: no leader had another yet',
    ) as string,
  });
});

it('waits for an epoch that it has only not heard of', async () => {
  const reading = read({ offset: 1, leaderEpoch: 2 });
  setImmediate(() => {
    const topic = cluster.image.topics.get(TOPIC_ID)!;
    cluster.put({ ...topic, partitions: [{ ...topic.partitions[0]!, leaderEpoch: 2 }] });
  });

  expect(await reading).toEqual([1, 2]);
});

it.each([
  { name: 'the end', cursor: { offset: 4 }, told: 'it must be 0 to 3' },
  { name: 'the epochs', cursor: { offset: 1, leaderEpoch: 2 }, told: 'no leader had another yet' },
])('says what is beyond $name within the deadline of its caller', async ({ cursor, told }) => {
  await expect(read(cursor, {}, 600)).rejects.toMatchObject({
    details: expect.stringContaining(told) as string,
  });
});
