import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ConsumedRecord,
  type Consumer,
  connect,
  json,
  type ReadOptions,
  text as asText,
  type Tidemark,
  topic,
} from '../../../../client/index.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { bytes, text } from '../records.ts';

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

/** A batch of records `key:value`, or `value` without a key. */
function append(partition: number, ...records: string[]): void {
  const inputs = records.map((record) => {
    const colon = record.lastIndexOf(':');
    const value = bytes(record.slice(colon + 1));
    return { value, timestampMs: 1, ...(colon < 0 ? {} : { key: bytes(record.slice(0, colon)) }) };
  });
  cluster.append(partition, encodeBatch(inputs, { codec: 0 }, crc32));
}

function consumerOf(options: Omit<ReadOptions, 'onLoss'> = {}): Consumer {
  return client.consumer({ topic: TOPIC, partitions: [0], follow: false, ...options });
}

/** Handlers that end when they are told to. */
class Hands {
  readonly begun: string[] = [];
  readonly signals: AbortSignal[] = [];
  readonly #open = new Map<string, PromiseWithResolvers<undefined>>();
  #wake = (): void => undefined;

  readonly handle = async (
    { value }: ConsumedRecord,
    { signal }: { signal: AbortSignal },
  ): Promise<void> => {
    const end = Promise.withResolvers<undefined>();
    this.begun.push(text(value));
    this.signals.push(signal);
    this.#open.set(text(value), end);
    this.#wake();
    await end.promise;
  };

  /** Resolves once so many have begun. */
  async begin(count: number): Promise<readonly string[]> {
    while (this.begun.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.begun;
  }

  end(...values: string[]): void {
    for (const value of values) this.#open.get(value)!.resolve(undefined);
  }

  fail(value: string, error: Error): void {
    this.#open.get(value)!.reject(error);
  }
}

/** Lets everything happen that waits for nothing else. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('Consumer.parallel()', () => {
  it('handles records of a key in turn, others at the same time, and saves no place behind a gap', async () => {
    append(0, 'k:a', 'k:b', 'l:c', 'd', 'e');
    const consumer = consumerOf();
    const hands = new Hands();
    const run = consumer.parallel({}, hands.handle);
    expect(await hands.begin(4)).toEqual(['a', 'c', 'd', 'e']);
    hands.end('c', 'd', 'e');
    await settle();
    expect(consumer.positions()).toMatchObject([{ offset: 0 }]);
    hands.end('a');
    await hands.begin(5);
    expect(consumer.positions()).toMatchObject([{ offset: 1 }]);
    hands.end('b');
    await run;
    expect(consumer.positions()).toMatchObject([{ offset: 5, leaderEpoch: 1 }]);
    expect(consumer.lag()).toBe(0);
  });

  it('handles a partition in turn where it is told to, and no more than max at a time', async () => {
    append(0, 'a', 'b');
    append(1, 'c', 'd');
    const byPartition = new Hands();
    const first = consumerOf({ partitions: [0, 1] }).parallel(
      { by: 'partition' },
      byPartition.handle,
    );
    expect((await byPartition.begin(2)).toSorted()).toEqual(['a', 'c']);
    byPartition.end('a', 'c');
    expect((await byPartition.begin(4)).slice(2).toSorted()).toEqual(['b', 'd']);
    byPartition.end('b', 'd');
    await first;
    const two = new Hands();
    const second = consumerOf({ partitions: [0, 1] }).parallel({ max: 2 }, two.handle);
    const [one = '', other = ''] = await two.begin(2);
    await settle();
    expect(two.begun).toHaveLength(2);
    two.end(one, other);
    two.end(...(await two.begin(4)).slice(2));
    await second;
  });

  it('tells keys apart by their bytes, whatever codecs make of them', async () => {
    append(0, '{"id":1}:1', '{"id":1}:2', '{"id":2}:3');
    const typed = topic(TOPIC, { key: json<{ id: number }>(), value: asText });
    const consumer = client.consumer({ topic: typed, partitions: [0], follow: false });
    const begun: unknown[] = [];
    const gate = Promise.withResolvers<undefined>();
    const run = consumer.parallel({}, async ({ key, value }) => {
      begun.push([key?.id, value]);
      await gate.promise;
    });
    await expect.poll(() => begun.length).toBe(2);
    gate.resolve(undefined);
    await run;
    expect(begun).toEqual([
      [1, '1'],
      [2, '3'],
      [1, '2'],
    ]);
  });

  it('reads no further while too many lie behind one that is not handled', async () => {
    append(0, 'a', 'b', 'c');
    const hands = new Hands();
    const consumer = consumerOf();
    const run = consumer.parallel({ max: 2, recordsMax: 2 }, hands.handle);
    await hands.begin(2);
    hands.end('b');
    await settle();
    expect(hands.begun).toEqual(['a', 'b']);
    hands.end('a');
    await hands.begin(3);
    expect(consumer.positions()).toMatchObject([{ offset: 2 }]);
    hands.end('c');
    await run;
  });

  it('keeps control batches behind what lies before them', async () => {
    append(0, 'a');
    cluster.elect(0, 2);
    const hands = new Hands();
    const consumer = consumerOf();
    const run = consumer.parallel({}, hands.handle);
    await hands.begin(1);
    await expect.poll(() => consumer.state()[0]!.state).toBe('waiting');
    expect(consumer.positions()).toMatchObject([{ offset: 0 }]);
    hands.end('a');
    await run;
    expect(consumer.positions()).toMatchObject([{ offset: 2, leaderEpoch: 2 }]);
  });

  it('ends with the first error: nothing else begins, what runs is told and waited for', async () => {
    append(0, 'k:a', 'b', 'c', 'k:d');
    const hands = new Hands();
    const consumer = consumerOf({ follow: true });
    let isOver = false;
    const run = consumer.parallel({}, hands.handle).finally(() => (isOver = true));
    const outcome = expect(run).rejects.toThrow('no room');
    await hands.begin(3);
    hands.fail('b', new Error('no room'));
    await settle();
    expect([isOver, hands.signals.every(({ aborted }) => aborted)]).toEqual([false, true]);
    hands.end('a', 'c');
    await outcome;
    expect(hands.begun).toEqual(['a', 'b', 'c']);
    expect(consumer.positions()).toMatchObject([{ offset: 1 }]);
    // Another iteration begins at what was not handled.
    const records = consumer.records();
    expect((await records.next()).value).toMatchObject({ offset: 1 });
    await records.return();
  });

  it('ends by its signal with ABORTED, and by close without an error, once what runs has ended', async () => {
    append(0, 'a');
    const hands = new Hands();
    const controller = new AbortController();
    const first = consumerOf({ follow: true }).parallel({}, hands.handle, controller);
    const aborted = expect(first).rejects.toMatchObject({ code: 'ABORTED' });
    await hands.begin(1);
    controller.abort();
    hands.end('a');
    await aborted;
    const consumer = consumerOf({ follow: true });
    const second = consumer.parallel({}, hands.handle);
    await hands.begin(2);
    await consumer.close();
    hands.end('a');
    await second;
    expect(consumer.positions()).toMatchObject([{ offset: 1 }]);
  });

  it('handles what comes before an unclean election before it throws, and a range alone', async () => {
    append(0, 'a', 'b');
    cluster.partitions[0]!.losses.push({ leaderEpoch: 2, fromOffset: 1 });
    cluster.elect(0, 2);
    append(0, 'c');
    const throwing = consumerOf();
    const hands = new Hands();
    const run = throwing.parallel({}, hands.handle);
    const lost = expect(run).rejects.toMatchObject({ code: 'RECORDS_MAY_BE_LOST' });
    await hands.begin(2);
    hands.end('a', 'b');
    await lost;
    expect(throwing.positions()).toMatchObject([{ offset: 2, leaderEpoch: 1 }]);
    const options = { topic: TOPIC, partitions: [0], follow: false, onLoss: 'yield' } as const;
    const consumer = client.consumer(options);
    const found: string[] = [];
    let running = 0;
    await consumer.parallel({}, async (item) => {
      running += 1;
      await settle();
      if ('kind' in item) expect(running).toBe(1);
      found.push('kind' in item ? item.kind : text(item.value));
      running -= 1;
    });
    expect(found).toEqual(['a', 'b', 'loss', 'c']);
  });

  it.each([
    [{ max: 0 }, 'max is 0, must be'],
    [{ by: 'topic' }, 'by is "topic", must be'],
    [{ max: 9, recordsMax: 8 }, 'recordsMax is 8, must be at least max, which is 9'],
    [{ maximum: 9 }, 'maximum'],
  ])('refuses %j', async (options, message) => {
    await expect(consumerOf().parallel(options as never, () => undefined)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message) as string,
    });
  });

  it('refuses what is no function, and to run twice', async () => {
    await expect(consumerOf().parallel({}, undefined as never)).rejects.toThrow(
      'handler is undefined',
    );
    const consumer = consumerOf({ follow: true });
    const first = consumer.parallel({}, () => undefined);
    await expect(consumer.parallel({}, () => undefined)).rejects.toThrow('must end before');
    await consumer.close();
    await first;
  });
});
