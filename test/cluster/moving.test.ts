/**
 * Everything that changes while records flow: each under load, with the history checked on every
 * copy afterwards.
 */
import { rmSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Topic } from '../../client/admin-types.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';
import { type Scene, underLoad } from './harness/scenario.ts';

/** A raised minimum may wait so long for sync sets. */
const WAIT_MS = 20_000;

describe('a cluster of five that moves', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ brokers: 5, args: ['--voters-max', '5'] });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  const alter = (name: string, config: Partial<NonNullable<Topic['config']>>): Promise<Topic> =>
    cluster.admin.alterTopic({
      name,
      config: { ...config },
      waitMs: WAIT_MS,
    });

  /** Resolves when no partition has a reassignment under way and every replica is in sync. */
  const atRest = (name: string): Promise<Topic> =>
    cluster.wait(`${name} to be at rest`, async (note) => {
      const topic = await cluster.waitInSync(name);
      note(topic.partitions);
      const isMoving = topic.partitions.some(
        ({ adding, removing }) => adding.length + removing.length > 0,
      );
      return isMoving ? undefined : topic;
    });

  it('switches the commit mode both ways, with a follower killed in quorum mode', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }: Scene) => {
      await alter(topic.name, { commitMode: 'quorum' });
      await progress();
      const leader = await cluster.leader(topic.name);
      const follower = topic.partitions[0]?.replicas.find((id) => id !== leader) ?? 0;
      await cluster.broker(follower).kill();
      await progress();
      await cluster.restart(follower);
      await cluster.waitInSync(topic.name);
      await alter(topic.name, { commitMode: 'in-sync' });
      await progress();
      const { partitions } = await cluster.waitInSync(topic.name);
      await cluster.wait('q to be |S| again', async (note) => {
        const now = await cluster.admin.describeTopic(topic.name);
        note(now.partitions);
        return (
          now.partitions.every(({ quorum, syncSet }) => quorum === syncSet.length) || undefined
        );
      });
      expect(partitions).toHaveLength(3);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('lowers and raises the minimum, and refuses what the replicas cannot satisfy', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }: Scene) => {
      for (const minInSyncReplicas of [1, 2, 3, 2]) {
        const altered = await alter(topic.name, { minInSyncReplicas });
        expect(altered.config?.minInSyncReplicas).toBe(minInSyncReplicas);
        await progress();
      }
      await expect(alter(topic.name, { minInSyncReplicas: 4 })).rejects.toThrow(
        'minInSyncReplicas is 4, must be at most replicationFactor (3)',
      );
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('moves every replica of a partition to other brokers, and takes a move back', async () => {
    const { verdict } = await underLoad(
      cluster,
      { assignments: [[1, 2, 3]] },
      async ({ topic, progress }: Scene) => {
        await cluster.admin.reassignPartition(topic.name, 0, [3, 4, 5]);
        await progress();
        const moved = await atRest(topic.name);
        expect(moved.partitions[0]?.replicas).toEqual([3, 4, 5]);
        await cluster.admin.setClusterSettings({ moveBytesPerSecond: 16_384 });
        await cluster.admin.reassignPartition(topic.name, 0, [1, 2, 3]);
        await progress();
        await cluster.admin.reassignPartition(topic.name, 0, []);
        await cluster.admin.setClusterSettings({ moveBytesPerSecond: -1 });
        const back = await atRest(topic.name);
        expect(back.partitions[0]?.replicas).toEqual([3, 4, 5]);
        await progress();
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('empties a broker, removes it when it is gone, and refuses its ghost', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }: Scene) => {
      const leaver = topic.partitions[0]?.replicas[0] ?? 0;
      await cluster.wait(`broker ${leaver} to be empty`, async (note) => {
        const left = await cluster.admin.decommission(leaver);
        note({ left });
        return left === 0 ? true : undefined;
      });
      await progress();
      const { partitions } = await atRest(topic.name);
      expect(partitions.flatMap(({ replicas }) => replicas)).not.toContain(leaver);
      await cluster.broker(leaver).stop();
      await cluster.wait(`broker ${leaver} to be removed`, async (note) => {
        await cluster.admin.removeBroker(leaver).catch((error: unknown) => {
          note(error);
          throw error;
        });
        return when(true);
      });
      await progress();
      const { brokers } = await cluster.describe();
      expect(brokers.map(({ brokerId }) => brokerId)).not.toContain(leaver);
      const ghost = cluster.broker(leaver);
      ghost.start();
      await cluster.wait('the ghost to be refused', () =>
        ghost.logTail(200).includes('belongs to a broker that was removed') ? true : undefined,
      );
      await ghost.kill();
      rmSync(ghost.dataDir, { recursive: true, force: true });
      ghost.start();
      await cluster.waitServing();
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('adds replicas and takes them away', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }: Scene) => {
      for (const replicationFactor of [4, 3]) {
        await cluster.admin.alterTopic({ name: topic.name, replicationFactor, waitMs: WAIT_MS });
        await progress();
        const { partitions } = await atRest(topic.name);
        expect(partitions.map(({ replicas }) => replicas.length)).toEqual(
          partitions.map(() => replicationFactor),
        );
      }
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
