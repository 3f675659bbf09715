import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import type {
  BrokerSample,
  BrokerSource,
  ReplicaSample,
} from '../../../../broker/telemetry/broker-source.ts';
import { TopicMetrics, TOPICS_SHOWN_MAX } from '../../../../broker/telemetry/topic-metrics.ts';

/** Broker 1 has replicas of topics, which it leads unless told otherwise. */
class Scene {
  readonly registry = new Registry();
  readonly metrics = new TopicMetrics(this.registry);
  topics: readonly string[] = ['a'];
  leader = 1;
  mark = 0;

  /** Values by series. */
  async scrape(): Promise<Record<string, number>> {
    const replicas = this.topics.map(
      (topicId): ReplicaSample => ({
        topicId,
        partition: 0,
        stopped: null,
        compaction: { phase: 'idle', dirtyBytes: 0 },
        sizeBytes: 10,
        status: {
          leader: this.leader,
          leaderEpoch: 1,
          partitionEpoch: 1,
          highWaterMark: this.mark,
          writtenEnd: this.mark,
          belowMin: false,
          isUnderReplicated: false,
        },
      }),
    );
    const topics = new Map(this.topics.map((id) => [id, { name: id, partitions: [] }]));
    const source = { brokerId: 1, image: () => ({ topics }) } as unknown as BrokerSource;
    this.metrics.collect({ replicas } as unknown as BrokerSample, source);
    const lines = (await this.registry.metrics()).split('\n');
    return Object.fromEntries(
      lines
        .filter((line) => line.startsWith('tidemark_topic_'))
        .map((line) => line.slice('tidemark_topic_'.length).split(' ') as [string, string])
        .map(([series, value]) => [series, Number(value)]),
    );
  }
}

it('TopicMetrics tells bytes, records and the size of logs of a topic', async () => {
  const scene = new Scene();
  scene.mark = 1_000;
  await scene.scrape();
  scene.metrics.appended('a', 70);
  scene.metrics.appended('a', 30);
  scene.mark = 1_005;
  expect(await scene.scrape()).toEqual({
    'append_bytes_total{topic="a"}': 100,
    'records_total{topic="a"}': 5,
    'log_bytes{topic="a"}': 10,
  });
});

it('TopicMetrics counts the records of a partition on its leader alone, from when it led', async () => {
  const scene = new Scene();
  scene.leader = 2;
  await scene.scrape();
  scene.mark = 50;
  await scene.scrape();
  scene.leader = 1;
  expect((await scene.scrape())['records_total{topic="a"}']).toBe(0);
  scene.mark = 57;
  expect((await scene.scrape())['records_total{topic="a"}']).toBe(7);
  // A mark that is lower, as after an unclean election, is no negative count.
  scene.mark = 20;
  expect((await scene.scrape())['records_total{topic="a"}']).toBe(7);
});

it('TopicMetrics forgets a topic that is deleted', async () => {
  const scene = new Scene();
  scene.metrics.appended('a', 5);
  await scene.scrape();
  scene.topics = [];
  expect(await scene.scrape()).toEqual({});
});

it('TopicMetrics has few series however many topics there are, and loses nothing of them', async () => {
  const scene = new Scene();
  scene.topics = Array.from({ length: TOPICS_SHOWN_MAX + 50 }, (_, index) => `t${index}`);
  await scene.scrape();
  for (const topic of scene.topics) scene.metrics.appended(topic, 2);
  scene.mark = 3;
  const seen = await scene.scrape();
  expect(Object.keys(seen)).toHaveLength(3 * (TOPICS_SHOWN_MAX + 1));
  expect(seen['append_bytes_total{topic="(other)"}']).toBe(100);
  expect(seen['records_total{topic="(other)"}']).toBe(150);
  expect(seen['log_bytes{topic="(other)"}']).toBe(500);
  expect(seen['append_bytes_total{topic="t0"}']).toBe(2);
});

it('TopicMetrics holds what nobody scrapes within a bound', async () => {
  const scene = new Scene();
  for (let index = 0; index < 30_000; index += 1) scene.metrics.appended(`gone-${index}`, 1);
  expect((await scene.scrape())['append_bytes_total{topic="(other)"}']).toBe(20_000);
});
