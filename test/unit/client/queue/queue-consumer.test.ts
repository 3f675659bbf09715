import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connect,
  json,
  type QueueConsumer,
  type QueueJob,
  type QueueOptions,
  RejectError,
  type Tidemark,
  TidemarkError,
  topic,
} from '../../../../client/index.ts';
import { ConsumeFence } from '../../../../proto/gen/tidemark/v1/consume.ts';
import { FakeCluster, TOPIC } from '../fake-cluster.ts';
import { names, text } from '../records.ts';

const QUEUE = 'jobs';
let cluster: FakeCluster;
let clients: Tidemark[] = [];

beforeEach(async () => {
  cluster = new FakeCluster();
  cluster.featureLevel = 15;
  await cluster.start();
  cluster.queues.start();
});

afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  clients = [];
  cluster.stop();
});

/** A process of its own. */
function client(): Tidemark {
  const one = connect({ servers: cluster.servers });
  clients.push(one);
  return one;
}

const member = (options: QueueOptions = {}): QueueConsumer => client().queue(QUEUE, options);

/** Fails instead of waiting for ever. */
async function next(jobs: AsyncGenerator<QueueJob, void>): Promise<QueueJob> {
  const found = await jobs.next();
  if (found.done === true) throw new Error('the queue has ended');
  return found.value;
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof TidemarkError ? error.code : String(error)),
  );

/** How many records wait for nobody and are not settled. */
const free = (): number =>
  cluster.queues.records.filter(({ fate, holder }) => fate === '' && holder === null).length;

describe('jobs by iteration', () => {
  it('are settled one by one, and say what they are', async () => {
    cluster.queues.add('a', 'b', 'c');
    const one = member({ topic: TOPIC });
    const jobs = one.jobs();
    const a = await next(jobs);
    expect(one.memberId).toBe(cluster.queues.opens[0]?.memberId);
    expect([a.topic, a.partition, a.offset, a.delivery, text(a.value)]).toEqual([
      ...[TOPIC, 0, 0, 1, 'a'],
    ]);
    expect([text(a.key ?? null), a.timestampMs, a.headers, a.isLost, a.isSettled]).toEqual([
      ...['k', 7, [], false, false],
    ]);
    expect(a.leaseLeftMs).toBeGreaterThan(0);
    await a.accept();
    expect(a.isSettled).toBe(true);
    await (await next(jobs)).reject('too small');
    const c = await next(jobs);
    await c.release();
    const again = await next(jobs);
    expect([again.offset, again.delivery]).toEqual([2, 2]);
    await again.accept();
    await jobs.return();
    expect(cluster.queues.fates()).toEqual({ accept: ['a', 'c'], 'reject too small': ['b'] });
    expect(cluster.queues.leasedMost).toBe(1);
    expect(cluster.queues.streams).toEqual([]);
    expect(cluster.queues.opens[0]).toMatchObject({ group: QUEUE, topics: [TOPIC], attempt: 1 });
  });

  it('are not more than recordsMax, and settled together where that is said in one turn', async () => {
    cluster.queues.add(...names('a', 20));
    const jobs = member({ recordsMax: 5 }).jobs();
    const taken = [];
    for (let at = 0; at < 5; at += 1) taken.push(await next(jobs));
    await Promise.all(taken.map((job) => job.accept()));
    expect(cluster.queues.acknowledgements.map(({ records }) => records.length)).toEqual([5]);
    await expect.poll(free).toBe(10);
    expect(cluster.queues.leasedMost).toBe(5);
    await jobs.return();
    await expect.poll(free).toBe(15);
  });

  it('can be settled once', async () => {
    cluster.queues.add('a');
    const jobs = member().jobs();
    const job = await next(jobs);
    const first = job.accept();
    await expect(job.release()).rejects.toThrow(
      'Cannot release record orders/0 offset 0: it is accepted already',
    );
    await first;
    await expect(job.extend()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await jobs.return();
  });

  it('take no nonsense', async () => {
    cluster.queues.add('a');
    const jobs = member().jobs();
    const job = await next(jobs);
    await expect(job.release({ delayMs: -1 })).rejects.toThrow(
      'delayMs is -1, must be 0 to 3600000',
    );
    await expect(job.reject('x'.repeat(257))).rejects.toThrow('reason has 257 characters');
    await expect(job.reject(7 as unknown as string)).rejects.toThrow(
      'reason is 7, must be a string',
    );
    await job.accept();
    await jobs.return();
    const make = (options: unknown) => () => client().queue(QUEUE, options as QueueOptions);
    expect(make({ recordsMax: 0 })).toThrow('recordsMax is 0, must be 1 to 10000');
    expect(make({ topic: 7, records: 1 })).toThrow(/"records" is not known.*; topic is 7/);
    expect(() => client().queue('')).toThrow('queue is "", must be a string that is not empty');
  });

  it('keep their lease only while they wait, or are extended', async () => {
    cluster.queues.leaseMs = 400;
    cluster.queues.add('a', 'b');
    const lost: string[] = [];
    const jobs = member({
      recordsMax: 2,
      onLost: (job, { code }) => lost.push(`${job.offset}#${job.delivery} ${code}`),
    }).jobs();
    const a = await next(jobs);
    const { signal } = a;
    await expect.poll(() => a.leaseLeftMs).toBeLessThan(200);
    await a.extend();
    expect(a.leaseLeftMs).toBeGreaterThan(200);
    await expect.poll(() => a.isLost).toBe(true);
    await expect.poll(() => lost).toEqual(['0#1 LEASE_LOST']);
    expect([signal.aborted, (signal.reason as TidemarkError).code]).toEqual([true, 'LEASE_LOST']);
    await expect(a.accept()).rejects.toMatchObject({ code: 'LEASE_LOST', effect: 'none' });
    // It waited in the member, for longer than a lease.
    const b = await next(jobs);
    expect([b.offset, b.delivery]).toEqual([1, 1]);
    await b.accept();
    await jobs.return();
    expect(cluster.queues.fates()).toEqual({ '': ['a'], accept: ['b'] });
  });

  it('are lost where the broker says so', async () => {
    cluster.queues.add('a');
    const jobs = member().jobs();
    const job = await next(jobs);
    cluster.queues.outcomeRefusals.push('LEASE_LOST');
    await expect(job.accept()).rejects.toMatchObject({ code: 'LEASE_LOST', effect: 'none' });
    expect([job.isLost, job.signal.aborted]).toEqual([true, true]);
    await jobs.return();
  });

  it('are settled although brokers are not ready, and may be settled otherwise once refused', async () => {
    cluster.queues.add('a');
    const jobs = member().jobs();
    const job = await next(jobs);
    cluster.queues.outcomeRefusals.push('BROKER_NOT_READY', 'OVERLOADED', 'INVALID_ARGUMENT');
    await expect(job.reject('x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await job.accept();
    expect(cluster.queues.fates()).toEqual({ accept: ['a'] });
    await jobs.return();
  });

  it('are decoded, and what cannot be is thrown, or rejected', async () => {
    cluster.queues.add('{"n":1}', '{', '{"n":3}');
    const typed = topic(TOPIC, { value: json<{ n: number }>() });
    const found: (number | undefined)[] = [];
    const failing = client().queue(QUEUE, { topic: typed });
    const reading = (async () => {
      for await (const job of failing) {
        found.push(job.value?.n);
        await job.accept();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'UNDECODABLE', details: { offset: 1 } });
    const rejecting = client().queue(QUEUE, { topic: typed, onUndecodable: 'reject' });
    for await (const job of rejecting) {
      found.push(job.value?.n);
      await job.accept();
      break;
    }
    expect(found).toEqual([1, 3]);
    expect(cluster.queues.records[1]?.fate).toMatch(
      /^reject Cannot decode the record at orders\/0/,
    );
  });

  it('end with the signal, and with what the cluster refuses', async () => {
    const stop = new AbortController();
    const waiting = codeOf(member().jobs({ signal: stop.signal }).next());
    await expect.poll(() => cluster.queues.streams).toHaveLength(1);
    stop.abort();
    expect(await waiting).toBe('ABORTED');
    // Before it is attached it is closed, and its broker hears of that a little later.
    await expect.poll(() => cluster.queues.streams).toEqual([]);
    cluster.queues.refusals.push('BROKER_NOT_READY', 'UNKNOWN_TOPIC');
    expect(await codeOf(member().jobs().next())).toBe('UNKNOWN_TOPIC');
    cluster.featureLevel = 14;
    await expect(member().jobs().next()).rejects.toThrow(
      'Cannot take from queue "jobs": it needs feature level 15, the cluster is at 14',
    );
  });
});

describe('a member that is cut off', () => {
  it('keeps what it has, and says again what was not answered', async () => {
    cluster.queues.leaseMs = 10_000;
    cluster.queues.add('a', 'b', 'c');
    const jobs = member({ recordsMax: 2 }).jobs();
    const [a, b] = [await next(jobs), await next(jobs)];
    cluster.queues.isMute = true;
    const accepted = a.accept();
    await expect.poll(() => cluster.queues.acknowledgements).toHaveLength(1);
    cluster.queues.isMute = false;
    cluster.killBroker(cluster.queues.streams[0]!.broker);
    await accepted;
    await b.accept();
    await (await next(jobs)).accept();
    await jobs.return();
    expect(cluster.queues.fates()).toEqual({ accept: ['a', 'b', 'c'] });
    const [first, second] = cluster.queues.opens;
    // Both were held; no broker takes less than one.
    expect([second?.memberId, second?.attempt, second?.creditRecords]).toEqual([
      ...[first?.memberId, 2, 1],
    ]);
    expect(cluster.queues.leasedMost).toBe(2);
  });

  it('goes elsewhere when its broker stops, and loses nothing', async () => {
    cluster.queues.add(...names('a', 50));
    const one = member();
    const running = one.run(() => new Promise((resolve) => setTimeout(resolve, 5)), {
      concurrency: 4,
    });
    // The stream before is heard for a while beside the newest.
    const newest = () => cluster.queues.streams.at(-1);
    for (const attempt of [1, 2]) {
      await expect.poll(() => newest()?.open.attempt).toBe(attempt);
      cluster.queues.reattach(newest()!.broker);
    }
    await expect.poll(() => newest()?.open.attempt).toBe(3);
    await expect.poll(() => cluster.queues.fates()['accept']).toHaveLength(50);
    expect(cluster.queues.records.map(({ delivery }) => delivery)).toEqual(Array(50).fill(1));
    await one.close();
    await running;
  });

  it('comes back as another one when it is over, and its jobs are lost', async () => {
    cluster.queues.add('a');
    const jobs = member().jobs();
    const job = await next(jobs);
    cluster.queues.fence(cluster.queues.streams[0]!, ConsumeFence.CONSUME_FENCE_EXPIRED);
    const again = await next(jobs);
    expect([job.isLost, again.delivery]).toEqual([true, 2]);
    expect(new Set(cluster.queues.opens.map(({ memberId }) => memberId)).size).toBe(2);
    await again.accept();
    await jobs.return();
  });
});

describe('run', () => {
  it('accepts what returns, and runs as many handlers as it may', async () => {
    cluster.queues.add(...names('a', 32));
    let running = 0;
    let most = 0;
    const one = member();
    const ended = one.run(
      async () => {
        most = Math.max(most, (running += 1));
        await new Promise((resolve) => setTimeout(resolve, 5));
        running -= 1;
      },
      { concurrency: 8 },
    );
    await expect.poll(() => cluster.queues.fates()['accept'], { timeout: 4_000 }).toHaveLength(32);
    expect([most, cluster.queues.leasedMost]).toEqual([8, 8]);
    await one.close();
    await ended;
    expect(cluster.queues.streams).toEqual([]);
  });

  it('extends leases while handlers run', async () => {
    cluster.queues.leaseMs = 300;
    cluster.queues.add('a');
    const one = member();
    const ended = one.run(async (job) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect([job.isLost, job.signal.aborted]).toEqual([false, false]);
    });
    await expect.poll(() => cluster.queues.fates(), { timeout: 5_000 }).toEqual({ accept: ['a'] });
    expect(cluster.queues.records[0]?.delivery).toBe(1);
    await one.close();
    await ended;
  });

  it('puts back what throws, with a delay, rejects what is said to be wrong, and tells errors', async () => {
    cluster.queues.add('fails', 'wrong', 'fine', 'own');
    const told: string[] = [];
    const one = member();
    const ended = one.run(
      async (job) => {
        const value = text(job.value);
        if (value === 'own') await job.reject('by itself');
        if (value === 'wrong') throw new RejectError('of no use');
        if (value === 'fails' && job.delivery === 1) throw new Error('not now');
      },
      {
        delayMsMax: 50,
        onError: (error, { offset, delivery }) =>
          told.push(`${offset}#${delivery} ${(error as Error).message}`),
      },
    );
    await expect
      .poll(() => cluster.queues.fates())
      .toEqual({
        accept: ['fails', 'fine'],
        'reject of no use': ['wrong'],
        'reject by itself': ['own'],
      });
    expect(told).toEqual(['0#1 not now']);
    const released = cluster.queues.acknowledgements.flatMap(({ records }) =>
      records.flatMap(({ verdict }) => (verdict?.$case === 'release' ? [verdict.value] : [])),
    );
    expect(released).toEqual([{ delayMs: 50 }]);
    await one.close();
    await ended;
  });

  it('lets onError settle, or end it', async () => {
    cluster.queues.add('a', 'b');
    const one = member();
    const ended = one.run(
      ({ value }) => {
        throw new Error(text(value));
      },
      {
        onError: async (error, job) => {
          if ((error as Error).message === 'b') throw error;
          await job.accept();
        },
      },
    );
    await expect(ended).rejects.toThrow('b');
    expect(cluster.queues.fates()).toEqual({ accept: ['a'], '': ['b'] });
    expect(free()).toBe(1);
  });

  it('publishes errors that nobody hears of', async () => {
    cluster.queues.add('a');
    const heard: unknown[] = [];
    const hear = (message: unknown) => heard.push((message as { error: Error }).error.message);
    subscribe('tidemark:queue:failed', hear);
    const one = member();
    const ended = one.run(
      ({ delivery }) => {
        if (delivery === 1) throw new Error('quiet');
      },
      { delayMsMax: 0 },
    );
    await expect.poll(() => cluster.queues.fates()).toEqual({ accept: ['a'] });
    unsubscribe('tidemark:queue:failed', hear);
    expect(heard).toEqual(['quiet']);
    await one.close();
    await ended;
  });

  it('ends where the queue does not take what is said', async () => {
    cluster.queues.add('a');
    cluster.queues.outcomeRefusals.push('INVALID_ARGUMENT');
    const ended = member().run(() => {
      throw new RejectError('no dead letters here');
    });
    expect(await codeOf(ended)).toBe('INVALID_ARGUMENT');
  });

  it('stops in order: handlers end, what was not begun goes back, nothing else comes', async () => {
    cluster.queues.add(...names('a', 10));
    const stop = new AbortController();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    let begun = 0;
    const ended = codeOf(
      member({ recordsMax: 6 }).run(
        async () => {
          begun += 1;
          await gate;
        },
        { concurrency: 2 },
        { signal: stop.signal },
      ),
    );
    await expect.poll(() => [begun, free()]).toEqual([2, 4]);
    stop.abort();
    await expect.poll(free).toBe(8);
    open();
    expect(await ended).toBe('ABORTED');
    expect(cluster.queues.fates()['accept']).toHaveLength(2);
    expect([begun, free()]).toEqual([2, 8]);
  });

  it('puts back at once what is decoded when it ends, though handlers run yet', async () => {
    cluster.queues.add('1', '2');
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { promise: decoding, resolve: decode } = Promise.withResolvers<void>();
    const value = {
      ...json<number>(),
      decode: async (bytes: Uint8Array) => {
        if (text(bytes) === '2') await decoding;
        return Number(text(bytes));
      },
    };
    const slow = client().queue(QUEUE, { topic: topic(TOPIC, { value }), recordsMax: 2 });
    let begun = 0;
    const ran = slow.run(
      async () => {
        begun += 1;
        await gate;
      },
      { concurrency: 2 },
    );
    await expect.poll(() => [begun, free()]).toEqual([1, 0]);
    const closed = slow.close();
    decode();
    await expect.poll(free).toBe(1);
    open();
    await Promise.all([ran, closed]);
    expect([begun, cluster.queues.fates()['accept']?.length]).toEqual([1, 1]);
  });

  it('does not wait for handlers that do not end', async () => {
    cluster.queues.add('a');
    const lost: number[] = [];
    const one = member({ onLost: ({ offset }) => lost.push(offset) });
    const { promise: begun, resolve: begin } = Promise.withResolvers<AbortSignal>();
    const ended = one.run(
      (_job, { signal }) => {
        begin(signal);
        return new Promise(() => undefined);
      },
      { releaseMs: 50 },
    );
    const signal = await begun;
    await one.close();
    await ended;
    expect([signal.aborted, lost, free()]).toEqual([true, [0], 1]);
  });

  it('takes no nonsense', async () => {
    const one = member({ recordsMax: 2 });
    const handler = () => undefined;
    await expect(one.run(handler, { concurrency: 3 })).rejects.toThrow(
      'concurrency is 3, must be at most recordsMax, which is 2',
    );
    await expect(one.run('x' as never)).rejects.toThrow('handler is "x", must be a function');
    await one.close();
    expect(await codeOf(one.run(handler))).toBe('CLOSED');
  });
});
