/** One member's dealings with an owner whose records are slow, gone, or cannot be read now. */
import { expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import {
  ACKNOWLEDGEMENTS_PER_CALL_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  QUEUE_SETTLING_RECORDS_MAX,
} from '../../../../../base/limits.ts';
import type { Offset } from '../../../../../base/units.ts';
import type { Acknowledgement, Outcome } from '../../../../../broker/queues/types.ts';
import type { OwnedQueue } from '../../../../../broker/runtime/api.ts';
import { MemberLink } from '../../../../../broker/service/queues/member-link.ts';
import type { ServeMemberResponse } from '../../../../../proto/gen/tidemark/internal/v1/queues.ts';
import { topicIdToBytes } from '../../../../../wire/batch/frame.ts';
import type { DecodedRecord } from '../../../../../wire/records/record-set.ts';
import { TOPIC } from '../../../../fixtures/frames.ts';
import { FakeClock } from '../../runtime/fake-clock.ts';

const LEASE_MS = 3_000;
const MEMBER = '11111111-1111-4111-8111-111111111111';
const NOT_NOW = new BrokerError('LEADER_UNKNOWN', 'nobody leads it at the moment');

const recordAt = (offset: Offset): DecodedRecord => ({
  ...{ offset, timestampMs: 1, key: undefined, value: new Uint8Array(1), headers: [] },
});

/** An owner that gives two records, and a leader that answers as it is told. */
class Scene {
  readonly clock = new FakeClock();
  readonly link: MemberLink;
  /** Verdicts, as `kind offset`. */
  readonly settled: string[] = [];
  readonly missing: Offset[] = [];
  readonly sent: ServeMemberResponse[] = [];
  /** What a read brings. */
  read: () => Promise<readonly Offset[]> = () => Promise.resolve([1, 2]);
  /** What the owner makes of what is settled. */
  outcome: (asked: Acknowledgement) => Outcome = () => 'done';
  /** In place of what the owner does with acknowledgements. */
  settle: (() => Promise<readonly Outcome[]>) | null = null;
  reads = 0;
  /** Of the stream to the proxy. */
  hasRoom = true;

  constructor() {
    const deliveries = [1, 2].map((offset) => ({ offset, epoch: 1, delivery: 1 }));
    const owned: OwnedQueue = {
      ...{ definition: { config: { leaseMs: LEASE_MS } } as OwnedQueue['definition'] },
      place: { queue: 'jobs', topicId: TOPIC, partition: 0 },
      ask: () => ({
        ...{ done: Promise.resolve(deliveries), withdraw: () => {}, cancel: () => {} },
      }),
      settle: (_, asked) => {
        if (this.settle !== null) return this.settle();
        this.settled.push(...asked.map(({ verdict, offset }) => `${verdict.kind} ${offset}`));
        return Promise.resolve(asked.map((each) => this.outcome(each)));
      },
      ...{ memberGone: () => {}, freeKey: () => Promise.resolve(), report: () => ({}) as never },
      missing: (records) => this.missing.push(...records.map(({ offset }) => offset)),
    };
    this.link = new MemberLink({
      ...{ clock: this.clock, queues: () => ({ owned: () => owned }) as never },
      world: {
        recordsAt: async () => {
          this.reads += 1;
          return new Map((await this.read()).map((offset) => [offset, recordAt(offset)]));
        },
      },
      report: (error) => {
        throw error;
      },
      ...{ opened: () => {}, closed: () => {}, finish: () => {} },
      send: (supply) => {
        this.sent.push(supply);
        return this.hasRoom;
      },
    });
    const queueId = topicIdToBytes('22222222-2222-4222-8222-222222222222');
    const open = { queueId, memberId: MEMBER, attempt: 1, client: '', proxy: 1 };
    this.link.take({ message: { $case: 'open', value: open } });
    this.ask(1);
  }

  ask(requestId: number): void {
    const ask = { requestId, topicId: topicIdToBytes(TOPIC), partition: 0 };
    this.link.take({ message: { $case: 'ask', value: { ...ask, records: 2, bytes: 100 } } });
  }

  /** Offsets that the proxy was brought, or the error; null: it was told nothing. */
  get brought(): readonly Offset[] | string | null {
    const [first] = this.sent;
    if (first?.message?.$case !== 'records') return null;
    const { records, error } = first.message.value;
    return error?.code ?? records.map(({ offset }) => offset);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      this.clock.advance(50);
      await turns();
    }
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

it('brings what was read at once, and says nothing more of its lease', async () => {
  const scene = new Scene();
  await turns();
  expect(scene.brought).toEqual([1, 2]);
  expect(scene.settled).toEqual([]);
});

it('uses up no delivery while records cannot be read: it tries again, and extends', async () => {
  const scene = new Scene();
  scene.read = () => Promise.reject(NOT_NOW);
  await scene.pass(10_000);
  expect(scene.brought).toBeNull();
  expect(new Set(scene.settled)).toEqual(new Set(['extend 1', 'extend 2']));
  scene.read = () => Promise.resolve([1, 2]);
  scene.settled.length = 0;
  await scene.pass(500);
  expect(scene.brought).toEqual([1, 2]);
  // The member counts its lease from now on.
  expect(scene.settled.slice(-2)).toEqual(['extend 1', 'extend 2']);
  const { length } = scene.settled;
  await scene.pass(10_000);
  expect(scene.settled).toHaveLength(length);
});

it('leaves out a record whose lease was over before it could be read', async () => {
  const scene = new Scene();
  const { promise, resolve } = Promise.withResolvers<readonly Offset[]>();
  scene.read = () => promise;
  scene.outcome = ({ offset }) =>
    offset === 1 ? new BrokerError('LEASE_LOST', 'it is over') : 'done';
  await scene.pass(500);
  resolve([1, 2]);
  await turns();
  expect(scene.brought).toEqual([2]);
});

it('gives up where the leases are lost, so that another owner can be asked', async () => {
  const scene = new Scene();
  scene.read = () => Promise.reject(NOT_NOW);
  scene.outcome = () => new BrokerError('LEASE_LOST', 'it is over');
  await scene.pass(2_000);
  expect(scene.brought).toBe('LEADER_UNKNOWN');
});

it('tells the owner what the log holds no more, and puts that back to nobody', async () => {
  const scene = new Scene();
  scene.read = () => Promise.resolve([2]);
  await turns();
  expect(scene.brought).toEqual([2]);
  expect(scene.missing).toEqual([1]);
  expect(scene.settled).toEqual([]);
});

it('puts back what nobody waits for any more, and what can never be read', async () => {
  const left = new Scene();
  const { promise, resolve } = Promise.withResolvers<readonly Offset[]>();
  left.read = () => promise;
  await turns();
  left.link.close();
  resolve([1, 2]);
  await turns();
  expect(left.settled).toEqual(['unsent 1', 'unsent 2']);
  const deleted = new Scene();
  deleted.read = () => Promise.reject(new BrokerError('UNKNOWN_TOPIC', 'it is gone'));
  await turns();
  expect(deleted.brought).toBe('UNKNOWN_TOPIC');
  expect(deleted.settled).toEqual(['unsent 1', 'unsent 2']);
});

it('holds up no other ask while one cannot be read', async () => {
  const scene = new Scene();
  scene.read = () => Promise.reject(NOT_NOW);
  await scene.pass(100);
  scene.ask(2);
  // The first pauses before it tries again.
  scene.read = () => Promise.resolve(scene.reads === 2 ? [1, 2] : []);
  await turns();
  expect(scene.sent.map(({ message }) => message?.value)).toMatchObject([{ requestId: 2 }]);
});

it('keeps nothing leased for who does not read', async () => {
  const scene = new Scene();
  scene.hasRoom = false;
  await turns();
  expect(scene.sent).toHaveLength(1);
  scene.ask(2);
  await scene.pass(2 * LEASE_MS);
  expect(scene.settled).toEqual([]);
  // What is over by now is brought to nobody.
  scene.outcome = () => new BrokerError('LEASE_LOST', 'it is over');
  scene.link.onDrain();
  await turns();
  expect(scene.sent.at(-1)?.message).toMatchObject({ value: { requestId: 2, records: [] } });
});

it('lets as many requests of an honest proxy wait as there may be', async () => {
  const scene = new Scene();
  await turns();
  // The owner commits nothing for a while.
  scene.settle = () => new Promise(() => {});
  const acknowledgement = {
    ...{ topicId: topicIdToBytes(TOPIC), partition: 0, offset: 1, leaderEpoch: 1, delivery: 1 },
    verdict: { $case: 'accept' as const, value: {} },
  };
  const settle = (requestId: number): void => {
    const value = { requestId, topicId: topicIdToBytes(TOPIC), partition: 0 };
    const acknowledgements = [acknowledgement];
    scene.link.take({ message: { $case: 'settle', value: { ...value, acknowledgements } } });
  };
  const most = QUEUE_SETTLING_RECORDS_MAX + ACKNOWLEDGEMENTS_PER_CALL_MAX;
  for (let requestId = 2; requestId < most + PARTITIONS_PER_TOPIC_MAX; requestId += 1)
    settle(requestId);
  expect(() => {
    for (let requestId = 10_000; requestId < 20_000; requestId += 1) settle(requestId);
  }).toThrow(/^requests is \d+, must be/);
});
