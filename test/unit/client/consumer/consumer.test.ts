import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsumerOptions, connect, type Tidemark } from '../../../../client/index.ts';
import type { Consumer } from '../../../../client/consumer/consumer.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { frameOf, names, text } from '../records.ts';

let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  await cluster.start();
  client = connect({ servers: cluster.servers });
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

function consumerOf(options: Partial<ConsumerOptions> = {}): Consumer {
  return client.consumer({ topic: TOPIC, partitions: [0], ...options });
}

/** The next `count` values, or all up to the end. */
async function take(consumer: Consumer, count = Number.POSITIVE_INFINITY): Promise<string[]> {
  const found: string[] = [];
  for await (const { value } of consumer.records()) {
    found.push(text(value));
    if (found.length >= count) break;
  }
  return found;
}

describe('Consumer', () => {
  it('reads from the beginning to the end as it was, over control batches', async () => {
    cluster.append(0, frameOf('a', 'b'));
    cluster.elect(0, 2);
    cluster.append(0, frameOf('c'));
    expect(await take(consumerOf({ follow: false }))).toEqual(['a', 'b', 'c']);
  });

  it('reads all partitions, each in order', async () => {
    cluster.append(0, frameOf(...names('a', 3)));
    cluster.append(1, frameOf(...names('b', 3)));
    const found = await take(client.consumer({ topic: TOPIC, follow: false }));
    expect(found.filter((value) => value.startsWith('a'))).toEqual(names('a', 3));
    expect(found.filter((value) => value.startsWith('b'))).toEqual(names('b', 3));
  });

  it('ends at once on an empty partition without follow', async () => {
    expect(await take(consumerOf({ follow: false }))).toEqual([]);
  });

  it('starts inside a batch', async () => {
    cluster.append(0, frameOf(...names('v', 5)));
    expect(await take(consumerOf({ from: { offset: 3 }, follow: false }))).toEqual(['v3', 'v4']);
  });

  it('reads only what is committed after start() from latest', async () => {
    cluster.append(0, frameOf('old'));
    const consumer = consumerOf({ from: 'latest' });
    await consumer.start();
    cluster.append(0, frameOf('new'));
    expect(await take(consumer, 1)).toEqual(['new']);
  });

  it('resumes from saved positions, which carry the leader epoch', async () => {
    cluster.elect(0, 1);
    cluster.append(0, frameOf(...names('v', 4)));
    const first = consumerOf();
    expect(await take(first, 2)).toEqual(['v0', 'v1']);
    const positions = first.positions();
    expect(positions).toEqual([{ partition: 0, offset: 3, leaderEpoch: 2 }]);
    expect(await take(consumerOf({ positions, follow: false }))).toEqual(['v2', 'v3']);
    expect(cluster.subscriptions.at(-1)).toEqual({
      broker: 1,
      partition: 0,
      offset: 3,
      leaderEpoch: 2,
    });
  });

  it('goes on at the new leader without gap or repetition when the old one dies', async () => {
    const consumer = consumerOf();
    cluster.append(0, frameOf(...names('a', 10)));
    expect(await take(consumer, 10)).toEqual(names('a', 10));
    cluster.killBroker(1);
    cluster.elect(0, 2);
    cluster.append(0, frameOf(...names('b', 10)));
    expect(await take(consumer, 10)).toEqual(names('b', 10));
    expect(cluster.subscriptions.at(-1)).toMatchObject({ broker: 2, leaderEpoch: 1 });
  });

  it('follows leadership that moves while both brokers live', async () => {
    const consumer = consumerOf();
    cluster.append(0, frameOf('a'));
    expect(await take(consumer, 1)).toEqual(['a']);
    cluster.elect(0, 3);
    cluster.append(0, frameOf('b'));
    expect(await take(consumer, 1)).toEqual(['b']);
  });

  it('fetches a damaged frame again', async () => {
    cluster.damages = 1;
    cluster.append(0, frameOf('a', 'b'));
    expect(await take(consumerOf(), 2)).toEqual(['a', 'b']);
  });

  it('throws CORRUPT_BATCH for a frame that stays damaged', async () => {
    cluster.damages = 100;
    cluster.append(0, frameOf('a'));
    await expect(take(consumerOf(), 1)).rejects.toMatchObject({ code: 'CORRUPT_BATCH' });
  });

  it.each(['POSITION_DIVERGED', 'OFFSET_OUT_OF_RANGE'] as const)(
    'throws %s where the position is gone',
    async (code) => {
      cluster.fetchError = code;
      cluster.append(0, frameOf('a'));
      await expect(take(consumerOf(), 1)).rejects.toMatchObject({ code });
    },
  );

  it('throws OFFSET_OUT_OF_RANGE past the end, also where it would stop there', async () => {
    cluster.append(0, frameOf('a'));
    await expect(take(consumerOf({ from: { offset: 9 }, follow: false }))).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
  });

  it('starts again from the earliest record where onReset says so', async () => {
    cluster.fetchError = 'OFFSET_OUT_OF_RANGE';
    cluster.append(0, frameOf('a', 'b'));
    expect(await take(consumerOf({ from: { offset: 1 }, onReset: 'earliest' }), 2)).toEqual([
      'a',
      'b',
    ]);
  });

  it('throws UNKNOWN_TOPIC and UNKNOWN_PARTITION', async () => {
    await expect(take(client.consumer({ topic: 'nothing' }))).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
    });
    await expect(take(consumerOf({ partitions: [7] }))).rejects.toMatchObject({
      code: 'UNKNOWN_PARTITION',
    });
  });

  it('holds a bounded number of bytes for a caller that does not read', async () => {
    const bufferBytesMax = 64 * 1024;
    const frame = frameOf('x'.repeat(10_000));
    const consumer = consumerOf({ bufferBytesMax, follow: false });
    for (let batch = 0; batch < 100; batch += 1) cluster.append(0, Uint8Array.from(frame));
    await consumer.start();
    await expect.poll(() => cluster.fetchedBytes).toBeGreaterThanOrEqual(bufferBytesMax);
    // Whatever more the broker would send has had every chance: it answers another client's call behind it.
    await client.admin().describeCluster();
    expect(cluster.fetchedBytes).toBeLessThanOrEqual(bufferBytesMax + frame.length);
    expect(await take(consumer)).toHaveLength(100);
  });

  it('ends its iteration when it is closed', async () => {
    const consumer = consumerOf();
    const reading = take(consumer);
    await consumer.start();
    await consumer.close();
    expect(await reading).toEqual([]);
  });

  describe('with a rack', () => {
    const near = { rack: 'rack-3' };

    function brokersRead(): number[] {
      return [...new Set(cluster.subscriptions.map(({ broker }) => broker))];
    }

    it('reads from the in-sync follower of its rack', async () => {
      cluster.append(0, frameOf('a', 'b'));
      expect(await take(consumerOf({ ...near, follow: false }))).toEqual(['a', 'b']);
      expect(brokersRead()).toEqual([3]);
    });

    it.each([
      { title: 'no broker is in its rack', rack: 'rack-9', syncSet: [1, 2, 3] },
      { title: 'the follower is not in sync', rack: 'rack-3', syncSet: [1, 2] },
      { title: 'the leader is in its rack', rack: 'rack-1', syncSet: [1, 2, 3] },
    ])('reads from the leader where $title', async ({ rack, syncSet }) => {
      cluster.partitions[0]!.syncSet = syncSet;
      cluster.append(0, frameOf('a'));
      expect(await take(consumerOf({ rack, follow: false }))).toEqual(['a']);
      expect(brokersRead()).toEqual([1]);
    });

    it('goes on at the leader without gap or repetition when the follower dies', async () => {
      const consumer = consumerOf(near);
      cluster.append(0, frameOf(...names('a', 10)));
      expect(await take(consumer, 10)).toEqual(names('a', 10));
      cluster.killBroker(3);
      cluster.append(0, frameOf(...names('b', 10)));
      expect(await take(consumer, 10)).toEqual(names('b', 10));
      expect(brokersRead()).toEqual([3, 1]);
    });

    it('goes on at the leader when the follower has left the sync set', async () => {
      const consumer = consumerOf(near);
      cluster.append(0, frameOf('a'));
      expect(await take(consumer, 1)).toEqual(['a']);
      cluster.finishMove(0, [1, 2]);
      cluster.append(0, frameOf('b'));
      expect(await take(consumer, 1)).toEqual(['b']);
      expect(cluster.subscriptions.at(-1)).toMatchObject({ broker: 1, offset: 1 });
    });

    it('stays with the follower when another leader is elected', async () => {
      const consumer = consumerOf(near);
      cluster.append(0, frameOf('a'));
      expect(await take(consumer, 1)).toEqual(['a']);
      cluster.elect(0, 2);
      cluster.append(0, frameOf('b'));
      expect(await take(consumer, 1)).toEqual(['b']);
      expect(brokersRead()).toEqual([3]);
    });

    it('waits for a follower that has less than was read elsewhere', async () => {
      cluster.append(0, frameOf('a', 'b'));
      cluster.append(0, frameOf('c'));
      cluster.partitions[0]!.followerEnds.set(3, 1);
      const positions = [{ partition: 0, offset: 2, leaderEpoch: 1 }];
      const consumer = consumerOf({ ...near, positions });
      const reading = take(consumer, 1);
      await expect.poll(() => cluster.subscriptions.length).toBe(1);
      cluster.catchUp(0, 3);
      expect(await reading).toEqual(['c']);
      expect(brokersRead()).toEqual([3]);
    });

    it('goes to the leader when the follower stays behind', async () => {
      cluster.append(0, frameOf('a', 'b'));
      cluster.append(0, frameOf('c'));
      cluster.partitions[0]!.followerEnds.set(3, 1);
      const positions = [{ partition: 0, offset: 2, leaderEpoch: 1 }];
      expect(await take(consumerOf({ ...near, positions }), 1)).toEqual(['c']);
      expect(brokersRead()).toEqual([3, 1]);
    });

    it('lets the leader judge a position that the follower refuses', async () => {
      cluster.fetchError = 'OFFSET_OUT_OF_RANGE';
      cluster.append(0, frameOf('a'));
      expect(await take(consumerOf(near), 1)).toEqual(['a']);
      expect(brokersRead()).toEqual([3, 1]);
    });
  });
});
