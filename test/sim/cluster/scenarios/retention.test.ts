/** What is retired, when, and who hears of it (docs/rules.md#retention). */
import { describe, expect, it } from 'vitest';
import { TIMESTAMP_MS_MAX } from '../../../../base/limits.ts';
import type { TopicConfig } from '../../../../client/index.ts';
import { keptTopic, onStage, type Stage } from '../stage.ts';

const DAY_MS = 86_400_000;
const MONTH_MS = 30 * DAY_MS;
const KEPT = { topic: 'kept', partition: 0 };
const RETIRED = { topic: 'retired', partition: 0 };

function retiredTopic(config: TopicConfig) {
  return { ...keptTopic(config, 'retired'), isRetired: true };
}

function logOf(stage: Stage, brokerId: number) {
  return stage.replica(brokerId, RETIRED)?.status ?? { logStart: 0, logEnd: 0, isMatched: false };
}

async function limitMoves(stage: Stage, moveBytesPerSecond: number): Promise<void> {
  await stage.ask('a limit', (admin) => admin.setClusterSettings({ moveBytesPerSecond }));
}

describe('a follower that retention overtakes', () => {
  it('is told, starts anew and catches up', async () => {
    const topics = [retiredTopic({ retentionBytes: 65_536, segmentBytes: 65_536 })];
    await onStage({ brokers: 4, topics, valueBytesMax: 8_000 }, async (stage) => {
      await limitMoves(stage, 16_384);
      const { replicas } = stage.state(RETIRED);
      const added = [1, 2, 3, 4].find((id) => !replicas.includes(id))!;
      await stage.appendAll(RETIRED, 20);
      const target = [...replicas.slice(0, 2), added];
      const { topic, partition } = RETIRED;
      await stage.ask('the move begins', (admin) =>
        admin.reassignPartition(topic, partition, target),
      );
      await stage.until('the new replica is matched', () => {
        const { isMatched, logEnd } = logOf(stage, added);
        return isMatched && logEnd > 0;
      });
      const load = stage.load(RETIRED, 20);
      await stage.until(
        'retention overtakes the new replica',
        () => logOf(stage, stage.state(RETIRED).leader).logStart > logOf(stage, added).logEnd,
      );
      await limitMoves(stage, -1);
      await stage.until('the move ends', () => {
        const { syncSet, target: left } = stage.state(RETIRED);
        return syncSet.includes(added) && left === undefined;
      });
      await load.stop();
      expect(stage.state(RETIRED).replicas.toSorted()).toEqual(target.toSorted());
    });
  });
});

describe('a topic that keeps records for five seconds', () => {
  it('retires them though nobody appends any more', async () => {
    const topics = [retiredTopic({ retentionMs: 5_000, segmentMs: 3_600_000 })];
    await onStage({ topics }, async (stage) => {
      await stage.appendAll(RETIRED, 5);
      await stage.pass(20_000);
      for (const id of stage.state(RETIRED).replicas) {
        const { status } = stage.replica(id, RETIRED)!;
        expect([id, status.logStart]).toEqual([id, status.logEnd]);
      }
      expect(await stage.read(RETIRED)).toEqual(new Map());
      const [next] = await stage.appendAll(RETIRED, 1);
      expect(next?.fate).toMatchObject({ kind: 'acknowledged', offset: 6 });
    });
  });

  it('keeps them while they are young', async () => {
    const topics = [retiredTopic({ retentionMs: 30_000, segmentMs: 1_000 })];
    await onStage({ topics }, async (stage) => {
      // Long enough for the clocks to be believed.
      await stage.pass(15_000);
      const sent = await stage.appendAll(RETIRED, 5);
      await stage.pass(20_000);
      expect([...(await stage.read(RETIRED)).values()]).toEqual(sent.map(({ value }) => value));
    });
  });
});

describe('a topic that keeps a number of records', () => {
  const small = { segmentBytes: 65_536, retentionMs: -1 };
  const records = 6;

  it('keeps as many on every replica, across a change of leader, and retires those before', async () => {
    const topics = [retiredTopic({ ...small, retentionRecords: records })];
    await onStage({ topics, valueBytesMax: 16_000 }, async (stage) => {
      const before = await stage.appendAll(RETIRED, 40);
      await stage.until('old ones are retired', () =>
        stage.state(RETIRED).replicas.every((id) => logOf(stage, id).logStart > 0),
      );
      const { leader } = stage.state(RETIRED);
      stage.kill(leader);
      await stage.until('another one leads', () => stage.state(RETIRED).leader !== leader);
      const sent = [...before, ...(await stage.appendAll(RETIRED, 40))];
      stage.start(leader);
      await stage.whole();
      await stage.pass(20_000);
      const kept = [...(await stage.read(RETIRED)).values()];
      expect(kept).toEqual(sent.slice(-kept.length).map(({ value }) => value));
      expect(kept.length).toBeGreaterThanOrEqual(records - 1);
      expect(kept.length).toBeLessThan(sent.length - before.length);
      for (const id of stage.state(RETIRED).replicas)
        expect(logOf(stage, id).logEnd - logOf(stage, id).logStart).toBeGreaterThanOrEqual(records);
    });
  });

  it('keeps all of them where it is compacted and nothing else', async () => {
    const cleanup = { cleanup: 'compact', retentionMs: 2_000, retentionBytes: 0 } as const;
    const topics = [{ ...keptTopic({ ...small, ...cleanup, segmentMs: 1_000 }), isKeyed: true }];
    await onStage({ topics }, async (stage) => {
      const at = stage.state(KEPT).leader;
      const values: string[] = [];
      for (const key of ['a', 'b', 'c', 'd', 'e']) {
        const append = stage.append(KEPT, { at, record: { key, isTombstone: false } });
        const { fate, value } = await stage.end('an append', append);
        expect(fate).toMatchObject({ kind: 'acknowledged' });
        values.push(value);
      }
      await stage.pass(20_000);
      expect([...(await stage.read(KEPT)).values()]).toEqual(values);
    });
  });
});

describe('a record of the farthest future', () => {
  it('is refused, and nothing dies of it', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      const { leader, followers } = stage.roles(KEPT);
      for (const at of [leader, followers[0]!]) {
        const call = stage.append(KEPT, { at, timestampMs: Number.MAX_SAFE_INTEGER });
        const { fate } = await stage.end('the append', call);
        expect(fate).toMatchObject({ kind: 'refused', effect: 'none' });
      }
      const { host, producer } = stage.producer();
      const send = (timestampMs: number) =>
        stage.world.workload.send(host, producer, { ...KEPT, timestampMs });
      for (const timestampMs of [Number.MAX_SAFE_INTEGER, TIMESTAMP_MS_MAX]) {
        const { fate } = await stage.end('the send', send(timestampMs));
        expect(fate).toMatchObject({ kind: 'refused', effect: 'none' });
      }
      const sent = await stage.appendAll(KEPT, 2);
      expect([...(await stage.read(KEPT)).values()]).toEqual(sent.map(({ value }) => value));
      expect(stage.world.brokers.map(({ starts }) => starts)).toEqual([1, 1, 1]);
    });
  });
});

describe('a clock that is a month ahead', () => {
  const topics = [keptTopic({ retentionMs: 7 * DAY_MS, segmentMs: 1_000 })];

  it('retires nothing young after a restart of everything', async () => {
    await onStage({ topics }, async (stage) => {
      await stage.appendAll(KEPT, 5);
      const { leader } = stage.state(KEPT);
      stage.kill(1, 2, 3);
      stage.broker(leader).wallOffsetMs = MONTH_MS;
      stage.start(1, 2, 3);
      await stage.whole();
      await stage.pass(60_000);
      expect(stage.replica(leader, KEPT)?.status.logStart).toBe(0);
      expect((await stage.read(KEPT)).size).toBe(5);
    });
  });

  it('is not its own median while a new controller hears it alone', async () => {
    await onStage({ topics }, async (stage) => {
      await stage.appendAll(KEPT, 5);
      const { leader, followers } = stage.roles(KEPT);
      // The high-water mark is in the checkpoint.
      await stage.pass(10_000);
      stage.kill(1, 2, 3);
      stage.broker(leader).wallOffsetMs = MONTH_MS;
      const held = stage.hold({ path: /Decide/ });
      // Who is elected is for chance to say.
      for (let tries = 0; tries < 20 && stage.controller() !== leader; tries += 1) {
        stage.kill(1, 2, 3);
        stage.start(1, 2, 3);
        await stage.until('the quorum has a leader', () => stage.controller() >= 0);
      }
      await stage.until(
        'the wrong clock leads the quorum and the partition',
        () => stage.controller() === leader && stage.roles(KEPT).leader === leader,
      );
      await stage.pass(12_000);
      expect(followers.filter((id) => !stage.isFenced(id))).toEqual([]);
      expect(stage.replica(leader, KEPT)?.status).toMatchObject({ role: 'leader', logStart: 0 });
      expect(stage.broker(leader).broker?.report().clockDoubt).toBe('not-compared');
      held.end();
      await stage.whole();
      expect((await stage.read(KEPT)).size).toBe(5);
    });
  });
});

describe('a log of which retention left nothing', () => {
  it('still knows its last epoch, and is elected before a shorter one', async () => {
    const config = { segmentMs: 1_000, retentionMs: DAY_MS };
    const topics = [retiredTopic({ ...config, commitMode: 'quorum' })];
    await onStage({ topics }, async (stage) => {
      await stage.appendAll(RETIRED, 10);
      const { leader, followers } = stage.roles(RETIRED);
      const [whole, behind] = followers as [number, number];
      await stage.until('the follower has them', () => logOf(stage, behind).logEnd === 11);
      stage.kill(behind);
      await stage.appendAll(RETIRED, 10);
      await stage.alter('retired', {
        retentionMs: 2_000,
        commitMode: 'quorum',
      });
      await stage.until('both logs are empty', () =>
        [leader, whole].every((id) => logOf(stage, id).logStart === 21),
      );
      // Retirement is in the journal too.
      await stage.pass(2_000);
      stage.kill(leader, whole);
      stage.start(behind, whole);
      await stage.until('one of the two leads', () =>
        [whole, behind].includes(stage.state(RETIRED).leader),
      );
      expect(stage.state(RETIRED).leader).toBe(whole);
      stage.start(leader);
      await stage.whole();
      await stage.appendAll(RETIRED, 1);
      await stage.until('the follower has caught up', () => logOf(stage, behind).logEnd > 21);
      expect(stage.facts('replica-stopped')).toEqual([]);
    });
  });
});
