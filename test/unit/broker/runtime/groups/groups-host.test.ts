import { beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { GROUPS_TOPIC } from '../../../../../base/internal-topics.ts';
import type { JoinRequest, MemberMessage } from '../../../../../broker/groups/membership/types.ts';
import { emptyImage } from '../../../../../broker/metadata/apply.ts';
import type { MetadataImage, TopicState } from '../../../../../broker/metadata/types.ts';
import { GroupsHost, partitionOfGroup } from '../../../../../broker/runtime/groups/groups-host.ts';
import type { Replica } from '../../../../../broker/runtime/partitions/replica.ts';
import { TEXT_RECORDS } from '../../../../../broker/service/text-records.ts';
import { FakeClock } from '../fake-clock.ts';
import { FakeReplica, TOPIC_ID } from './fake-replica.ts';

const GROUPS_ID = '11111111-1111-4111-8111-111111111111';
const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';
const DAY_MS = 24 * 3_600_000;

const topic = (name: string, topicId: string, count: number): TopicState =>
  ({
    ...{ name, topicId },
    partitions: Array.from({ length: count }, (_, partition) => ({ partition, replicas: [1] })),
  }) as unknown as TopicState;

function imageOf(...topics: readonly TopicState[]): MetadataImage {
  const all = [topic(GROUPS_TOPIC, GROUPS_ID, 16), ...topics];
  return {
    ...emptyImage(),
    index: 7,
    topics: new Map(all.map((each) => [each.topicId, each])),
    topicIdsByName: new Map(all.map(({ name, topicId }) => [name, topicId])),
  };
}

let clock: FakeClock;
let replica: FakeReplica;
let image: MetadataImage;
let host: GroupsHost;
let told: MemberMessage[];

function start(): void {
  host = new GroupsHost({
    clock,
    bounds: { snapshotBytesMin: 1e9, keptMs: 2 * DAY_MS, noteMs: DAY_MS / 4 },
    sessionMs: 1_000,
    records: TEXT_RECORDS,
    image: () => image,
    replicas: {
      get: (topicId, partition) =>
        topicId === GROUPS_ID && partition === partitionOfGroup('billing')
          ? (replica as unknown as Replica)
          : null,
      require: () => {
        throw new BrokerError('NOT_LEADER', 'another broker');
      },
      *[Symbol.iterator]() {},
    },
    onDamage: () => {},
    onFact: () => {},
  });
  told = [];
  host.onMessages((messages) => told.push(...messages));
  host.start();
  host.look();
}

beforeEach(() => {
  clock = new FakeClock();
  replica = new FakeReplica();
  image = imageOf(topic('orders', TOPIC_ID, 4));
  start();
});

const joinOf = (memberId: string, patch: Partial<JoinRequest> = {}): JoinRequest => ({
  ...{ kind: 'join', group: 'billing', memberId, attempt: 1, instanceId: '', rack: '' },
  ...{ client: 'test', topics: ['orders'], assignor: '', sessionMs: 6_000, graceMs: 1_000 },
  ...{ returnMs: 0, epoch: 0, formerId: '', ...patch },
});

async function attach(memberId: string, proxy = 1): Promise<number> {
  const joined = host.ask(proxy, joinOf(memberId));
  await replica.commitAll();
  const reply = await joined;
  await replica.commitAll();
  return reply.kind === 'joined' ? reply.attachment : 0;
}

const epochOf = (memberId: string): number =>
  host.describe('billing')?.members.find((member) => member.memberId === memberId)?.epoch ?? 0;

const heldBy = (memberId: string): readonly number[] =>
  host
    .describe('billing')
    ?.members.find((member) => member.memberId === memberId)
    ?.view.assigned.map(({ partition }) => partition) ?? [];

const beat = (memberId: string, attachment: number, epoch = epochOf(memberId)) =>
  host.heartbeat(1, partitionOfGroup('billing'), [
    { group: 'billing', memberId, attachment, epoch },
  ]);

const place = (partition: number) => ({
  group: 'billing',
  topic: 'orders',
  topicId: TOPIC_ID,
  partition,
});
const commitOf = (partition: number, offset: number) => ({
  ...place(partition),
  offset,
  leaderEpoch: 0,
  generation: 0,
});

async function commit(
  offset: number,
  member: { readonly memberId: string; readonly attachment: number; readonly epoch: number } | null,
): Promise<string> {
  const by = member === null ? null : { ...member, epochs: [member.epoch] };
  const committed = host.commit([commitOf(0, offset)], by);
  await replica.commitAll();
  const [outcome] = await committed;
  return outcome instanceof BrokerError ? outcome.code : String(outcome?.offset);
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => JSON.stringify(value),
    (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
  );

describe('groups with members', () => {
  it('give a member all partitions, and half of them to the next', async () => {
    const first = await attach(A);
    expect(first).toBe(1);
    expect(heldBy(A)).toEqual([0, 1, 2, 3]);
    expect(told.at(-1)).toMatchObject({ kind: 'view', memberId: A, attachment: 1, proxy: 1 });
    await attach(B, 2);
    expect(heldBy(A)).toEqual([0, 1]);
    // They are let go first.
    expect(heldBy(B)).toEqual([]);
    await beat(A, first);
    await replica.commitAll();
    expect(heldBy(B)).toEqual([2, 3]);
    expect(told.at(-1)).toMatchObject({ kind: 'view', memberId: B, proxy: 2 });
  });

  it('let nobody commit but the holder, by the epoch in which it was given the partition', async () => {
    expect(await commit(5, null)).toBe('5');
    const attachment = await attach(A);
    const epoch = epochOf(A);
    expect(await commit(6, null)).toBe('FENCED');
    expect(await commit(6, { memberId: B, attachment, epoch })).toBe('FENCED');
    expect(await commit(6, { memberId: A, attachment: 9, epoch })).toBe('FENCED');
    expect(await commit(6, { memberId: A, attachment, epoch: epoch - 1 })).toBe('FENCED');
    expect(await commit(6, { memberId: A, attachment, epoch: epoch + 1 })).toBe('FENCED');
    expect(await commit(6, { memberId: A, attachment, epoch })).toBe('6');
  });

  it('judge a commit by all that was written before it, members that come too', async () => {
    const joined = host.ask(1, joinOf(A));
    const late = host.commit([commitOf(0, 5)], null);
    await replica.commitAll();
    expect((await joined).kind).toBe('joined');
    expect(await late).toMatchObject([{ code: 'FENCED' }]);
  });

  it('outlive their coordinator, which the next one knows from the log', async () => {
    const attachment = await attach(A);
    const held = heldBy(A);
    host.close();
    replica.change({ leaderEpoch: 2 });
    start();
    await replica.commitAll();
    await beat(A, attachment);
    await replica.commitAll();
    expect(heldBy(A)).toEqual(held);
    expect(told).toEqual([]);
    expect(replica.asked).toHaveLength(0);
  });

  it('begin anew from the log in another leadership of the same broker', async () => {
    await attach(A);
    const under = codeOf(host.ask(1, joinOf(B)));
    replica.change({ isLeader: false });
    host.look();
    expect(await under).toBe('OUTCOME_UNKNOWN');
    expect(await codeOf(host.ask(1, joinOf(B)))).toBe('NOT_LEADER');
    const batch = replica.asked.shift();
    batch?.done({ ok: false, error: new BrokerError('STALE_EPOCH', 'resigned') });
    replica.change({ isLeader: true, leaderEpoch: 3 });
    await attach(B);
    expect(host.describe('billing')?.members.map(({ memberId }) => memberId)).toEqual([A, B]);
  });

  it('write nothing in another leadership that was to be written in the one before', async () => {
    const first = codeOf(host.commit([commitOf(0, 5)], null));
    const waits = codeOf(host.ask(1, joinOf(A)));
    replica.change({ leaderEpoch: 2 });
    replica.asked.shift()?.done({ ok: false, error: new BrokerError('STALE_EPOCH', 'resigned') });
    expect(await first).toBe('OUTCOME_UNKNOWN');
    host.look();
    await replica.commitAll();
    expect(await waits).toBe('NOT_LEADER');
    expect(host.describe('billing')).toBeNull();
  });

  it('take what came of a batch that another leader committed', async () => {
    const under = codeOf(host.ask(1, joinOf(A)));
    const batch = replica.asked.shift();
    replica.change({ isLeader: false });
    host.look();
    expect(await under).toBe('OUTCOME_UNKNOWN');
    if (batch !== undefined) replica.put(batch.frame);
    batch?.done({ ok: false, error: new BrokerError('STALE_EPOCH', 'resigned') });
    replica.change({ isLeader: true, leaderEpoch: 3 });
    await replica.commitAll();
    // The same again is answered as it was.
    const again = host.ask(1, joinOf(A));
    await replica.commitAll();
    expect(await again).toMatchObject({ kind: 'joined', attachment: 1 });
  });

  it('ask nobody twice after a refusal, and write again at the next tick', async () => {
    const attachment = await attach(A);
    await attach(B, 2);
    await beat(A, attachment);
    const refused = replica.asked.shift();
    refused?.done({ ok: false, error: new BrokerError('NOT_ENOUGH_REPLICAS', 'too few') });
    await replica.commitAll();
    expect(heldBy(B)).toEqual([]);
    clock.advance(1_000);
    await replica.commitAll();
    expect(heldBy(B)).toEqual([2, 3]);
  });

  it('answer nobody while the controller does not hear their coordinator', async () => {
    const attachment = await attach(A);
    const epoch = epochOf(A);
    replica.change({ isReady: false });
    expect(await codeOf(beat(A, attachment, epoch))).toBe('BROKER_NOT_READY');
    clock.advance(60_000);
    expect(replica.asked).toHaveLength(0);
    replica.change({ isReady: true });
    await beat(A, attachment);
    expect(heldBy(A)).toHaveLength(4);
  });

  it('end members that are silent for a session', async () => {
    const attachment = await attach(A);
    clock.advance(5_000);
    await beat(A, attachment);
    for (let second = 0; second < 10; second += 1) {
      clock.advance(1_000);
      await replica.commitAll();
    }
    expect(host.describe('billing')?.members).toEqual([]);
    expect(told.at(-1)).toMatchObject({ kind: 'fenced', reason: 'expired', memberId: A });
  });

  it('give a partition anew to its holder when somebody seeks', async () => {
    const attachment = await attach(A);
    const epoch = epochOf(A);
    expect(await commit(9, { memberId: A, attachment, epoch })).toBe('9');
    const sought = host.seek([{ ...place(0), offset: 2, leaderEpoch: 0 }]);
    const again = host.seek([{ ...place(0), offset: 3, leaderEpoch: 0 }]);
    await replica.commitAll();
    expect(await sought).toMatchObject([{ offset: 2, generation: 2 }]);
    await replica.commitAll();
    expect(await again).toMatchObject([{ offset: 3, generation: 3 }]);
    expect(await commit(10, { memberId: A, attachment, epoch })).toBe('FENCED');
    expect(await commit(4, { memberId: A, attachment, epoch: epochOf(A) })).toBe('4');
  });

  it('are deleted with their cursors, and not while they have members', async () => {
    const attachment = await attach(A);
    await commit(9, { memberId: A, attachment, epoch: epochOf(A) });
    expect(await codeOf(host.remove('billing'))).toBe('REFUSED');
    const left = host.ask(1, {
      kind: 'leave',
      group: 'billing',
      memberId: A,
      attachment,
      isReturning: false,
    });
    await replica.commitAll();
    expect(await left).toEqual({ kind: 'left' });
    const removed = host.remove('billing');
    await replica.commitAll();
    expect(await removed).toBe(1);
    expect(host.view('billing')).toBeUndefined();
    expect(await codeOf(host.remove('billing'))).toBe('UNKNOWN_GROUP');
  });

  it('are forgotten once nobody has used them for long, and never while they have members', async () => {
    const attachment = await attach(A);
    const idle = async (hours: number, each: () => Promise<unknown>): Promise<void> => {
      for (let hour = 0; hour < hours; hour += 1) {
        clock.nowMs += 3_600_000;
        // Time that the process slept counts for no session.
        clock.advance(1_000);
        await each();
        await replica.commitAll();
      }
    };
    await idle(60, () => beat(A, attachment));
    expect(heldBy(A)).toHaveLength(4);
    const left = host.ask(1, {
      kind: 'leave',
      group: 'billing',
      memberId: A,
      attachment,
      isReturning: false,
    });
    await replica.commitAll();
    await left;
    await idle(45, async () => {});
    expect(host.view('billing')).toBeDefined();
    await idle(5, async () => {});
    expect(host.view('billing')).toBeUndefined();
  });

  it('follow topics that come and grow', async () => {
    await attach(A);
    image = { ...imageOf(topic('orders', TOPIC_ID, 6)), index: 8 };
    host.look();
    await replica.commitAll();
    expect(heldBy(A)).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe('where partitions are begun', () => {
  const beginning = (partition: number) => ({
    ...{ topic: 'orders', topicId: TOPIC_ID, partition },
    first: { offset: 100, leaderEpoch: 3 },
    earliest: { offset: 10, leaderEpoch: 1 },
  });

  it('is the first time as the group asks, and for what is added at its first record', async () => {
    const begun = host.begin('billing', [beginning(0), beginning(1)]);
    const same = host.begin('billing', [beginning(0), beginning(1), beginning(2)]);
    await replica.commitAll();
    expect(await begun).toMatchObject([{ offset: 100 }, { offset: 100, leaderEpoch: 3 }]);
    expect(await same).toMatchObject([{ offset: 100 }, { offset: 100 }, { offset: 10 }]);
  });

  it('is nowhere while a topic of the name is gone', async () => {
    const begun = host.begin('billing', [beginning(0)]);
    await replica.commitAll();
    await begun;
    const remade = '99999999-9999-4999-8999-999999999999';
    image = { ...imageOf(topic('orders', remade, 4)), index: 8 };
    const again = host.begin('billing', [{ ...beginning(0), topicId: remade }]);
    await replica.commitAll();
    expect(await again).toMatchObject([{ code: 'CURSOR_GONE' }]);
  });
});
