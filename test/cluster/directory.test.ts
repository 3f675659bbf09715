/** Brokers that come back with another disk, or with one that cannot be trusted: none leads before it has everything again. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { TestCluster } from './harness/cluster.ts';
import { type Scene, underLoad } from './harness/scenario.ts';

describe('data directory', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  /** Starts a broker and resolves when it is in every sync set again; meanwhile it must not lead what it is not a trusted member of. */
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
});
