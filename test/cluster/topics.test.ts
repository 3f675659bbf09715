/** Partitions and retention changed while records flow, and what is refused. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TopicChange } from '../../client/admin-types.ts';
import { partitionForKey } from '../../wire/batch/key-hash.ts';
import { TestCluster } from './harness/cluster.ts';
import type { Append } from './harness/history.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

const RETENTION_CHECK_MS = 100;
/** Small enough that the load fills several in a second. */
const SEGMENT_BYTES = 64 * 1024;
const KEPT_BYTES = 2 * SEGMENT_BYTES;

describe('a topic that changes', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({
      args: ['--retention-check-ms', `${RETENTION_CHECK_MS}`],
    });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  it('gets more partitions, and keeps the order of each key within the old partition and the new one', async () => {
    const before = 2;
    const after = 5;
    const { verdict, appends } = await underLoad(
      cluster,
      { partitions: before },
      async ({ topic, load, progress }: Scene) => {
        const grown = await cluster.admin.alterTopic({ name: topic.name, partitions: after });
        expect(grown.partitions).toHaveLength(after);
        await cluster.wait('records in every new partition', (note) => {
          note([...load.acknowledged]);
          const added = grown.partitions.slice(before);
          return when(
            added.every(({ partition }) => (load.acknowledged.get(partition) ?? 0) >= 20),
          );
        });
        const killed = await cluster.leader(topic.name, after - 1);
        await cluster.broker(killed).kill();
        await progress();
        await cluster.restart(killed);
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    for (const [key, ofKey] of Map.groupBy(appends, (append) => append.key)) {
      const places = placesOf(ofKey);
      const [old, young] = [before, after].map((count) => partitionForKey(Buffer.from(key), count));
      // First all in the old partition, then all in the new one: a producer that has seen the new
      // number never goes back.
      const moved = places.findIndex((partition) => partition !== old);
      const rest = moved < 0 ? [] : places.slice(moved);
      expect({ key, others: rest.filter((partition) => partition !== young) }).toEqual({
        key,
        others: [],
      });
    }
  });

  it('retires records once a bound is set, and none once it is lifted', async () => {
    const { verdict } = await underLoad(
      cluster,
      { partitions: 1, isRetiring: true, load: { recordsPerTick: 6 } },
      async ({ topic, progress }: Scene) => {
        const { name, topicId } = topic;
        const alter = (config: NonNullable<TopicChange['config']>): Promise<unknown> =>
          cluster.admin.alterTopic({ name, config });
        const leading = async () =>
          (await cluster.replicas(topicId)).find((replica) => replica.leading);
        const retired = (past: number): Promise<number> =>
          cluster.wait(`a log start past ${past}`, async (note) => {
            const replica = await leading();
            note(replica);
            return replica !== undefined && replica.logStart > past ? replica.logStart : undefined;
          });
        await alter({ segmentBytes: SEGMENT_BYTES, batchBytesMax: SEGMENT_BYTES });
        await progress(2_000);
        expect((await leading())?.logStart).toBe(0);
        await alter({ retentionBytes: KEPT_BYTES });
        const bySize = await retired(0);
        const kept = await leading();
        // Whole segments go, and none that the bound has room for.
        expect(kept?.sizeBytes).toBeGreaterThan(KEPT_BYTES - SEGMENT_BYTES);
        await alter({ retentionBytes: -1, retentionMs: 500 });
        await retired(bySize);
        await progress(500);
        const killed = await cluster.leader(name);
        await cluster.broker(killed).kill();
        await progress();
        await cluster.restart(killed);
        await cluster.waitInSync(name);
        await alter({ retentionMs: -1 });
        // The leader goes by the setting that it has applied: a look that began before may still
        // retire.
        const last = await cluster.wait('the log start to stay', async () => {
          const before = (await leading())?.logStart;
          await progress(500);
          const after = (await leading())?.logStart;
          return before === after ? after : undefined;
        });
        await progress(1_500);
        expect((await leading())?.logStart).toBe(last);
      },
    );
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it.for<{ name: string; change: Partial<TopicChange>; message: string }>([
    {
      name: 'fewer partitions',
      change: { partitions: 2 },
      message: 'partitions is 2, must not fall below 3',
    },
    {
      name: 'more partitions than a topic may have',
      change: { partitions: 2_001 },
      message: 'partitions is 2001, must be an integer of 0 to 2000',
    },
    {
      name: 'more replicas than brokers',
      change: { replicationFactor: 4 },
      message: 'from 3 to 4: only 3 brokers are unfenced',
    },
    {
      name: 'a minimum above the replicas',
      change: { config: { minInSyncReplicas: 4 } },
      message: 'minInSyncReplicas is 4, must be at most replicationFactor (3)',
    },
    {
      name: 'fewer replicas than the minimum',
      change: { replicationFactor: 1 },
      message: 'minInSyncReplicas is 2, must be at most replicationFactor (1)',
    },
    {
      name: 'an age below nothing',
      change: { config: { retentionMs: -2 } },
      message: 'config.retention_ms is -2, must be an integer of -1 to 9007199254740991',
    },
    {
      name: 'a size below nothing',
      change: { config: { retentionBytes: -5 } },
      message: 'config.retention_bytes is -5, must be an integer of -1 to 9007199254740991',
    },
    {
      name: 'a segment smaller than a batch',
      change: { config: { segmentBytes: 65_536, batchBytesMax: 1_048_576 } },
      message: 'segmentBytes is 65536, must be at least batchBytesMax (1048576)',
    },
  ])('refuses $name, and names both values', async ({ change, message }) => {
    const topic = await cluster.createTopic();
    await expect(cluster.admin.alterTopic({ name: topic.name, ...change })).rejects.toThrow(
      message,
    );
    const { config, partitions, replicationFactor } = await cluster.admin.describeTopic(topic.name);
    expect({ config, partitions: partitions.length, replicationFactor }).toEqual({
      config: topic.config,
      partitions: 3,
      replicationFactor: 3,
    });
  });
});

/** Partitions of one producer's appends, in the order in which they were made. */
function placesOf(appends: readonly Append[]): number[] {
  return appends
    .toSorted((a, b) => a.counter - b.counter)
    .flatMap(({ outcome }) => (outcome.kind === 'acknowledged' ? [outcome.partition] : []));
}
