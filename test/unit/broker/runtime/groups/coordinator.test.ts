import { beforeEach, describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { judgeCommit } from '../../../../../broker/groups/cursors.ts';
import {
  type Coordinator,
  openCoordinator,
} from '../../../../../broker/runtime/groups/coordinator.ts';
import { Upkeep } from '../../../../../broker/runtime/groups/upkeep.ts';
import { TEXT_RECORDS } from '../../../../../broker/service/text-records.ts';
import { FakeClock } from '../fake-clock.ts';
import { FakeReplica, TOPIC_ID } from './fake-replica.ts';

const HOUR_MS = 3_600_000;

let clock: FakeClock;
let replica: FakeReplica;
let facts: string[];

beforeEach(() => {
  clock = new FakeClock();
  replica = new FakeReplica();
  facts = [];
});

function coordinatorOf(): Coordinator {
  return openCoordinator(replica, {
    clock,
    records: TEXT_RECORDS,
    onFact: (...[event]) => {
      facts.push(event);
    },
    onDamage: () => {
      facts.push('damage');
    },
  });
}

const commitOf = (
  offset: number,
  group = 'billing',
  partition = 0,
): Parameters<Coordinator['propose']>[0] => ({
  subject: group,
  judge: (image) => {
    const place = { group, topic: 'orders', topicId: TOPIC_ID, partition };
    const asked = { ...place, offset, leaderEpoch: 0, generation: 0 };
    return judgeCommit(image, asked, () => true).records;
  },
});

function offsetIn(coordinator: Coordinator, group = 'billing'): number | undefined {
  const [cursor] = coordinator.image().groups.get(group)?.cursors.values() ?? [];
  return cursor?.offset;
}

const settled = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => `ok ${String(value)}`,
    (error: unknown) => (error instanceof BrokerError ? `${error.code} ${error.effect}` : 'defect'),
  );

describe('a coordinator', () => {
  it('answers a change once it is committed and folded, one batch at a time', async () => {
    const coordinator = coordinatorOf();
    const first = coordinator.propose(commitOf(5));
    const second = coordinator.propose(commitOf(7));
    const other = coordinator.propose(commitOf(1, 'others'));
    expect(replica.asked).toHaveLength(1);
    expect(replica.asked[0]?.terms).toEqual({
      ack: 'all',
      expectedEnd: { offset: 0, leaderEpoch: 0, isTriedOnce: true },
    });
    expect(offsetIn(coordinator)).toBeUndefined();
    await replica.commitAll();
    expect(await Promise.all([first, second, other])).toEqual([0, 1, 1]);
    expect(offsetIn(coordinator)).toBe(7);
    // Judged by the image of the first: it went to the end behind it.
    expect(replica.stored).toHaveLength(2);
  });

  it('says that nobody knows where its leadership ends under a change', async () => {
    const coordinator = coordinatorOf();
    const under = settled(coordinator.propose(commitOf(5)));
    const waiting = settled(coordinator.propose(commitOf(6)));
    replica.change({ isLeader: false });
    expect(await waiting).toBe('NOT_LEADER none');
    replica.asked.shift()?.done({ ok: false, error: new BrokerError('STALE_EPOCH', 'resigned') });
    expect(await under).toBe('OUTCOME_UNKNOWN unknown');
    expect(() => coordinator.image()).toThrow(expect.objectContaining({ code: 'NOT_LEADER' }));
  });

  it('lets so many cursors wait, and refuses what would be more', async () => {
    const coordinator = coordinatorOf();
    const of = (offset: number, units: number) =>
      settled(coordinator.propose({ ...commitOf(offset), units }));
    const done = [of(1, 1_000), of(2, 60_000), of(3, 40_000)];
    expect(await of(4, 1)).toBe('OVERLOADED none');
    await replica.commitAll();
    expect(await Promise.all(done)).toEqual(['ok 0', 'ok 1', 'ok 2']);
    // One alone may always wait, and a leader that stops lets all of them go.
    const under = of(5, 1);
    const alone = of(6, 200_000);
    replica.change({ isLeader: false });
    expect(await alone).toBe('NOT_LEADER none');
    replica.change({ isLeader: true });
    await replica.commitAll();
    expect(await under).toBe('ok 3');
    expect(await Promise.all([of(7, 60_000), of(8, 60_000), replica.commitAll()])).toEqual([
      'ok 4',
      'ok 5',
      undefined,
    ]);
  });

  it('tries nothing again that the log refused, since somebody else has written', async () => {
    const coordinator = coordinatorOf();
    const asked = settled(coordinator.propose(commitOf(5)));
    replica.asked.shift()?.done({ ok: false, error: new BrokerError('OFFSET_TAKEN', 'taken') });
    expect(await asked).toBe('CONFLICT none');
    expect(replica.asked).toEqual([]);
  });

  it('serves a new epoch once it has folded what was committed when that began', async () => {
    const writer = coordinatorOf();
    const done = writer.propose(commitOf(5));
    await replica.commitAll();
    await done;
    writer.close();
    const { read } = replica.log;
    const slow = Promise.withResolvers<void>();
    replica.log.read = (from, upTo) => slow.promise.then(() => read(from, upTo)) as never;
    const coordinator = coordinatorOf();
    expect(() => coordinator.image()).toThrow(
      expect.objectContaining({ code: 'BROKER_NOT_READY' }),
    );
    expect(await settled(coordinator.propose(commitOf(9)))).toBe('BROKER_NOT_READY none');
    slow.resolve();
    await replica.commitAll();
    expect(offsetIn(coordinator)).toBe(5);
  });

  it.each([
    {
      what: 'its epoch has committed nothing yet',
      patch: { isReady: false },
      code: 'BROKER_NOT_READY',
    },
    { what: 'another broker leads', patch: { isLeader: false }, code: 'NOT_LEADER' },
  ])('answers nothing while $what', ({ patch, code }) => {
    const coordinator = coordinatorOf();
    replica.change(patch);
    expect(() => coordinator.image()).toThrow(expect.objectContaining({ code }));
  });

  it.each([
    { what: 'a kind', key: '["queue","x"]', value: '{"v":1}' },
    { what: 'a version', key: `["cursor","g","${TOPIC_ID}",0]`, value: '{"v":2}' },
  ])('stops at $what that it does not know, and says so', async ({ key, value }) => {
    const coordinator = coordinatorOf();
    replica.put(TEXT_RECORDS.encode([{ key, value }], 1));
    await replica.commitAll();
    expect(facts).toEqual(['groups-unreadable']);
    expect(() => coordinator.image()).toThrow(expect.objectContaining({ code: 'UNDECODABLE' }));
    expect(await settled(coordinator.propose(commitOf(1)))).toBe('UNDECODABLE none');
    replica.put(TEXT_RECORDS.encode([{ key: '["idle","g"]', value: null }], 1));
    await replica.commitAll();
    expect(facts).toEqual(['groups-unreadable']);
  });

  it('begins anew where its log was reset', async () => {
    const coordinator = coordinatorOf();
    const done = coordinator.propose(commitOf(5));
    await replica.commitAll();
    await done;
    replica.stored.length = 0;
    replica.change({ logStart: 40, highWaterMark: 40, leaderEpoch: 2 });
    await replica.commitAll();
    expect(coordinator.image().groups.size).toBe(0);
    expect(coordinator.foldedTo).toBe(40);
  });
});

describe('upkeep', () => {
  // Bytes below the log start are known to 4 KiB.
  const bounds = { snapshotBytesMin: 6_000, keptMs: 100 * HOUR_MS, noteMs: 6 * HOUR_MS };
  const upkeepOf = (coordinator: Coordinator): Upkeep =>
    new Upkeep(coordinator, {
      clock,
      bounds,
      forgetMembers: () => Promise.resolve(),
      onFact: (...[event]) => {
        facts.push(event);
      },
    });

  async function commitTo(
    coordinator: Coordinator,
    last: number,
    group = 'billing',
  ): Promise<void> {
    for (let offset = 1; offset <= last; offset += 1) {
      const done = coordinator.propose(commitOf(offset, group));
      await replica.commitAll();
      await done;
    }
  }

  it('writes everything anew behind what is under way, and trims what lies before', async () => {
    const coordinator = coordinatorOf();
    const upkeep = upkeepOf(coordinator);
    await commitTo(coordinator, 30);
    // A group that comes while the snapshot waits for its turn stands before it in the log.
    const late = coordinator.propose(commitOf(1, 'late'));
    upkeep.look();
    await replica.commitAll();
    await late;
    expect(facts).toEqual(['groups-shortened']);
    expect(replica.trims).toEqual([31]);
    // Who begins with what is left has all of it.
    const fresh = coordinatorOf();
    await replica.commitAll();
    expect([offsetIn(fresh), offsetIn(fresh, 'late')]).toEqual([30, 1]);
    // And it is short enough now.
    upkeep.look();
    await replica.commitAll();
    expect(replica.trims).toHaveLength(1);
  });

  it('forgets a group by time that it led through, and not by time that it did not', async () => {
    const coordinator = coordinatorOf();
    const upkeep = upkeepOf(coordinator);
    await commitTo(coordinator, 1);
    upkeep.noteUse('billing');
    const look = async (): Promise<void> => {
      upkeep.look();
      await replica.commitAll();
    };
    clock.nowMs += 5 * HOUR_MS;
    await look();
    // It leads no more: what was not noted is not counted.
    replica.change({ isLeader: false });
    clock.nowMs += 90 * HOUR_MS;
    replica.change({ isLeader: true, leaderEpoch: 2 });
    await look();
    clock.nowMs += 60 * HOUR_MS;
    await look();
    expect(coordinator.image().groups.get('billing')?.idleMs).toBe(60 * HOUR_MS);
    // The next coordinator goes on from what was noted.
    replica.change({ leaderEpoch: 3 });
    await look();
    clock.nowMs += 39 * HOUR_MS;
    await look();
    expect(coordinator.image().groups.has('billing')).toBe(true);
    clock.nowMs += 2 * HOUR_MS;
    await look();
    expect(coordinator.image().groups.has('billing')).toBe(false);
    expect(facts).toEqual(['group-forgotten']);
  });

  it('keeps a group that somebody asks for, also for the next coordinator', async () => {
    const coordinator = coordinatorOf();
    const upkeep = upkeepOf(coordinator);
    await commitTo(coordinator, 1);
    upkeep.noteUse('billing');
    clock.nowMs += 99 * HOUR_MS;
    upkeep.look();
    await replica.commitAll();
    const used = upkeep.use('billing');
    await replica.commitAll();
    await used;
    expect(coordinator.image().groups.get('billing')?.idleMs).toBe(0);
    replica.change({ leaderEpoch: 2 });
    upkeep.look();
    clock.nowMs += 99 * HOUR_MS;
    upkeep.look();
    await replica.commitAll();
    expect(coordinator.image().groups.has('billing')).toBe(true);
  });
});
