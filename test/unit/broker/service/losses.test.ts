/** Readers are told of loss reports that they come across, by Fetch and by Read. */
import { type ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeCluster } from '../../../../broker/service/describe.ts';
import { FetchSession } from '../../../../broker/service/fetch-session.ts';
import {
  type Cursor,
  LogServiceService,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { CLIENT_LISTENER } from '../../../../base/listeners.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import type { FetchParts } from '../../../../wire/grpc/frame-messages.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID } from './fake-broker.ts';

const REPORT = {
  topicId: TOPIC_ID,
  topic: 'events',
  partition: 0,
  leaderEpoch: 2,
  leader: 1,
  fromOffset: 1,
  atMs: 5,
};
const CROSSED = { report: REPORT, toOffset: 2 };

let cluster: FakeCluster;
let broker: FakeBroker;

/** Two records of epoch 1, two of epoch 2, which another broker than the reader's leads. */
beforeEach(async () => {
  cluster = new FakeCluster();
  broker = await cluster.add(1);
  await cluster.add(2);
  append(1, 'a');
  append(1, 'b');
  cluster.change({ losses: [REPORT] });
  append(2, 'c');
  append(2, 'd');
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

function append(epoch: number, text: string): void {
  cluster.lead([1, 1], epoch);
  broker.write(0, encodeBatch([{ value: Buffer.from(text), timestampMs: 1 }], { codec: 0 }, crc32));
}

/** What a reader at a position is given, up to the end. */
async function fetched(offset: number, leaderEpoch: number): Promise<FetchParts['partitions']> {
  const parts: FetchParts['partitions'][number][] = [];
  const done = Promise.withResolvers<undefined>();
  const send = ({ partitions }: FetchParts): boolean => {
    parts.push(...partitions);
    done.resolve(undefined);
    return true;
  };
  const session = new FetchSession(broker, { send }, broker, (error) =>
    cluster.defects.push(error),
  );
  const place = { topicId: topicIdToBytes(TOPIC_ID), partition: 0, offset, leaderEpoch };
  session.take({
    subscribe: [{ ...place, allowFollower: false, inSyncOnly: false }],
    unsubscribe: [],
    creditBytes: 1 << 20,
  });
  await done.promise;
  session.close();
  return parts;
}

/** Values and reports of a whole read, as each message brings them. */
async function readBy(brokerId: number, cursors: Cursor[]): Promise<ReadResponse[]> {
  const request = {
    topic: 'events',
    partitions: [0],
    start: undefined,
    cursors,
    maxRecords: 0,
    follow: false,
  };
  const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
  const stream: ClientReadableStream<ReadResponse> = cluster
    .client(cluster.brokers.get(brokerId)!)
    .makeServerStreamRequest(path, requestSerialize, responseDeserialize, request, new Metadata());
  const found: ReadResponse[] = [];
  for await (const response of stream as AsyncIterable<ReadResponse>) found.push(response);
  return found;
}

it.each([
  { name: 'before the records that lie behind it', offset: 1, leaderEpoch: 1, losses: [CROSSED] },
  { name: 'to who states no epoch, by the log', offset: 0, leaderEpoch: 0, losses: [CROSSED] },
  { name: 'not behind it', offset: 3, leaderEpoch: 2, losses: [] },
  { name: 'not behind it to who states no epoch', offset: 3, leaderEpoch: 0, losses: [] },
  {
    name: 'with the error about a position that is gone',
    offset: 9,
    leaderEpoch: 1,
    losses: [CROSSED],
  },
])('Fetch tells of it $name', async ({ offset, leaderEpoch, losses }) => {
  const parts = await fetched(offset, leaderEpoch);
  expect(parts.flatMap((part) => part.losses)).toEqual(losses);
});

it.each([1, 2])('Read tells of it once, whichever broker is asked (%i)', async (brokerId) => {
  const all = await readBy(brokerId, []);
  expect(all.flatMap(({ losses }) => losses)).toEqual([CROSSED]);
  const behind = await readBy(brokerId, [{ partition: 0, offset: 2, leaderEpoch: 2 }]);
  expect(behind.flatMap(({ losses }) => losses)).toEqual([]);
  expect(behind.flatMap(({ records }) => records)).toHaveLength(2);
});

it('says so of a compacted topic: an older record of a key may be gone too', async () => {
  const topic = cluster.image.topics.get(TOPIC_ID)!;
  const compacted = { ...topic, config: { ...topic.config, cleanup: 'both' as const } };
  cluster.change({ topics: new Map([[TOPIC_ID, compacted]]) });
  const parts = await fetched(1, 1);
  expect(parts.flatMap((part) => part.losses)).toEqual([
    { ...CROSSED, report: { ...REPORT, compacted: true } },
  ]);
  const { losses } = describeCluster(broker, CLIENT_LISTENER);
  expect(losses).toEqual([{ ...REPORT, compacted: true }]);
});
