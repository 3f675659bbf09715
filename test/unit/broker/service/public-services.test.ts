import { crc32 } from 'node:zlib';
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  Metadata,
  type MethodDefinition,
} from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { topicIdToBytes } from '../../../../wire/batch/frame.ts';
import { AdminServiceService } from '../../../../proto/gen/tidemark/v1/admin.ts';
import {
  type AppendRecord,
  type AppendRequest,
  type AppendResponse,
  type FetchRequest,
  type FetchResponse,
  LogServiceService,
  type ProduceRequest,
  type ProduceResponse,
  type ReadRequest,
  type ReadResponse,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';
import { errorFromStatus } from '../../../../wire/grpc/errors.ts';
import { encodeBatch } from '../../../../wire/records/batch.ts';
import { CONFIG, type FakeBroker, FakeCluster, TOPIC_ID, within } from './fake-broker.ts';

const TOPIC_BYTES = topicIdToBytes(TOPIC_ID);
const DEADLINE_MS = 4_000;
const BARE = { key: undefined, headers: [], timestampMs: 0, tombstone: false };

let cluster: FakeCluster;
let one: FakeBroker;
let two: FakeBroker;

beforeEach(async () => {
  cluster = new FakeCluster();
  one = await cluster.add(1);
  two = await cluster.add(2);
  cluster.lead([1, 2]);
});

afterEach(async () => {
  await cluster.stop();
  expect(cluster.defects).toEqual([]);
});

function call<Request, Response>(
  broker: FakeBroker,
  method: MethodDefinition<Request, Response>,
  request: Request,
  deadlineMs = DEADLINE_MS,
): Promise<Response> {
  return callUnary(cluster.client(broker), method, request, within(deadlineMs));
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function record(value: string, partition?: number): AppendRecord {
  return { partition, value: text(value), ...BARE };
}

function appendRequest(records: readonly AppendRecord[]): AppendRequest {
  return { topic: 'events', records: [...records], acks: 0, condition: undefined };
}

function frame(...values: readonly string[]): Uint8Array {
  return encodeBatch(
    values.map((value) => ({ value: text(value), timestampMs: 5 })),
    { codec: 0 },
    crc32,
  );
}

/** The messages of a stream, one by one. */
function reader<Response>(stream: AsyncIterable<Response>): () => Promise<Response> {
  const iterator = stream[Symbol.asyncIterator]();
  return async () => {
    const next: IteratorResult<Response, unknown> = await iterator.next();
    if (next.done === true) throw new Error('the stream has ended');
    return next.value;
  };
}

function duplex<Request, Response>(
  broker: FakeBroker,
  method: MethodDefinition<Request, Response>,
): ClientDuplexStream<Request, Response> {
  const stream: ClientDuplexStream<Request, Response> = cluster
    .client(broker)
    .makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      new Metadata(),
    );
  return stream;
}

describe('Produce', () => {
  function batch(
    batchId: number,
    bytes: Uint8Array,
    partition = 0,
  ): ProduceRequest['batches'][number] {
    return { batchId, topicId: TOPIC_BYTES, partition, frame: bytes, condition: undefined };
  }

  async function results(
    next: () => Promise<ProduceResponse>,
    count: number,
  ): Promise<ProduceResponse['results']> {
    const found: ProduceResponse['results'] = [];
    while (found.length < count) found.push(...(await next()).results);
    return found;
  }

  it('states its window, answers each batch, and keeps the order of a partition', async () => {
    const stream = duplex(one, LogServiceService.produce);
    const next = reader<ProduceResponse>(stream);
    expect(await next()).toEqual({ results: [], windowBytes: 1 << 20, batchBytes: 0 });
    stream.write({ acks: 0, batches: [batch(1, frame('a')), batch(2, frame('b', 'c'))] });
    stream.write({ acks: 0, batches: [batch(3, frame('d'))] });
    const found = await results(next, 3);
    expect(found.map(({ batchId, baseOffset, error }) => [batchId, baseOffset, error])).toEqual([
      [1, 0, undefined],
      [2, 1, undefined],
      [3, 3, undefined],
    ]);
    stream.end();
    await expect(next()).rejects.toThrow('the stream has ended');
  });

  it('fails a batch without its neighbours', async () => {
    const stream = duplex(one, LogServiceService.produce);
    const next = reader<ProduceResponse>(stream);
    const damaged = frame('x');
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    stream.write({
      acks: 0,
      batches: [
        batch(1, damaged),
        { ...batch(2, frame('a')), topicId: text('short') },
        batch(3, frame('b'), 1),
        batch(4, frame('c')),
      ],
    });
    const found = await results(next, 4);
    expect(found.map(({ batchId, error }) => [batchId, error?.code, error?.leader])).toEqual([
      [1, 'CORRUPT_BATCH', undefined],
      [2, 'INVALID_ARGUMENT', undefined],
      [3, 'NOT_LEADER', 2],
      [4, undefined, undefined],
    ]);
    expect(found[1]?.error?.message).toBe('topic_id length is 5, must be 16 bytes');
    stream.cancel();
    stream.on('error', () => undefined);
  });

  it('refuses what exceeds the window, and takes more once that is answered', async () => {
    const stream = duplex(one, LogServiceService.produce);
    const next = reader<ProduceResponse>(stream);
    const answers: (() => void)[] = [];
    one.produceWindowBytes = 1 << 20;
    one.intercept = (bytes, done) => {
      answers.push(() => done(one.write(0, bytes)));
      return true;
    };
    const large = encodeBatch(
      [{ value: new Uint8Array(600_000), timestampMs: 1 }],
      { codec: 0 },
      crc32,
    );
    stream.write({ acks: 0, batches: [batch(1, large), batch(2, large)] });
    const [refused] = await results(next, 1);
    expect([refused?.batchId, refused?.error?.code]).toEqual([2, 'OVERLOADED']);
    answers[0]?.();
    expect((await results(next, 1))[0]?.batchId).toBe(1);
    stream.write({ acks: 0, batches: [batch(3, large.slice())] });
    await expect.poll(() => answers.length).toBe(2);
    answers[1]?.();
    expect((await results(next, 1))[0]).toMatchObject({ batchId: 3, error: undefined });
    stream.end();
  });
});

describe('Fetch', () => {
  function subscribe(partition: number, offset: number): FetchRequest['subscribe'][number] {
    return {
      topicId: TOPIC_BYTES,
      partition,
      offset,
      leaderEpoch: 0,
      allowFollower: false,
      inSyncOnly: false,
    };
  }

  async function framesOf(
    next: () => Promise<FetchResponse>,
    count: number,
  ): Promise<Uint8Array[]> {
    const found: Uint8Array[] = [];
    while (found.length < count)
      for (const { frames } of (await next()).partitions) if (frames.length > 0) found.push(frames);
    return found;
  }

  it.each([{ readsFromDisk: false }, { readsFromDisk: true }])(
    'sends what is there, then what comes: $readsFromDisk',
    async ({ readsFromDisk }) => {
      one.readsFromDisk = readsFromDisk;
      const [first, second] = [frame('a'), frame('b')];
      one.write(0, first);
      const stream = duplex(one, LogServiceService.fetch);
      const next = reader<FetchResponse>(stream);
      stream.write({ subscribe: [subscribe(0, 0)], unsubscribe: [], creditBytes: 1 << 20 });
      expect((await framesOf(next, 1)).map((bytes) => Uint8Array.from(bytes))).toEqual([first]);
      one.write(0, second);
      expect((await framesOf(next, 1)).map((bytes) => Uint8Array.from(bytes))).toEqual([second]);
      stream.end();
      await expect(next()).rejects.toThrow('the stream has ended');
      expect(one.watchCount()).toBe(0);
    },
  );

  it('sends nothing without credit, and one batch may overdraw it', async () => {
    for (let index = 0; index < 3; index += 1) one.write(0, frame('x'.repeat(500)));
    const stream = duplex(one, LogServiceService.fetch);
    const next = reader<FetchResponse>(stream);
    stream.write({ subscribe: [subscribe(0, 0)], unsubscribe: [], creditBytes: 0 });
    stream.write({ subscribe: [], unsubscribe: [], creditBytes: 1 });
    const { partitions } = await next();
    expect(partitions.map(({ frames }) => frames.length)).toEqual([one.log(0).frames[0]?.length]);
    // The debt is paid, and one byte more: exactly one batch again.
    stream.write({ subscribe: [], unsubscribe: [], creditBytes: one.log(0).frames[0]!.length });
    expect((await next()).partitions.map(({ frames }) => frames.length)).toEqual([
      one.log(0).frames[1]?.length,
    ]);
    stream.end();
  });

  it('gives every partition its turn', async () => {
    cluster.lead([1, 1, 1]);
    for (let index = 0; index < 40; index += 1)
      for (let partition = 0; partition < 3; partition += 1)
        one.write(partition, frame('y'.repeat(30_000)));
    const stream = duplex(one, LogServiceService.fetch);
    const next = reader<FetchResponse>(stream);
    stream.write({
      subscribe: [subscribe(0, 0), subscribe(1, 0), subscribe(2, 0)],
      unsubscribe: [],
      creditBytes: 1 << 20,
    });
    const bytes = [0, 0, 0];
    while (bytes.reduce((sum, each) => sum + each, 0) < 1_000_000) {
      for (const { partition, frames } of (await next()).partitions)
        bytes[partition] = (bytes[partition] ?? 0) + frames.length;
    }
    expect(Math.max(...bytes) - Math.min(...bytes)).toBeLessThanOrEqual(400_000);
    stream.end();
  });

  it('tells a partition its error and goes on with the others', async () => {
    one.write(0, frame('a'));
    const stream = duplex(one, LogServiceService.fetch);
    const next = reader<FetchResponse>(stream);
    stream.write({
      subscribe: [subscribe(1, 0), subscribe(9, 0), subscribe(0, 0)],
      unsubscribe: [],
      creditBytes: 1 << 20,
    });
    const parts: FetchResponse['partitions'] = [];
    while (parts.length < 3) parts.push(...(await next()).partitions);
    const codes = parts
      .map(({ partition, error }) => [partition, error?.code])
      .sort((left, right) => Number(left[0]) - Number(right[0]));
    expect(codes).toEqual([
      [0, undefined],
      [1, 'NOT_LEADER'],
      [9, 'UNKNOWN_TOPIC'],
    ]);
    stream.end();
  });

  it('ends a stream with a request that makes no sense', async () => {
    const stream = duplex(one, LogServiceService.fetch);
    stream.write({ subscribe: [], unsubscribe: [], creditBytes: 0xffff_ffff });
    const failure = await new Promise<BrokerError>((resolve) =>
      stream
        .on('data', () => undefined)
        .on('error', (error) => resolve(errorFromStatus(error as never))),
    );
    expect(failure).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('credit_bytes, in sum is 4294967295') as string,
    });
  });
});

describe('Append', () => {
  it('appends here and at other leaders, and answers for each record', async () => {
    const answer = await call(
      one,
      LogServiceService.append,
      appendRequest([record('a', 0), record('b', 1), record('c', 0)]),
    );
    expect(answer.results).toEqual([
      { partition: 0, offset: 0, error: undefined },
      { partition: 1, offset: 0, error: undefined },
      { partition: 0, offset: 1, error: undefined },
    ]);
    expect([one.log(0).end, two.log(1).end]).toEqual([2, 1]);
  });

  it('joins calls of the same time into one batch', async () => {
    await call(one, LogServiceService.append, appendRequest([record('warm', 0)]));
    const held: (() => void)[] = [];
    one.intercept = (bytes, done) => {
      held.push(() => done(one.write(0, bytes)));
      return held.length === 1;
    };
    const calls = Array.from({ length: 20 }, (_, index) =>
      call(one, LogServiceService.append, appendRequest([record(`r${index}`, 0)])),
    );
    await expect.poll(() => held.length).toBe(1);
    // On the same connection, so it is answered once the calls before it have arrived.
    await call(one, AdminServiceService.describeCluster, {});
    held[0]?.();
    const offsets = (await Promise.all(calls)).map(({ results }) => results[0]?.offset);
    expect([...offsets].sort((left, right) => Number(left) - Number(right))).toEqual(
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    expect(one.appends.length).toBeLessThan(20);
  });

  it('refuses a record from the future alone, not the batch that it would share', async () => {
    const future = { ...record('future', 0), timestampMs: Number.MAX_SAFE_INTEGER };
    const { results } = await call(
      one,
      LogServiceService.append,
      appendRequest([record('a', 0), future, record('b', 0)]),
    );
    expect(results.map(({ offset, error }) => error?.code ?? offset)).toEqual([
      0,
      'TIMESTAMP_IN_FUTURE',
      1,
    ]);
  });

  it('repeats a batch under its sequence when the leader fails to answer for it', async () => {
    let tries = 0;
    one.intercept = (bytes, done) => {
      tries += 1;
      if (tries > 1) return false;
      one.write(0, bytes);
      done({ ok: false, error: new BrokerError('STALE_EPOCH', 'resigned') });
      return true;
    };
    const answer = await call(one, LogServiceService.append, appendRequest([record('once', 0)]));
    expect(answer.results[0]).toMatchObject({ offset: 0, error: undefined });
    expect([
      one.log(0).end,
      new Set(one.appends.map(({ producerId, baseSequence }) => `${producerId}/${baseSequence}`))
        .size,
    ]).toEqual([1, 1]);
  });

  it('follows the leader', async () => {
    one.intercept = (_, done) => {
      one.intercept = null;
      done({ ok: false, error: new BrokerError('NOT_LEADER', 'moved') });
      cluster.lead([2, 2], 2);
      return true;
    };
    expect(
      (await call(one, LogServiceService.append, appendRequest([record('a', 0)]))).results[0],
    ).toMatchObject({ offset: 0, error: undefined });
    expect(two.log(0).end).toBe(1);
  });

  describe('at the deadline', () => {
    const DEADLINE_SHORT_MS = 300;

    /**
     * Its answer; the clock stands until the leader has the batch, and then goes on to just before
     * the caller gives up.
     */
    async function answerInTime(): Promise<AppendResponse> {
      const appended = new Promise<void>((resolve) => {
        const { intercept } = one;
        one.intercept = (bytes, done) => {
          resolve();
          return intercept?.(bytes, done) ?? false;
        };
      });
      const request = appendRequest([record('a', 0)]);
      const answer = call(one, LogServiceService.append, request, DEADLINE_SHORT_MS);
      await Promise.race([appended, answer]);
      await vi.advanceTimersByTimeAsync(DEADLINE_SHORT_MS - 1);
      return answer;
    }

    beforeEach(() => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
    });

    afterEach(() => {
      vi.useRealTimers();
    });

    it('answers OUTCOME_UNKNOWN, then writes under another id', async () => {
      one.intercept = () => true;
      const lost = await answerInTime();
      one.intercept = null;
      const next = await call(one, LogServiceService.append, appendRequest([record('next', 0)]));
      expect(lost.results[0]?.error?.code).toBe('OUTCOME_UNKNOWN');
      expect(next.results[0]).toMatchObject({ offset: 0, error: undefined });
      expect(one.appends[0]?.producerId).not.toBe(one.appends.at(-1)?.producerId);
    });

    it('answers the refusal when nothing can have been appended', async () => {
      one.intercept = (_, done) => {
        done({ ok: false, error: new BrokerError('NOT_ENOUGH_REPLICAS', 'one of two') });
        return true;
      };
      const answer = await answerInTime();
      expect(answer.results[0]?.error?.code).toBe('NOT_ENOUGH_REPLICAS');
    });
  });

  it('takes a new id when the log has forgotten the producer', async () => {
    await call(one, LogServiceService.append, appendRequest([record('a', 0)]));
    one.log(0).sequences.clear();
    const answer = await call(one, LogServiceService.append, appendRequest([record('b', 0)]));
    expect(answer.results[0]).toMatchObject({ offset: 1, error: undefined });
    expect(one.appends.map(({ baseSequence }) => baseSequence)).toEqual([0, 1, 0]);
  });

  it.each([
    {
      name: 'no records',
      request: appendRequest([]),
      code: 'INVALID_ARGUMENT',
      message: 'records is 0, must be 1 to 100000 records',
    },
    {
      name: 'no such topic',
      request: { ...appendRequest([record('a')]), topic: 'none' },
      code: 'UNKNOWN_TOPIC',
      message: 'No topic is named "none"',
    },
    {
      name: 'no such partition',
      request: appendRequest([record('a', 7)]),
      code: 'UNKNOWN_PARTITION',
      message: 'Topic "events" has no partition 7, must be 0 to 1',
    },
    {
      name: 'unknown acks',
      request: { ...appendRequest([record('a')]), acks: 9 as 0 },
      code: 'INVALID_ARGUMENT',
      message: 'acks is 9, must be ACK_LEVEL_NONE, ACK_LEVEL_LEADER or ACK_LEVEL_ALL',
    },
  ])('refuses: $name', async ({ request, code, message }) => {
    await expect(call(one, LogServiceService.append, request)).rejects.toMatchObject({
      code,
      message,
    });
  });
});

describe('Read', () => {
  function open(
    broker: FakeBroker,
    request: Partial<ReadRequest>,
  ): ClientReadableStream<ReadResponse> {
    const whole: ReadRequest = {
      topic: 'events',
      partitions: [],
      start: undefined,
      cursors: [],
      maxRecords: 0,
      follow: false,
      ...request,
    };
    const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
    const stream: ClientReadableStream<ReadResponse> = cluster
      .client(broker)
      .makeServerStreamRequest(path, requestSerialize, responseDeserialize, whole, new Metadata());
    return stream;
  }

  async function all(
    stream: AsyncIterable<ReadResponse>,
  ): Promise<{ readonly values: string[]; readonly cursors: Map<number, number> }> {
    const values: string[] = [];
    const cursors = new Map<number, number>();
    for await (const response of stream) {
      for (const { partition, offset, value } of response.records)
        values.push(`${partition}:${offset}:${new TextDecoder().decode(value)}`);
      for (const { partition, offset } of response.cursors) cursors.set(partition, offset);
    }
    return { values, cursors };
  }

  it('reads all leaders to the end, and says where to resume', async () => {
    one.write(0, frame('a', 'b'));
    two.write(1, frame('c'));
    one.write(0, frame('d'));
    const { values, cursors } = await all(open(one, {}));
    expect(values.sort()).toEqual(['0:0:a', '0:1:b', '0:2:d', '1:0:c']);
    expect(cursors).toEqual(
      new Map([
        [0, 3],
        [1, 1],
      ]),
    );
  });

  it('resumes within a batch and stops at the limit', async () => {
    one.write(0, frame('a', 'b', 'c', 'd'));
    const { values, cursors } = await all(
      open(two, {
        partitions: [0],
        cursors: [{ partition: 0, offset: 1, leaderEpoch: 1 }],
        maxRecords: 2,
      }),
    );
    expect([values, cursors]).toEqual([['0:1:b', '0:2:c'], new Map([[0, 3]])]);
  });

  it('ends at once where there is nothing', async () => {
    expect((await all(open(one, {}))).values).toEqual([]);
  });

  it('follows, across a change of leader, without loss or repetition', async () => {
    two.write(1, frame('a'));
    const stream = open(one, { partitions: [1], follow: true, maxRecords: 3 });
    const next = reader<ReadResponse>(stream);
    expect((await next()).records.map(({ offset }) => offset)).toEqual([0]);
    // The new leader has the same log.
    const log = one.log(1);
    log.frames.push(...two.log(1).frames);
    log.end = two.log(1).end;
    cluster.lead([1, 1], 2);
    one.write(1, frame('b', 'c'));
    const rest: number[] = [];
    while (rest.length < 2) rest.push(...(await next()).records.map(({ offset }) => offset));
    expect(rest).toEqual([1, 2]);
    await expect(next()).rejects.toThrow('the stream has ended');
    await expect.poll(() => one.watchCount() + two.watchCount()).toBe(0);
  });

  it('hands a slow reader every record, in order', async () => {
    const large = 'z'.repeat(100_000);
    for (let index = 0; index < 100; index += 1) one.write(0, frame(`${index}-${large}`));
    const offsets: number[] = [];
    for await (const { records } of open(one, { partitions: [0] }) as AsyncIterable<ReadResponse>) {
      offsets.push(...records.map(({ offset }) => offset));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(offsets).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  it.each([
    { name: 'no such topic', request: { topic: 'none' }, code: 'UNKNOWN_TOPIC' },
    {
      name: 'a cursor that is not read',
      request: { partitions: [0], cursors: [{ partition: 1, offset: 0, leaderEpoch: 0 }] },
      code: 'INVALID_ARGUMENT',
    },
    {
      name: 'beyond the end',
      request: {
        partitions: [0],
        follow: true,
        cursors: [{ partition: 0, offset: 50, leaderEpoch: 0 }],
      },
      code: 'OFFSET_OUT_OF_RANGE',
    },
  ])('refuses: $name', async ({ request, code }) => {
    const failure = await all(open(one, request)).then(
      () => null,
      (error: unknown) => errorFromStatus(error as never),
    );
    expect(failure).toMatchObject({ code });
  });
});

describe('AdminService', () => {
  it('creates a topic with defaults and answers once it shows', async () => {
    cluster.decide = (request) => {
      if (request.kind !== 'create-topic') throw new BrokerError('REFUSED', 'No');
      const { topicId, name, replicationFactor, partitions } = request;
      expect([partitions, replicationFactor]).toEqual([1, 2]);
      return cluster.decided({ kind: 'create-topic', topicId }, () =>
        cluster.put({ topicId, name, replicationFactor, config: CONFIG, partitions: [] }),
      );
    };
    const request = {
      name: 'fresh',
      partitions: 0,
      replicationFactor: 0,
      config: undefined,
      assignments: [],
      validateOnly: false,
    };
    expect((await call(two, AdminServiceService.createTopic, request)).topic).toMatchObject({
      name: 'fresh',
      replicationFactor: 2,
    });
  });

  it('answers once a deletion shows', async () => {
    cluster.decide = () =>
      cluster.decided({ kind: 'delete-topic' }, () =>
        cluster.change({ topics: new Map(), topicIdsByName: new Map() }),
      );
    await call(one, AdminServiceService.deleteTopic, { name: 'events' });
    expect(cluster.image.topics.size).toBe(0);
  });

  it('describes cluster, brokers and topics', async () => {
    const described = await call(two, AdminServiceService.describeCluster, {});
    expect([
      described.answeredBy,
      described.controller,
      described.brokers.map(({ brokerId }) => brokerId),
    ]).toEqual([2, 1, [1, 2]]);
    const { topics } = await call(one, AdminServiceService.listTopics, {
      names: ['events'],
      includeInternal: false,
    });
    expect(
      topics.map(({ name, partitions }) => [name, partitions.map(({ leader }) => leader)]),
    ).toEqual([['events', [1, 2]]]);
    await expect(
      call(one, AdminServiceService.listTopics, { names: ['none'], includeInternal: false }),
    ).rejects.toMatchObject({ code: 'UNKNOWN_TOPIC' });
  });

  it('hands calls about one broker to it, and quorum questions to the controller', async () => {
    expect(await call(one, AdminServiceService.describeBroker, { brokerId: 2 })).toMatchObject({
      brokerId: 2,
      version: '1.2.3',
      freeBytes: 5,
      diskFault: '',
      uptimeMs: 11,
    });
    expect(await call(one, AdminServiceService.prepareStop, { brokerId: 2 })).toMatchObject({
      leadersLeft: 2,
      reason: { code: 'REFUSED', message: 'broker 2 alone' },
    });
    expect(await call(two, AdminServiceService.describeQuorum, {})).toMatchObject({
      leader: 1,
      term: 3,
      members: [{ brokerId: 1, voter: true }],
    });
    await expect(
      call(one, AdminServiceService.describeBroker, { brokerId: 8 }),
    ).rejects.toMatchObject({ code: 'UNKNOWN_BROKER' });
  });

  it('judges disruptions', async () => {
    expect(await call(one, AdminServiceService.checkDisruption, { brokerIds: [1, 2] })).toEqual({
      safe: false,
      takesQuorum: true,
      reason: '1 partitions would suffer',
      verdicts: [
        {
          topic: 'events',
          partition: 0,
          stopsWrites: true,
          takesLastCopy: false,
          reason: 'one left',
        },
      ],
    });
    await expect(
      call(one, AdminServiceService.checkDisruption, { brokerIds: [] }),
    ).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('every method', () => {
  it('answers INVALID_ARGUMENT or an ordinary failure to bytes that are no request, and stays alive', async () => {
    const client = cluster.client(one);
    const methods = [
      ...Object.values(LogServiceService),
      ...Object.values(AdminServiceService),
    ] as MethodDefinition<unknown, unknown>[];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(
          ...methods.filter(
            ({ requestStream, responseStream }) => !requestStream && !responseStream,
          ),
        ),
        fc.uint8Array({ maxLength: 40 }),
        async (method, bytes) => {
          const raw = {
            path: method.path,
            requestSerialize: () => Buffer.from(bytes),
            responseDeserialize: (answer: Buffer) => answer,
          };
          await callUnary(client, raw, null, within(150)).then(
            () => undefined,
            (error: unknown) => expect((error as BrokerError).code).not.toBe('INTERNAL'),
          );
        },
      ),
      { numRuns: 150 },
    );
    expect((await call(one, AdminServiceService.describeCluster, {})).answeredBy).toBe(1);
  });
});
