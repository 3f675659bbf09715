/** More brokers, fewer brokers, another minimum and topics as resources, while records flow. */
import { describe, expect, it } from 'vitest';
import { when } from '../cluster/harness/wait.ts';
import { useKube } from './harness.ts';
import { OperatedCluster, UNHARMED } from './operated.ts';

/** The least that brokers accept: they would need minutes for {@link BULK_LINES}. */
const SLOW_MOVES = 16_384;
const FAST_MOVES = 100_000_000;
const BULK_LINES = 4_000;
const BULK_LINE_BYTES = 1_000;

describe('a LogCluster', () => {
  const scene = useKube(async (kube) => {
    const cluster = new OperatedCluster(kube);
    await cluster.start({ config: { votersMax: 5 } });
    return { kube, cluster };
  });

  async function waitVoters(wanted: readonly number[]): Promise<void> {
    const { kube, cluster } = scene();
    await kube.wait(`brokers ${wanted.join(', ')} to vote`, async (note) => {
      const { brokers } = await cluster.described();
      const voters = brokers.filter(({ voter }) => voter).map(({ brokerId }) => brokerId);
      note(voters);
      return when(voters.sort().join() === wanted.join());
    });
  }

  async function limitMoves(moveBytesPerSecond: number): Promise<void> {
    const { kube, cluster } = scene();
    await cluster.change({ moveBytesPerSecond });
    await kube.wait('the brokers to have the limit', async () =>
      when((await cluster.described()).settings?.moveBytesPerSecond === moveBytesPerSecond),
    );
  }

  it('grows from three brokers to five and shrinks again, and no append fails', async () => {
    const { kube, cluster } = scene();
    await cluster.createTopic('bulk', '--partitions', '5');
    const lines = `${'x'.repeat(BULK_LINE_BYTES)}\n`.repeat(BULK_LINES);
    await kube.tidemark(cluster.server, ['append', 'bulk'], lines);
    const verdict = await cluster.underLoad(
      'scale',
      async (load) => {
        await cluster.scale(5);
        await cluster.waitReady();
        const grown = await cluster.holders();
        expect([...grown].sort()).toEqual([0, 1, 2, 3, 4]);
        await waitVoters([0, 1, 2, 3, 4]);
        await limitMoves(SLOW_MOVES);
        await cluster.scale(3);
        await cluster.waitWaitingFor('waiting for broker 4 to hand over');
        await load.progress();
        // Taken back midway: nobody goes.
        await cluster.scale(5);
        await cluster.waitReady();
        expect((await cluster.described()).brokers.map(({ cordoned }) => cordoned)).toEqual(
          Array.from({ length: 5 }, () => false),
        );
        await limitMoves(FAST_MOVES);
        await cluster.scale(3);
        await cluster.waitReady();
        await waitVoters([0, 1, 2]);
      },
      { partitions: 5 },
    );
    expect(verdict).toMatchObject(UNHARMED);
    expect(await cluster.podUids()).toHaveLength(3);
    const { brokers } = await cluster.described();
    expect(brokers.map(({ brokerId }) => brokerId)).toEqual([0, 1, 2]);
    const acts = await cluster.acts(
      ...['limit-moves', 'decommission', 'recommission', 'confirm-empty', 'remove-broker'],
    );
    expect(acts.map(({ action, brokerId }) => `${action} ${brokerId ?? ''}`.trim())).toEqual([
      ...['limit-moves', 'decommission 3', 'decommission 4', 'recommission 3', 'recommission 4'],
      ...['limit-moves', 'decommission 3', 'decommission 4'],
      ...['confirm-empty 4', 'remove-broker 4', 'confirm-empty 3', 'remove-broker 3'],
    ]);
  });

  it('refuses to shrink below the replication factor of a topic, and names it', async () => {
    const { kube, cluster } = scene();
    const complaint = await kube.refused([
      ...['scale', `logcluster/${cluster.name}`, '--replicas=2'],
    ]);
    expect(complaint).toContain('replicationFactor is 3, must be at most replicas (2)');
    await cluster.createTopic('tall', '--partitions', '1');
    await cluster.change({ replicas: 2, replicationFactor: 2, acceptWriteStops: true });
    expect(await cluster.waitWaitingFor('tall (3)')).toContain(
      'spec.replicas is 2, must be at least the replication factor of every topic: ',
    );
    await cluster.change({ replicas: 3, replicationFactor: 3, acceptWriteStops: null });
    await cluster.waitReady();
  });

  it('takes another minimum without a roll', async () => {
    const { cluster } = scene();
    const before = await cluster.podUids();
    const minOf = async (topic: string): Promise<number | undefined> =>
      (await cluster.topics(topic))[0]?.config?.minInSyncReplicas;
    const verdict = await cluster.underLoad('min', async () => {
      for (const minInSyncReplicas of [1, 2]) {
        await cluster.change({ minInSyncReplicas });
        await cluster.waitReady();
        expect(await minOf('min')).toBe(minInSyncReplicas);
      }
    });
    expect(verdict).toMatchObject(UNHARMED);
    expect(await cluster.podUids()).toEqual(before);
  });

  it('refuses a minimum that a topic could not satisfy', async () => {
    const { cluster } = scene();
    await cluster.createTopic('pair', '--partitions', '1', '--replication-factor', '2');
    await cluster.change({ minInSyncReplicas: 3, acceptWriteStops: true });
    expect(await cluster.waitWaitingFor('pair (2)')).toContain(
      'spec.minInSyncReplicas is 3, must be at most the replication factor of every topic that follows it: ',
    );
    await cluster.change({ minInSyncReplicas: 2, acceptWriteStops: null });
    await cluster.waitReady();
  });
});
