/**
 * How fast a queue hands out records that are accepted one by one: with leases in the memory of its
 * owners, and with leases that are committed before a record is handed out.
 */
import { connect } from '../client/index.ts';
import { fillTopic } from './fill.ts';
import type { LocalCluster } from './local-cluster.ts';

const PARTITIONS = 6;
/** Connections are made and code is compiled before these have passed. */
const WARM_RECORDS = 20_000;

/** Key order makes a queue commit its leases. */
export const LEASES = {
  memory: { records: 200_000, config: {} },
  committed: { records: 60_000, config: { isKeyOrdered: true } },
} as const;

export type Leases = keyof typeof LEASES;

/**
 * Records a second from the first to the last acceptance, of one program with so many handlers at a
 * time; warm.
 */
export async function queueSpeed(
  cluster: LocalCluster,
  leases: Leases,
  concurrency: number,
  run: number,
): Promise<number> {
  const { records, config } = LEASES[leases];
  const name = `queue-${leases}-${concurrency}-${run}`;
  await using tidemark = connect({ servers: cluster.servers });
  await fillTopic(tidemark, name, { partitions: PARTITIONS, records: records + WARM_RECORDS });
  await tidemark.queues().create(name, { topic: name, ...config });
  const consumer = tidemark.queue(name);
  let accepted = 0;
  let startMs = 0;
  let endMs = 0;
  await consumer.run(
    async (job) => {
      await job.accept();
      accepted += 1;
      if (accepted === WARM_RECORDS) startMs = performance.now();
      if (accepted < records + WARM_RECORDS) return;
      endMs = performance.now();
      void consumer.close();
    },
    { concurrency },
  );
  return (records * 1_000) / (endMs - startMs);
}
