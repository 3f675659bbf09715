/** What is at a moment, to the record: in the library, in the command and in plain calls. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start({ brokers: 3 });
});
afterAll(() => cluster.close());

it('answers to the record inside a compressed batch, and never with a control batch', async () => {
  const { name: topic } = await cluster.createTopic({ partitions: 1, replicationFactor: 3 });
  await using client = cluster.connect();
  const producer = client.producer({ compression: 'zstd' });
  const value = 'much the same '.repeat(20);
  const times = Array.from({ length: 100 }, (_, at) => 1_000_000 + at * 10);
  const send = (timestampMs: number): Promise<{ readonly offset: number }> =>
    producer.send({ topic, value, timestampMs });
  const sent = await Promise.all(times.map(send));
  const { leader } = await cluster.partition(topic);
  const [target] = (await cluster.partition(topic)).syncSet.filter((id) => id !== leader);
  await cluster.admin.electLeader({
    topic,
    partition: 0,
    ...(target === undefined ? {} : { target }),
  });
  // Of the election's own time there is a control batch; the record behind it is older.
  const { offset: later } = await send(1_000_500);
  const found = async (at: number): Promise<number | undefined> =>
    (await cluster.admin.listOffsets(topic, { at: { timestampMs: at } }))[0]?.offset;
  for (const [at, timestampMs] of times.entries())
    expect(await found(timestampMs - 3)).toBe(sent[at]!.offset);
  const [end] = await cluster.admin.listOffsets(topic);
  expect(later).toBe(end!.highWaterMark - 1);
  expect(await found(2_000_000)).toBe(end!.highWaterMark);

  const servers = cluster.servers.join(',');
  const read = ['read', topic, '--from', '@1000495', '--to', '@1000523', '-o', 'json'];
  const { stdout } = await tidemark([...read, '--server', servers]).result;
  const lines = stdout.toString().trim().split('\n');
  const offsets = lines.map((line) => (JSON.parse(line) as { offset: number }).offset);
  expect(offsets).toEqual(sent.slice(50, 53).map(({ offset }) => offset));
});
