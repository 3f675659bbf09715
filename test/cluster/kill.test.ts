/**
 * SIGKILL of brokers under load: nothing that was acknowledged is lost, doubled, moved or different
 * on any replica.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { TestCluster } from './harness/cluster.ts';
import { underLoad } from './harness/scenario.ts';

const WARM = RestartClass.RESTART_CLASS_WARM;

describe('cluster under SIGKILL', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  async function killAndRestart(brokerId: number, meanwhile: () => Promise<void>): Promise<void> {
    await cluster.broker(brokerId).kill();
    await meanwhile();
    const [registered] = await cluster.restart(brokerId);
    expect(registered?.restartClass).toBe(WARM);
  }

  it.for([
    { role: 'a leader', isController: false, isLeader: true },
    { role: 'a follower', isController: false, isLeader: false },
    { role: 'the controller, which leads nothing', isController: true, isLeader: false },
    { role: 'the controller, which leads too', isController: true, isLeader: true },
  ])('loses nothing when $role is killed', async ({ isController, isLeader }) => {
    const controller = await cluster.controller();
    const [other = 0, third = 0] = cluster.others(controller).map(({ brokerId }) => brokerId);
    const victim = isController ? controller : other;
    const rest = isController ? [other, third] : [controller, third];
    const order = isLeader ? [victim, ...rest] : [...rest, victim];
    const assignments = [order, order];
    const { verdict } = await underLoad(cluster, { assignments }, async ({ topic, progress }) => {
      const leads = (await cluster.leader(topic.name)) === victim;
      expect({ leads, controls: (await cluster.controller()) === victim }).toEqual({
        leads: isLeader,
        controls: isController,
      });
      await killAndRestart(victim, progress);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('loses nothing when one broker after the other is killed, twice around', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }) => {
      for (const id of [1, 2, 3, 1, 2, 3]) {
        await killAndRestart(id, progress);
        await cluster.waitInSync(topic.name);
      }
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('loses nothing when all three are killed at once', async () => {
    const { verdict } = await underLoad(cluster, {}, async () => {
      await cluster.killAll();
      const registered = await cluster.restart(1, 2, 3);
      expect(registered.map(({ restartClass }) => restartClass)).toEqual([WARM, WARM, WARM]);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
