/** What calls and streams may expect of the end, and how it comes to the leader. */
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { BrokerError } from '../../../../base/errors.ts';
import {
  AckLevel,
  type AppendRecord,
  type AppendRequest,
  type AppendResponse,
  LogServiceService,
  type ProduceResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { type FakeBroker, FakeCluster, TOPIC_ID, within } from './fake-broker.ts';

const END = { offset: 7, leaderEpoch: 3 };
const CONDITION = { $case: 'expectedEnd', value: END } as const;

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
  cluster.lead([1, 2]);
  cluster.change({ featureLevel: 6 });
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

function record(value: string, partition?: number, key?: string): AppendRecord {
  return {
    partition,
    key: key === undefined ? undefined : Buffer.from(key),
    value: Buffer.from(value),
    headers: [],
    timestampMs: 5,
    tombstone: false,
  };
}

function append(
  records: readonly AppendRecord[],
  change: Partial<AppendRequest> = {},
): Promise<AppendResponse> {
  const request = {
    topic: 'events',
    records: [...records],
    acks: AckLevel.ACK_LEVEL_ALL,
    condition: CONDITION,
    ...change,
  };
  return callUnary(cluster.client(one), LogServiceService.append, request, within(4_000));
}

it.each([0, 1])('hands the end on to the leader, here and elsewhere: partition %d', async (at) => {
  await append([record('a', at), record('b', at)]);
  const { appends } = at === 0 ? one : two;
  expect(appends).toMatchObject([{ ack: 'all', recordCount: 2, expectedEnd: END }]);
});

it('takes records whose keys lead to one partition', async () => {
  const { results } = await append([record('a', undefined, 'k'), record('b', undefined, 'k')]);
  expect(results.map(({ error }) => error)).toEqual([undefined, undefined]);
});

it('tells every record that others came first, and who', async () => {
  const holder = { producerId: 4, producerEpoch: 2, baseSequence: 1, baseOffset: 7 };
  one.intercept = (_, done) => {
    const details = { dataEnd: 9, holder };
    done({ ok: false, error: new BrokerError('OFFSET_TAKEN', 'taken', details) });
    return true;
  };
  const { results } = await append([record('a', 0), record('b', 0)]);
  const error = { code: 'OFFSET_TAKEN', dataEnd: 9, holder };
  expect(results).toMatchObject([{ error }, { error }]);
  expect(one.appends).toHaveLength(1);
});

it('appends none where one does not fit', async () => {
  const future = { ...record('b', 0), timestampMs: Number.MAX_SAFE_INTEGER };
  const { results } = await append([record('a', 0), future]);
  const error = { code: 'TIMESTAMP_IN_FUTURE' };
  expect([results, one.appends]).toMatchObject([[{ error }, { error }], []]);
});

const MANY = Array.from({ length: 10_001 }, () => record('', 0));
const LARGE = { ...record('', 0), value: Buffer.alloc(600_000) };
it.each([
  { name: 'less than all', records: [record('a', 0)], change: { acks: 2 as const }, says: 'acks' },
  { name: 'no place', records: [record('a')], says: 'partition of records[0] is "absent"' },
  {
    name: 'two partitions',
    records: [record('a', 0), record('b', 1)],
    says: 'partition of records[1] is 1, must be 0, that of records[0], with expected_end',
  },
  { name: 'too many', records: MANY, says: 'records is 10001, must be 1 to 10000' },
  { name: 'too large', records: [LARGE, LARGE], says: 'those of one batch' },
])('refuses a call with $name', async ({ records, change, says }) => {
  await expect(append(records, change)).rejects.toThrow(says);
  expect(one.appends).toEqual([]);
});

it('refuses it while a broker of the cluster may not know it', async () => {
  cluster.change({ featureLevel: 5 });
  await expect(append([record('a', 0)])).rejects.toMatchObject({ code: 'REFUSED' });
});

it.each([
  { name: 'hands it on', acks: 3 as const, level: 6, code: undefined },
  { name: 'refuses less than all', acks: 2 as const, level: 6, code: 'INVALID_ARGUMENT' },
  { name: 'refuses it below its level', acks: 3 as const, level: 5, code: 'REFUSED' },
])('a stream $name', async ({ acks, level, code }) => {
  cluster.change({ featureLevel: level });
  const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
  const stream = cluster
    .client(one)
    .makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  stream.on('error', () => undefined);
  const result = new Promise<ProduceResponse['results'][number]>((resolve) => {
    stream.on('data', ({ results: [first] }: ProduceResponse) => {
      if (first !== undefined) resolve(first);
    });
  });
  const frame = Buffer.from(
    encodeBatch([{ value: Buffer.from('a'), timestampMs: 5 }], { codec: 0 }, crc32),
  );
  const topicId = Buffer.from(topicIdToBytes(TOPIC_ID));
  stream.write({
    acks,
    batches: [{ batchId: 1, topicId, partition: 0, frame, condition: CONDITION }],
  });
  const { error } = await result;
  stream.cancel();

  expect(error?.code).toBe(code);
  expect(one.appends.map(({ expectedEnd }) => expectedEnd)).toEqual(
    code === undefined ? [END] : [],
  );
});
