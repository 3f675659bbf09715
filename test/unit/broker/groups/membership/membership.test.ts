/** One situation each, by hand; `test/sim/groups` has the rest. */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { GROUP_MEMBERS_MAX, GROUPS_PER_COORDINATOR_MAX } from '../../../../../base/limits.ts';
import {
  emptyMembership,
  foldMembership,
  type MembershipImage,
} from '../../../../../broker/groups/membership/image.ts';
import {
  Membership,
  REQUESTS_PENDING_MAX,
} from '../../../../../broker/groups/membership/membership.ts';
import {
  membershipRecords,
  readMembership,
} from '../../../../../broker/groups/membership/records.ts';
import type {
  GroupReply,
  GroupRequest,
  GroupTopic,
  JoinRequest,
  MemberMessage,
  MembershipInput,
  StoredRecord,
} from '../../../../../broker/groups/membership/types.ts';
import { commitVerdict } from '../../../../../broker/groups/membership/verdict.ts';
import { describeGroup } from '../../../../../broker/groups/membership/views.ts';

const SESSION_MS = 10_000;
const BROKER_SESSION_MS = 3_000;
const BATCH_RECORDS_MAX = 500;

function id(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
}

/** A core with its log: whatever it proposes is committed at once, unless it is told to wait. */
class Bench {
  core: Membership;
  nowMs = 0;
  isWaiting = false;
  pending: { epoch: number; batchId: number; records: readonly StoredRecord[] } | null = null;
  readonly log: StoredRecord[] = [];
  readonly messages: MemberMessage[] = [];
  readonly replies = new Map<number, GroupReply | BrokerError>();
  largestBatch = 0;
  batchRecordsMax = BATCH_RECORDS_MAX;
  removed: string[] = [];
  #epoch = 1;
  #requests = 0;

  constructor(topics: Record<string, number> = { orders: 4 }) {
    this.core = this.#begin();
    this.topics(topics, 1);
    this.tick(0);
  }

  #begin(): Membership {
    const options = {
      epoch: this.#epoch,
      brokerSessionMs: BROKER_SESSION_MS,
      batchRecordsMax: this.batchRecordsMax,
      nowMs: this.nowMs,
    };
    const core = new Membership(this.folded(), options);
    this.core = core;
    this.step({ kind: 'heard', isHeard: true });
    return core;
  }

  folded(): MembershipImage {
    const image = emptyMembership();
    for (const { key, value } of this.log)
      if (!key.startsWith('["cursor"'))
        foldMembership(image, readMembership(JSON.parse(key) as string[], value));
    return image;
  }

  failOver(): void {
    this.#epoch += 1;
    this.pending = null;
    this.#begin();
  }

  step(input: MembershipInput): void {
    const { batch, messages, replies } = this.core.step(input);
    this.messages.push(...messages);
    for (const { requestId, reply } of replies) this.replies.set(requestId, reply);
    if (batch !== null) {
      this.pending = batch;
      this.largestBatch = Math.max(this.largestBatch, batch.records.length);
      this.removed.push(...batch.removedGroups);
    }
    if (!this.isWaiting) this.commit();
  }

  commit(): void {
    const batch = this.pending;
    if (batch === null) return;
    this.pending = null;
    this.log.push(...batch.records);
    this.step({ kind: 'committed', epoch: batch.epoch, batchId: batch.batchId });
  }

  topics(partitions: Record<string, number>, metadataIndex: number): void {
    const topics = new Map<string, GroupTopic>(
      Object.entries(partitions).map(([name, count]) => [
        name,
        { topicId: `id-${name}`, partitions: count, racks: [] },
      ]),
    );
    this.step({ kind: 'topics', metadataIndex, topics });
  }

  tick(ms: number): void {
    this.nowMs += ms;
    this.step({ kind: 'tick', nowMs: this.nowMs });
  }

  request(request: GroupRequest, proxy = 0): number {
    this.#requests += 1;
    this.step({ kind: 'request', requestId: this.#requests, proxy, request });
    return this.#requests;
  }

  ask(request: GroupRequest, proxy = 0): GroupReply | BrokerError | undefined {
    return this.replies.get(this.request(request, proxy));
  }

  join(number: number, fields: Partial<JoinRequest> = {}, proxy = 0) {
    return this.ask(joining(number, fields), proxy);
  }

  /** The member lives and has applied what it was told. */
  beat(number: number, epoch = this.member(number)?.epoch ?? 0, proxy = 0): void {
    const member = this.member(number);
    const attachment = member?.attachment ?? 1;
    const members = [{ group: 'g', memberId: id(number), attachment, epoch }];
    this.step({ kind: 'heartbeat', requestId: 0, proxy, members });
  }

  member(number: number) {
    return this.core.image.groups.get('g')?.members.get(id(number));
  }

  held(number: number): string[] {
    return [...(this.member(number)?.held.keys() ?? [])].toSorted();
  }

  fences(): string[] {
    return this.messages.flatMap((each) => (each.kind === 'fenced' ? [each.reason] : []));
  }

  /** Time goes on for so long while these members show life. */
  live(ms: number, ...numbers: number[]): void {
    for (let past = 0; past < ms; past += 500) {
      this.tick(500);
      for (const number of numbers) this.beat(number);
    }
  }
}

function joining(number: number, fields: Partial<JoinRequest> = {}): JoinRequest {
  return {
    kind: 'join',
    group: 'g',
    memberId: id(number),
    attempt: 1,
    instanceId: '',
    rack: '',
    client: '',
    topics: ['orders'],
    assignor: '',
    sessionMs: SESSION_MS,
    graceMs: 3_000,
    returnMs: 0,
    epoch: 0,
    formerId: '',
    ...fields,
  };
}

function codeOf(reply: GroupReply | BrokerError | undefined): string {
  return reply instanceof BrokerError ? reply.code : (reply?.kind ?? 'none');
}

describe('Membership', () => {
  it('gives on only what its holder let go, and stops nobody else', () => {
    const bench = new Bench();
    bench.join(1);
    expect(bench.held(1)).toEqual([0, 1, 2, 3].map((number) => `id-orders/${String(number)}`));
    const before = new Map(bench.member(1)?.held);
    bench.join(2);
    expect(bench.held(1)).toHaveLength(2);
    expect(bench.held(2)).toEqual([]);
    for (const key of bench.held(1)) expect(bench.member(1)?.held.get(key)).toBe(before.get(key));
    // What it states is an older view.
    bench.beat(1, (bench.member(1)?.epoch ?? 0) - 1);
    expect(bench.held(2)).toEqual([]);
    expect(describeGroup(bench.core.image, 'g')?.status).toBe('reconciling');
    bench.beat(1);
    expect(bench.held(2)).toHaveLength(2);
    expect(describeGroup(bench.core.image, 'g')?.status).toBe('stable');
  });

  it('believes no statement of a view that it never gave', () => {
    const bench = new Bench();
    bench.join(1);
    bench.beat(1, 1_000_000);
    expect(bench.fences()).toEqual(['unknown']);
    bench.join(2);
    expect(bench.held(2)).toEqual([]);
  });

  it('says in the answer whose sign does not count, and hears each once', () => {
    const bench = new Bench();
    bench.join(1);
    bench.join(2, {}, 1);
    const sign = (number: number, attachment: number) => ({
      ...{ group: 'g', memberId: id(number), attachment, epoch: 0 },
    });
    const told = bench.messages.length;
    const members = [sign(1, 1), sign(2, 2), sign(3, 3), sign(1, 9), sign(1, 1), sign(1, 1)];
    bench.step({ kind: 'heartbeat', requestId: 77, proxy: 0, members });
    expect(bench.replies.get(77)).toEqual({
      kind: 'heartbeat',
      refused: [
        { at: 1, reason: 'attached-elsewhere' },
        { at: 2, reason: 'unknown' },
        { at: 3, reason: 'attached-elsewhere' },
      ],
    });
    // It lacks its view, and is told it once.
    expect(bench.messages.slice(told).filter(({ kind }) => kind === 'view')).toHaveLength(1);
  });

  it('lets a member leave by its own proxy alone', () => {
    const bench = new Bench();
    bench.join(1, {}, 2);
    const leave = { kind: 'leave', group: 'g', memberId: id(1), attachment: 1 } as const;
    expect(codeOf(bench.ask({ ...leave, isReturning: false }, 1))).toBe('FENCED');
    expect(bench.held(1)).toHaveLength(4);
    expect(codeOf(bench.ask({ ...leave, isReturning: false }, 2))).toBe('left');
    expect(bench.member(1)).toBeUndefined();
  });

  it('counts a session from the last answer to an attempt, however often it is asked', () => {
    const bench = new Bench();
    bench.join(1);
    bench.live(SESSION_MS - 500);
    // Its answer was lost; the proxy delivers from when it asked again.
    expect(bench.join(1)).toMatchObject({ attachment: 1 });
    bench.live(SESSION_MS - 500);
    expect(bench.member(1)).toBeDefined();
    bench.live(500);
    expect(bench.member(1)).toBeUndefined();
  });

  it('ends a session that nobody renews, and tells who comes late', () => {
    const bench = new Bench();
    bench.join(1);
    bench.join(2);
    bench.beat(1);
    bench.live(SESSION_MS + 1_000, 2);
    expect(bench.fences()).toEqual(['expired']);
    expect(bench.held(2)).toHaveLength(4);
    expect(codeOf(bench.join(1, { attempt: 2, epoch: 2 }))).toBe('FENCED');
    bench.beat(1);
    expect(bench.fences()).toEqual(['expired', 'unknown']);
  });

  it('shrinks the session when a living proxy says so, and only the proxy', () => {
    const bench = new Bench();
    bench.join(1);
    const detached = { kind: 'detached', group: 'g', memberId: id(1), attachment: 1 } as const;
    bench.step({ ...detached, proxy: 1 });
    bench.step({ ...detached, proxy: 0, attachment: 2 });
    bench.tick(1_900);
    bench.tick(1_900);
    expect(bench.member(1)).toBeDefined();
    bench.step({ ...detached, proxy: 0 });
    bench.tick(1_900);
    expect(bench.member(1)).toBeDefined();
    bench.tick(1_200);
    expect(bench.member(1)).toBeUndefined();
  });

  it('ends a member without grace at once', () => {
    const bench = new Bench();
    bench.join(1, { graceMs: 0 });
    bench.step({ kind: 'detached', proxy: 0, group: 'g', memberId: id(1), attachment: 1 });
    expect(bench.member(1)).toBeUndefined();
  });

  it('attaches elsewhere without a change, and hears older attachments no more', () => {
    const bench = new Bench();
    bench.join(1);
    const { epoch, held } = bench.member(1)!;
    expect(bench.join(1, { attempt: 2, epoch }, 1)).toMatchObject({ attachment: 2 });
    expect(bench.member(1)).toMatchObject({ epoch, held, proxy: 1 });
    expect(bench.fences()).toEqual(['attached-elsewhere']);
    // The same attempt again; an older one; one of another broker.
    expect(bench.join(1, { attempt: 2, epoch }, 1)).toMatchObject({ attachment: 2 });
    expect(codeOf(bench.join(1))).toBe('FENCED');
    expect(codeOf(bench.join(1, { attempt: 2, epoch }, 2))).toBe('FENCED');
    expect(codeOf(bench.join(1, { attempt: 3, epoch: epoch + 1 }, 2))).toBe('FENCED');
    const claim = { group: 'g', topicId: 'id-orders', partition: 0, memberId: id(1), epoch };
    expect(commitVerdict(bench.core.image, { ...claim, attachment: 2 })).toBeNull();
    expect(commitVerdict(bench.core.image, { ...claim, attachment: 1 })?.code).toBe('FENCED');
  });

  it('keeps the place of an instance, and gives it to the newest of its processes', () => {
    const bench = new Bench();
    const place = { instanceId: 'pod-0', returnMs: 20_000 };
    bench.join(1, place);
    bench.join(2);
    bench.beat(1);
    const others = bench.held(2);
    const leave = { kind: 'leave', group: 'g', memberId: id(1), attachment: 1 } as const;
    expect(codeOf(bench.ask({ ...leave, isReturning: true }))).toBe('left');
    bench.live(15_000, 2);
    expect(bench.held(2)).toEqual(others);
    const { epoch } = bench.member(2)!;
    bench.join(3, place);
    expect(bench.held(3)).toHaveLength(2);
    bench.join(4, place);
    expect(bench.held(4)).toHaveLength(2);
    expect(bench.member(3)).toBeUndefined();
    expect(bench.member(2)).toMatchObject({ epoch });
    expect(bench.fences()).toEqual(['left', 'replaced']);
  });

  it('gives a place that another process has by now to nobody who was fenced', () => {
    const bench = new Bench();
    const place = { instanceId: 'pod-0' };
    bench.join(1, place);
    bench.live(SESSION_MS);
    bench.join(2, place);
    // The one of before wakes, and comes back under another id.
    const again = { ...place, attempt: 2, formerId: id(1) };
    expect(bench.join(3, again)).toEqual({ kind: 'replaced' });
    expect([bench.member(3), bench.held(2).length]).toEqual([undefined, 4]);
    // Who finds itself there goes on, as does everybody once the other is away or gone.
    expect(bench.join(4, { ...place, formerId: id(2) })).toMatchObject({ kind: 'joined' });
    bench.live(SESSION_MS);
    expect(bench.join(5, { ...again, attempt: 3, formerId: id(3) })).toMatchObject({
      kind: 'joined',
    });
  });

  it('lets a place go when nobody returned to it', () => {
    const bench = new Bench();
    bench.join(1, { instanceId: 'pod-0', returnMs: 5_000 });
    bench.join(2);
    bench.live(SESSION_MS + 1_000, 2);
    expect(bench.member(1)).toMatchObject({ isAway: true });
    bench.live(6_000, 2);
    expect(bench.member(1)).toBeUndefined();
    expect(bench.held(2)).toHaveLength(4);
  });

  it('begins sessions anew after a failover, and longer by what the one before may answer', () => {
    const bench = new Bench();
    bench.join(1);
    bench.live(SESSION_MS - 1_000);
    bench.failOver();
    bench.live(SESSION_MS + BROKER_SESSION_MS - 500);
    expect(bench.member(1)).toBeDefined();
    bench.tick(500);
    expect(bench.member(1)).toBeUndefined();
  });

  it('counts no time that it slept', () => {
    const bench = new Bench();
    bench.join(1);
    bench.tick(10 * SESSION_MS);
    expect(bench.member(1)).toBeDefined();
    bench.live(SESSION_MS);
    expect(bench.member(1)).toBeUndefined();
  });

  it('goes on after a failover as if nothing was', () => {
    const bench = new Bench();
    bench.join(1);
    bench.join(2);
    bench.beat(1);
    const { log } = bench;
    const length = log.length;
    bench.failOver();
    // Older topics than its predecessor went by.
    bench.topics({ orders: 2 }, 0);
    bench.topics({ orders: 4 }, 1);
    bench.live(3_000, 1, 2);
    expect(log).toHaveLength(length);
  });

  it('tells nothing and proposes nothing while it is not heard', () => {
    const bench = new Bench();
    bench.join(1);
    bench.step({ kind: 'heard', isHeard: false });
    const length = bench.log.length;
    const told = bench.messages.length;
    expect(codeOf(bench.join(2))).toBe('LEADER_UNKNOWN');
    bench.beat(1);
    expect(codeOf(bench.replies.get(0))).toBe('LEADER_UNKNOWN');
    bench.live(2 * SESSION_MS);
    expect(bench.log).toHaveLength(length);
    expect(bench.messages).toHaveLength(told);
  });

  it('answers what waits for a batch when it is committed, and says so when it is lost', () => {
    const bench = new Bench();
    bench.isWaiting = true;
    const first = bench.request(joining(1));
    const second = bench.request(joining(2));
    expect(bench.replies.has(first)).toBe(false);
    const { epoch, batchId } = bench.pending!;
    const error = new BrokerError('NOT_ENOUGH_REPLICAS', 'too few');
    bench.step({ kind: 'lost', epoch, batchId, error });
    expect(codeOf(bench.replies.get(first))).toBe('NOT_ENOUGH_REPLICAS');
    bench.pending = null;
    bench.tick(500);
    const next = bench.pending!;
    expect(next).not.toBeNull();
    // A batch of another leadership, or the one before.
    bench.step({ kind: 'committed', epoch: epoch + 1, batchId: batchId + 1 });
    bench.step({ kind: 'committed', epoch, batchId });
    expect(bench.replies.has(second)).toBe(false);
    const unknown = new BrokerError('STALE_EPOCH', 'another leads');
    bench.step({ kind: 'lost', epoch, batchId: batchId + 1, error: unknown });
    expect(codeOf(bench.replies.get(second))).toBe('OUTCOME_UNKNOWN');
    expect(codeOf(bench.join(3))).toBe('LEADER_UNKNOWN');
    expect(bench.core.isServing).toBe(false);
  });

  it('works a target out anew when the batch of the change before was lost', () => {
    const bench = new Bench();
    bench.batchRecordsMax = 3;
    bench.failOver();
    bench.topics({ orders: 9 }, 2);
    for (const number of [1, 2, 3]) bench.join(number);
    bench.live(2_000, 1, 2, 3);
    bench.isWaiting = true;
    const attachment = bench.member(3)!.attachment;
    bench.ask({ kind: 'leave', group: 'g', memberId: id(3), attachment, isReturning: false });
    const { epoch, batchId, records } = bench.pending!;
    expect(records).toHaveLength(3);
    bench.pending = null;
    const error = new BrokerError('NOT_ENOUGH_REPLICAS', 'too few');
    bench.step({ kind: 'lost', epoch, batchId, error });
    bench.request(joining(4));
    bench.isWaiting = false;
    bench.live(2_000, 1, 2, 3, 4);
    expect([1, 2, 3, 4].map((number) => bench.held(number).length)).toEqual([3, 2, 2, 2]);
    expect(describeGroup(bench.core.image, 'g')?.status).toBe('stable');
  });

  it('gives what is sought anew, with the cursors in the same batch', () => {
    const bench = new Bench();
    bench.join(1);
    const { epoch } = bench.member(1)!;
    const riders = [{ key: '["cursor","g","id-orders",0]', value: '{}' }];
    const partitions = [{ topicId: 'id-orders', partition: 0 }];
    expect(codeOf(bench.ask({ kind: 'seek', group: 'g', partitions, riders }))).toBe('sought');
    expect(bench.log).toContainEqual(riders[0]);
    const claim = { group: 'g', topicId: 'id-orders', memberId: id(1), attachment: 1, epoch };
    expect(commitVerdict(bench.core.image, { ...claim, partition: 0 })?.code).toBe('FENCED');
    expect(commitVerdict(bench.core.image, { ...claim, partition: 1 })).toBeNull();
  });
});

describe('Groups', () => {
  it('keep one name for one type, and one assignor while they have members', () => {
    const bench = new Bench();
    expect(codeOf(bench.ask({ kind: 'touch', group: 'q', type: 'queue' }))).toBe('touched');
    expect(codeOf(bench.join(1, { group: 'q' }))).toBe('REFUSED');
    expect(codeOf(bench.ask({ kind: 'delete', group: 'q', type: 'group' }))).toBe('REFUSED');
    bench.join(1, { assignor: 'range' });
    expect(codeOf(bench.join(2, { assignor: 'balanced' }))).toBe('REFUSED');
    expect(codeOf(bench.join(2))).toBe('joined');
  });

  it('let readers commit only without members', () => {
    const bench = new Bench();
    const reader = { group: 'g', topicId: 'id-orders', partition: 0, attachment: 0, epoch: 0 };
    expect(commitVerdict(bench.core.image, { ...reader, memberId: '' })).toBeNull();
    bench.join(1);
    expect(commitVerdict(bench.core.image, { ...reader, memberId: '' })?.code).toBe('FENCED');
    expect(commitVerdict(bench.core.image, { ...reader, memberId: id(7) })?.code).toBe('FENCED');
  });

  it('are deleted only without members, and stay until then', () => {
    const bench = new Bench();
    expect(codeOf(bench.ask({ kind: 'delete', group: 'g', type: 'group' }))).toBe('UNKNOWN_GROUP');
    bench.join(1);
    expect(codeOf(bench.ask({ kind: 'delete', group: 'g', type: 'group' }))).toBe('REFUSED');
    bench.ask({ kind: 'leave', group: 'g', memberId: id(1), attachment: 1, isReturning: false });
    expect(codeOf(bench.ask({ kind: 'delete', group: 'g', type: 'group' }))).toBe('deleted');
    bench.ask({ kind: 'touch', group: 'g', type: 'group' });
    expect(bench.removed).toEqual(['g']);
    expect(bench.core.image.groups.size).toBe(1);
  });

  it('wait for topics, see them grow, and take one made again for another', () => {
    const bench = new Bench({ other: 1 });
    bench.join(1, { topics: ['orders*'] });
    expect(bench.held(1)).toEqual([]);
    bench.topics({ 'orders-eu': 1, __groups: 16 }, 2);
    expect(bench.held(1)).toEqual(['id-orders-eu/0']);
    bench.topics({ 'orders-eu': 2 }, 3);
    expect(bench.held(1)).toEqual(['id-orders-eu/0', 'id-orders-eu/1']);
    const topic = { topicId: 'again', partitions: 1, racks: [] };
    bench.step({ kind: 'topics', metadataIndex: 4, topics: new Map([['orders-eu', topic]]) });
    expect(bench.held(1)).toEqual(['again/0']);
    expect(bench.member(1)?.revoked.size).toBe(2);
    bench.beat(1);
    expect(bench.member(1)?.revoked.size).toBe(0);
  });

  it('have their bounds, which a refusal names', () => {
    const bench = new Bench();
    bench.isWaiting = true;
    for (let at = 0; at <= GROUPS_PER_COORDINATOR_MAX; at += 1)
      bench.request({ kind: 'touch', group: `g${String(at)}`, type: 'group' });
    bench.isWaiting = false;
    bench.commit();
    const last = bench.replies.get(GROUPS_PER_COORDINATOR_MAX + 1);
    expect(codeOf(last)).toBe('OVERLOADED');
    expect(last).toHaveProperty(
      'message',
      expect.stringContaining(`has ${String(GROUPS_PER_COORDINATOR_MAX)} groups`),
    );
    expect(bench.largestBatch).toBeLessThanOrEqual(BATCH_RECORDS_MAX);
    bench.isWaiting = true;
    const first = bench.request({ kind: 'touch', group: 'a', type: 'group' });
    bench.pending = null;
    for (let at = 0; at <= REQUESTS_PENDING_MAX; at += 1) bench.request(joining(at));
    expect(codeOf(bench.replies.get(first))).toBe('OVERLOADED');
  });

  it('of the largest size are told what to read, in batches of a bounded size', () => {
    const bench = new Bench({ orders: 2_000 });
    bench.isWaiting = true;
    for (let number = 0; number <= GROUP_MEMBERS_MAX; number += 1) bench.request(joining(number));
    bench.isWaiting = false;
    bench.commit();
    expect(codeOf(bench.replies.get(GROUP_MEMBERS_MAX + 1))).toBe('OVERLOADED');
    const told = bench.core.image.groups.get('g')!;
    expect(told.members.size).toBe(GROUP_MEMBERS_MAX);
    // All that the first batch gave away is let go for the others.
    for (let turn = 0; turn < 12; turn += 1) {
      const members = [...told.members].map(([memberId, { attachment, epoch }]) => ({
        ...{ group: 'g', memberId, attachment, epoch },
      }));
      bench.step({ kind: 'heartbeat', requestId: 0, proxy: 0, members });
    }
    expect(told.holders.size).toBe(2_000);
    expect(describeGroup(bench.core.image, 'g')?.status).toBe('stable');
    expect(bench.largestBatch).toBeLessThanOrEqual(BATCH_RECORDS_MAX + 4);
    expect(membershipRecords(bench.folded())).toEqual(membershipRecords(bench.core.image));
  });
});
