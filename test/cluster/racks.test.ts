/**
 * Racks: readers served from a replica in their own, whatever becomes of that replica, and the
 * report of partitions that do not span them.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { DirectFetch } from './harness/direct.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

/** Of brokers 1 to 4; the reader stands where two of them do. */
const RACKS = ['a', 'b', 'c', 'c'];
const RACK = 'c';

describe('racks', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({
      brokers: 4,
      voters: 3,
      argsOf: (id) => ['--rack', RACKS[id - 1] ?? ''],
    });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  /** Resolves when the broker has served so many more reads. */
  async function served(brokerId: number, reads = 3): Promise<void> {
    const count = (): Promise<number> =>
      cluster.broker(brokerId).metric('tidemark_fetch_reads_total');
    const before = await count();
    await cluster.wait(`broker ${brokerId} to serve the reader`, async (note) => {
      const now = await count();
      note({ before, now });
      return when(now >= before + reads);
    });
  }

  it('give a reader everything once and in order while the replica in its rack is paused, killed and moved away', async () => {
    const { verdict } = await underLoad(
      cluster,
      { assignments: [[1, 2, 3]], load: { rack: RACK } },
      async ({ topic, load, progress }: Scene) => {
        /** The reader gets on, by so many records. */
        const readOn = async (records = 200): Promise<void> => {
          const target = (load.readUpTo.get(0) ?? 0) + records;
          await cluster.wait(`the reader at ${target}`, (note) => {
            note([...load.readUpTo]);
            return when((load.readUpTo.get(0) ?? 0) >= target);
          });
        };
        await served(3);
        // It lags for a moment, and is read again: the position waits for it.
        cluster.broker(3).pause();
        await progress(1);
        cluster.broker(3).resume();
        await served(3);
        cluster.broker(3).pause();
        await readOn();
        cluster.broker(3).resume();
        await cluster.waitInSync(topic.name);
        await cluster.admin.reassignPartition(topic.name, 0, [1, 2, 4]);
        await served(4);
        await readOn();
        await cluster.broker(4).kill();
        await readOn();
        await cluster.restart(4);
        await cluster.waitInSync(topic.name);
        await cluster.broker(1).kill();
        await progress();
        await readOn();
        await cluster.restart(1);
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('are reported where a partition does not span them, and why', async () => {
    /** The rows of `tidemark cluster describe` about racks, as a person sees them. */
    const report = async (): Promise<string[]> => {
      const servers = cluster.servers.join(',');
      const { code, stdout, stderr } = await tidemark(['cluster', 'describe', '--server', servers])
        .result;
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const lines = stdout.toString().split('\n');
      const header = lines.findIndex((line) => line.startsWith('SHARES A RACK'));
      const rows = header < 0 ? [] : lines.slice(header + 1);
      return rows
        .slice(0, rows.indexOf(''))
        .map((row) => row.trim().replaceAll(/ {2,}/g, ' '))
        .toSorted();
    };
    const spanning = await cluster.createTopic({ assignments: [[1, 2, 3]] });
    const narrow = await cluster.createTopic({ assignments: [[3, 4, 1]] });
    const wide = await cluster.createTopic({ assignments: [[1, 2, 3, 4]] });
    const producer = cluster.client.producer();
    // Seconds of copying at the limit below, however much of it may go at once.
    const value = Buffer.alloc(128 * 1024);
    for (let count = 0; count < 8; count += 1)
      await producer.send({ topic: narrow.name, partition: 0, value });
    const tooFew = `${wide.name} 0 too-few-racks replicas stand at brokers 1 on a, 2 on b, 3 on c, 4 on c: 4 replicas, 3 racks`;
    expect(await report()).toEqual(
      [
        `${narrow.name} 0 misplaced replicas stand at brokers 3 on c, 4 on c, 1 on a: 3 replicas, 3 racks, only 2 of them used`,
        tooFew,
      ].toSorted(),
    );
    await cluster.admin.setClusterSettings({ moveBytesPerSecond: 16_384 });
    await cluster.admin.reassignPartition(narrow.name, 0, [3, 2, 1]);
    expect(await report()).toEqual(
      [
        `${narrow.name} 0 moving replicas stand at brokers 3 on c, 4 on c, 1 on a, and are moving to 3 on c, 2 on b, 1 on a`,
        tooFew,
      ].toSorted(),
    );
    await cluster.admin.setClusterSettings({ moveBytesPerSecond: -1 });
    await cluster.wait('the move to end', async (note) => {
      const { adding, removing } = await cluster.partition(narrow.name);
      note({ adding, removing });
      return when(adding.length + removing.length === 0);
    });
    expect(await report()).toEqual([tooFew]);
    expect((await cluster.admin.describeSpread()).spanning).toBeGreaterThanOrEqual(2);
    await producer.close();
    for (const { name } of [spanning, narrow, wide]) await cluster.admin.deleteTopic(name);
  });

  it('never show a reader what is not committed', async () => {
    const topic = await cluster.createTopic({ assignments: [[1, 2, 3]] });
    const place = { topicId: topic.topicId, partition: 0 };
    const atThree = async () => {
      const { replicas } = await cluster.admin.describeBroker(3);
      return replicas.find(({ topicId }) => topicId === topic.topicId);
    };
    // Whoever subscribes before that is told that there is no such topic.
    await cluster.wait('the topic on broker 3', async () => when((await atThree()) !== undefined));
    const near = new DirectFetch(cluster.broker(3).address, place);
    const producer = cluster.client.producer({ acks: 'leader' });
    const record = { topic: topic.name, partition: 0, value: Buffer.from('value') };
    try {
      cluster.broker(2).pause();
      const { offset } = await producer.send(record);
      // Broker 3 has the record, and broker 2, which is in the sync set, has not.
      await cluster.wait('the record on broker 3', async () =>
        when(((await atThree())?.logEnd ?? 0) > offset),
      );
      await cluster.wait('the record to be committed', async (note) => {
        const given = near.records.length;
        const { highWaterMark = 0 } = (await atThree()) ?? {};
        note({ given, highWaterMark });
        // What was given before the mark was looked at lies below it.
        expect({ given, highWaterMark }).not.toEqual({ given: 1, highWaterMark: offset });
        return when(highWaterMark > offset);
      });
      await cluster.wait('the record to be given', (note) => {
        note(near.errors);
        return when(near.records.length === 1);
      });
    } finally {
      near.close();
      await producer.close();
    }
  });
});
