/** Appends at an expected end, through the producer to a cluster that judges them. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type Producer, type Tidemark } from '../../../../client/index.ts';
import { TidemarkError } from '../../../../client/errors.ts';
import { producerSettings } from '../../../../client/producer/options.ts';
import { type Fate, PartitionQueue } from '../../../../client/producer/partition-queue.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { bytes, logOf } from '../records.ts';

let cluster: FakeCluster;
let client: Tidemark;
let producer: Producer;

beforeEach(async () => {
  cluster = new FakeCluster(2);
  cluster.featureLevel = 6;
  await cluster.start();
  client = connect({ servers: cluster.servers });
  producer = client.producer();
});

afterEach(async () => {
  await client.close();
  cluster.stop();
});

function recordsOf(...values: string[]): { topic: string; partition: number; value: string }[] {
  return values.map((value) => ({ topic: TOPIC, partition: 0, value }));
}

describe('append()', () => {
  it('appends all records as one batch, and says where they end', async () => {
    const first = await producer.append(recordsOf('a', 'b'), { ifOffset: 0 });
    const second = await producer.append(recordsOf('c'), { ifOffset: first.nextOffset });

    expect([first, second]).toEqual([
      { partition: 0, baseOffset: 0, nextOffset: 2 },
      { partition: 0, baseOffset: 2, nextOffset: 3 },
    ]);
    expect(cluster.arrivals.map(({ recordCount }) => recordCount)).toEqual([2, 1]);
  });

  it('lets one of two win, and takes no new id for the loser', async () => {
    const rival = client.producer();
    const [won, lost] = await Promise.allSettled([
      producer.append(recordsOf('a'), { ifOffset: 0 }),
      producer.append(recordsOf('b'), { ifOffset: 0 }),
    ]);
    await rival.append(recordsOf('c'), { ifOffset: 1 });
    await producer.append(recordsOf('d'), { ifOffset: 2 });

    expect(won.status).toBe('fulfilled');
    expect(lost).toMatchObject({ reason: { code: 'OFFSET_TAKEN', effect: 'none', retry: 'no' } });
    expect(logOf(cluster)).toEqual(['a', 'c', 'd']);
    // One for each producer.
    expect(cluster.initProducerCalls).toBe(2);
  });

  it('shares no batch with records that are sent beside it, and keeps their order', async () => {
    await Promise.all([
      producer.send({ topic: TOPIC, partition: 0, value: 'a' }),
      producer.append(recordsOf('b', 'c'), { ifOffset: 1 }),
      producer.send({ topic: TOPIC, partition: 0, value: 'd' }),
      producer.send({ topic: TOPIC, partition: 0, value: 'e' }),
    ]);

    expect(logOf(cluster)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(cluster.arrivals.map(({ recordCount }) => recordCount)).toEqual([1, 2, 2]);
  });

  it('knows its own record when the answer was lost', async () => {
    cluster.faults = [{ kind: 'append-then-drop' }];
    const { baseOffset } = await producer.append(recordsOf('a'), { ifOffset: 0 });
    expect([baseOffset, logOf(cluster)]).toEqual([0, ['a']]);
  });

  it('tries again where the log does not reach so far yet', async () => {
    cluster.faults = [{ kind: 'refuse', code: 'OFFSET_NOT_AVAILABLE' }];
    await producer.append(recordsOf('a'), { ifOffset: 0 });
    expect(cluster.arrivals).toHaveLength(2);
  });

  it('sends nothing to a cluster in which a leader might append in any case', async () => {
    cluster.featureLevel = 5;
    await expect(producer.append(recordsOf('a'), { ifOffset: 0 })).rejects.toMatchObject({
      code: 'REFUSED',
      effect: 'none',
      message: 'Cannot append at an expected end: it needs feature level 6, the cluster is at 5',
    });
    expect(cluster.arrivals).toEqual([]);
    cluster.featureLevel = 6;
    await producer.append(recordsOf('a'), { ifOffset: 0 });
  });

  it('says that nothing was appended where nobody tells the level', async () => {
    cluster.stop();
    await expect(producer.append(recordsOf('a'), { ifOffset: 0 })).rejects.toMatchObject({
      effect: 'none',
    });
  });

  const A = { topic: TOPIC, partition: 0, value: 'a' };
  const refused: readonly {
    readonly name: string;
    readonly records: unknown;
    readonly options?: unknown;
    readonly says: string;
  }[] = [
    { name: 'no array', records: A, says: 'records is an object, must be an array' },
    { name: 'no record', records: [], says: 'the number of records is 0, must be 1 to 1048576' },
    { name: 'no place', records: [{ topic: TOPIC, value: 'a' }], says: 'records[0] has neither' },
    { name: 'two topics', records: [A, { ...A, topic: 'other' }], says: 'records[1].topic is' },
    { name: 'two partitions', records: [A, { ...A, partition: 1 }], says: 'records[1] belongs to' },
    { name: 'no offset', records: [A], options: {}, says: 'ifOffset is undefined, must be 0 to' },
    { name: 'no number', records: [A], options: { ifOffset: '1' }, says: 'ifOffset is "1"' },
    { name: 'below 0', records: [A], options: { ifOffset: -1 }, says: 'ifOffset is -1' },
    {
      name: 'an epoch that is none',
      records: [A],
      options: { ifOffset: 0, ifLeaderEpoch: 0.5 },
      says: 'ifLeaderEpoch is 0.5',
    },
    { name: 'an unknown option', records: [A], options: { ifOffset: 0, x: 1 }, says: '"x" is not' },
  ];
  it.each(refused)('refuses what cannot be: $name', async ({ records, options, says }) => {
    const given = (options ?? { ifOffset: 0 }) as { ifOffset: number };
    await expect(producer.append(records as never, given)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(says) as string,
    });
    expect(cluster.arrivals).toEqual([]);
    await producer.flush();
    expect(producer.counters().bufferedBytes).toBe(0);
  });

  it.each([{ acks: 'leader' }, { idempotent: false }] as const)(
    'refuses a producer that cannot know: %j',
    async (options) => {
      const loose = client.producer(options);
      await expect(loose.append([A], { ifOffset: 0 })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    },
  );

  it('refuses more than a batch holds', async () => {
    const value = new Uint8Array(600_000);
    const two = [A, A].map((record) => ({ ...record, value }));
    await expect(producer.append(two, { ifOffset: 0 })).rejects.toMatchObject({
      code: 'BATCH_TOO_LARGE',
    });
  });
});

describe('PartitionQueue, of a batch that expects an end', () => {
  const ID = { producerId: 9, producerEpoch: 1 };
  const UNREACHABLE = new TidemarkError('UNREACHABLE', 'torn', 'refresh');

  function sent(): { queue: PartitionQueue; answer: (fate: Fate) => unknown } {
    const place = { topic: 't', topicIdBytes: new Uint8Array(16), partition: 0 };
    const queue = new PartitionQueue(place, producerSettings({}), () => 20);
    queue.setIdentity(ID);
    const record = { value: bytes('a'), timestampMs: 1, context: 'a' };
    queue.appendTogether([record], 10, undefined, { offset: 5, leaderEpoch: 0 }, 0);
    queue.take(0, 1e9);
    queue.rewind(0, UNREACHABLE);
    const batch = queue.take(100, 1e9)!;
    return { queue, answer: (fate) => queue.onResult(batch, 2, fate, 100).settled[0]?.fate };
  }

  function taken(baseSequence: number): Fate {
    const holder = { ...ID, baseSequence, baseOffset: 7 };
    const error = new TidemarkError('OFFSET_TAKEN', 'taken', 'no', { dataEnd: 8, holder });
    return { kind: 'failed', error };
  }

  it('has won where its own batch holds the end', () => {
    expect(sent().answer(taken(0))).toEqual({ kind: 'delivered', baseOffset: 7 });
  });

  it('has lost for certain where another holds it, though a try was never answered', () => {
    const { queue, answer } = sent();
    expect(answer(taken(1))).toMatchObject({ error: { code: 'OFFSET_TAKEN', effect: 'none' } });
    // That try may be on its way yet: its sequence is not used for anything else.
    expect(queue.needsIdentity).toBe(true);
  });

  it('says who it was when it cannot tell', () => {
    const [settled] = sent().queue.abandon(UNREACHABLE);
    expect(settled?.fate).toMatchObject({
      error: { code: 'OUTCOME_UNKNOWN', details: { own: { ...ID, baseSequence: 0 } } },
    });
  });
});
