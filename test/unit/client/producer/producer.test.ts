import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  connect,
  type DeliveryReport,
  type ProducerOptions,
  type Tidemark,
} from '../../../../client/index.ts';
import { RecordSet } from '../../../../proto/gen/tidemark/v1/records.ts';
import { HEADER_BYTES } from '../../../../wire/batch/frame.ts';
import type { Producer } from '../../../../client/producer/producer.ts';
import { FakeCluster, type Fault, TOPIC } from '../fake-cluster.ts';
import { bytes, logOf, names } from '../records.ts';

let cluster: FakeCluster;
let client: Tidemark;

beforeEach(async () => {
  cluster = new FakeCluster();
  await cluster.start();
  client = connect({ servers: cluster.servers });
});

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await client.close();
  cluster.stop();
});

/** Enqueues each value; every one makes a batch of its own. */
function producerOfSingles(options: ProducerOptions = {}): Producer {
  return client.producer({ batchBytes: 1, batchBytesMax: 1024, ...options });
}

/** Records just over half of the batch limit, so that no two share a batch. */
function padded(value: string): Uint8Array {
  return bytes(value.padEnd(600, '.'));
}

function values(log: readonly string[]): string[] {
  return log.map((value) => value.replace(/\.+$/, ''));
}

describe('Producer.send()', () => {
  it('resolves with partition, offset and timestamp', async () => {
    const producer = client.producer();
    const first = await producer.send({ topic: TOPIC, value: bytes('a'), timestampMs: 5 });
    const second = await producer.send({ topic: TOPIC, value: bytes('b'), timestampMs: 6 });
    expect([first, second]).toEqual([
      { partition: 0, offset: 0, timestampMs: 5 },
      { partition: 0, offset: 1, timestampMs: 6 },
    ]);
  });

  it.each([-1, Number.NaN, 0.5, Infinity, 8_640_000_000_000_001, Number.MAX_SAFE_INTEGER])(
    'refuses a record of the time %d, which no date can show',
    (timestampMs) => {
      const producer = client.producer();
      const record = { topic: TOPIC, value: bytes('a'), timestampMs };
      return expect(producer.send(record)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    },
  );

  it('appends a record without a value, and refuses undefined', async () => {
    const producer = client.producer();
    await producer.send({ topic: TOPIC, key: bytes('k'), value: null });
    const { value } = {} as { readonly value: null };
    await expect(producer.send({ topic: TOPIC, value })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message:
        'Cannot send record: value is undefined, must be a string, a Uint8Array, or null for a tombstone',
    });
    expect(logOf(cluster)).toEqual(['(none)']);
  });

  it('learns by itself of partitions that were added', async () => {
    let aheadMs = 0;
    const nowMs = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs() + aheadMs);
    const producer = client.producer();
    await producer.send({ topic: TOPIC, value: bytes('a') });
    cluster.addPartition();
    const toAdded = () => producer.send({ topic: TOPIC, partition: 1, value: bytes('b') });
    await expect(toAdded()).rejects.toMatchObject({ code: 'UNKNOWN_PARTITION' });
    aheadMs = 5_001;
    await expect
      .poll(() => toAdded().catch(() => undefined))
      .toMatchObject({ partition: 1, offset: 0 });
  });

  it('takes another id for a topic that was made again, whatever a server that lags says', async () => {
    const [older, newer] = [cluster.topicId, '00000000-0000-4000-8000-0000000000ab'];
    const producer = client.producer();
    for (const topicId of [older, newer, older, newer]) {
      cluster.topicId = topicId;
      await producer.lookUp(TOPIC);
      await producer.send({ topic: TOPIC, value: bytes(topicId) });
    }
    // One id twice would begin again at sequence 0 in a log that knows its sequences already.
    expect(new Set(cluster.arrivals.map(({ producerId }) => producerId)).size).toBe(4);
  });

  it('gathers records of one turn into one batch, in order', async () => {
    const producer = client.producer();
    const sent = names('v', 100).map((value) =>
      producer.send({ topic: TOPIC, value: bytes(value) }),
    );
    const offsets = (await Promise.all(sent)).map(({ offset }) => offset);
    expect(offsets).toEqual(Array.from({ length: 100 }, (_, index) => index));
    expect(cluster.arrivals).toHaveLength(1);
  });

  it('rejects a topic that nobody knows', async () => {
    await expect(
      client.producer().send({ topic: 'nothing', value: bytes('a') }),
    ).rejects.toMatchObject({
      code: 'UNKNOWN_TOPIC',
      retry: 'no',
    });
  });

  it('rejects a partition that does not exist', async () => {
    const sent = client.producer().send({ topic: TOPIC, value: bytes('a'), partition: 9 });
    await expect(sent).rejects.toMatchObject({ code: 'UNKNOWN_PARTITION' });
  });

  it('rejects BUFFER_FULL instead of growing where that was asked for', async () => {
    cluster.isHolding = true;
    const producer = client.producer({ bufferBytesMax: 2 * 1024 * 1024, whenFull: 'fail' });
    const value = new Uint8Array(64 * 1024);
    const sent = Array.from({ length: 100 }, () => producer.send({ topic: TOPIC, value }));
    const refused = sent
      .slice(40)
      .map((one) => expect(one).rejects.toMatchObject({ code: 'BUFFER_FULL', retry: 'same' }));
    await Promise.all(refused);
    expect(producer.counters().bufferedBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    cluster.releaseHeld();
    await Promise.allSettled(sent);
    await producer.flush();
    expect(producer.counters().bufferedBytes).toBe(0);
  });

  it('waits for room, in the order of the calls, and holds no more than its bound', async () => {
    cluster.isHolding = true;
    const producer = client.producer({ bufferBytesMax: 2 * 1024 * 1024 });
    const wanted = names('v', 100);
    const sent = wanted.map((value) =>
      producer.send({ topic: TOPIC, value: value.padEnd(64 * 1024, '.') }),
    );
    const flushed = producer.flush();
    await expect.poll(() => cluster.arrivals.length).toBeGreaterThan(0);
    expect(producer.counters().bufferedBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    cluster.isHolding = false;
    cluster.releaseHeld();
    const offsets = (await Promise.all(sent)).map(({ offset }) => offset);
    expect(offsets).toEqual([...wanted.keys()]);
    await flushed;
    expect(values(logOf(cluster))).toEqual(wanted);
    expect(producer.counters().bufferedBytes).toBe(0);
  });

  it('rejects what waits for room when the producer is closed without a flush', async () => {
    cluster.isHolding = true;
    const producer = client.producer({ bufferBytesMax: 2 * 1024 * 1024 });
    const value = new Uint8Array(64 * 1024);
    const sent = Array.from({ length: 40 }, () => producer.send({ topic: TOPIC, value }));
    const settled = Promise.allSettled(sent);
    await producer.close({ isAborted: true });
    const last = (await settled).at(-1);
    expect(last).toMatchObject({ status: 'rejected', reason: { code: 'CLOSED', effect: 'none' } });
    cluster.releaseHeld();
  });

  it('ends the waiting, not the append, when its signal is aborted', async () => {
    cluster.isHolding = true;
    const producer = client.producer({ bufferBytesMax: 2 * 1024 * 1024 });
    const { signal } = new AbortController();
    const stop = new AbortController();
    const taken = producer.send({ topic: TOPIC, value: 'a' }, { signal: stop.signal });
    const full = Array.from({ length: 40 }, () =>
      producer.send({ topic: TOPIC, value: new Uint8Array(64 * 1024) }, { signal }),
    );
    const waiting = producer.send({ topic: TOPIC, value: 'b' }, { signal: stop.signal });
    const settled = Promise.allSettled([taken, waiting]);
    stop.abort(new Error('enough'));
    expect(await settled).toMatchObject([
      { reason: { code: 'ABORTED', effect: 'unknown', cause: { message: 'enough' } } },
      { reason: { code: 'ABORTED', effect: 'none' } },
    ]);
    const before = producer.send({ topic: TOPIC, value: 'c' }, { signal: stop.signal });
    await expect(before).rejects.toMatchObject({ code: 'ABORTED', effect: 'none' });
    cluster.isHolding = false;
    cluster.releaseHeld();
    await Promise.all(full);
    await producer.flush();
    const log = logOf(cluster);
    expect(log[0]).toBe('a');
    expect(log).not.toContain('b');
    expect(log).not.toContain('c');
  });

  it('rejects after close', async () => {
    const producer = client.producer();
    await producer.close();
    await expect(producer.send({ topic: TOPIC, value: bytes('a') })).rejects.toMatchObject({
      code: 'CLOSED',
    });
  });

  it('fails a refused batch only, and appends those behind it', async () => {
    cluster.faults = [undefined, { kind: 'refuse', code: 'TIMESTAMP_IN_FUTURE' }];
    const producer = producerOfSingles();
    const sent = await Promise.allSettled(
      names('v', 8).map((value) => producer.send({ topic: TOPIC, value: padded(value) })),
    );
    expect(sent.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      ...Array.from({ length: 6 }, () => 'fulfilled'),
    ]);
    expect(values(logOf(cluster))).toEqual(['v0', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7']);
  });
});

describe('Producer.writable()', () => {
  it('appends what is written, and is closed when all of it is', async () => {
    const producer = client.producer();
    const writer = producer.writable().getWriter();
    for (const value of names('v', 5)) await writer.write({ topic: TOPIC, value });
    await writer.close();
    expect(logOf(cluster)).toEqual(names('v', 5));
  });

  it('fails with the first record that does', async () => {
    cluster.faults = [{ kind: 'refuse', code: 'TIMESTAMP_IN_FUTURE' }];
    const writer = client.producer().writable().getWriter();
    await writer.write({ topic: TOPIC, value: 'a' });
    const refused = { code: 'TIMESTAMP_IN_FUTURE' };
    await expect(writer.closed).rejects.toMatchObject(refused);
    await expect(writer.write({ topic: TOPIC, value: 'b' })).rejects.toMatchObject(refused);
  });
});

describe('Producer.enqueue()', () => {
  it('returns false when the buffer is full, and ready() resolves when there is room', async () => {
    cluster.isHolding = true;
    const reports: DeliveryReport[] = [];
    const producer = client.producer({
      bufferBytesMax: 2 * 1024 * 1024,
      onDelivery: (report) => reports.push(report),
    });
    const value = new Uint8Array(64 * 1024);
    let taken = 0;
    while (producer.enqueue({ topic: TOPIC, value, context: taken })) taken += 1;
    expect(taken).toBe(31);
    cluster.releaseHeld();
    await producer.ready();
    expect(producer.enqueue({ topic: TOPIC, value, context: taken })).toBe(true);
    await producer.flush();
    expect(reports.flatMap(({ contexts }) => contexts)).toEqual(
      Array.from({ length: 32 }, (_, index) => index),
    );
  });

  it('reports each batch with its contexts, offsets and tries', async () => {
    const reports: DeliveryReport[] = [];
    const producer = client.producer({ onDelivery: (report) => reports.push(report) });
    for (const context of ['x', 'y'])
      producer.enqueue({ topic: TOPIC, value: bytes(context), context });
    await producer.flush();
    expect(reports).toMatchObject([
      {
        topic: TOPIC,
        partition: 0,
        baseOffset: 0,
        recordCount: 2,
        contexts: ['x', 'y'],
        attempts: 1,
        error: undefined,
      },
    ]);
  });

  it('tells of each batch on a diagnostics channel too', async () => {
    const told: unknown[] = [];
    const hear = (message: unknown): number => told.push(message);
    subscribe('tidemark:producer:delivery', hear);
    await client.producer().send({ topic: TOPIC, value: 'a' });
    unsubscribe('tidemark:producer:delivery', hear);
    expect(told).toMatchObject([{ topic: TOPIC, recordCount: 1, error: undefined }]);
  });

  it('says offset -1 with acks none', async () => {
    const producer = client.producer({ acks: 'none' });
    expect(await producer.send({ topic: TOPIC, value: bytes('a') })).toMatchObject({ offset: -1 });
  });
});

const FAULTS: readonly {
  readonly name: string;
  readonly faults: readonly (Fault | undefined)[];
}[] = [
  { name: 'a torn stream before the append', faults: [undefined, { kind: 'drop' }] },
  { name: 'a lost answer', faults: [undefined, undefined, { kind: 'append-then-drop' }] },
  {
    name: 'a retryable answer after the append',
    faults: [{ kind: 'append-then-refuse', code: 'STALE_EPOCH' }],
  },
  {
    name: 'a refusal in the middle of the window',
    faults: [undefined, { kind: 'refuse', code: 'NOT_ENOUGH_REPLICAS' }],
  },
  {
    name: 'an overloaded broker',
    faults: [
      { kind: 'refuse', code: 'OVERLOADED' },
      { kind: 'refuse', code: 'OVERLOADED' },
    ],
  },
  {
    name: 'a leader that does not know the topic yet',
    faults: [{ kind: 'refuse', code: 'UNKNOWN_TOPIC' }],
  },
  {
    name: 'one fault after the other',
    faults: [
      { kind: 'append-then-drop' },
      undefined,
      { kind: 'refuse', code: 'LEADER_UNKNOWN' },
      { kind: 'drop' },
      { kind: 'append-then-drop' },
    ],
  },
];

describe('Producer under faults', () => {
  it.each(FAULTS)('appends every record once, in order, over $name', async ({ faults }) => {
    cluster.faults = [...faults];
    const producer = producerOfSingles();
    const wanted = names('v', 20);
    await Promise.all(wanted.map((value) => producer.send({ topic: TOPIC, value: padded(value) })));
    expect(values(logOf(cluster))).toEqual(wanted);
    expect(cluster.faults).toEqual([]);
  });

  it('sends the same bytes again, so that the leader can tell a repetition', async () => {
    cluster.faults = [{ kind: 'append-then-drop' }];
    const { offset } = await client.producer().send({ topic: TOPIC, value: bytes('a') });
    const [first, second] = cluster.arrivals;
    expect(offset).toBe(0);
    expect(second?.frame).toEqual(first?.frame);
    expect(logOf(cluster)).toEqual(['a']);
  });

  it('keeps at most five batches of a partition in flight', async () => {
    cluster.isHolding = true;
    const producer = producerOfSingles();
    const sent = names('v', 20).map((value) =>
      producer.send({ topic: TOPIC, value: padded(value) }),
    );
    await expect.poll(() => cluster.arrivals.length).toBe(5);
    cluster.releaseHeld();
    await Promise.all(sent);
    expect(values(logOf(cluster))).toEqual(names('v', 20));
  });

  it('sends no more than the window that the broker states', async () => {
    cluster.windowBytes = 1500;
    cluster.isHolding = true;
    const producer = producerOfSingles();
    await producer.ready();
    const first = producer.send({ topic: TOPIC, value: padded('v0') });
    await expect.poll(() => cluster.arrivals.length).toBe(1);
    const rest = names('w', 10).map((value) =>
      producer.send({ topic: TOPIC, value: padded(value) }),
    );
    await expect.poll(() => cluster.arrivals.length).toBe(2);
    cluster.releaseHeld();
    await Promise.all([first, ...rest]);
    expect(cluster.arrivals).toHaveLength(11);
  });

  it('goes to the new leader when the old one dies, and re-sends what was not acknowledged', async () => {
    const producer = producerOfSingles();
    await producer.send({ topic: TOPIC, value: padded('before') });
    cluster.isHolding = true;
    const sent = names('v', 10).map((value) =>
      producer.send({ topic: TOPIC, value: padded(value) }),
    );
    await expect.poll(() => cluster.arrivals.length).toBe(6);
    cluster.killBroker(1);
    cluster.elect(0, 2);
    cluster.isHolding = false;
    await Promise.all(sent);
    expect(values(logOf(cluster))).toEqual(['before', ...names('v', 10)]);
    expect(cluster.arrivals.at(-1)?.broker).toBe(2);
  });

  it('leaves a leader that says nothing for the one that was elected meanwhile', async () => {
    cluster.faults = [{ kind: 'swallow' }];
    const producer = client.producer();
    const sent = producer.send({ topic: TOPIC, value: bytes('a') });
    await expect.poll(() => cluster.arrivals.length).toBe(1);
    cluster.elect(0, 3);
    expect(await sent).toMatchObject({ partition: 0, offset: 1 });
    expect(cluster.arrivals.map(({ broker }) => broker)).toEqual([1, 3]);
  });

  it('follows the leader that a refusal names, without asking anyone', async () => {
    const producer = client.producer();
    await producer.send({ topic: TOPIC, value: bytes('a') });
    cluster.elect(0, 2);
    expect(await producer.send({ topic: TOPIC, value: bytes('b') })).toMatchObject({ offset: 2 });
    expect(logOf(cluster)).toEqual(['a', 'b']);
  });

  it('does not pause before it asks the leader that a refusal names', async () => {
    const producer = client.producer();
    await producer.send({ topic: TOPIC, value: bytes('a') });
    cluster.elect(0, 2);
    for (const broker of [1, 2, 3]) cluster.silent.add(broker);
    // With nobody to ask and a clock that stands, a pause would never end.
    vi.spyOn(Date, 'now').mockReturnValue(Date.now());
    expect(await producer.send({ topic: TOPIC, value: bytes('b') })).toMatchObject({ offset: 2 });
  });

  it('takes a new id when the log has forgotten the producer', async () => {
    const producer = client.producer();
    await producer.send({ topic: TOPIC, value: bytes('a') });
    cluster.partitions[0]!.producers.clear();
    await producer.send({ topic: TOPIC, value: bytes('b') });
    expect(logOf(cluster)).toEqual(['a', 'b']);
    expect(cluster.initProducerCalls).toBe(2);
  });

  it('fails at once where nobody gives it an id, and asks again for what comes later', async () => {
    const producer = client.producer();
    cluster.refusesProducers = 'PERMISSION_DENIED';
    await expect(producer.send({ topic: TOPIC, value: bytes('a') })).rejects.toMatchObject({
      code: 'PERMISSION_DENIED',
      effect: 'none',
    });
    cluster.refusesProducers = null;
    await producer.send({ topic: TOPIC, value: bytes('b') });
    expect(logOf(cluster)).toEqual(['b']);
  });

  it('fails with OUTCOME_UNKNOWN at the delivery timeout, and leaves no gap for what follows', async () => {
    cluster.faults = [undefined, { kind: 'swallow' }];
    const producer = producerOfSingles({ deliveryTimeoutMs: 1000 });
    await producer.send({ topic: TOPIC, value: padded('a') });
    await expect(producer.send({ topic: TOPIC, value: padded('b') })).rejects.toMatchObject({
      code: 'OUTCOME_UNKNOWN',
    });
    await producer.send({ topic: TOPIC, value: padded('c') });
    expect(values(logOf(cluster))).toEqual(['a', 'c']);
    expect(new Set(cluster.arrivals.map(({ producerId }) => producerId)).size).toBe(2);
  });

  it('fails with TIMED_OUT, not OUTCOME_UNKNOWN, what was never appended', async () => {
    cluster.partitions[0]!.leader = undefined;
    const producer = client.producer({ deliveryTimeoutMs: 1000 });
    await expect(producer.send({ topic: TOPIC, value: bytes('a') })).rejects.toMatchObject({
      code: 'TIMED_OUT',
    });
  });

  it('appends in order without idempotence too, one batch at a time', async () => {
    const producer = producerOfSingles({ idempotent: false });
    await Promise.all(
      names('v', 10).map((value) => producer.send({ topic: TOPIC, value: padded(value) })),
    );
    expect(values(logOf(cluster))).toEqual(names('v', 10));
    expect(cluster.arrivals.every(({ producerId }) => producerId === 0)).toBe(true);
  });
});

describe('Producer with compression', () => {
  it.each(['gzip', 'zstd'] as const)('%s: the log holds what was sent', async (compression) => {
    const producer = client.producer({ compression });
    const value = 'again and again '.repeat(100);
    await producer.send({ topic: TOPIC, value: bytes(value) });
    expect(logOf(cluster)).toEqual([value]);
    expect(cluster.arrivals[0]!.frame.length).toBeLessThan(500);
  });
});

describe('a producer of a compacted topic', () => {
  const refusal = {
    code: 'INVALID_ARGUMENT',
    effect: 'none',
    message: `Cannot append to "${TOPIC}": key is missing, must be there, since the topic is compacted, which keeps the last record of each key`,
  };

  beforeEach(() => {
    cluster.isCompacted = true;
  });

  it('refuses records without a key, whether it knows the topic yet or not', async () => {
    const producer = client.producer();
    const unkeyed = { topic: TOPIC, value: bytes('a') };
    const waiting = producer.send(unkeyed);
    const keyed = producer.send({ ...unkeyed, key: bytes('') });
    await expect(waiting).rejects.toMatchObject(refusal);
    expect((await keyed).offset).toBe(0);
    await expect(producer.send(unkeyed)).rejects.toMatchObject(refusal);
    await expect(producer.send({ ...unkeyed, partition: 0 })).rejects.toMatchObject(refusal);
    cluster.featureLevel = 12;
    const together = [
      { ...unkeyed, key: bytes('k'), partition: 0 },
      { ...unkeyed, partition: 0 },
    ];
    await expect(producer.append(together, { ifOffset: 1 })).rejects.toMatchObject(refusal);
    expect(producer.counters().bufferedBytes).toBe(0);
  });

  it('gives each record a checksum of its own, a tombstone too', async () => {
    const producer = client.producer();
    await Promise.all(
      [bytes('v'), null].map((value) => producer.send({ topic: TOPIC, key: bytes('k'), value })),
    );
    const [frame] = cluster.partitions[0]!.frames;
    const fields = RecordSet.decode(Buffer.from(frame!).subarray(HEADER_BYTES)).records;
    expect(fields.map(({ crc, tombstone }) => [typeof crc, tombstone])).toEqual([
      ['number', false],
      ['number', true],
    ]);
  });
});
