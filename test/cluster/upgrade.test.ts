/**
 * Brokers of two builds side by side: some levels behind works, the level rises with the last
 * broker, and a way back is refused with its reason.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FEATURE_LEVEL_MAX, LEVEL_OF_OPTIONS } from '../../broker/metadata/features.ts';
import { TestCluster } from './harness/cluster.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const OLD_LEVEL = LEVEL_OF_OPTIONS - 1;
/** What makes a broker pass for a build of that level. */
const OLD = ['--feature-level-max', `${OLD_LEVEL}`];
const NEW = ['--feature-level-max', `${FEATURE_LEVEL_MAX}`];

describe('a rolling upgrade', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ args: OLD });
  });
  afterAll(() => cluster.close());

  it('raises the feature level with the last broker, and refuses the way back', async () => {
    const level = async (): Promise<number> => (await cluster.describe()).featureLevel;
    const { verdict } = await underLoad(
      cluster,
      { assignments: [[1, 2, 3]] },
      async ({ topic: { name }, progress }: Scene) => {
        // What the next level brought.
        const change = () =>
          cluster.admin.setClusterSettings({ brokerOptions: { 'log-level': 'warn' } });
        for (const [brokerId, behind] of [
          [1, '2,3'],
          [2, '3'],
        ] as const) {
          const broker = cluster.broker(brokerId);
          broker.options = NEW;
          await broker.stop();
          await cluster.restart(brokerId);
          await cluster.waitInSync(name);
          await progress();
          // Either build leads the other's followers.
          await cluster.lead(name, 0, 3);
          await progress();
          await cluster.lead(name, 0, 1);
          await progress();
          expect(await level()).toBe(OLD_LEVEL);
          await expect(change()).rejects.toThrow(
            `it needs feature level ${LEVEL_OF_OPTIONS}, the cluster is at ${OLD_LEVEL}; brokers ${behind} cannot run it`,
          );
        }
        // A controller of either build: whoever it is, the other goes on without it.
        const controller = await cluster.controller();
        await cluster.broker(controller).kill();
        await progress();
        await cluster.restart(controller);
        await cluster.waitInSync(name);

        const last = cluster.broker(3);
        last.options = NEW;
        await last.stop();
        await cluster.restart(3);
        await cluster.wait('the level to rise', async (note) => {
          note(await level());
          return when((await level()) === FEATURE_LEVEL_MAX);
        });
        await change();
        await progress();

        last.options = OLD;
        await last.stop();
        last.start();
        const ending = await cluster.wait('the old build to end', () => last.ending);
        expect(ending.code).toBe(1);
        expect(last.logTail()).toContain(
          `the cluster is at feature level ${FEATURE_LEVEL_MAX} and does not go back, this build runs ${OLD_LEVEL} at most`,
        );
        await progress();
        last.options = NEW;
        await cluster.restart(3);
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
