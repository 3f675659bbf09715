/**
 * Brokers that come back with another disk, or with one that cannot be trusted: none leads before
 * it has everything again.
 */
import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { TestCluster } from './harness/cluster.ts';
import { freePorts } from './harness/ports.ts';
import { type Scene, underLoad } from './harness/scenario.ts';

describe('data directory', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  /**
   * Starts a broker and resolves when it is in every sync set again; meanwhile it must not lead
   * what it is not a trusted member of.
   */
  async function rejoin(brokerId: number, { topic }: Scene): Promise<RestartClass> {
    const [registered] = await cluster.restart(brokerId);
    await cluster.wait(`broker ${brokerId} in every sync set`, async (note) => {
      const { partitions } = await cluster.admin.describeTopic(topic.name);
      note(partitions);
      for (const { leader, syncSet, suspects } of partitions) {
        const isTrusted = syncSet.includes(brokerId) && !suspects.includes(brokerId);
        expect({ leads: leader === brokerId, isTrusted }).not.toEqual({
          leads: true,
          isTrusted: false,
        });
      }
      const isBack = partitions.every(
        ({ syncSet, suspects }) => syncSet.includes(brokerId) && suspects.length === 0,
      );
      return isBack ? true : undefined;
    });
    return registered?.restartClass ?? RestartClass.RESTART_CLASS_UNSPECIFIED;
  }

  it.for(['stopped in order', 'killed'])(
    'that was emptied while the broker was %s is another directory, and is filled again',
    async (how) => {
      const { verdict } = await underLoad(
        cluster,
        {
          assignments: [
            [1, 2, 3],
            [2, 3, 1],
          ],
        },
        async (scene) => {
          const before = await cluster.registered(1);
          if (how === 'killed') await cluster.broker(1).kill();
          else await cluster.broker(1).stop();
          rmSync(cluster.broker(1).dataDir, { recursive: true });
          expect(await rejoin(1, scene)).toBe(RestartClass.RESTART_CLASS_NEW);
          const after = await cluster.registered(1);
          expect(after.directoryId).not.toBe(before.directoryId);
          // Everybody else goes: what it has now is what counts.
          await cluster.lead(scene.topic.name, 1, 1);
        },
      );
      expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    },
  );

  it('whose session file is of another boot makes the start lossy', async () => {
    const { verdict } = await underLoad(
      cluster,
      {
        assignments: [
          [2, 3, 1],
          [3, 1, 2],
        ],
      },
      async (scene) => {
        await cluster.broker(2).kill();
        const file = cluster.broker(2).file('session.json');
        const session = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
        expect(session).toHaveProperty('bootId');
        writeFileSync(file, JSON.stringify({ ...session, bootId: 'another boot' }));
        expect(await rejoin(2, scene)).toBe(RestartClass.RESTART_CLASS_LOSSY);
        const { restartReason } = await cluster.admin.describeBroker(2);
        expect(restartReason).toContain('boot');
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('that is a copy of one in use is refused, and the broker on the original goes on', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ progress }: Scene) => {
      const original = cluster.broker(3);
      const before = await cluster.registered(3);
      const dataDir = `${original.dataDir}-copy`;
      cpSync(original.dataDir, dataDir, { recursive: true });
      const copy = original.elsewhere(await freePorts(2), dataDir);
      copy.start();
      await cluster
        .wait('the copy to be refused', () => (copy.isRunning ? undefined : true))
        .finally(() => copy.kill());
      expect(copy.logTail(20)).toContain(
        `directory ${before.directoryId} is in use by the broker at ${original.address}`,
      );
      await progress();
      expect(await cluster.registered(3)).toMatchObject({ brokerEpoch: before.brokerEpoch });
      expect(original.isRunning).toBe(true);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('that was put back to an earlier state becomes another directory, and is filled again', async () => {
    const { verdict } = await underLoad(cluster, {}, async (scene: Scene) => {
      const broker = cluster.broker(3);
      const before = await cluster.registered(3);
      await broker.stop();
      const older = `${broker.dataDir}-older`;
      cpSync(broker.dataDir, older, { recursive: true });
      await cluster.restart(3);
      await cluster.waitInSync(scene.topic.name);
      await scene.progress();
      await broker.kill();
      rmSync(broker.dataDir, { recursive: true });
      renameSync(older, broker.dataDir);
      broker.start();
      await cluster.wait('the old copy to withdraw', () => (broker.isRunning ? undefined : true));
      expect(broker.logTail(20)).toContain('was put back to an earlier state');
      expect(broker.logTail(40)).not.toContain('renew-failed');
      await rejoin(3, scene);
      expect((await cluster.registered(3)).directoryId).not.toBe(before.directoryId);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
