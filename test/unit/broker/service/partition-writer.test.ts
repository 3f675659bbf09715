import { FairShares } from '../../../../broker/access/fair-shares.ts';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { BrokerError } from '../../../../base/errors.ts';
import type { BrokerApi } from '../../../../broker/runtime/api.ts';
import type {
  AppendResult,
  AppendTerms,
  ExpectedEnd,
} from '../../../../broker/replication/types.ts';
import type { Cluster } from '../../../../broker/service/cluster.ts';
import { InternalProducer } from '../../../../broker/service/internal-producer.ts';
import { PartitionWriter } from '../../../../broker/service/partition-writer.ts';
import type { ProduceForwarder } from '../../../../broker/service/produce-forwarder.ts';
import { decodeBatch } from '../../../../wire/records/batch.ts';
import { CorePair, type ReplicaId } from '../replication/core-pair.ts';
import { FakeClock } from '../runtime/fake-clock.ts';

const TOPIC_ID = '22222222-2222-4222-8222-222222222222';
const NOBODY = -1;

type Fate = { readonly offset: number } | BrokerError;

/** A batch on its way to replica 2. */
interface Sent {
  readonly frame: Uint8Array;
  readonly terms: AppendTerms;
  readonly done: (result: AppendResult) => void;
}

/**
 * The writer of broker 1 over two real cores; broker 2 is reached over a network that the test is.
 */
class Bench {
  readonly pair = new CorePair();
  readonly clock = new FakeClock();
  readonly fates = new Map<string, Fate[]>();
  /** Ends that appends expected, by value. */
  readonly expected = new Map<string, number>();
  /** Requests to replica 2 that have not arrived. */
  readonly network: Sent[] = [];
  /** Answered for by nobody yet. */
  readonly #unanswered = new Set<Sent>();
  readonly #watchers = new Set<() => void>();
  readonly initFaults: BrokerError[] = [];
  idsGiven = 0;
  readonly producer: InternalProducer;
  readonly writer: PartitionWriter;
  readonly #parts: ConstructorParameters<typeof PartitionWriter>[0];

  constructor() {
    const { pair, clock } = this;
    const broker = {
      brokerId: 1,
      clock,
      watchImage: (callback: () => void) => {
        this.#watchers.add(callback);
        return () => this.#watchers.delete(callback);
      },
      append: (
        _topicId: string,
        _partition: number,
        frame: Uint8Array,
        terms: AppendTerms,
        done: (result: AppendResult) => void,
      ) => pair.replica(1).append(frame, terms, done),
      decide: () => {
        const fault = this.initFaults.shift();
        if (fault !== undefined) return Promise.reject(fault);
        this.idsGiven += 1;
        const producerId = this.idsGiven;
        return Promise.resolve({ kind: 'init-producer', producerId, producerEpoch: 0 } as const);
      },
    } as unknown as BrokerApi;
    const cluster = {
      broker,
      clock,
      image: () => ({ topics: new Map([[TOPIC_ID, { config: { batchBytesMax: 1_000_000 } }]]) }),
      leader: () => {
        if (pair.leader === NOBODY) throw new BrokerError('LEADER_UNKNOWN', 'nobody leads');
        return pair.leader;
      },
      isSelf: (id: number) => id === 1,
    } as unknown as Cluster;
    const forwarder = {
      send: (_leader: number, { frame, terms }: Sent, done: Sent['done']) => {
        const sent = { frame, terms, done };
        this.network.push(sent);
        this.#unanswered.add(sent);
      },
    } as unknown as ProduceForwarder;
    this.producer = new InternalProducer(broker);
    const shares = new FairShares();
    this.#parts = {
      ...{ cluster, producer: this.producer, forwarder },
      ...{ shares, flow: shares.join(null), report: () => undefined },
    };
    this.writer = this.newWriter();
  }

  newWriter(): PartitionWriter {
    return new PartitionWriter(this.#parts, TOPIC_ID, 0);
  }

  append(value: string, forMs: number, ifOffset?: number): void {
    const fates: Fate[] = [];
    this.fates.set(value, fates);
    if (ifOffset !== undefined) this.expected.set(value, ifOffset);
    const expectedEnd: ExpectedEnd | undefined =
      ifOffset === undefined ? undefined : { offset: ifOffset, leaderEpoch: 0 };
    this.writer.append([
      {
        record: { value: Buffer.from(value), timestampMs: 0 },
        ack: 'all',
        expectedEnd,
        deadlineMs: this.clock.nowMs + forMs,
        settle: (fate) => fates.push(fate),
      },
    ]);
  }

  /** What a reader sees of the end. */
  readEnd(): number {
    const ends = ([1, 2] as const).map((id) => this.pair.replica(id).core.status().highWaterMark);
    return Math.max(...ends);
  }

  /** The next request arrives at replica 2. */
  deliver(): void {
    const sent = this.network.shift();
    if (sent === undefined) return;
    this.pair.replica(2).append(sent.frame.slice(), sent.terms, (result) => {
      if (this.#unanswered.delete(sent)) sent.done(result);
    });
  }

  /** The stream to replica 2 ends. What was written into it may arrive still. */
  breakStream(code: 'UNREACHABLE' | 'STALE_EPOCH' = 'UNREACHABLE'): void {
    for (const { done } of this.#unanswered)
      done({ ok: false, error: new BrokerError(code, 'the stream broke') });
    this.#unanswered.clear();
  }

  assign(leader: ReplicaId | typeof NOBODY, told?: readonly ReplicaId[]): void {
    this.pair.assign(leader, told);
    for (const watcher of [...this.#watchers]) watcher();
  }

  /** Lets what is due happen: promises take their turns, and time passes. */
  async pass(forMs = 0): Promise<void> {
    for (let left = forMs; ; left -= 5) {
      for (let turn = 0; turn < 10; turn += 1) {
        this.clock.settle();
        await Promise.resolve();
      }
      if (left <= 0) return;
      this.clock.advance(Math.min(left, 5));
      this.pair.tick(this.clock.nowMs);
    }
  }

  /** Everything works from here on, until every record has its fate. */
  async heal(): Promise<void> {
    this.pair.isCut = false;
    this.breakStream();
    this.assign(1);
    for (let round = 0; round < 200; round += 1) {
      while (this.network.length > 0) this.deliver();
      this.pair.flow();
      await this.pass(10);
    }
  }

  /** What a caller believes of each record, against the log. */
  check(): void {
    const log = this.pair.replica(1).values();
    expect(this.pair.replica(2).values()).toEqual(log);
    for (const [value, fates] of this.fates) {
      const where = log.flatMap((found, offset) => (found === value ? [offset] : []));
      expect(fates).toHaveLength(1);
      const fate = fates[0] as Fate;
      if (!(fate instanceof BrokerError)) expect([value, where]).toEqual([value, [fate.offset]]);
      else if (fate.effect === 'none') expect([value, where]).toEqual([value, []]);
      else expect([value, where.length <= 1]).toEqual([value, true]);
      const end = this.expected.get(value) ?? Infinity;
      const before = log.slice(end, where[0] ?? 0).filter((found) => found !== null);
      expect([value, before]).toEqual([value, []]);
    }
  }

  fateOf(value: string): string {
    const [fate] = this.fates.get(value) ?? [];
    if (fate === undefined) return 'open';
    return fate instanceof BrokerError ? fate.code : `at ${fate.offset}`;
  }
}

describe('PartitionWriter, over real cores', () => {
  it('never acknowledges a record as the one that a leader left in its log unanswered', async () => {
    const bench = new Bench();
    bench.pair.flow();
    bench.pair.isCut = true;
    bench.append('a', 50);
    await bench.pass();
    // It stands in the log of replica 1, which leads no more, and nobody else does.
    bench.assign(NOBODY);
    await bench.pass(60);
    const first = bench.fateOf('a');
    bench.assign(1);
    bench.append('b', 1_000);
    await bench.heal();

    expect(first).toBe('OUTCOME_UNKNOWN');
    bench.check();
    expect(bench.fateOf('b')).toMatch(/^at/);
  });

  it.each(['UNREACHABLE', 'STALE_EPOCH'] as const)(
    'never takes %s for a refusal of a batch that had left',
    async (code) => {
      const bench = new Bench();
      bench.assign(2);
      bench.pair.flow();
      bench.append('a', 50);
      await bench.pass();
      bench.breakStream(code);
      bench.deliver();
      bench.assign(NOBODY);
      await bench.pass(60);
      bench.append('b', 1_000);
      await bench.heal();

      expect(bench.fateOf('a')).toBe('OUTCOME_UNKNOWN');
      bench.check();
      expect(bench.fateOf('b')).toMatch(/^at/);
    },
  );

  it('lets one of those win that expect the same end, and keeps the sequence of who loses', async () => {
    const bench = new Bench();
    bench.pair.flow();
    bench.append('a', 1_000, 0);
    bench.append('b', 1_000, 0);
    bench.append('c', 1_000);
    await bench.heal();

    expect(bench.fateOf('b')).toBe('OFFSET_TAKEN');
    expect(['a', 'c'].map((value) => bench.fateOf(value))).toEqual(['at 2', 'at 3']);
    expect(bench.idsGiven).toBe(1);
    bench.check();
  });

  it('puts what expects an end into a batch of its own', async () => {
    const bench = new Bench();
    bench.assign(2);
    bench.pair.flow();
    for (const [value, end] of [['a'], ['b', 9], ['c', 9], ['d'], ['e']] as const)
      bench.append(value, 50, end);
    const frames: unknown[] = [];
    for (let round = 0; round < 8; round += 1) {
      await bench.pass();
      for (const { frame, terms } of bench.network) {
        const { records } = decodeBatch(frame, 0, crc32);
        frames.push([terms.expectedEnd?.offset, records.map(({ value }) => String(value))]);
      }
      bench.deliver();
      bench.pair.flow();
    }

    expect(frames).toMatchObject([
      [undefined, { length: 1 }],
      [9, { length: 1 }],
      [9, { length: 1 }],
      [undefined, { length: 2 }],
    ]);
  });

  it('tells at once who expects an end that is not there, and lets nobody wait for it', async () => {
    const bench = new Bench();
    bench.pair.flow();
    bench.append('a', 60_000, 1_000_000);
    bench.append('b', 60_000);
    await bench.pass();
    bench.pair.flow();
    await bench.pass();

    expect([bench.fateOf('a'), bench.fateOf('b')]).toEqual(['OFFSET_NOT_AVAILABLE', 'at 1']);
  });

  it('knows what it left in the log by the next try', async () => {
    const bench = new Bench();
    bench.assign(2);
    bench.pair.flow();
    bench.append('a', 5_000, 0);
    await bench.pass();
    bench.deliver();
    bench.breakStream();
    bench.assign(1);
    bench.append('b', 5_000);
    await bench.heal();

    expect(bench.fateOf('a')).toMatch(/^at/);
    bench.check();
  });

  it('gives up the id with a batch whose deadline passes in flight', async () => {
    const bench = new Bench();
    bench.pair.flow();
    bench.pair.isCut = true;
    bench.append('a', 50);
    await bench.pass(60);
    bench.append('b', 1_000);
    await bench.heal();

    expect([bench.fateOf('a'), bench.idsGiven]).toEqual(['OUTCOME_UNKNOWN', 2]);
    bench.check();
  });

  it('keeps the id, and the sequence, over refusals that are certain', async () => {
    const bench = new Bench();
    bench.assign(NOBODY);
    bench.append('a', 50);
    await bench.pass(600);
    const first = bench.fateOf('a');
    bench.append('b', 1_000);
    await bench.heal();

    expect([first, bench.idsGiven]).toEqual(['LEADER_UNKNOWN', 1]);
    bench.check();
  });

  it('repeats the same batch over a change of leaders, and appends it once', async () => {
    const bench = new Bench();
    bench.assign(2);
    bench.pair.flow();
    bench.append('a', 5_000);
    await bench.pass();
    bench.deliver();
    bench.breakStream();
    bench.assign(1);
    await bench.heal();

    expect([bench.fateOf('a'), bench.idsGiven]).toEqual([expect.stringMatching(/^at/), 1]);
    bench.check();
  });

  it('starts over under a new id where another batch has its sequence', async () => {
    const bench = new Bench();
    const other = bench.newWriter();
    bench.pair.flow();
    bench.append('a', 1_000);
    await bench.heal();
    // Somebody else under the same id, which must not be: it is refused, not acknowledged as 'a'.
    const fates: Fate[] = [];
    other.append([
      {
        record: { value: Buffer.from('b'), timestampMs: 0 },
        ack: 'all',
        deadlineMs: bench.clock.nowMs + 1_000,
        settle: (fate) => fates.push(fate),
      },
    ]);
    await bench.heal();

    const log = bench.pair.replica(1).values();
    expect(fates).toEqual([{ offset: log.indexOf('b') }]);
    expect(bench.idsGiven).toBe(2);
  });

  it.each(['OUTCOME_UNKNOWN', 'UNREACHABLE', 'REFUSED'] as const)(
    'is certain that nothing was appended when no id was given: %s',
    async (code) => {
      const bench = new Bench();
      bench.pair.flow();
      for (let tries = 0; tries < 100; tries += 1)
        bench.initFaults.push(new BrokerError(code, 'no id'));
      bench.append('a', 50);
      await bench.pass(600);
      const [fate] = bench.fates.get('a') ?? [];
      bench.initFaults.length = 0;
      await bench.heal();

      expect(fate).toMatchObject({ code: 'BROKER_NOT_READY', effect: 'none' });
      bench.check();
    },
  );

  it('leaves their id to the partitions that have no trouble', async () => {
    const bench = new Bench();
    const first = await bench.producer.identity(null);

    const second = await bench.producer.identity(first);
    const third = await bench.producer.identity(second);

    expect([first.producerId, second.producerId, third.producerId]).toEqual([1, 2, 3]);
    // Another one that gave up the first gets what is there by now, and nobody the same again.
    expect(await bench.producer.identity(first)).toBe(third);
  });

  it('acknowledges what is in the log, once, and refuses what is not, whatever happens', async () => {
    const assigned = {
      leader: fc.constantFrom<ReplicaId | typeof NOBODY>(1, 2, NOBODY),
      told: fc.constantFrom<readonly ReplicaId[]>([1, 2], [1], [2]),
    };
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('append' as const),
          forMs: fc.constantFrom(5, 40, 400),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('race' as const),
          forMs: fc.constantFrom(5, 40, 400),
          beyond: fc.constantFrom(-1, 0, 0, 0, 1),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('assign' as const), ...assigned }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('tell' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('flow' as const) }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('deliver' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('break' as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('wait' as const),
          ms: fc.constantFrom(1, 20, 100),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const bench = new Bench();
        for (const [index, one] of steps.entries()) {
          if (one.kind === 'append') bench.append(`v${index}`, one.forMs);
          else if (one.kind === 'race')
            bench.append(`v${index}`, one.forMs, Math.max(0, bench.readEnd() + one.beyond));
          else if (one.kind === 'assign') bench.assign(one.leader, one.told);
          else if (one.kind === 'tell') bench.pair.tell();
          else if (one.kind === 'cut') bench.pair.isCut = !bench.pair.isCut;
          else if (one.kind === 'flow') bench.pair.flow();
          else if (one.kind === 'deliver') bench.deliver();
          else if (one.kind === 'break') bench.breakStream();
          await bench.pass(one.kind === 'wait' ? one.ms : 0);
        }
        await bench.heal();
        bench.check();
      }),
      { numRuns: 150 },
    );
  });
});
