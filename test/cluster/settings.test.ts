/**
 * What the settings of the cluster change on brokers that run, and a stop that is taken back, each
 * under load.
 */
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

  it('refuse appends once the reserve is raised over what is free, and take them again', async () => {
    const topic = await cluster.createTopic({ partitions: 1 });
    const client = cluster.connect();
    try {
      const append = () =>
        client
          .producer({ deliveryTimeoutMs: 2_000 })
          .send({ topic: topic.name, partition: 0, value: Buffer.from('value') });
      await append();
      await cluster.admin.setClusterSettings({
        brokerOptions: { 'disk-reserve-bytes': String(1_048_576 * 1024 * 1024) },
      });
      await cluster.wait('every broker to be full', async (note) => {
        const reports = await Promise.all(
          cluster.brokers.map(({ brokerId }) => cluster.admin.describeBroker(brokerId)),
        );
        note(reports.map(({ freeBytes }) => freeBytes));
        return reports.every(({ freeBytes }) => freeBytes < 0) || undefined;
      });
      await expect(append()).rejects.toThrow('are free beyond the reserve');
      await cluster.admin.setClusterSettings({ brokerOptions: { 'disk-reserve-bytes': '' } });
      await cluster.wait('an append', () => append().catch(() => undefined));
      // A volume counts as short until it has had room for a while: nobody could be drained.
      await cluster.wait('every replica to be able to lead', async (note) => {
        const topics = await cluster.admin.listTopics();
        const unable = topics.flatMap(({ partitions }) =>
          partitions.flatMap((one) => one.cannotLead),
        );
        note(unable);
        return when(unable.length === 0);
      });
    } finally {
      await client.close();
    }
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
