import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connect,
  json,
  type ReadOptions,
  text as asText,
  type Tidemark,
  topic,
} from '../../../../client/index.ts';
import type { Consumer } from '../../../../client/consumer/consumer.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { crc32 } from 'node:zlib';
import { encodeFrame, NO_SEQUENCE } from '../../../../wire/batch/frame.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { bytes, frameOf, names, text } from '../records.ts';

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

function consumerOf(options: Omit<ReadOptions, 'onLoss'> = {}): Consumer {
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

async function allOf<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

function timed(...records: readonly (readonly [number, string])[]): Uint8Array {
  const inputs = records.map(([timestampMs, value]) => ({ value: bytes(value), timestampMs }));
  return encodeBatch(inputs, { codec: 0 }, crc32);
}

/** A frame whose checksums are right, and whose three records are not there. */
function garbage(): Uint8Array {
  const fields = {
    codec: 0 as const,
    isControl: false,
    lastOffsetDelta: 2,
    recordCount: 3,
    baseTimestampMs: 1,
    maxTimestampMs: 1,
    producerId: 0,
    producerEpoch: 0,
    baseSequence: NO_SEQUENCE,
  };
  return encodeFrame(fields, new Uint8Array([0xff, 0xff, 0xff]), crc32);
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
    const { topicId } = cluster;
    expect(positions).toEqual([{ topic: TOPIC, topicId, partition: 0, offset: 3, leaderEpoch: 2 }]);
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

  it('throws UNDECODABLE for a frame that stays damaged, and says why', async () => {
    cluster.damages = 100;
    cluster.append(0, frameOf('a'));
    await expect(take(consumerOf(), 1)).rejects.toMatchObject({
      code: 'UNDECODABLE',
      cause: { code: 'CORRUPT_BATCH' },
    });
  });

  it('goes on within a batch after a break, and runs nothing meanwhile', async () => {
    cluster.append(0, frameOf(...names('v', 5)));
    const consumer = consumerOf({ follow: false });
    expect(await take(consumer, 2)).toEqual(['v0', 'v1']);
    expect(consumer.state()).toMatchObject([{ offset: 2, state: 'waiting', brokerId: undefined }]);
    await expect.poll(() => cluster.openFetches).toBe(0);
    expect(await take(consumer, 2)).toEqual(['v2', 'v3']);
    expect(await take(consumer)).toEqual(['v4']);
    await expect.poll(() => cluster.openFetches).toBe(0);
  });

  it('tells how far it is, and what is left', async () => {
    cluster.append(0, frameOf(...names('v', 5)));
    const consumer = consumerOf();
    const reading = consumer.records();
    expect(consumer.lag()).toBeUndefined();
    await consumer.start();
    expect(consumer.lag()).toBe(5);
    await reading.next();
    expect(consumer.lag()).toBe(4);
    expect(consumer.state()).toEqual([
      { topic: TOPIC, partition: 0, offset: 1, end: 5, lag: 4, state: 'reading', brokerId: 1 },
    ]);
    for (let left = 4; left > 0; left -= 1) await reading.next();
    expect(consumer.state()).toMatchObject([{ lag: 0, state: 'caught-up' }]);
    await reading.return();
  });

  it('begins at the record of a time, not at its batch', async () => {
    cluster.append(0, timed([10, 'a'], [20, 'b'], [15, 'c']));
    cluster.append(0, timed([5, 'd']));
    const from = { timestampMs: 20 };
    expect(await take(consumerOf({ from, follow: false }))).toEqual(['b', 'c', 'd']);
  });

  it('ends with ABORTED when its signal is aborted, and goes on afterwards', async () => {
    cluster.append(0, frameOf('a'));
    const consumer = consumerOf();
    const stop = new AbortController();
    const found: string[] = [];
    const reading = (async () => {
      for await (const { value } of consumer.records({ signal: stop.signal })) {
        found.push(text(value));
        setImmediate(() => stop.abort());
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED', effect: 'none' });
    expect(found).toEqual(['a']);
    cluster.append(0, frameOf('b'));
    expect(await take(consumer, 1)).toEqual(['b']);
  });

  it('is a Web stream, which ends what it began', async () => {
    cluster.append(0, frameOf('a', 'b', 'c'));
    const consumer = consumerOf();
    const stream = consumer.readable().getReader();
    expect(text((await stream.read()).value!.value)).toBe('a');
    await stream.cancel();
    await expect.poll(() => cluster.openFetches).toBe(0);
    const rest = await allOf(consumerOf({ follow: false }).readable());
    expect(rest.map(({ value }) => text(value))).toEqual(['a', 'b', 'c']);
  });

  it.each([{ topic: TOPIC, topics: [TOPIC] }, {}, { topics: [] }, { topics: [TOPIC, TOPIC] }])(
    'is not made of %j',
    (topics) => {
      expect(() => client.consumer(topics as never)).toThrow('Cannot make consumer: topic');
    },
  );

  describe('with a position of a topic that was deleted and made again', () => {
    const positions = [
      { topic: TOPIC, topicId: 'an-older-one', partition: 0, offset: 2, leaderEpoch: 0 },
    ];

    it('refuses it', async () => {
      cluster.append(0, frameOf('a', 'b', 'c'));
      await expect(take(consumerOf({ positions, follow: false }))).rejects.toMatchObject({
        code: 'POSITION_DIVERGED',
        message: expect.stringContaining('topic id an-older-one, which was deleted') as string,
      });
    });

    it('starts where onReset says', async () => {
      cluster.append(0, frameOf('a', 'b', 'c'));
      const consumer = consumerOf({ positions, follow: false, onReset: 'earliest' });
      expect(await take(consumer)).toEqual(['a', 'b', 'c']);
    });
  });

  describe('with a batch that nobody can decode', () => {
    beforeEach(() => {
      cluster.append(0, frameOf('a', 'b'));
      cluster.append(0, garbage());
      cluster.append(0, frameOf('d'));
    });

    it('names its place and the one behind it, once everything before it was handed out', async () => {
      const found: string[] = [];
      const reading = (async () => {
        for await (const { value } of consumerOf().records()) found.push(text(value));
      })();
      await expect(reading).rejects.toMatchObject({
        code: 'UNDECODABLE',
        details: { topic: TOPIC, partition: 0, offset: 2, nextOffset: 5 },
        cause: { code: 'CORRUPT_BATCH' },
      });
      expect(found).toEqual(['a', 'b']);
    });

    it('goes on behind it where the policy says so', async () => {
      const consumer = consumerOf({ onUndecodable: 'skip', follow: false });
      expect(await take(consumer)).toEqual(['a', 'b', 'd']);
    });

    it('can be read past it by position', async () => {
      const positions = [{ partition: 0, offset: 5, leaderEpoch: 0 }];
      expect(await take(consumerOf({ positions, follow: false }))).toEqual(['d']);
    });
  });

  describe('with records that a codec refuses', () => {
    const typed = topic(TOPIC, { value: json() });

    it('hands out those before, and throws where the first one stands', async () => {
      cluster.append(0, frameOf('1', '2', 'no json', '4'));
      const consumer = client.consumer({ topic: typed, partitions: [0] });
      const found: unknown[] = [];
      const reading = (async () => {
        for await (const { value } of consumer.records()) found.push(value);
      })();
      await expect(reading).rejects.toMatchObject({
        code: 'UNDECODABLE',
        details: { topic: TOPIC, partition: 0, offset: 2, nextOffset: 3 },
      });
      expect(found).toEqual([1, 2]);
      expect(consumer.positions()).toMatchObject([{ offset: 2 }]);
    });

    it('passes over them where the policy says so', async () => {
      cluster.append(0, frameOf('1', 'no json', '3'));
      const options = { partitions: [0], follow: false, onUndecodable: 'skip' } as const;
      const found = await allOf(client.consumer({ topic: typed, ...options }).records());
      expect(found.map(({ value }) => value)).toEqual([1, 3]);
    });

    it('takes no bytes for text that are none', async () => {
      cluster.append(
        0,
        encodeBatch([{ value: new Uint8Array([0xff]), timestampMs: 1 }], { codec: 0 }, crc32),
      );
      const consumer = client.consumer({ topic: topic(TOPIC, { value: asText }), partitions: [0] });
      await expect(consumer.records().next()).rejects.toThrow('no valid UTF-8');
    });
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
    // Whatever more the broker would send has had every chance: it answers another client's call
    // behind it.
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
