/** Plain appends to a compacted topic: with a key each, and a checksum of their own. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  AckLevel,
  type AppendRecord,
  type AppendResponse,
  LogServiceService,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { RecordSet } from '../../../../proto/gen/tidemark/v1/records.ts';
import type { Cleanup } from '../../../../broker/metadata/types.ts';
import { HEADER_BYTES } from '../../../../wire/batch/frame.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { FakeCluster, type FakeBroker, TOPIC_ID, within } from './fake-broker.ts';

const EMPTY = new Uint8Array(0);
const KEY = Uint8Array.of(7);

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

function setCleanup(cleanup: Cleanup): void {
  const topic = cluster.image.topics.get(TOPIC_ID)!;
  const topics = new Map([[TOPIC_ID, { ...topic, config: { ...topic.config, cleanup } }]]);
  cluster.image = { ...cluster.image, topics };
}

function append(...records: readonly Partial<AppendRecord>[]): Promise<AppendResponse> {
  const whole = { partition: 0, value: EMPTY, headers: [], timestampMs: 5, tombstone: false };
  const request = {
    topic: 'events',
    records: records.map((record) => ({ ...whole, key: undefined, ...record })),
    acks: AckLevel.ACK_LEVEL_ALL,
    condition: undefined,
  };
  return callUnary(cluster.client(broker), LogServiceService.append, request, within(4_000));
}

const crcsOf = (frame: Uint8Array): boolean[] =>
  RecordSet.decode(frame.subarray(HEADER_BYTES)).records.map(({ crc }) => crc !== undefined);

it.each(['compact', 'both'] as const)(
  'refuses records without a key of a topic with cleanup "%s", and takes the others of the call',
  async (cleanup) => {
    setCleanup(cleanup);
    const { results } = await append({}, { key: EMPTY }, { partition: 1 }, { key: KEY });
    const refusal = (index: number) => ({
      offset: undefined,
      error: {
        code: 'INVALID_ARGUMENT',
        message: `Record ${index} has no key, must have one: topic "events" is compacted, which keeps the last record of each key`,
      },
    });
    expect(results).toMatchObject([refusal(0), { offset: 0 }, refusal(2), { offset: 1 }]);
    expect([broker.log(0).end, broker.log(1).end]).toEqual([2, 0]);
  },
);

it('gives each record a checksum of its own where the topic is compacted, and elsewhere none', async () => {
  await append({ key: KEY });
  setCleanup('compact');
  await append({ key: KEY }, { key: KEY, tombstone: true });
  expect(broker.log(0).frames.map(crcsOf)).toEqual([[false], [true, true]]);
});

it('takes a record that fills its batch without a checksum, as other topics do', async () => {
  setCleanup('compact');
  const { batchBytesMax } = cluster.image.topics.get(TOPIC_ID)!.config;
  const bytesMax = batchBytesMax - 128;
  // Of a record with this key: 3 bytes of key, 9 at most of its time, tags and lengths.
  const value = new Uint8Array(bytesMax - 3 - 9 - 4 - 4);
  const { results } = await append({ key: KEY, value });
  expect(results).toMatchObject([{ offset: 0 }]);
  expect(broker.log(0).frames.map(crcsOf)).toEqual([[false]]);
});
