import { beforeEach, describe, expect, it } from 'vitest';
import {
  DRAIN_MS,
  Holder,
  JOIN_WAIT_MS,
  LEAVE_WAIT_MS,
} from '../../../../../client/queue/holder/holder.ts';
import { ANSWER_WAIT_MS, SETTLE_TIMEOUT_MS } from '../../../../../client/queue/holder/leases.ts';
import type {
  HolderAction,
  HolderInput,
  Lease,
  Outcome,
} from '../../../../../client/queue/holder/types.ts';

const LEASE_MS = 6_000;
const GRACE_MS = 2_000;
const RECORDS_MAX = 3;
const BYTES_MAX = 100;

let nowMs: number;
let holder: Holder<Lease, string>;
let memberIds: number;

beforeEach(() => {
  nowMs = 1_000;
  memberIds = 0;
  holder = new Holder({
    newMemberId: () => `member-${(memberIds += 1)}`,
    backoffMs: () => 100,
    graceMs: GRACE_MS,
    ...{ recordsMax: RECORDS_MAX, bytesMax: BYTES_MAX, partsMax: 2 },
  });
});

type Action = HolderAction<Lease, string>;

/** As an action is told here: its kind, and what it is about. */
function shown(action: Action): string {
  switch (action.kind) {
    case 'open':
      return `open ${action.attempt} ${action.memberId} ${action.credit.records}/${action.credit.bytes}`;
    case 'acknowledge': {
      const parts = action.parts.map(
        ({ lease, verdict }) => `${verdict.kind} ${lease.offset}#${lease.delivery}`,
      );
      return `acknowledge ${action.attempt} [${parts.join(', ')}]`;
    }
    case 'credit':
      return `credit ${action.attempt} ${action.credit.records}/${action.credit.bytes}`;
    case 'received':
      return `received ${action.leases.map(({ offset }) => offset).join(' ')}`;
    case 'settled':
    case 'extended':
      return `${action.kind} ${action.lease.offset} ${action.result.kind}`;
    case 'lost':
      return `lost ${action.lease.offset} ${action.refusal ?? (action.isSent ? 'sent' : 'unsent')}`;
    case 'over':
      return `over ${action.reason}`;
    case 'close':
    case 'leave':
      return `${action.kind} ${action.attempt}`;
  }
}

const ids: number[] = [];
function step(input: HolderInput<Lease, string>): string[] {
  const actions = holder.step(nowMs, input);
  for (const action of actions) if (action.kind === 'acknowledge') ids.push(action.acknowledgeId);
  return actions.map(shown);
}

const lease = (offset: number, delivery = 1, bytes = 10): Lease => ({
  ...{ topicId: 't', partition: 0, offset, leaderEpoch: 1, delivery, bytes },
});

const start = (): void => {
  step({ kind: 'start' });
  step({ kind: 'joined', attempt: 1, leaseMs: LEASE_MS });
};
const take = (attempt: number, ...leases: Lease[]): string[] =>
  step({ kind: 'records', attempt, leases });
const accept = (one: Lease): string[] =>
  step({ kind: 'settle', lease: one, settlement: { kind: 'accept' } });
const flush = (): string[] => step({ kind: 'flush' });
const answer = (...outcomes: Outcome<string>[]): string[] =>
  step({ kind: 'acknowledged', acknowledgeId: ids.at(-1)!, outcomes });
const done: Outcome<string> = { kind: 'done' };
const after = (ms: number): string[] => {
  nowMs += ms;
  return step({ kind: 'tick' });
};

describe('credit', () => {
  it('is stated as free, and given back with what is settled', () => {
    expect(step({ kind: 'start' })).toEqual(['open 1 member-1 3/100']);
    expect(step({ kind: 'joined', attempt: 1, leaseMs: LEASE_MS })).toEqual([]);
    const [a, b] = [lease(0), lease(1)];
    expect(take(1, a, b)).toEqual(['received 0 1']);
    accept(a);
    expect(flush()).toEqual(['acknowledge 1 [accept 0#1]']);
    expect(answer(done)).toEqual(['settled 0 done', 'credit 1 1/10']);
  });

  it('is owed after a record that overdrew it', () => {
    start();
    const [big, small] = [lease(0, 1, 250), lease(1, 1, 10)];
    take(1, big, small);
    accept(small);
    flush();
    expect(answer(done)).toEqual(['settled 1 done', 'credit 1 1/10']);
    accept(big);
    flush();
    // 150 were overdrawn: all of it comes back.
    expect(answer(done)).toEqual(['settled 0 done', 'credit 1 1/250']);
  });

  it('counts once over streams: a new one is told what is free', () => {
    start();
    const [a, b, c] = [lease(0), lease(1), lease(2)];
    take(1, a, b, c);
    expect(step({ kind: 'ended', attempt: 1, end: 'broken' })).toEqual([]);
    // No broker takes none, so one record more may come.
    expect(after(100)).toEqual(['open 2 member-1 1/70']);
    step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS });
    accept(a);
    flush();
    expect(answer(done)).toEqual(['settled 0 done', 'credit 2 0/10']);
    accept(b);
    flush();
    expect(answer(done)).toEqual(['settled 1 done', 'credit 2 1/10']);
  });

  it('comes back for a record that came again', () => {
    start();
    take(1, lease(0));
    expect(take(1, lease(0))).toEqual(['credit 1 1/10']);
  });
});

describe('a lease', () => {
  it('is extended at a third, while it is kept', () => {
    start();
    const a = lease(0);
    take(1, a);
    expect(after(LEASE_MS / 3)).toEqual(['acknowledge 1 [extend 0#1]']);
    const sentMs = nowMs;
    nowMs += 500;
    expect(answer(done)).toEqual(['extended 0 done']);
    // From when it was asked for.
    expect(holder.leftMs(nowMs, a)).toBe(sentMs + LEASE_MS - nowMs);
    step({ kind: 'keep', lease: a, isKept: false });
    expect(after(LEASE_MS / 3)).toEqual([]);
    expect(after(LEASE_MS)).toEqual(['lost 0 unsent', 'credit 1 1/10']);
    expect(holder.leftMs(nowMs, a)).toBe(0);
  });

  it('begins anew when that was sent which is answered, though it was sent again since', () => {
    start();
    const a = lease(0);
    take(1, a);
    expect(after(2_000)).toEqual(['acknowledge 1 [extend 0#1]']);
    const [first] = ids.splice(0);
    nowMs += 1_000;
    expect(step({ kind: 'reattach', attempt: 1 })).toEqual(['open 2 member-1 2/90']);
    step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS });
    nowMs += 500;
    step({ kind: 'acknowledged', acknowledgeId: first!, outcomes: [done] });
    expect(holder.leftMs(nowMs, a)).toBe(LEASE_MS - 1_500);
  });

  it('counts by the time that its queue has now, and those of before as they were given', () => {
    start();
    const [a, b] = [lease(0), lease(1)];
    take(1, a);
    expect(step({ kind: 'joined', attempt: 1, leaseMs: 1_500 })).toEqual([]);
    take(1, b);
    expect([holder.leftMs(nowMs, a), holder.leftMs(nowMs, b)]).toEqual([LEASE_MS, 1_500]);
    expect(after(500)).toEqual(['acknowledge 1 [extend 1#1]']);
    // Of a stream that is none any more.
    step({ kind: 'joined', attempt: 0, leaseMs: 9_000 });
    answer(done);
    expect(holder.leftMs(nowMs, b)).toBe(1_500);
  });

  it('that is over by the own clock settles nothing, also before its timer has fired', () => {
    start();
    const a = lease(0);
    take(1, a);
    nowMs += LEASE_MS;
    expect(accept(a)).toEqual(['lost 0 unsent']);
    expect(flush()).toEqual(['credit 1 1/10']);
  });

  it('may run out while an answer is awaited, which then counts', () => {
    start();
    const a = lease(0);
    take(1, a);
    nowMs += LEASE_MS - 1;
    accept(a);
    flush();
    expect(after(LEASE_MS)).toEqual([]);
    expect(answer(done)).toEqual(['settled 0 done', 'credit 1 1/10']);
  });

  it('is lost where the broker says so, and where the record comes with another number', () => {
    start();
    const [a, b] = [lease(0), lease(1)];
    take(1, a, b);
    accept(a);
    flush();
    expect(answer({ kind: 'lost', refusal: 'gone' })).toEqual(['lost 0 gone', 'credit 1 1/10']);
    expect(take(1, lease(1, 2))).toEqual(['lost 1 unsent', 'received 1', 'credit 1 1/10']);
    expect(holder.leftMs(nowMs, b)).toBe(0);
  });

  it('goes on where an extension is lost beside a settlement that was sent', () => {
    start();
    const a = lease(0);
    take(1, a);
    step({ kind: 'extend', lease: a });
    flush();
    const extension = ids.at(-1)!;
    accept(a);
    flush();
    const outcomes: Outcome<string>[] = [{ kind: 'lost', refusal: 'gone' }];
    expect(step({ kind: 'acknowledged', acknowledgeId: extension, outcomes })).toEqual([]);
    expect(answer(done)).toEqual(['settled 0 done', 'credit 1 1/10']);
  });
});

describe('what was said of a record', () => {
  it('travels together, in acknowledgements of so many', () => {
    start();
    const all = [lease(0), lease(1), lease(2)];
    take(1, ...all);
    for (const one of all) expect(accept(one)).toEqual([]);
    expect(flush()).toEqual([
      'acknowledge 1 [accept 0#1, accept 1#1]',
      'acknowledge 1 [accept 2#1]',
    ]);
    expect(flush()).toEqual([]);
  });

  it('of one partition waits for no answer about another', () => {
    start();
    const [a, b, other] = [lease(0), lease(1), { ...lease(0), partition: 1 }];
    take(1, a, other, b);
    for (const one of [a, other, b]) accept(one);
    expect(flush()).toEqual([
      'acknowledge 1 [accept 0#1, accept 1#1]',
      'acknowledge 1 [accept 0#1]',
    ]);
    expect(answer(done)).toEqual(['settled 0 done', 'credit 1 1/10']);
  });

  it('is said again after a pause where that helps, until it is too late', () => {
    start();
    const a = lease(0);
    take(1, a);
    accept(a);
    flush();
    expect(answer({ kind: 'again', refusal: 'busy', afterMs: 0 })).toEqual([]);
    expect(after(99)).toEqual([]);
    expect(after(1)).toEqual(['acknowledge 1 [accept 0#1]']);
    expect(answer({ kind: 'again', refusal: 'busy', afterMs: SETTLE_TIMEOUT_MS })).toEqual([]);
    expect(after(SETTLE_TIMEOUT_MS)).toEqual([
      'settled 0 timed-out',
      'lost 0 unsent',
      'credit 1 1/10',
    ]);
  });

  it('leaves the record with the member where it is refused', () => {
    start();
    const a = lease(0);
    take(1, a);
    step({ kind: 'settle', lease: a, settlement: { kind: 'reject', reason: '' } });
    flush();
    expect(answer({ kind: 'refused', refusal: 'no' })).toEqual(['settled 0 refused']);
    accept(a);
    expect(flush()).toEqual(['acknowledge 1 [accept 0#1]']);
  });

  it('is said again on the next stream, and counts by whichever answers first', () => {
    start();
    const a = lease(0);
    take(1, a);
    accept(a);
    flush();
    const before = ids.at(-1)!;
    step({ kind: 'reattach', attempt: 1 });
    expect(step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS })).toEqual([
      'acknowledge 2 [accept 0#1]',
    ]);
    const again = { kind: 'acknowledged', outcomes: [done] } as const;
    expect(step({ ...again, acknowledgeId: before })).toEqual(['settled 0 done', 'credit 2 1/10']);
    expect(answer(done)).toEqual([]);
  });

  it('is waited for on no stream for ever: the member goes to another broker', () => {
    start();
    const a = lease(0);
    take(1, a);
    accept(a);
    flush();
    expect(after(ANSWER_WAIT_MS)).toEqual(['open 2 member-1 2/90']);
    expect(step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS })).toEqual([
      'acknowledge 2 [accept 0#1]',
    ]);
  });
});

describe('streams', () => {
  it('of a broker that stops is heard beside the new one, for a while', () => {
    start();
    expect(step({ kind: 'reattach', attempt: 1 })).toEqual(['open 2 member-1 3/100']);
    expect(take(1, lease(0))).toEqual(['received 0']);
    expect(step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS })).toEqual([]);
    expect(take(1, lease(1))).toEqual(['received 1']);
    expect(after(DRAIN_MS)).toEqual(['close 1']);
    expect(take(1, lease(2))).toEqual([]);
  });

  it('that was missed for longer than the grace: nothing begins before its lease is asked for', () => {
    start();
    const [a, b, c] = [lease(0), lease(1), lease(2)];
    take(1, a, b, c);
    step({ kind: 'keep', lease: c, isKept: false });
    const mayBegin = (): boolean[] => [a, b].map((one) => holder.mayBegin(nowMs, one));
    step({ kind: 'ended', attempt: 1, end: 'broken' });
    nowMs += GRACE_MS - 1;
    expect(mayBegin()).toEqual([true, true]);
    nowMs += 1;
    expect(mayBegin()).toEqual([false, false]);
    step({ kind: 'tick' });
    // What the program has in its hands is its own business.
    expect(step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS })).toEqual([
      'acknowledge 2 [extend 0#1, extend 1#1]',
    ]);
    expect(mayBegin()).toEqual([false, false]);
    expect(answer(done, { kind: 'lost', refusal: 'gone' })).toEqual([
      ...['extended 0 done', 'lost 1 gone', 'credit 2 0/10'],
    ]);
    expect(mayBegin()).toEqual([true, false]);
  });

  it('that was missed for less asks for nothing', () => {
    start();
    const a = lease(0);
    take(1, a);
    step({ kind: 'ended', attempt: 1, end: 'broken' });
    after(GRACE_MS - 1);
    expect(step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS })).toEqual([]);
    expect(holder.mayBegin(nowMs, a)).toBe(true);
  });

  it('late records of an old one do not replace newer ones', () => {
    start();
    step({ kind: 'reattach', attempt: 1 });
    step({ kind: 'joined', attempt: 2, leaseMs: LEASE_MS });
    take(2, lease(0, 2));
    expect(take(1, lease(0, 1))).toEqual([]);
  });

  it('that does not answer is given up for another one', () => {
    step({ kind: 'start' });
    expect(after(JOIN_WAIT_MS)).toEqual(['close 1']);
    expect(after(100)).toEqual(['open 2 member-1 3/100']);
    // Too late.
    expect(step({ kind: 'joined', attempt: 1, leaseMs: LEASE_MS })).toEqual([]);
    expect(take(1, lease(0))).toEqual([]);
  });

  it('whose place another one has is replaced, and leases go on', () => {
    start();
    const a = lease(0);
    take(1, a);
    const fenced = { kind: 'fenced', attempt: 1, reason: 'attached-elsewhere' } as const;
    expect(step(fenced)).toEqual(['close 1']);
    expect(after(100)).toEqual(['open 2 member-1 2/90']);
    expect(holder.leftMs(nowMs, a)).toBe(LEASE_MS - 100);
  });

  it('of a member that is over: all is lost, and it comes back as another', () => {
    start();
    take(1, lease(0));
    const fenced = { kind: 'fenced', attempt: 1, reason: 'expired' } as const;
    expect(step(fenced)).toEqual(['lost 0 unsent', 'close 1']);
    expect(after(100)).toEqual(['open 2 member-2 3/100']);
  });

  it('that was refused ends the member', () => {
    start();
    const a = lease(0);
    take(1, a);
    accept(a);
    flush();
    const end = { kind: 'ended', attempt: 1, end: 'refused' } as const;
    expect(step(end)).toEqual(['lost 0 sent', 'over refused']);
    expect(holder.isOver).toBe(true);
  });
});

describe('the end', () => {
  it('releases what comes once it has stopped, and gives no credit', () => {
    start();
    const a = lease(0);
    take(1, a);
    step({ kind: 'stop' });
    expect(take(1, lease(1))).toEqual(['acknowledge 1 [release 1#1]']);
    expect(answer(done)).toEqual(['settled 1 done']);
    expect(holder.isSettled).toBe(true);
    expect(step({ kind: 'leave' })).toEqual(['lost 0 unsent', 'leave 1']);
    expect(step({ kind: 'ended', attempt: 1, end: 'broken' })).toEqual(['over left']);
  });

  it('waits for the broker, and not for ever', () => {
    start();
    expect(step({ kind: 'leave' })).toEqual(['leave 1']);
    expect(after(LEAVE_WAIT_MS - 1)).toEqual([]);
    expect(after(1)).toEqual(['close 1', 'over left']);
  });

  it('says nothing where there is no stream', () => {
    step({ kind: 'start' });
    expect(step({ kind: 'leave' })).toEqual(['close 1', 'over left']);
    expect(holder.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
  });
});
