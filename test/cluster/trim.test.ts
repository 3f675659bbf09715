/** A log that is made to begin later, on real processes: by the command, under load and kills. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tidemark } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';
import { underLoad } from './harness/scenario.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start();
});
afterAll(() => cluster.close());

async function run(...args: string[]): Promise<{ code: number | null; stdout: string }> {
  const servers = cluster.servers.join(',');
  const { code, stdout } = await tidemark([...args, '--server', servers]).result;
  return { code, stdout: stdout.toString() };
}

/** Log files of the topic's partition 0 on every broker. */
function segments(topicId: string): string[] {
  return cluster.others().flatMap(({ brokerId, dataDir }) => {
    const files = readdirSync(join(dataDir, 'partitions', `${topicId}-0`));
    return files.filter((file) => file.endsWith('.log')).map((file) => `${brokerId}: ${file}`);
  });
}

it('drops everything of now, and gives the disk back on every replica', async () => {
  const topic = await cluster.createTopic({ partitions: 1, replicationFactor: 3 });
  await using client = cluster.connect();
  const producer = client.producer();
  const send = (value: string) => producer.send({ topic: topic.name, value });
  for (let at = 0; at < 20; at += 1) await send(`old ${at}`);
  const before = await cluster.admin.listOffsets(topic.name);
  const end = before[0]!.highWaterMark;
  const { code, stdout } = await run('topic', 'trim', topic.name, '--to', 'latest', '-o', 'json');
  expect({ code, trimmed: JSON.parse(stdout) as unknown }).toEqual({
    code: 0,
    trimmed: [{ partition: 0, startBefore: 0, start: end }],
  });
  // The file of old ones is gone everywhere; the trim itself stands in the next.
  const name = `${String(end).padStart(20, '0')}.log`;
  await cluster.wait('old segments to go', () =>
    when(segments(topic.topicId).every((file) => file.endsWith(name))),
  );
  await send('new');
  expect((await run('read', topic.name)).stdout).toBe('new\n');
  expect((await run('read', topic.name, '--from', '0', '-p', '0')).code).toBe(2);
  await producer.close();
});

it('holds whoever leads, through kills of leaders, while records flow', async () => {
  const { verdict } = await underLoad(
    cluster,
    { isRetiring: true },
    async ({ topic, progress }) => {
      for (const id of [1, 2, 3, 1, 2, 3]) {
        await progress();
        const found = await cluster.admin.listOffsets(topic.name);
        const trims = found.map(({ partition, highWaterMark }) => ({
          partition,
          offset: Math.floor(highWaterMark / 2),
        }));
        // A leader may die before, within and after it.
        const [trimmed] = await Promise.all([
          cluster.admin.trimTopic(topic.name, trims),
          cluster.broker(id).kill(),
        ]);
        for (const { partition, logStart = Number.NaN } of trimmed) {
          const [now] = await cluster.admin.listOffsets(topic.name, {
            partitions: [partition],
            at: 'earliest',
          });
          expect(now?.offset).toBeGreaterThanOrEqual(logStart);
        }
        await cluster.restart(id);
        await cluster.waitInSync(topic.name);
      }
    },
  );
  expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
});
