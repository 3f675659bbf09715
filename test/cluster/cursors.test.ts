/** Cursors of groups on real processes: through kills of coordinators, and when there are many. */
import { once } from 'node:events';
import { Client, credentials, type MethodDefinition } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { GROUPS_TOPIC } from '../../base/internal-topics.ts';
import { partitionOfGroup } from '../../broker/runtime/groups/groups-host.ts';
import type { CursorCommit, Tidemark, Topic } from '../../client/index.ts';
import { systemClock } from '../../process/system-clock.ts';
import { ExternalScalerService as Scaler } from '../../proto/gen/externalscaler/externalscaler.ts';
import { callUnary } from '../../wire/grpc/calls.ts';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';

const PARTITIONS = 100;
const GROUPS = 1_000;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start();
});
afterEach(() => cluster.restore());
afterAll(() => cluster.close());

function commitOf({ name, topicId }: Topic, partition: number, offset: number): CursorCommit {
  return { topic: name, topicId, partition, offset, leaderEpoch: 0 };
}

async function coordinatorOf(group: string): Promise<number> {
  const { partitions } = await cluster.admin.describeTopic(GROUPS_TOPIC);
  return partitions[partitionOfGroup(group)]?.leader ?? -1;
}

async function commit(client: Tidemark, group: string, one: CursorCommit): Promise<void> {
  const [result] = await client.cursors(group).commit([one]);
  if (result?.error !== undefined) throw result.error;
}

async function offsetOf(client: Tidemark, group: string, topic: Topic): Promise<number> {
  const [found] = await client.cursors(group).fetch([topic.name]);
  if (found?.error !== undefined) throw found.error;
  return found?.cursor?.offset ?? -1;
}

it('loses no committed cursor when its coordinator is killed, again and again', async () => {
  const topic = await cluster.createTopic({ partitions: 1, replicationFactor: 3 });
  await using client = cluster.connect();
  const group = 'killed';
  let offset = 0;
  let isOn = true;
  let acknowledged = 0;
  await commit(client, group, commitOf(topic, 0, 0));
  await cluster.waitInSync(GROUPS_TOPIC);
  const committing = (async (): Promise<void> => {
    while (isOn) {
      offset += 1;
      await commit(client, group, commitOf(topic, 0, offset));
      acknowledged = offset;
    }
  })();
  const gaps: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    const before = acknowledged;
    await cluster.wait('commits', () => when(acknowledged > before + 20));
    const coordinator = await coordinatorOf(group);
    const known = acknowledged;
    const startMs = performance.now();
    await cluster.broker(coordinator).kill();
    await cluster.wait('the first commit after', () => when(acknowledged > known + 1));
    gaps.push(Math.round(performance.now() - startMs));
    const least = acknowledged;
    expect(await offsetOf(client, group, topic)).toBeGreaterThanOrEqual(least);
    await cluster.restart(coordinator);
    await cluster.waitInSync(GROUPS_TOPIC);
  }
  isOn = false;
  await committing;
  expect(await offsetOf(client, group, topic)).toBe(offset);
  console.log(`first commit after the death of the coordinator: ${gaps.join(', ')} ms`);
});

it('is a topic that no client changes, and that listings leave out', async () => {
  const topic = await cluster.createTopic({ partitions: 1, replicationFactor: 3 });
  await using client = cluster.connect();
  await commit(client, 'makes-it', commitOf(topic, 0, 0));
  const admin = client.admin();
  const names = async (internal: boolean): Promise<string[]> =>
    (await admin.listTopics([], { internal })).map(({ name }) => name);
  expect(await names(false)).not.toContain(GROUPS_TOPIC);
  expect(await names(true)).toContain(GROUPS_TOPIC);
  const refused = { code: 'REFUSED' };
  await using producer = client.producer({ deliveryTimeoutMs: 5_000 });
  await expect(producer.send({ topic: GROUPS_TOPIC, value: 'x' })).rejects.toMatchObject(refused);
  await expect(admin.deleteTopic(GROUPS_TOPIC)).rejects.toMatchObject(refused);
  await expect(
    admin.alterTopic({ name: GROUPS_TOPIC, config: { uncleanElection: true } }),
  ).rejects.toMatchObject(refused);
  const [trimmed] = await admin.trimTopic(GROUPS_TOPIC, [{ partition: 0, offset: 0 }]);
  expect(trimmed?.error).toMatchObject(refused);
});

it('a reader of a group goes on where it stopped, by the command', async () => {
  const topic = await cluster.createTopic({ partitions: 1, replicationFactor: 3 });
  await using client = cluster.connect();
  const run = async (...args: string[]): Promise<string> => {
    const servers = cluster.servers.join(',');
    const { stdout } = await tidemark([...args, '--server', servers]).result;
    return stdout.toString();
  };
  const producer = client.producer();
  for (const value of ['a', 'b']) await producer.send({ topic: topic.name, value });
  expect(await run('read', topic.name, '--group', 'shell')).toBe('a\nb\n');
  expect(await run('read', topic.name, '--group', 'shell')).toBe('');
  await producer.send({ topic: topic.name, value: 'c' });
  const described = await client.groups().describe('shell');
  expect(described.partitions[0]?.lag).toMatchObject({ records: 1 });
  await run('group', 'seek', 'shell', topic.name, '--to', 'earliest', '--yes');
  expect(await run('read', topic.name, '--group', 'shell')).toBe('a\nb\nc\n');
  await producer.close();
});

it('tells KEDA how far a group is behind, and never 0 where that is not known', async () => {
  const topic = await cluster.createTopic({ partitions: 2, replicationFactor: 3 });
  await using client = cluster.connect();
  const producer = client.producer();
  for (let at = 0; at < 5; at += 1)
    await producer.send({ topic: topic.name, partition: 0, value: 'x' });
  await producer.close();
  const start = await cluster.admin.listOffsets(topic.name, { at: 'earliest' });
  const scalerMetadata = { group: 'scaled', topic: topic.name, lagThreshold: '2' };
  const object = { name: 'readers', namespace: 'pay', scalerMetadata };
  const channel = new Client(cluster.servers[0]!, credentials.createInsecure());
  const ask = <Request, Response>(
    method: MethodDefinition<Request, Response>,
    request: Request,
  ): Promise<Response> =>
    callUnary(channel, method, request, { deadlineMs: 10_000, clock: systemClock });
  const { isActive, getMetrics, getMetricSpec } = Scaler;
  const metrics = { scaledObjectRef: object, metricName: 'lag' };
  try {
    // Nobody has read yet: that is not 0.
    await expect(ask(isActive, object)).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
    await expect(ask(getMetrics, metrics)).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
    await commit(client, 'scaled', commitOf(topic, 0, start[0]?.offset ?? 0));
    expect(await ask(getMetricSpec, object)).toEqual({
      metricSpecs: [{ metricName: 'lag', targetSize: 2, targetSizeFloat: 2 }],
    });
    expect(await ask(isActive, object)).toEqual({ result: true });
    // One partition is behind, by 5: one reader is enough for it.
    expect(await ask(getMetrics, metrics)).toEqual({
      metricValues: [{ metricName: 'lag', metricValue: 2, metricValueFloat: 2 }],
    });
    const found = await cluster.admin.listOffsets(topic.name, { at: 'latest' });
    await commit(client, 'scaled', commitOf(topic, 0, found[0]?.offset ?? 0));
    expect(await ask(isActive, object)).toEqual({ result: false });
    // An election writes to the log, and nothing that a reader would have to do.
    await cluster.admin.electLeader({ topic: topic.name, partition: 0, target: 2 });
    expect(await ask(isActive, object)).toEqual({ result: false });
    const stream = channel.makeServerStreamRequest(
      Scaler.streamIsActive.path,
      Scaler.streamIsActive.requestSerialize,
      Scaler.streamIsActive.responseDeserialize,
      object,
    );
    stream.on('error', () => undefined);
    const [first] = (await once(stream, 'data')) as [unknown];
    expect(first).toEqual({ result: false });
    stream.cancel();
  } finally {
    channel.close();
  }
});

it('answers CURSOR_GONE for a topic that was made anew', async () => {
  const topic = await cluster.createTopic({ partitions: 1, replicationFactor: 3 });
  await using client = cluster.connect();
  await commit(client, 'left', commitOf(topic, 0, 5));
  await client.admin().deleteTopic(topic.name);
  await client.admin().createTopic({ name: topic.name, partitions: 1, replicationFactor: 3 });
  await cluster.wait('the new topic to be known', async () => {
    const [found] = await client.cursors('left').fetch([topic.name]);
    return when(found?.error?.code === 'CURSOR_GONE');
  });
  const reader = client.consumer({ topic: topic.name, group: 'left', onReset: 'earliest' });
  await expect(reader.start()).rejects.toMatchObject({ code: 'CURSOR_GONE' });
});

it(`folds ${GROUPS * PARTITIONS} cursors`, { timeout: 300_000 }, async () => {
  const topic = await cluster.createTopic({ partitions: PARTITIONS, replicationFactor: 3 });
  await using client = cluster.connect();
  const names = Array.from({ length: GROUPS }, (_, at) => `many-${at}`);
  const startMs = performance.now();
  const commits = Array.from({ length: PARTITIONS }, (_, at) => commitOf(topic, at, at));
  for (let from = 0; from < GROUPS; from += 20)
    await Promise.all(
      names.slice(from, from + 20).map(async (name) => {
        const results = await client.cursors(name).commit(commits);
        expect(results.every(({ error }) => error === undefined)).toBe(true);
      }),
    );
  const committedMs = performance.now() - startMs;
  // All of them begin with nothing in memory.
  await cluster.killAll();
  await cluster.restart(1, 2, 3);
  const servingMs = performance.now();
  const isMine = ({ group }: { readonly group: string }): boolean => group.startsWith('many-');
  await cluster.wait('all groups', async () => {
    const groups = (await client.groups().list()).filter(isMine);
    return when(groups.length === GROUPS && groups.every(({ cursors }) => cursors === PARTITIONS));
  });
  const foldedMs = performance.now() - servingMs;
  console.log(
    `${GROUPS * PARTITIONS} cursors: committed in ${Math.round(committedMs)} ms, all known ${Math.round(foldedMs)} ms after all brokers were back`,
  );
});
