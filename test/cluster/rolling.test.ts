/** Planned stops, and what each level of acknowledgement promises. */
import { crc32 } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { STOP_PAGE } from '../../base/stop-veto.ts';
import { RestartClass } from '../../proto/gen/tidemark/v1/admin.ts';
import { AckLevel, LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import { TestCluster } from './harness/cluster.ts';
import { callAt, DirectProduce } from './harness/direct.ts';
import { readAll, type Scene, underLoad } from './harness/scenario.ts';

describe('orderly stops and acknowledgements', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.start();
  });
  afterEach(() => cluster.restore());
  afterAll(() => cluster.close());

  async function rollAll({ topic, progress }: Scene): Promise<void> {
    for (const broker of cluster.brokers) {
      expect(await broker.stop(), broker.logTail()).toEqual({ code: 0, signal: null });
      await progress();
      const [registered] = await cluster.restart(broker.brokerId);
      expect(registered?.restartClass).toBe(RestartClass.RESTART_CLASS_CLEAN);
      await cluster.waitInSync(topic.name);
    }
  }

  it('restarts all three one after the other without a failed append', async () => {
    const { verdict, longestGapMs, retries } = await underLoad(cluster, {}, rollAll);
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
    console.log(
      `rolling restart: ${verdict.acknowledged} appends with acks=all, longest gap between two acknowledgements of a partition ${longestGapMs.toFixed(0)} ms, ${retries} batches sent again by the library`,
    );
  });

  it('makes a deletion of its pod wait while appends would stop with it', async () => {
    const topic = await cluster.createTopic({ partitions: 1 });
    const [asked, gone] = [cluster.broker(1), cluster.broker(3)];
    expect((await asked.page(STOP_PAGE)).status).toBe(200);
    await gone.kill();
    await cluster.wait('the sync set without it', async (note) => {
      const { syncSet } = await cluster.partition(topic.name);
      note(syncSet);
      return syncSet.length === 2 ? true : undefined;
    });
    let isAnswered = false;
    const answer = asked.page(STOP_PAGE).then(({ status }) => {
      isAnswered = true;
      return status;
    });
    await cluster.wait('the broker to say that it waits', (note) => {
      const log = asked.logTail();
      note(log);
      return log.includes('stop-waits') ? true : undefined;
    });
    expect(isAnswered).toBe(false);
    await cluster.restart(3);
    expect(await answer).toBe(200);
    expect(asked.logTail()).not.toContain('stop-unsafe');
    const { syncSet } = await cluster.partition(topic.name);
    expect(syncSet).toHaveLength(3);
  });

  it('keeps records that only their leader acknowledged over a rolling restart', async () => {
    // Rule 22: a planned handover drains first.
    const { verdict } = await underLoad(cluster, { load: { acks: 'leader' } }, rollAll);
    expect(verdict).toMatchObject({ refused: 0, unknown: 0, violations: [] });
  });

  it('acknowledges at once, by the leader alone, or when committed', async () => {
    const topic = await cluster.createTopic({ partitions: 1 });
    const client = cluster.connect();
    try {
      const record = { topic: topic.name, partition: 0, value: Buffer.from('value') };
      const [none, leader, all] = (['none', 'leader', 'all'] as const).map((acks) =>
        client.producer({ acks }),
      );
      // Each gets its producer id now: with two brokers paused, metadata cannot commit one.
      expect(await none?.send(record)).toMatchObject({ offset: -1 });
      expect((await leader?.send(record))?.offset).toBeGreaterThanOrEqual(1);
      expect((await all?.send(record))?.offset).toBeGreaterThanOrEqual(1);
      const followers = cluster.others(await cluster.leader(topic.name));
      for (const follower of followers) follower.pause();
      let isCommitted = false;
      const committed = all?.send(record).then(() => {
        isCommitted = true;
      });
      expect(await none?.send(record)).toMatchObject({ offset: -1 });
      expect((await leader?.send(record))?.offset).toBeGreaterThanOrEqual(3);
      expect(isCommitted).toBe(false);
      for (const follower of followers) follower.resume();
      await committed;
      await cluster.waitSettled(topic.name);
      expect(await readAll(cluster, topic.name)).toHaveLength(6);
    } finally {
      for (const broker of cluster.brokers) broker.resume();
      await client.close();
    }
  });

  it('answers a batch whose reply was lost with its first offset, before and after the leader is killed', async () => {
    const topic = await cluster.createTopic({ assignments: [[1, 2, 3]] });
    const place = { topicId: topic.topicId, partition: 0 };
    const { producerId, producerEpoch } = await callAt(
      cluster.broker(1).address,
      LogServiceService.initProducer,
      { name: '', expected: undefined },
      5_000,
    );
    const records = ['a', 'b'].map((value) => ({ value: Buffer.from(value), timestampMs: 1 }));
    const producer = { producerId, producerEpoch, baseSequence: 0 };
    const frame = encodeBatch(records, { codec: 0, producer }, crc32);
    const appendAt = (brokerId: number) =>
      cluster.wait(`an answer of broker ${brokerId}`, async (note) => {
        const stream = new DirectProduce(cluster.broker(brokerId).address);
        try {
          stream.send(place, new Map([[7, frame]]), AckLevel.ACK_LEVEL_ALL);
          const result = await cluster.wait('a result', () => stream.results[0], 2_000);
          note(result);
          return result.error === undefined ? result : undefined;
        } finally {
          stream.close();
        }
      });
    await cluster.lead(topic.name, 0, 1);
    const lost = new DirectProduce(cluster.broker(1).address);
    lost.send(place, new Map([[7, frame]]), AckLevel.ACK_LEVEL_ALL);
    await cluster.wait('the append whose reply nobody reads', async (note) => {
      note(lost.results);
      const stored = await readAll(cluster, topic.name);
      return stored.length === 2 ? true : undefined;
    });
    lost.close();
    const again = await appendAt(1);
    await cluster.broker(1).kill();
    const successor = await cluster.wait('a new leader', async () => {
      const { leader } = await cluster.partition(topic.name);
      return leader === 1 ? undefined : leader;
    });
    const afterwards = await appendAt(successor);
    await cluster.restart(1);
    expect(again).toMatchObject({ duplicate: true, baseOffset: 1 });
    expect(afterwards).toMatchObject({ duplicate: true, baseOffset: 1 });
    const stored = await readAll(cluster, topic.name);
    expect(stored.map(({ value }) => Buffer.from(value).toString())).toEqual(['a', 'b']);
  });
});
