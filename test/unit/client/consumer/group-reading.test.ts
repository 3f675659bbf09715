import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type ReadOptions, type Tidemark } from '../../../../client/index.ts';
import type { Consumer } from '../../../../client/consumer/consumer.ts';
import { FakeCluster, TOPIC, TOPIC_ID_BYTES } from '../fake-cluster.ts';
import { frameOf, text } from '../records.ts';

const GROUP = 'billing';
let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
  client = connect({ servers: cluster.servers });
  cluster.append(0, frameOf('a', 'b', 'c'));
  cluster.append(1, frameOf('x', 'y'));
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

function consumerOf(options: Omit<ReadOptions, 'onLoss'> = {}): Consumer {
  return client.consumer({ topic: TOPIC, group: GROUP, follow: false, ...options });
}

const cursor = (partition: number, offset: number, generation = 1) => ({
  topic: TOPIC,
  topicId: TOPIC_ID_BYTES,
  partition,
  offset,
  leaderEpoch: 0,
  generation,
});

async function valuesOf(consumer: Consumer, max = Number.POSITIVE_INFINITY): Promise<string[]> {
  const found: string[] = [];
  for await (const { value } of consumer.records()) {
    found.push(text(value));
    if (found.length >= max) break;
  }
  return found.toSorted();
}

describe('a consumer of a group', () => {
  it('reads what no one of the group has handled, and commits it', async () => {
    expect(await valuesOf(consumerOf())).toEqual(['a', 'b', 'c', 'x', 'y']);
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 3, 1: 2 });
    expect(await valuesOf(consumerOf())).toEqual([]);
    cluster.append(0, frameOf('d'));
    expect(await valuesOf(consumerOf())).toEqual(['d']);
  });

  it('meets again what was under way where it stopped', async () => {
    const first = await valuesOf(consumerOf({ partitions: [0] }), 2);
    expect(first).toEqual(['a', 'b']);
    // The second one was handed out, and nobody asked for the third.
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 1 });
    expect(await valuesOf(consumerOf({ partitions: [0] }))).toEqual(['b', 'c']);
  });

  it('commits while it reads', async () => {
    const consumer = consumerOf({ partitions: [0], follow: true, commitMs: 10 });
    const records = consumer.records();
    for (let count = 0; count < 3; count += 1) await records.next();
    const waiting = records.next();
    await expect.poll(() => cluster.groups.offsets(GROUP)).toMatchObject({ 0: 3 });
    await consumer.close();
    await waiting;
  });

  it('commits what is done when it is aborted', async () => {
    const stop = new AbortController();
    const consumer = consumerOf({ partitions: [0], follow: true, commitMs: 60_000 });
    const read = async (): Promise<void> => {
      for await (const { value } of consumer.records({ signal: stop.signal }))
        if (text(value) === 'c') setImmediate(() => stop.abort());
    };
    await expect(read()).rejects.toMatchObject({ code: 'ABORTED' });
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 3 });
  });

  it('commits of handlers that run at a time what lies before the oldest that does not end', async () => {
    const consumer = consumerOf({ partitions: [0], follow: true, commitMs: 10 });
    const { promise: never, resolve } = Promise.withResolvers<void>();
    const stop = new AbortController();
    const handled: string[] = [];
    const run = consumer.parallel(
      { by: 'key', max: 10 },
      (record) => {
        handled.push(text(record.value));
        return record.offset === 1 ? never : undefined;
      },
      { signal: stop.signal },
    );
    await expect.poll(() => cluster.groups.offsets(GROUP)).toMatchObject({ 0: 1 });
    expect(handled).toContain('c');
    resolve();
    await expect.poll(() => cluster.groups.offsets(GROUP)).toMatchObject({ 0: 3 });
    stop.abort();
    await expect(run).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('keeps where it begins before it has read anything', async () => {
    const consumer = consumerOf({ from: 'latest' });
    await consumer.start();
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 3, 1: 2 });
    cluster.append(0, frameOf('d'));
    expect(await valuesOf(consumerOf({ from: 'latest' }))).toEqual(['d']);
  });

  it('goes on in the generation that it began in', async () => {
    cluster.groups.put(GROUP, cursor(0, 1, 4));
    await valuesOf(consumerOf({ partitions: [0] }));
    const commits = cluster.groups.calls.filter(({ method }) => method === 'commitCursors');
    expect(commits.at(-1)?.request).toMatchObject({ cursors: [{ generation: 4, offset: 3 }] });
  });

  it('ends where a seek has ended its generation', async () => {
    cluster.groups.put(GROUP, cursor(0, 1));
    const consumer = consumerOf({ partitions: [0], follow: true, commitMs: 10 });
    const read = async (): Promise<void> => {
      for await (const { value } of consumer.records())
        if (text(value) === 'b') cluster.groups.put(GROUP, cursor(0, 0, 2));
    };
    await expect(read()).rejects.toMatchObject({ code: 'CURSOR_FENCED' });
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 0 });
  });

  it('asks again for cursors, and takes no failure for none', async () => {
    cluster.groups.put(GROUP, cursor(0, 2));
    for (let count = 0; count < 3; count += 1)
      cluster.groups.refusals.push({ method: 'fetchCursors', code: 'BROKER_NOT_READY' });
    expect(await valuesOf(consumerOf({ partitions: [0] }))).toEqual(['c']);
    cluster.groups.refusals.push({ method: 'fetchCursors', code: 'PERMISSION_DENIED' });
    await expect(valuesOf(consumerOf({ onReset: 'earliest' }))).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
    });
  });

  it('refuses options that say two things', () => {
    expect(() => consumerOf({ positions: [] })).toThrow('group and positions are both given');
    expect(() => client.consumer({ topic: TOPIC, commitMs: 100 })).toThrow('without group');
  });
});

describe('cursors of a group', () => {
  const commit = (offset: number) => ({
    topic: TOPIC,
    topicId: '00000000-0000-4000-8000-0000000000aa',
    partition: 0,
    offset,
    leaderEpoch: 0,
  });

  it('are committed and fetched by hand', async () => {
    const cursors = client.cursors(GROUP);
    const [done] = await cursors.commit([commit(2)]);
    expect(done).toEqual({ cursor: { ...commit(2), generation: 1 } });
    expect(await cursors.fetch([TOPIC])).toEqual([done]);
    const [refused] = await cursors.commit([commit(1)]);
    expect(refused).toMatchObject({ cursor: { offset: 2 }, error: { code: 'CURSOR_AHEAD' } });
  });

  it('are committed from the positions of a consumer', async () => {
    const consumer = client.consumer({ topic: TOPIC, follow: false });
    for await (const { value } of consumer.records()) if (text(value) === 'b') break;
    const done = await client.cursors(GROUP).commit(consumer.positions());
    expect(done.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect(cluster.groups.offsets(GROUP)).toMatchObject({ 0: 2 });
  });

  it('are committed again where nobody knows whether they were', async () => {
    cluster.groups.refusals.push({ method: 'commitCursors', code: 'OUTCOME_UNKNOWN' });
    const [done] = await client.cursors(GROUP).commit([commit(2)]);
    expect(done?.error).toBeUndefined();
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 2 });
  });

  it('are listed, described, sought and forgotten', async () => {
    await client.cursors(GROUP).commit([commit(2)]);
    const groups = client.groups();
    expect(await groups.list()).toEqual([
      { group: GROUP, cursors: 1, topics: [TOPIC], coordinator: 1 },
    ]);
    expect(await groups.describe(GROUP)).toMatchObject({
      partitions: [{ cursor: { offset: 2 }, lag: { records: 2, ageMs: 1_500 } }],
    });
    const request = { topic: TOPIC, to: 'earliest' as const };
    const [planned] = await groups.seek(GROUP, { ...request, dryRun: true });
    expect(planned).toMatchObject({ before: { offset: 2 }, after: { offset: 0, generation: 2 } });
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 2 });
    await groups.seek(GROUP, request);
    expect(cluster.groups.offsets(GROUP)).toEqual({ 0: 0 });
    expect(await groups.delete(GROUP)).toBe(1);
    await expect(groups.delete(GROUP)).rejects.toMatchObject({ code: 'UNKNOWN_GROUP' });
  });

  it('are listed once every coordinator answers', async () => {
    await client.cursors(GROUP).commit([commit(2)]);
    cluster.groups.missing.push('BROKER_NOT_READY', 'LEADER_UNKNOWN');
    expect(await client.groups().list()).toMatchObject([{ group: GROUP }]);
    cluster.groups.missing.push('OVERLOADED');
    await expect(client.groups().list()).rejects.toMatchObject({ code: 'OVERLOADED' });
  });
});
