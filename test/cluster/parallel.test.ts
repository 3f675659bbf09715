/** Records handled many at a time, over a kill of a leader and a handler that fails. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Position } from '../../client/index.ts';
import { TestCluster } from './harness/cluster.ts';

const KEYS = 20;
const RECORDS = 1_000;
const MAX = 16;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start({ brokers: 3 });
});
afterAll(() => cluster.close());

it('handles every record, each key in order, and resumes at what was not handled', async () => {
  const { name: topic } = await cluster.createTopic({ partitions: 2, replicationFactor: 3 });
  await using client = cluster.connect();
  const producer = client.producer();
  const sent = await Promise.all(
    Array.from({ length: RECORDS }, (_, at) =>
      producer.send({ topic, key: `k${at % KEYS}`, value: String(at) }),
    ),
  );
  expect(sent).toHaveLength(RECORDS);

  const handled = new Set<number>();
  let positions: readonly Position[] = [];
  for (let run = 0; run < 3; run += 1) {
    const consumer = client.consumer({ topic, positions, follow: false });
    const last = new Map<string, number>();
    let running = 0;
    let count = 0;
    const failAt = run < 2 ? 300 : Number.POSITIVE_INFINITY;
    const work = consumer.parallel({ max: MAX }, async ({ key, value }) => {
      running += 1;
      expect(running).toBeLessThanOrEqual(MAX);
      const [name, number] = [Buffer.from(key!).toString(), Number(Buffer.from(value!))];
      expect(last.get(name) ?? -1).toBeLessThan(number);
      last.set(name, number);
      count += 1;
      // The leader of a partition dies while its records are handled.
      if (run === 0 && count === 100)
        await cluster.broker((await cluster.partition(topic)).leader!).kill();
      for (let turns = number % 7; turns > 0; turns -= 1) await turn();
      running -= 1;
      if (count >= failAt) throw new Error('no more');
      handled.add(number);
    });
    if (run < 2) await expect(work).rejects.toThrow('no more');
    else await work;
    positions = consumer.positions();
    await consumer.close();
    // What stands before a position was handled.
    for (const { partition, offset } of sent) {
      const at = sent.findIndex((one) => one.partition === partition && one.offset === offset);
      const end = positions.find((position) => position.partition === partition)?.offset ?? 0;
      if (offset < end) expect(handled).toContain(at);
    }
    if (run === 0) await cluster.restore();
  }
  expect(handled.size).toBe(RECORDS);
});
