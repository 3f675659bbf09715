import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  LEASE,
  LeaderLease,
  type LeaderLeaseOptions,
  type LeaseOwner,
} from '../../../../operator/kube/leader-lease.ts';
import type { KubeObject } from '../../../../operator/kube/kube-object.ts';
import { ApiServer } from '../../../fixtures/kube/api-server.ts';
import { ManualClock } from '../../../fixtures/kube/manual-clock.ts';
import { clientOf, object } from '../../../fixtures/kube/objects.ts';
import { until } from '../../../fixtures/kube/until.ts';

const NAME = { namespace: 'default', name: 'operator' };

/** One copy of the operator, with clocks of its own. */
interface Candidate {
  readonly clock: ManualClock;
  readonly lease: LeaderLease;
  readonly happened: string[];
}

let api: ApiServer;
let candidates: Candidate[];
beforeEach(async () => {
  api = await ApiServer.start();
  candidates = [];
});
afterEach(async () => {
  api.inject({ times: Infinity, effect: { kind: 'cut' } });
  await Promise.all(candidates.map(({ lease }) => lease.stop()));
  await api.close();
  for (const { clock } of candidates) expect(clock.timers).toEqual([]);
});

function candidate(
  identity: string,
  options: Partial<LeaderLeaseOptions> & { wallMs?: number } = {},
): Candidate {
  const clock = new ManualClock(options.wallMs);
  const happened: string[] = [];
  const lease = new LeaderLease({
    client: clientOf(api),
    name: NAME,
    identity,
    clock,
    random: () => 0.5,
    onStarted: () => happened.push('started'),
    onLost: (why) => happened.push(`lost: ${why}`),
    onError: (error) => happened.push(`error: ${String(error)}`),
    ...options,
  });
  const made = { clock, lease, happened };
  candidates.push(made);
  return made;
}

function spec(): Record<string, unknown> {
  return api.get(LEASE, NAME)['spec'] as Record<string, unknown>;
}

/** Starts, and waits for the end of the first attempt. */
async function started(subject: Candidate): Promise<Candidate> {
  subject.lease.start();
  await idle(subject);
  return subject;
}

/**
 * Between two attempts: a candidate has one timer, a leader a second one for the end of its belief.
 */
async function idle({ clock, happened }: Candidate): Promise<void> {
  await until(
    () => clock.timers.includes(2_000) || happened.some((line) => line.startsWith('lost')),
  );
}

/** One attempt of each, on each one's clock. */
async function tick(...subjects: Candidate[]): Promise<void> {
  for (const subject of subjects) {
    subject.clock.advance(2_000);
    await idle(subject);
  }
}

describe('LeaderLease', () => {
  it('creates the lease, with times that the API server takes, and renews it', async () => {
    const a = await started(candidate('a'));
    expect(a.happened).toEqual(['started']);
    expect(a.lease.isLeading()).toBe(true);
    expect(spec()).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:00.000000Z',
      leaseTransitions: 1,
    });
    await tick(a);
    expect(spec()).toMatchObject({
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:02.000000Z',
      leaseTransitions: 1,
    });
    expect(a.happened).toEqual(['started']);
  });

  it('reads times that another client wrote, and keeps fields it does not know', async () => {
    const fields = { renewTime: '2020-01-01T00:00:00.123456Z', fieldOfTomorrow: 1 };
    api.create(LEASE, object(LEASE, 'operator', { spec: fields }));
    await started(candidate('a'));
    expect(spec()).toMatchObject({ holderIdentity: 'a', fieldOfTomorrow: 1 });
  });

  it('lets one of two lead, however long both run', async () => {
    const a = await started(candidate('a'));
    const b = await started(candidate('b'));
    for (let round = 0; round < 30; round += 1) await tick(a, b);
    expect([a.lease.isLeading(), b.lease.isLeading()]).toEqual([true, false]);
    expect([a.happened, b.happened]).toEqual([['started'], []]);
  });

  it('takes over from a holder that is gone, after the whole duration on its own clock', async () => {
    api.create(
      LEASE,
      object(LEASE, 'operator', {
        spec: { holderIdentity: 'gone', leaseDurationSeconds: 15, leaseTransitions: 4 },
      }),
    );
    const b = await started(candidate('b'));
    for (let round = 0; round < 7; round += 1) await tick(b);
    expect(b.lease.isLeading()).toBe(false);
    await tick(b);
    expect(b.happened).toEqual(['started']);
    expect(spec()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 5 });
  });

  it.each([-3_600_000, 3_600_000])(
    'trusts no other clock: one that is %i ms off changes nothing',
    async (skewMs) => {
      const a = await started(candidate('a'));
      const b = await started(candidate('b', { wallMs: Date.UTC(2026, 0, 1) + skewMs }));
      for (let round = 0; round < 10; round += 1) await tick(a, b);
      expect([a.lease.isLeading(), b.lease.isLeading()]).toEqual([true, false]);
    },
  );

  it('stops believing, right when it wakes, after it was paused; the other had begun only later', async () => {
    const a = await started(candidate('a'));
    const b = await started(candidate('b'));
    let elapsedMs = 0;
    while (!b.lease.isLeading()) {
      await tick(b);
      elapsedMs += 2_000;
      a.clock.pause(2_000);
      if (elapsedMs >= 10_000) expect(a.lease.isLeading()).toBe(false);
    }
    expect(elapsedMs).toBe(16_000);
    expect(a.lease.isLeading()).toBe(false);
    a.clock.advance(0);
    await until(() => a.happened.length === 2);
    expect(a.happened).toEqual(['started', 'lost: no renewal within 10000 ms']);
    expect(spec()['holderIdentity']).toBe('b');
  });

  it('does not act after a sleep that only the wall clock noticed', async () => {
    const a = await started(candidate('a'));
    a.clock.jumpWall(60_000);
    expect(a.lease.isLeading()).toBe(false);
    await tick(a);
    expect(a.lease.isLeading()).toBe(true);
    a.clock.jumpWall(-60_000);
    expect(a.lease.isLeading()).toBe(true);
  });

  it('counts from before the request, not from its answer', async () => {
    const gate = Promise.withResolvers<undefined>();
    const a = candidate('a');
    api.inject({ method: 'POST', effect: { kind: 'hold', until: gate.promise } });
    a.lease.start();
    await until(() => api.requests.length === 2);
    a.clock.pause(9_999);
    gate.resolve(undefined);
    await until(() => a.happened.length === 1);
    expect(a.lease.isLeading()).toBe(true);
    a.clock.pause(1);
    expect(a.lease.isLeading()).toBe(false);
  });

  it('survives failures that are shorter than its belief', async () => {
    const a = await started(candidate('a'));
    api.inject({ method: 'PUT', times: 3, effect: { kind: 'fail', status: 500 } });
    await tick(a);
    await tick(a);
    await tick(a);
    expect(a.lease.isLeading()).toBe(true);
    await tick(a);
    a.clock.advance(1_999);
    expect(a.lease.isLeading()).toBe(true);
    expect(a.happened.filter((line) => line.startsWith('error'))).toHaveLength(3);
    expect(a.happened.some((line) => line.startsWith('lost'))).toBe(false);
  });

  it('gives up when the API server is out of reach for too long, once', async () => {
    const a = await started(candidate('a'));
    api.inject({ times: Infinity, effect: { kind: 'cut' } });
    for (let round = 0; round < 6; round += 1) await tick(a);
    expect(a.happened.filter((line) => line.startsWith('lost'))).toEqual([
      'lost: no renewal within 10000 ms',
    ]);
    expect(a.lease.isLeading()).toBe(false);
  });

  it('gives up at once when another holds the lease', async () => {
    const a = await started(candidate('a'));
    api.patch(LEASE, NAME, { spec: { holderIdentity: 'thief' } });
    await tick(a);
    expect(a.happened).toEqual(['started', 'lost: thief holds the lease']);
    expect(spec()['holderIdentity']).toBe('thief');
  });

  it('gives up when the lease was deleted and is taken by another', async () => {
    const a = await started(candidate('a'));
    api.delete(LEASE, NAME);
    api.create(LEASE, object(LEASE, 'operator', { spec: { holderIdentity: 'b' } }));
    await tick(a);
    expect(a.happened).toEqual(['started', 'lost: b holds the lease']);
  });

  it('goes on when only the answer to a renewal was lost', async () => {
    const a = await started(candidate('a'));
    api.inject({ method: 'PUT', effect: { kind: 'lose-answer' } });
    await tick(a);
    await tick(a);
    await tick(a);
    expect(a.lease.isLeading()).toBe(true);
    expect(a.happened.filter((line) => line.startsWith('lost'))).toEqual([]);
  });

  it('leads without waiting when only the answer to its first request was lost', async () => {
    api.inject({ method: 'POST', effect: { kind: 'lose-answer' } });
    const a = await started(candidate('a'));
    expect(a.lease.isLeading()).toBe(false);
    await tick(a);
    expect(a.lease.isLeading()).toBe(true);
  });

  it('is one of two that try at the same time', async () => {
    api.create(LEASE, object(LEASE, 'operator', { spec: {} }));
    const gate = Promise.withResolvers<undefined>();
    api.inject({ method: 'PUT', times: 2, effect: { kind: 'hold', until: gate.promise } });
    const both = [candidate('a'), candidate('b')];
    for (const { lease } of both) lease.start();
    await until(() => api.requests.filter(({ method }) => method === 'PUT').length === 2);
    gate.resolve(undefined);
    await Promise.all(both.map(idle));
    expect(both.filter(({ lease }) => lease.isLeading())).toHaveLength(1);
    expect(both.flatMap(({ happened }) => happened)).toEqual(['started']);
  });

  it('gives the lease away when stopped, so that the next need not wait', async () => {
    const a = await started(candidate('a'));
    const b = await started(candidate('b'));
    await a.lease.stop();
    expect(a.lease.isLeading()).toBe(false);
    expect(spec()['holderIdentity']).toBeUndefined();
    await tick(b);
    expect(b.lease.isLeading()).toBe(true);
    expect(a.happened).toEqual(['started']);
  });

  describe('with an owner', () => {
    const owner = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'operator', uid: 'd-2' };
    const owners = (): unknown => api.get(LEASE, NAME).metadata['ownerReferences'];
    const ownedBy = (answer: LeaseOwner): Partial<LeaderLeaseOptions> => ({
      owner: () => Promise.resolve(answer),
    });

    it('makes a lease that goes with it, and keeps that so', async () => {
      const a = await started(candidate('a', ownedBy(owner)));
      expect(owners()).toEqual([owner]);
      await tick(a);
      expect(owners()).toEqual([owner]);
    });

    it('takes a lease over from an owner that was there before', async () => {
      const ownerReferences = [{ ...owner, uid: 'd-1' }];
      api.create(LEASE, object(LEASE, 'operator', { metadata: { ownerReferences }, spec: {} }));
      const a = await started(candidate('a', ownedBy(owner)));
      expect(a.lease.isLeading()).toBe(true);
      expect(owners()).toEqual([owner]);
    });

    it('makes none that nobody would take along', async () => {
      const a = await started(candidate('a', ownedBy('gone')));
      expect(a.lease.isLeading()).toBe(false);
      expect(() => api.get(LEASE, NAME)).toThrow();
    });

    it('makes one without where it has none', async () => {
      const a = await started(candidate('a', ownedBy('none')));
      expect(a.lease.isLeading()).toBe(true);
      expect(owners()).toBeUndefined();
    });

    it('waits while its owner cannot be asked', async () => {
      let isAway = true;
      const ask = (): Promise<LeaseOwner> =>
        isAway ? Promise.reject(new Error('away')) : Promise.resolve(owner);
      const a = await started(candidate('a', { owner: ask }));
      expect(a.lease.isLeading()).toBe(false);
      isAway = false;
      await tick(a);
      expect(owners()).toEqual([owner]);
    });
  });

  it('takes nothing when stopped before it led', async () => {
    api.create(
      LEASE,
      object(LEASE, 'operator', { spec: { holderIdentity: 'x', leaseDurationSeconds: 15 } }),
    );
    const b = await started(candidate('b'));
    const before: KubeObject = api.get(LEASE, NAME);
    await b.lease.stop();
    expect(api.get(LEASE, NAME)).toEqual(before);
  });

  it.each([
    [{ durationMs: 10_000, renewMsMax: 10_000, retryMs: 2_000 }],
    [{ durationMs: 15_000, renewMsMax: 2_000, retryMs: 2_000 }],
    [{ durationMs: 15_500, renewMsMax: 10_000, retryMs: 2_000 }],
  ])('refuses timing without a margin: %o', (timing) => {
    expect(() => new LeaderLease({ ...({} as LeaderLeaseOptions), timing })).toThrow(
      /^lease timing: durationMs \d+ must be/,
    );
  });
});
