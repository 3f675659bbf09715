/**
 * Brokers that come and go while records flow: a newcomer's share, an emptied broker, a dead one,
 * and the controller itself.
 */
import { rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PlannedMove } from '../../proto/gen/tidemark/v1/balance.ts';
import { TestCluster } from './harness/cluster.ts';
import { atRest, clusterCommand } from './harness/moves.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const LIMIT = 1024 * 1024;
/** The lowest limit there is: nothing moves to speak of. */
const NEARLY_NOTHING = 16 * 1024;
const CLEAN = { refused: 0, unknown: 0, violations: [] };
/** The broker that joins later. */
const NEWCOMER = 4;

interface Plan {
  readonly moves: readonly PlannedMove[];
  readonly bytes: number;
}

describe('brokers that come and go', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ brokers: NEWCOMER, initially: NEWCOMER - 1 });
  });
  afterEach(async () => {
    await limit(-1);
    await cluster.restore();
  });
  afterAll(() => cluster.close());

  const limit = (moveBytesPerSecond: number) =>
    cluster.admin.setClusterSettings({ moveBytesPerSecond });

  /** Runs a command that must succeed. */
  async function run(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await clusterCommand(cluster, ...args);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    return stdout.toString();
  }

  /** How many replicas, and leaderships, each broker has. */
  async function shares(): Promise<{
    replicas: Map<number, number>;
    leaders: Map<number, number>;
  }> {
    const partitions = (await cluster.admin.listTopics()).flatMap((topic) => topic.partitions);
    const count = (ids: readonly number[]): Map<number, number> =>
      new Map(
        cluster.present.map(({ brokerId }) => [
          brokerId,
          ids.filter((id) => id === brokerId).length,
        ]),
      );
    return {
      replicas: count(partitions.flatMap(({ replicas }) => replicas)),
      leaders: count(partitions.map(({ leader = -1 }) => leader)),
    };
  }

  const isEven = (counts: ReadonlyMap<number, number>): boolean =>
    Math.max(...counts.values()) - Math.min(...counts.values()) <= 1;

  /** Stops a broker that holds nothing more, and has the cluster forget it. */
  async function forget(brokerId: number): Promise<void> {
    await cluster.broker(brokerId).stop();
    await removed(brokerId);
    await cluster.lose(brokerId);
  }

  /** Asks until the broker is forgotten: its replicas and its vote find other places in between. */
  const removed = (brokerId: number): Promise<true> =>
    cluster.wait(`broker ${brokerId} to be removed`, async () => {
      await cluster.admin.removeBroker(brokerId);
      return when(true);
    });

  /** A broker of this number joins with an empty directory. */
  async function joinAnew(brokerId: number): Promise<void> {
    rmSync(cluster.broker(brokerId).dataDir, { recursive: true, force: true });
    await cluster.join(brokerId);
  }

  it('a newcomer takes its share when told to, within the limit', async () => {
    const options = { partitions: 6, load: { valueBytes: 1024, recordsPerTick: 1 } };
    const { verdict } = await underLoad(cluster, options, async ({ topic, progress }: Scene) => {
      await progress(100);
      await cluster.join(NEWCOMER);
      await progress();
      const before = await cluster.admin.describeTopic(topic.name);
      expect(before.partitions.flatMap(({ replicas }) => replicas)).not.toContain(NEWCOMER);

      const plan = JSON.parse(await run('rebalance', '--dry-run', '--output', 'json')) as Plan;
      expect(plan.bytes).toBeGreaterThan(0);
      expect(await run('rebalance', '--dry-run')).toMatch(
        /BYTES TO MOVE\n.*\d+ moves?, .*B to move/s,
      );
      expect(await cluster.admin.describeTopic(topic.name)).toEqual(before);

      await limit(LIMIT);
      const startMs = performance.now();
      await run('rebalance');
      await atRest(cluster, topic.name);
      const sources = cluster.present.length - 1;
      expect(performance.now() - startMs).toBeGreaterThan((plan.bytes / (sources * LIMIT)) * 900);

      await cluster.wait('even shares', async (note) => {
        const { replicas, leaders } = await shares();
        note([...replicas, ...leaders]);
        return when(isEven(replicas) && isEven(leaders));
      });
      expect(await run('rebalance', '--dry-run')).toBe('Balanced: nothing to move\n');
    });
    expect(verdict).toMatchObject(CLEAN);
  });

  it('a decommission is taken back half-way, refused where too few would be left, and carried out', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }: Scene) => {
      const leaver = topic.partitions[0]?.replicas[0] ?? 0;
      await limit(NEARLY_NOTHING);
      await run('decommission', `${leaver}`);
      const { partitions } = await cluster.admin.describeTopic(topic.name);
      expect(partitions.flatMap(({ removing }) => removing)).toContain(leaver);
      await progress();
      await run('recommission', `${leaver}`);
      const back = await atRest(cluster, topic.name);
      expect(back.partitions.map(({ replicas }) => replicas)).toEqual(
        topic.partitions.map(({ replicas }) => replicas),
      );
      await limit(-1);

      const wide = await cluster.admin.createTopic({ name: 'wide', replicationFactor: 4 });
      expect(wide.partitions[0]?.replicas).toContain(leaver);
      await expect(cluster.admin.decommission(leaver)).rejects.toThrow(
        `Cannot decommission broker ${leaver}: 3 brokers that are not cordoned would remain, too few for topics "wide" with replicationFactor 4`,
      );
      await cluster.admin.deleteTopic('wide');

      expect(await run('decommission', `${leaver}`, '--wait')).toContain('holds nothing more');
      await progress();
      await forget(leaver);
      await progress();
    });
    expect(verdict).toMatchObject(CLEAN);
  });

  it('a dead broker is forgotten only where others have enough copies, and its ghost is refused', async () => {
    const [absent = NEWCOMER] = cluster.brokers
      .filter((broker) => !cluster.present.includes(broker))
      .map(({ brokerId }) => brokerId);
    await joinAnew(absent);
    const controller = await cluster.controller();
    const [dead = 0, x = 0, y = 0] = cluster.others(controller).map(({ brokerId }) => brokerId);
    const options = {
      assignments: [
        [dead, x, controller],
        [x, y, dead],
      ],
    };
    const { verdict } = await underLoad(cluster, options, async ({ topic, progress }: Scene) => {
      const setMin = (minInSyncReplicas: number) =>
        cluster.admin.alterTopic({
          name: topic.name,
          config: { minInSyncReplicas },
        });
      await setMin(3);
      await cluster.broker(dead).kill();
      await cluster.wait('the death to be known', async () =>
        when((await cluster.registered(dead)).fenced),
      );
      const { code, stderr } = await clusterCommand(cluster, 'remove-broker', `${dead}`);
      expect(code).not.toBe(0);
      expect(stderr).toContain(`${topic.name}/0 (2 of 3), ${topic.name}/1 (2 of 3)`);
      expect((await cluster.registered(dead)).cordoned).toBe(false);

      await setMin(2);
      await progress();
      await removed(dead);
      await cluster.lose(dead);
      const { partitions } = await atRest(cluster, topic.name);
      expect(partitions.flatMap(({ replicas }) => replicas)).not.toContain(dead);
      await progress();

      const ghost = cluster.broker(dead);
      ghost.start();
      await cluster.wait('the ghost to be refused', () =>
        when(ghost.logTail(200).includes('to join as a new broker, start with an empty directory')),
      );
      expect((await cluster.describe()).brokers.map(({ brokerId }) => brokerId)).not.toContain(
        dead,
      );
      await ghost.kill();
      await joinAnew(dead);
    });
    expect(verdict).toMatchObject(CLEAN);
  });

  it('the controller is decommissioned, with and without partitions that it leads', async () => {
    for (const isLeading of [false, true]) {
      const controller = await cluster.controller();
      const [x = 0, y = 0, z = 0] = cluster.others(controller).map(({ brokerId }) => brokerId);
      const assignments = isLeading
        ? [
            [controller, x, y],
            [controller, y, z],
          ]
        : [[x, y, z]];
      const { verdict } = await underLoad(cluster, { assignments }, async ({ progress }: Scene) => {
        expect(await run('decommission', `${controller}`, '--wait')).toContain(
          'holds nothing more',
        );
        await cluster.wait('another controller', async (note) => {
          const { brokers, controller: present } = await cluster.describe();
          note({ present, brokers });
          const isVoter = brokers.some(({ brokerId, voter }) => brokerId === controller && voter);
          return when(present !== undefined && present !== controller && !isVoter);
        });
        await progress();
        await forget(controller);
        await progress();
        await joinAnew(controller);
      });
      expect(verdict).toMatchObject(CLEAN);
    }
  });
});
