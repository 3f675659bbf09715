/** Disks that lost something, and disks that are full. */
import { describe, expect, it } from 'vitest';
import { keptTopic, onStage, type Stage } from '../stage.ts';

const KEPT = { topic: 'kept', partition: 0 };
const IDLE = { topic: 'idle', partition: 0 };

function startsOf(stage: Stage): readonly number[] {
  return stage.world.brokers.map(({ starts }) => starts);
}

/** The start of this log that its broker tells of. */
function logStartOf(stage: Stage, brokerId: number): number | undefined {
  return stage.replica(brokerId, KEPT)?.status.logStart;
}

describe('a folder that vanished while its broker was down', () => {
  it('is missed: its broker does not lead before it has been certified', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      const sent = await stage.appendAll(KEPT, 20);
      const { leader } = stage.roles(KEPT);
      // All of it is in the checkpoint, and the broker stops in order.
      await stage.pass(10_000);
      await stage.stop(leader);
      stage.loseFolder(leader, KEPT);
      stage.kill(...[1, 2, 3].filter((id) => id !== leader));
      const sinceMs = stage.nowMs;
      stage.start(1, 2, 3);
      await stage.until('somebody leads', () => stage.roles(KEPT).leader > 0);
      expect(stage.roles(KEPT).leader).not.toBe(leader);
      await stage.whole();
      const found = stage.facts('damage-found', sinceMs).map(({ brokerId }) => brokerId);
      expect(found).toEqual([leader]);
      const started = stage.facts('registered', sinceMs).find((fact) => fact.brokerId === leader);
      expect(started?.fields).toMatchObject({ restartClass: 'lossy' });
      const values = [...(await stage.read(KEPT)).values()];
      expect(values).toEqual(sent.map(({ value }) => value));
    });
  });
});

describe('a stray empty segment file', () => {
  it('cuts nothing silently', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      const sent = await stage.appendAll(KEPT, 20);
      const { leader } = stage.roles(KEPT);
      await stage.pass(10_000);
      stage.kill(1, 2, 3);
      const { volume } = stage.broker(leader).disk;
      const [first] = stage.logFiles(leader, KEPT);
      const name = first!.slice(first!.lastIndexOf('/') + 1);
      const stray = `${'5'.padStart(name.length - '.log'.length, '0')}.log`;
      volume.release(volume.openFile(first!.replace(name, stray), true));
      stage.start(1, 2, 3);
      await stage.whole();
      const values = [...(await stage.read(KEPT)).values()];
      expect(values).toEqual(sent.map(({ value }) => value));
      await stage.ask('an election', (admin) => admin.electLeader({ ...KEPT, target: leader }));
      await stage.until('it leads', () => stage.roles(KEPT).leader === leader);
      expect([...(await stage.read(KEPT)).values()]).toEqual(values);
    });
  });
});

describe('a log without its beginning', () => {
  it('is copied anew, and retires nothing on the others', async () => {
    const topics = [keptTopic({ segmentBytes: 65_536 })];
    await onStage({ topics, valueBytesMax: 8_000 }, async (stage) => {
      const sent = await stage.appendAll(KEPT, 60);
      const [short] = stage.roles(KEPT).followers as [number, number];
      await stage.pass(10_000);
      stage.kill(short);
      const files = stage.logFiles(short, KEPT);
      expect(files.length).toBeGreaterThan(2);
      stage.broker(short).disk.volume.lose(files[0]!);
      stage.start(short);
      await stage.serving(short);
      await stage.whole();
      await stage.ask('an election', (admin) => admin.electLeader({ ...KEPT, target: short }));
      await stage.until('it leads', () => stage.roles(KEPT).leader === short);
      await stage.appendAll(KEPT, 1);
      await stage.pass(1_000);
      expect([1, 2, 3].map((id) => logStartOf(stage, id))).toEqual([0, 0, 0]);
      const values = [...(await stage.read(KEPT)).values()].slice(0, sent.length);
      expect(values).toEqual(sent.map(({ value }) => value));
    });
  });
});

describe('a topic that was deleted', () => {
  it('makes no later start of a killed broker lossy', async () => {
    await onStage({ topics: [keptTopic()] }, async (stage) => {
      const config = { minInSyncReplicas: 2 };
      await stage.ask('it comes', (admin) =>
        admin.createTopic({ name: 'gone', partitions: 3, replicationFactor: 3, config }),
      );
      await stage.until('it is served', () =>
        stage.isWholePartition({ topic: 'gone', partition: 2 }),
      );
      await stage.pass(10_000);
      const killed = [1, 2, 3].find((id) => id !== stage.controller())!;
      const gone = { topic: 'gone', partition: 0 };
      await stage.ask('it goes', (admin) => admin.deleteTopic('gone'));
      await stage.until('its files go', () => stage.logFiles(killed, gone).length === 0);
      stage.kill(killed);
      stage.start(killed);
      await stage.whole();
      await stage.stop(killed);
      const sinceMs = stage.nowMs;
      stage.start(killed);
      await stage.whole();
      const [started] = stage.facts('registered', sinceMs);
      expect(started).toMatchObject({ brokerId: killed, fields: { restartClass: 'clean' } });
      expect(stage.facts('damage-found')).toEqual([]);
    });
  });
});

describe('a full disk', () => {
  const topics = [
    keptTopic(),
    keptTopic({}, 'idle'),
    { ...keptTopic({ retentionMs: 3_000, segmentMs: 1_000 }, 'retired'), isRetired: true },
  ];

  it.each([0, 4_096])('condemns no follower (%i bytes free)', async (freeBytes) => {
    await onStage({ topics }, async (stage) => {
      await stage.appendAll(IDLE, 5);
      const loads = [stage.load(KEPT, 50), stage.load({ topic: 'retired', partition: 0 }, 50)];
      await stage.pass(8_000);
      const { followers } = stage.roles(KEPT);
      for (const follower of followers) stage.fill(follower, freeBytes);
      const isFull = (id: number): boolean =>
        stage.broker(id).broker?.report().diskFault?.includes('below its reserve') === true;
      await stage.until('they say so', () => followers.every(isFull));
      await stage.pass(10_000);
      expect(stage.facts('storage-failed')).toEqual([]);
      // Leaderships leave full disks, and do not go to and fro between them.
      const handed = stage
        .facts('sync-set-change')
        .filter(({ fields }) => fields['op'] === 'hand-over');
      expect(handed.length).toBeLessThan(8);
      expect(startsOf(stage)).toEqual([1, 1, 1]);
      // Retention may have made room on one of them; what stands on a full disk can be read there.
      const follower = followers.find(isFull)!;
      const { topicId } = stage.topic('idle');
      const position = { offset: 0, epoch: 0, bytesMax: 2 ** 20, allowFollower: true };
      const read = async () => await stage.broker(follower).broker!.read(topicId, 0, position);
      expect((await stage.end('a read', read())).nextOffset).toBeGreaterThan(5);
      // A broker that starts there serves.
      stage.kill(follower);
      stage.start(follower);
      await stage.serving(follower);
      for (const id of followers) stage.free(id);
      await stage.whole();
      for (const load of loads) await load.stop();
      const [last] = await stage.appendAll(KEPT, 1);
      expect(last?.fate).toMatchObject({ kind: 'acknowledged' });
    });
  });

  it('everywhere refuses appends for certain, and takes them after', async () => {
    await onStage({ topics }, async (stage) => {
      await stage.appendAll(KEPT, 3);
      const { leader } = stage.roles(KEPT);
      for (const id of [1, 2, 3]) stage.fill(id);
      await stage.pass(3_000);
      const refused = await stage.end('it', stage.append(KEPT, { at: leader, deadlineMs: 500 }));
      expect(refused.fate).toMatchObject({ kind: 'refused', code: 'DISK_FULL', effect: 'none' });
      for (const id of [1, 2, 3]) stage.free(id);
      await stage.pass(3_000);
      await stage.appendAll(KEPT, 3);
      expect(startsOf(stage)).toEqual([1, 1, 1]);
    });
  });

  it('below its reserve hands the leadership on', async () => {
    await onStage({ topics }, async (stage) => {
      const load = stage.load(KEPT, 20);
      await stage.pass(1_000);
      const { leader } = stage.roles(KEPT);
      stage.fill(leader);
      await stage.until(
        'another one leads',
        () => ![leader, -1].includes(stage.roles(KEPT).leader),
        5_000,
      );
      await stage.pass(1_000);
      stage.free(leader);
      await stage.whole();
      const sent = await load.stop();
      expect(sent.filter(({ fate }) => fate?.kind !== 'acknowledged')).toEqual([]);
      expect(startsOf(stage)).toEqual([1, 1, 1]);
    });
  });

  it('met in mid-epoch takes the leadership from its broker, and the partition goes on', async () => {
    await onStage({ topics }, async (stage) => {
      const load = stage.load(KEPT, 20);
      await stage.pass(2_000);
      const { leader } = stage.roles(KEPT);
      const fault = { kind: 'error', code: 'ENOSPC' } as const;
      const path = new RegExp(`${stage.topic('kept').topicId}-0/`);
      stage.broker(leader).disk.faults.add({ kinds: ['writev'], path, times: 3, fault });
      await stage.until(
        'another one leads',
        () => ![leader, -1].includes(stage.roles(KEPT).leader),
        5_000,
      );
      await stage.pass(3_000);
      const sent = await load.stop();
      expect(sent.filter(({ fate }) => fate?.kind !== 'acknowledged')).toEqual([]);
      expect(load.longestGapMs()).toBeLessThan(1_000);
      expect(startsOf(stage)).toEqual([1, 1, 1]);
      await stage.whole();
    });
  });
});
