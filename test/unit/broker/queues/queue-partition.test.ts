/** What one owner does, step by step; `test/sim/queues` has what several do under faults. */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import {
  QUEUE_DELTAS_MAX,
  QUEUE_DYING_MAX,
  QUEUE_STATE_BYTES_MAX,
  QUEUE_WINDOW_RECORDS,
} from '../../../../base/limits.ts';
import { emptyQueues, fold, placeKey, type QueueState } from '../../../../broker/queues/fold.ts';
import { QueuePartition } from '../../../../broker/queues/queue-partition.ts';
import { decodeRecord } from '../../../../broker/queues/records.ts';
import type {
  Acknowledgement,
  Delivery,
  QueueBatch,
  QueueConfig,
  QueueFact,
  QueueInput,
  QueueRecord,
  QueueReply,
  Verdict,
} from '../../../../broker/queues/types.ts';

const PLACE = { queue: 'jobs', topicId: 'orders', partition: 0 };
const WALL_MS = 1_700_000_000_000;
const MEMORY: QueueConfig = {
  leaseMs: 10_000,
  deliveriesMax: 0,
  hasDeadLetters: true,
  isKeyOrdered: false,
  parksKeys: false,
  delayMsMin: 0,
  delayMsMax: 60_000,
};
const ORDERED: QueueConfig = { ...MEMORY, isKeyOrdered: true };
const LIMITED: QueueConfig = { ...MEMORY, deliveriesMax: 2 };

function recordsAt(from: number, keys: readonly (number | null)[], gap = 1): QueueRecord[] {
  return keys.map((keyHash, at) => ({ offset: from + at * gap, epoch: 1, keyHash, bytes: 100 }));
}

/** An owner whose batches are committed as they come, unless `isHolding`. */
class Desk {
  readonly image = emptyQueues();
  readonly core: QueuePartition;
  readonly replies = new Map<number, QueueReply | BrokerError>();
  readonly facts: QueueFact[] = [];
  readonly batches: QueueBatch[] = [];
  isHolding = false;
  nowMs = 0;
  #epoch = 1;
  #nextId = 1;

  constructor(config: QueueConfig, former: Desk | null = null) {
    if (former !== null) {
      this.image = former.image;
      this.#epoch = former.#epoch + 1;
      this.nowMs = former.nowMs;
    }
    this.core = new QueuePartition(PLACE, former?.state ?? null, {
      ...{ epoch: this.#epoch, config, nowMs: this.nowMs },
      ...{ deltasMax: QUEUE_DELTAS_MAX, windowRecords: QUEUE_WINDOW_RECORDS },
    });
    this.step({ kind: 'heard', isHeard: true });
    this.step({ kind: 'begin', offset: 0, epoch: 1 });
    this.tick(0);
  }

  get state(): QueueState {
    return this.image.queues.get(placeKey(PLACE))!;
  }

  step(input: QueueInput): void {
    const output = this.core.step(input);
    this.facts.push(...output.facts);
    for (const { requestId, reply } of output.replies) this.replies.set(requestId, reply);
    if (output.batch !== null) this.batches.push(output.batch);
    if (!this.isHolding) this.commit();
  }

  commit(): void {
    const batch = this.batches.shift();
    if (batch === undefined) return;
    for (const record of batch.records) fold(this.image, decodeRecord(record));
    this.step({ kind: 'committed', epoch: batch.epoch, batchId: batch.batchId });
  }

  tick(ms: number, wallMs: number | null = WALL_MS): void {
    for (let left = ms; left > 0; left -= 250) {
      this.nowMs += Math.min(250, left);
      this.step({ kind: 'tick', nowMs: this.nowMs, wallMs: wallMs && wallMs + this.nowMs });
    }
    this.step({ kind: 'tick', nowMs: this.nowMs, wallMs: wallMs && wallMs + this.nowMs });
  }

  data(records: readonly QueueRecord[], from = records[0]!.offset): void {
    const to = records.at(-1)!.offset + 1;
    this.step({ kind: 'data', from, to, epoch: 1, records });
  }

  ask(memberId: string, records = 10): number {
    const requestId = this.#nextId++;
    this.step({ kind: 'ask', requestId, memberId, records, bytes: 1_000_000 });
    return requestId;
  }

  /** What a member has got by a request. */
  given(requestId: number): readonly Delivery[] {
    const reply = this.replies.get(requestId);
    return reply !== undefined && !(reply instanceof BrokerError) && reply.kind === 'records'
      ? reply.deliveries
      : [];
  }

  take(memberId: string, records = 10): number[] {
    return this.given(this.ask(memberId, records)).map(({ offset }) => offset);
  }

  /** The outcome, or the code of the refusal. */
  acknowledge(memberId: string, lease: Omit<Acknowledgement, 'verdict'>, verdict: Verdict): string {
    const requestId = this.#nextId++;
    const acknowledgements = [{ ...lease, verdict }];
    this.step({ kind: 'acknowledge', requestId, memberId, acknowledgements });
    const reply = this.replies.get(requestId);
    if (reply === undefined) return 'waits';
    if (reply instanceof BrokerError) return reply.code;
    const [outcome] = reply.kind === 'acknowledged' ? reply.outcomes : [];
    return outcome instanceof BrokerError ? outcome.code : (outcome ?? 'nothing');
  }
}

const lease = (offset: number, delivery = 1): Omit<Acknowledgement, 'verdict'> => ({
  ...{ offset, epoch: 1, delivery },
});
const ACCEPT: Verdict = { kind: 'accept' };
const RELEASE: Verdict = { kind: 'release', delayMs: 0 };
const UNSENT: Verdict = { kind: 'unsent' };
const REJECT: Verdict = { kind: 'reject', reason: 'no such customer' };

describe('QueuePartition.step()', () => {
  it('hands out leases in memory at once, and committed ones once they are', () => {
    const memory = new Desk(MEMORY);
    const limited = new Desk(LIMITED);
    for (const desk of [memory, limited]) {
      desk.data(recordsAt(0, [1, 2]));
      desk.isHolding = true;
    }
    const asked = [memory, limited].map((desk) => desk.ask('a'));

    expect(memory.given(asked[0]!)).toHaveLength(2);
    expect(limited.given(asked[1]!)).toHaveLength(0);
    limited.commit();
    expect(limited.given(asked[1]!)).toEqual([
      { offset: 0, epoch: 1, delivery: 1 },
      { offset: 1, epoch: 1, delivery: 1 },
    ]);
    expect(limited.state.entries.map(({ kind }) => kind)).toEqual(['leased', 'leased']);
  });

  it('answers an acknowledgement once it is committed, and a repeated one the same day', () => {
    const desk = new Desk(MEMORY);
    desk.data(recordsAt(0, [1]));
    desk.take('a');
    desk.isHolding = true;

    expect(desk.acknowledge('a', lease(0), ACCEPT)).toBe('waits');
    desk.commit();
    expect(desk.acknowledge('a', lease(0), ACCEPT)).toBe('settled');
    expect(desk.state).toMatchObject({ next: 1, entries: [] });
    // Whoever goes on with it must know.
    expect(desk.acknowledge('a', lease(0), { kind: 'extend' })).toBe('LEASE_LOST');
  });

  it.each<[string, string, Omit<Acknowledgement, 'verdict'>, Verdict, string]>([
    ['of another delivery', 'a', lease(0, 2), ACCEPT, 'LEASE_LOST'],
    ['of another member', 'b', lease(0), ACCEPT, 'LEASE_LOST'],
    ['of another epoch', 'a', { ...lease(0), epoch: 2 }, ACCEPT, 'LEASE_LOST'],
    ['of what was never handed out', 'a', lease(7), ACCEPT, 'LEASE_LOST'],
    ['of an offset that is none', 'a', lease(-1), ACCEPT, 'INVALID_ARGUMENT'],
    ['of delivery 0', 'a', lease(0, 0), ACCEPT, 'INVALID_ARGUMENT'],
    [
      'with a delay that is too long',
      'a',
      lease(0),
      { ...RELEASE, delayMs: 60_001 },
      'INVALID_ARGUMENT',
    ],
    [
      'with a reason that is too long',
      'a',
      lease(0),
      { ...REJECT, reason: 'x'.repeat(257) },
      'INVALID_ARGUMENT',
    ],
  ])('refuses an acknowledgement %s', (_, member, named, verdict, code) => {
    const desk = new Desk(MEMORY);
    desk.data(recordsAt(0, [1]));
    desk.take('a');

    expect(desk.acknowledge(member, named, verdict)).toBe(code);
    expect(desk.acknowledge('a', lease(0), ACCEPT)).toBe('done');
  });

  it('gives a record to another once its lease is over, and refuses the first then', () => {
    const desk = new Desk(MEMORY);
    desk.data(recordsAt(0, [1]));
    desk.take('a');
    desk.tick(9_000);
    expect(desk.acknowledge('a', lease(0), { kind: 'extend' })).toBe('done');
    desk.tick(9_000);
    expect(desk.take('b')).toEqual([]);
    desk.tick(2_000);

    expect(desk.acknowledge('a', lease(0), ACCEPT)).toBe('LEASE_LOST');
    expect(desk.acknowledge('b', lease(0, 2), ACCEPT)).toBe('done');
  });

  it('counts no time that it slept', () => {
    const desk = new Desk(MEMORY);
    desk.data(recordsAt(0, [1]));
    desk.take('a');
    desk.nowMs += 3_600_000;
    desk.tick(1_000);

    expect(desk.acknowledge('a', lease(0), ACCEPT)).toBe('done');
  });

  it('hands out a delayed record when the wall clock says so, also at the next owner', () => {
    const desk = new Desk(LIMITED);
    desk.data(recordsAt(0, [1]));
    desk.take('a');
    expect(desk.acknowledge('a', lease(0), { kind: 'release', delayMs: 5_000 })).toBe('done');
    const next = new Desk(LIMITED, desk);
    next.data(recordsAt(0, [1]));
    next.tick(4_500);
    const requestId = next.ask('b');

    expect(next.given(requestId)).toEqual([]);
    next.tick(750);
    expect(next.given(requestId)).toEqual([{ offset: 0, epoch: 1, delivery: 2 }]);
  });

  it('says of no lease that ended that its record is delayed', () => {
    const later: Verdict = { kind: 'release', delayMs: 5_000 };
    const desk = new Desk(MEMORY);
    desk.data(recordsAt(0, [1, 2]));
    desk.take('a');
    expect(desk.acknowledge('a', lease(0), later)).toBe('done');
    // Once more, and once its time has come.
    expect(desk.acknowledge('a', lease(0), later)).toBe('settled');
    desk.tick(12_000);
    expect(desk.acknowledge('a', lease(0), later)).toBe('settled');
    expect(desk.acknowledge('a', lease(1), later)).toBe('LEASE_LOST');
    expect(desk.acknowledge('a', lease(1), RELEASE)).toBe('settled');

    desk.take('b');
    const next = new Desk(MEMORY, desk);
    next.data(recordsAt(0, [1, 2]));
    // What was leased in memory is with nobody any more.
    expect(next.acknowledge('b', lease(0, 2), later)).toBe('LEASE_LOST');
  });

  it('takes a release at the last delivery twice', () => {
    const desk = new Desk(LIMITED);
    desk.data(recordsAt(0, [1]));
    for (const delivery of [1, 2]) {
      desk.take('a');
      expect(desk.acknowledge('a', lease(0, delivery), RELEASE)).toBe('done');
    }
    expect(desk.state.entries).toMatchObject([{ kind: 'dying' }]);
    expect(desk.acknowledge('a', lease(0, 2), RELEASE)).toBe('settled');
    expect(desk.acknowledge('a', lease(0, 2), ACCEPT)).toBe('LEASE_LOST');
  });

  it('refuses a delay while no clock is trusted, and leaves the lease', () => {
    const desk = new Desk(LIMITED);
    const fresh = new QueuePartition(PLACE, desk.state, {
      ...{ epoch: 2, config: LIMITED, nowMs: 0, deltasMax: 500, windowRecords: 2_000 },
    });
    fresh.step({ kind: 'heard', isHeard: true });
    fresh.step({ kind: 'tick', nowMs: 0, wallMs: null });
    fresh.step({ kind: 'data', from: 0, to: 1, epoch: 1, records: recordsAt(0, [1]) });
    fresh.step({ kind: 'ask', requestId: 1, memberId: 'a', records: 1, bytes: 1 });
    fresh.step({ kind: 'committed', epoch: 2, batchId: 1 });
    const acknowledgements = [{ ...lease(0), verdict: { kind: 'release', delayMs: 1 } as const }];
    const { replies, batch } = fresh.step({
      ...{ kind: 'acknowledge', requestId: 2, memberId: 'a', acknowledgements },
    });

    expect(replies).toMatchObject([{ reply: { outcomes: [{ code: 'BROKER_NOT_READY' }] } }]);
    expect(batch).toBeNull();
  });

  it('counts no delivery that nobody had, and takes that word of the lease that is there alone', () => {
    const desk = new Desk(LIMITED);
    desk.data(recordsAt(0, [1]));
    for (let time = 0; time < 5; time += 1) {
      expect(desk.given(desk.ask('a', 1))).toMatchObject([{ offset: 0, delivery: 1 }]);
      expect(desk.acknowledge('b', lease(0), UNSENT)).toBe('LEASE_LOST');
      expect(desk.acknowledge('a', lease(0), UNSENT)).toBe('done');
      expect(desk.acknowledge('a', lease(0), UNSENT)).toBe('LEASE_LOST');
    }
    expect(desk.core.describe()).toMatchObject({ waiting: 1, dying: 0 });
  });

  it('keeps a key with one member, in order, while its head is released', () => {
    const desk = new Desk(ORDERED);
    desk.data(recordsAt(0, [7, 7, null, 8]));

    expect(desk.take('a', 1)).toEqual([0]);
    expect(desk.take('b')).toEqual([2, 3]);
    expect(desk.acknowledge('a', lease(0), { kind: 'release', delayMs: 5_000 })).toBe('done');
    const requestId = desk.ask('b');
    expect(desk.given(requestId)).toEqual([]);
    desk.tick(5_250);
    expect(desk.given(requestId)).toEqual([{ offset: 0, epoch: 1, delivery: 2 }]);
    expect(desk.acknowledge('b', lease(0, 2), ACCEPT)).toBe('done');
  });

  it('hands out nothing above what it has not read again', () => {
    const desk = new Desk(ORDERED);
    desk.data(recordsAt(0, [7, 8, 7]));
    expect(desk.take('a', 2)).toEqual([0, 1]);
    expect(desk.acknowledge('a', lease(1), RELEASE)).toBe('done');
    const next = new Desk(ORDERED, desk);
    const requestId = next.ask('b');

    expect(next.core.wanted).toEqual({ offset: 0, records: 2 });
    next.data(recordsAt(0, [7]));
    expect(next.given(requestId)).toEqual([]);
    next.data(recordsAt(1, [8, 7]));
    // The lease of 0 goes on, and holds its key.
    expect(next.given(requestId)).toEqual([{ offset: 1, epoch: 1, delivery: 2 }]);
    expect(next.acknowledge('a', lease(0), ACCEPT)).toBe('done');
    expect(next.take('b')).toEqual([2]);
  });

  it('lets a record die at its limit, and counts what waits for a place', () => {
    const desk = new Desk(LIMITED);
    const many = QUEUE_DYING_MAX + 5;
    desk.data(
      recordsAt(
        0,
        Array.from({ length: many }, () => null),
      ),
    );
    for (let delivery = 1; delivery <= 2; delivery += 1) {
      const taken = desk.given(desk.ask('a', many));
      expect(taken).toHaveLength(many);
      for (const each of taken) desk.acknowledge('a', each, RELEASE);
    }
    desk.tick(250);

    expect(desk.core.describe()).toMatchObject({ dying: QUEUE_DYING_MAX, waiting: 5 });
    expect(desk.take('b')).toEqual([]);
    expect(desk.state.dying.size).toBe(QUEUE_DYING_MAX);
  });

  it('gives leases of a member that is gone to others, and those nobody waits for', () => {
    const desk = new Desk(LIMITED);
    desk.data(recordsAt(0, [1, 2]));
    desk.take('a', 1);
    desk.isHolding = true;
    const requestId = desk.ask('c', 1);
    desk.step({ kind: 'cancel', requestId });
    desk.step({ kind: 'member-gone', memberId: 'a' });
    desk.isHolding = false;
    desk.commit();

    expect(desk.given(requestId)).toEqual([]);
    expect(desk.take('b')).toEqual([0, 1]);
  });

  it('stores the leases of before when key order is switched on', () => {
    const desk = new Desk(MEMORY);
    desk.data(recordsAt(0, [7, 7]));
    desk.take('a', 1);
    expect(desk.state.entries).toEqual([]);
    desk.step({ kind: 'config', config: ORDERED });

    expect(desk.state.entries).toMatchObject([{ offset: 0, kind: 'leased', deliveries: 1 }]);
    expect(desk.take('b')).toEqual([]);
  });

  it('takes no more records than their state has room for, however uneven', () => {
    const desk = new Desk({ ...LIMITED, deliveriesMax: 1_000 });
    const far = recordsAt(
      1_000_000_000,
      Array.from({ length: 2_000 }, () => null),
      40_000,
    );
    desk.ask('a', 2_000);
    desk.data(far, 0);
    for (const [at, each] of desk.given(1).entries())
      desk.acknowledge('a', each, { kind: 'release', delayMs: 1 + at * 25 });
    desk.step({ kind: 'snapshot' });
    desk.isHolding = true;
    desk.step({ kind: 'snapshot' });
    const [{ value } = { value: null }] = desk.batches[0]?.records ?? [];

    expect(desk.state.entries.length).toBeGreaterThan(1_000);
    expect(desk.state.entries.length).toBeLessThan(2_000);
    expect(value!.length).toBeGreaterThan(QUEUE_STATE_BYTES_MAX * 0.6);
    expect(value!.length).toBeLessThanOrEqual(QUEUE_STATE_BYTES_MAX);
    expect(desk.core.describe().blocked).toMatchObject({
      ...{ offset: 1_000_000_000, epoch: 1, kind: 'waiting' },
    });
    expect(desk.core.wanted).toBeNull();
  });

  it('tells what retention and compaction took, and goes on behind it', () => {
    const desk = new Desk(LIMITED);
    desk.data(recordsAt(0, [1, 2, 3]));
    desk.take('a', 1);
    expect(desk.acknowledge('a', lease(0), RELEASE)).toBe('done');
    desk.step({ kind: 'log-start', offset: 10 });
    expect(desk.facts).toEqual([
      { kind: 'retired', records: 7 },
      { kind: 'retired', records: 3 },
    ]);
    desk.data(recordsAt(10, [1, 2]));
    desk.step({ kind: 'data', from: 10, to: 12, epoch: 1, records: recordsAt(11, [2]) });

    expect(desk.take('b')).toEqual([11]);
    expect(desk.facts.at(-1)).toEqual({ kind: 'superseded', records: 1 });
  });

  it.each([
    [0, 100, 'records is 0, must be 1 or more'],
    [Number.NaN, 100, 'records is NaN, must be 1 or more'],
    [1, -1, 'bytes is -1, must be 0 or more'],
  ])('refuses to hand out %d records of %d bytes', (records, bytes, message) => {
    const desk = new Desk(LIMITED);
    desk.step({ kind: 'ask', requestId: 9_000, memberId: 'a', records, bytes });

    expect(desk.replies.get(9_000)).toMatchObject({ code: 'INVALID_ARGUMENT', message });
  });

  it('goes on behind a record that could not be read again, since it is gone', () => {
    for (const config of [MEMORY, ORDERED]) {
      const desk = new Desk(config);
      desk.data(recordsAt(0, [7, 7]));
      expect(desk.take('a', 1)).toEqual([0]);
      desk.step({ kind: 'missing', records: [{ offset: 0, epoch: 2 }] });
      expect(desk.facts).toEqual([]);
      desk.step({ kind: 'missing', records: [{ offset: 0, epoch: 1 }] });
      expect(desk.facts).toEqual([{ kind: 'superseded', records: 1 }]);
      expect(desk.take('b', 1)).toEqual([1]);
      expect(desk.take('c', 1)).toEqual([]);
    }
  });

  it('passes over a batch that nobody can read, and tells it once', () => {
    const desk = new Desk(ORDERED);
    for (let time = 0; time < 2; time += 1)
      desk.step({ kind: 'data', from: 0, to: 3, epoch: 1, records: [], unreadable: 3 });
    desk.data(recordsAt(3, [1]));
    expect(desk.facts).toEqual([{ kind: 'unreadable', records: 3 }]);
    expect(desk.take('a')).toEqual([3]);
    expect(desk.state.next).toBe(4);
  });

  it('writes all there is again after so many changes, also of owners before', () => {
    const desk = new Desk(LIMITED);
    const half = QUEUE_DELTAS_MAX / 2;
    const churn = (at: Desk, from: number, count: number): void => {
      for (let offset = from; offset < from + count; offset += 1) {
        at.data(recordsAt(offset, [null]));
        at.take('a', 1);
      }
    };
    churn(desk, 0, half);
    expect(desk.state.deltas).toBe(half);
    const next = new Desk(LIMITED, desk);
    next.data(
      recordsAt(
        0,
        Array.from({ length: half }, () => null),
      ),
    );
    churn(next, half, half);
    expect(next.state.deltas).toBe(QUEUE_DELTAS_MAX);
    churn(next, QUEUE_DELTAS_MAX, 1);

    expect(next.state.deltas).toBe(0);
    expect(next.state.entries).toHaveLength(QUEUE_DELTAS_MAX + 1);
  });

  it('does nothing more once the fate of a batch is unknown', () => {
    const desk = new Desk(LIMITED);
    desk.data(recordsAt(0, [1, 2]));
    desk.take('a', 1);
    desk.isHolding = true;
    expect(desk.acknowledge('a', lease(0), ACCEPT)).toBe('waits');
    const requestId = desk.ask('b');
    const { epoch, batchId } = desk.batches.pop()!;
    const error = new BrokerError('STALE_EPOCH', 'another leads');
    desk.step({ kind: 'lost', epoch, batchId, error });
    desk.tick(500);

    expect([...desk.replies.values()].slice(-2)).toMatchObject([
      { code: 'OUTCOME_UNKNOWN' },
      { code: 'LEADER_UNKNOWN' },
    ]);
    expect(desk.replies.get(requestId)).toMatchObject({ code: 'LEADER_UNKNOWN' });
    expect(desk.batches).toEqual([]);
  });
});
