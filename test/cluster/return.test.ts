/**
 * Ten brokers that come back at once: no storm of leader changes, and every preferred leader by
 * itself.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Topic } from '../../client/admin-types.ts';
import { TestCluster } from './harness/cluster.ts';
import { type Scene, underLoad } from './harness/scenario.ts';

const BROKERS = 10;
const PARTITIONS = 30;
const REPLICAS = 3;
/**
 * Each replica stands once when all are killed, and falls once: its leadership passes on or ends,
 * and after an end comes an election. The last change is that to the preferred leader.
 */
const CHANGES_MAX = 2 * REPLICAS + 1;

describe('ten brokers', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ brokers: BROKERS, voters: 3 });
  });
  afterAll(() => cluster.close());

  /** Resolves when every partition is led by its preferred replica, all replicas being in sync. */
  const atHome = (name: string): Promise<Topic> =>
    cluster.wait('preferred leaders', async (note) => {
      const topic = await cluster.waitInSync(name);
      const away = topic.partitions.filter(({ leader, replicas }) => leader !== replicas[0]);
      note(away);
      return away.length === 0 ? topic : undefined;
    });

  it('that are killed and return together change leaders a bounded number of times', async () => {
    const { verdict } = await underLoad(
      cluster,
      {
        partitions: PARTITIONS,
        replicationFactor: REPLICAS,
        load: { producers: 1, recordsPerTick: 3, keys: 120 },
      },
      async ({ topic: { name }, progress }: Scene) => {
        const before = await atHome(name);
        await cluster.killAll();
        await cluster.restart(...cluster.brokers.map(({ brokerId }) => brokerId));
        const after = await atHome(name);
        // Every change of leader, to none included, begins a leader epoch.
        const changes = after.partitions.map(
          ({ leaderEpoch }, index) => leaderEpoch - (before.partitions[index]?.leaderEpoch ?? 0),
        );
        console.log(`ten brokers killed at once: leader changes ${changes.join()}`);
        expect(Math.max(...changes)).toBeLessThanOrEqual(CHANGES_MAX);
        await progress(1);
        // It is over: whoever leads goes on leading.
        expect(epochsOf(await cluster.admin.describeTopic(name))).toEqual(epochsOf(after));
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});

function epochsOf({ partitions }: Topic): number[] {
  return partitions.map(({ leaderEpoch }) => leaderEpoch);
}
