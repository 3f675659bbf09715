/**
 * What the settings of the cluster change on brokers that run, and a stop that is taken back, each
 * under load.
 */
import { statfsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { OptionSource } from '../../proto/gen/tidemark/v1/options.ts';
import { TestCluster } from './harness/cluster.ts';
import { type Scene, underLoad } from './harness/scenario.ts';
import { when } from './harness/wait.ts';

describe('settings of the cluster', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ args: ['--retention-check-ms', '700'] });
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  /** Resolves when this broker runs with the value, and it comes from there. */
  const runsWith = (brokerId: number, name: string, value: string, source: OptionSource) =>
    cluster.wait(`broker ${brokerId} to run with ${name}=${value}`, async (note) => {
      const { options } = await cluster.admin.describeBroker(brokerId);
      const option = options.find((each) => each.name === name);
      note(option);
      return (option?.value === value && option.source === source) || undefined;
    });

  it('reach every broker at once, outlive a kill, and go back to what each was started with', async () => {
    const { OPTION_SOURCE_CLUSTER, OPTION_SOURCE_FLAG } = OptionSource;
    const settings = await cluster.admin.setClusterSettings({
      brokerOptions: { 'retention-check-ms': '900', 'log-level': 'debug' },
    });
    expect(settings.brokerOptions).toEqual({ 'retention-check-ms': '900', 'log-level': 'debug' });
    for (const { brokerId } of cluster.brokers)
      await runsWith(brokerId, 'retention-check-ms', '900', OPTION_SOURCE_CLUSTER);
    const [first] = cluster.brokers;
    await first?.kill();
    await cluster.restart(first?.brokerId ?? 0);
    await runsWith(first?.brokerId ?? 0, 'retention-check-ms', '900', OPTION_SOURCE_CLUSTER);
    await cluster.admin.setClusterSettings({
      brokerOptions: { 'retention-check-ms': '', 'log-level': '' },
    });
    for (const { brokerId } of cluster.brokers)
      await runsWith(brokerId, 'retention-check-ms', '700', OPTION_SOURCE_FLAG);
  });

  it('keep a quarter of their volume at most, whatever the reserve is raised to', async () => {
    await cluster.admin.setClusterSettings({
      brokerOptions: { 'disk-reserve-bytes': String(1_048_576 * 1024 * 1024) },
    });
    const [first] = cluster.brokers;
    await cluster.wait('every broker to keep a quarter', async (note) => {
      const reports = await Promise.all(
        cluster.brokers.map(({ brokerId }) => cluster.admin.describeBroker(brokerId)),
      );
      const { bavail, blocks, bsize } = statfsSync(first?.dataDir ?? '/');
      const [expected, volume] = [(bavail - blocks / 4) * bsize, blocks * bsize];
      note([expected, ...reports.map(({ freeBytes }) => freeBytes)]);
      // Others write to the volume meanwhile.
      return when(reports.every(({ freeBytes }) => Math.abs(freeBytes - expected) < volume / 20));
    });
    await cluster.admin.setClusterSettings({ brokerOptions: { 'disk-reserve-bytes': '' } });
  });

  it('give topics their defaults', async () => {
    await cluster.admin.setClusterSettings({
      topicDefaults: {
        replicationFactor: 2,
        minInSyncReplicas: 1,
      },
    });
    const made = await cluster.admin.createTopic({ name: 'as-usual' });
    expect(made).toMatchObject({ replicationFactor: 2, config: { minInSyncReplicas: 1 } });
    await cluster.admin.setClusterSettings({
      topicDefaults: {
        replicationFactor: 0,
        minInSyncReplicas: 0,
      },
    });
    const next = await cluster.admin.createTopic({ name: 'as-before' });
    expect(next).toMatchObject({ replicationFactor: 3, config: { minInSyncReplicas: 2 } });
  });

  it('a stop that is taken back brings the leaderships home without a restart', async () => {
    const { verdict } = await underLoad(cluster, {}, async ({ topic, progress }: Scene) => {
      const brokerId = await cluster.leader(topic.name);
      const led = topic.partitions.filter(({ replicas }) => replicas[0] === brokerId);
      const epochBefore = (await cluster.admin.describeBroker(brokerId)).brokerEpoch;
      for (const _ of [1, 2]) {
        expect((await cluster.admin.prepareStop(brokerId)).leadersLeft).toBe(0);
        await progress();
        await cluster.admin.cancelStop(brokerId);
        await cluster.wait(`broker ${brokerId} to lead again`, async (note) => {
          const { partitions } = await cluster.admin.describeTopic(topic.name);
          note(partitions);
          const isHome = led.every(({ partition }) => partitions[partition]?.leader === brokerId);
          return isHome || undefined;
        });
        await progress();
      }
      expect((await cluster.admin.describeBroker(brokerId)).brokerEpoch).toBe(epochBefore);
    });
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });
});
