/**
 * Parts of a data directory that go while their broker is down: it is distrusted, and nobody takes
 * what is left for the truth.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { TestCluster } from './harness/cluster.ts';
import { readAll } from './harness/scenario.ts';

const RECORDS = 200;

describe('a partition of a broker that is down', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  async function filled(name: string, replicas: number[]): Promise<string> {
    const config = {
      minInSyncReplicas: Math.min(2, replicas.length),
    } as const;
    const { topicId } = await cluster.admin.createTopic({
      name,
      config,
      assignments: [{ replicas }],
    });
    await cluster.waitInSync(name);
    const producer = cluster.client.producer();
    for (let index = 0; index < RECORDS; index += 1)
      await producer.send({ topic: name, partition: 0, value: Buffer.from(`${index}`) });
    await producer.close();
    return topicId;
  }

  it.each(['killed', 'stopped in order'])(
    'that was the only copy is led by nobody, and says so, when its broker was %s',
    async (how) => {
      const name = how === 'killed' ? 'lone-killed' : 'lone-stopped';
      const topicId = await filled(name, [3]);
      if (how === 'killed') await cluster.broker(3).kill();
      else await cluster.broker(3).stop();
      rmSync(cluster.broker(3).file('partitions', `${topicId}-0`), { recursive: true });
      const [registered] = await cluster.restart(3);
      expect(registered?.restartClass).toBe(RestartClass.RESTART_CLASS_LOSSY);
      expect(await cluster.partition(name)).toMatchObject({ leader: undefined, suspects: [3] });
      await cluster.admin.deleteTopic(name);
    },
  );

  it('that was the preferred leader is copied again from those that have all', async () => {
    const name = 'replicated';
    const topicId = await filled(name, [3, 1, 2]);
    const before = await readAll(cluster, name);
    expect(before).toHaveLength(RECORDS);
    await cluster.broker(3).kill();
    rmSync(cluster.broker(3).file('partitions', `${topicId}-0`), { recursive: true });
    const [registered] = await cluster.restart(3);
    expect(registered?.restartClass).toBe(RestartClass.RESTART_CLASS_LOSSY);
    await cluster.waitSettled(name);
    await cluster.lead(name, 0, 3);
    expect(await readAll(cluster, name)).toEqual(before);
  });

  it('is whole in spite of a stray file', async () => {
    const name = 'stray';
    const topicId = await filled(name, [3]);
    const before = await readAll(cluster, name);
    await cluster.broker(3).kill();
    const stray = cluster
      .broker(3)
      .file('partitions', `${topicId}-0`, `${'50'.padStart(20, '0')}.log`);
    writeFileSync(stray, '');
    const [registered] = await cluster.restart(3);
    expect(registered?.restartClass).toBe(RestartClass.RESTART_CLASS_WARM);
    expect(await readAll(cluster, name)).toEqual(before);
  });

  it('of a topic that was deleted a moment before the kill is not missed', async () => {
    const name = 'deleted';
    const topicId = await filled(name, [1, 2, 3]);
    await cluster.admin.deleteTopic(name);
    await cluster.broker(3).kill();
    rmSync(cluster.broker(3).file('partitions', `${topicId}-0.deleted`), {
      recursive: true,
      force: true,
    });
    const [registered] = await cluster.restart(3);
    expect(registered?.restartClass).toBe(RestartClass.RESTART_CLASS_WARM);
    await cluster.broker(3).stop();
    const [again] = await cluster.restart(3);
    expect(again?.restartClass).toBe(RestartClass.RESTART_CLASS_CLEAN);
  });
});

describe('a topic with retention by time to which nobody appends', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start({ args: ['--retention-check-ms', '100'] });
  });
  afterAll(() => cluster.close());

  it('keeps nothing on any replica once it has expired, and goes on where it was', async () => {
    const name = 'short';
    const config = { minInSyncReplicas: 2, retentionMs: 1_000 } as const;
    const { topicId } = await cluster.admin.createTopic({
      name,
      config,
      assignments: [{ replicas: [1, 2, 3] }],
    });
    await cluster.waitInSync(name);
    const producer = cluster.client.producer();
    await producer.send({ topic: name, partition: 0, value: Buffer.from('a') });
    await cluster.wait('all replicas to be empty', async (note) => {
      const replicas = await cluster.replicas(topicId);
      note(replicas);
      const isEmpty = replicas.every(
        ({ logStart, logEnd, sizeBytes }) => logStart === logEnd && logEnd > 1 && sizeBytes === 0,
      );
      return replicas.length === 3 && isEmpty ? true : undefined;
    });
    const { offset } = await producer.send({ topic: name, partition: 0, value: Buffer.from('b') });
    expect(offset).toBeGreaterThanOrEqual(2);
    await producer.close();
  });
});
