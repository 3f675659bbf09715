/**
 * What it costs to have everything on: two clusters, one open and one with TLS between brokers and
 * for clients, tokens and rules, are measured in turns with the same load, so that what else the
 * machine does meets both.
 */
import { readFileSync } from 'node:fs';
import { TestCluster } from '../test/cluster/harness/cluster.ts';
import { Secured } from '../test/cluster/harness/secured.ts';
import { sleep } from './local-cluster.ts';
import { SteadyLoad } from './steady-load.ts';

const RECORD_BYTES = 1_000;
const BULK_RECORDS = 60_000;
const CALM_RECORDS_PER_SECOND = 500;
const WARM_MS = 500;
const CALM_MS = 3_000;

/** Of one cluster in one round. */
export interface Cost {
  readonly bytesPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Of each broker, 10^6 bytes. */
  readonly megabytes: readonly number[];
}

export interface Pair {
  readonly open: Cost;
  readonly secured: Cost;
}

/** So many rounds, after one that warms both up. */
export async function costOfSecurity(rounds: number): Promise<Pair[]> {
  const secured = new Secured();
  const clusters: TestCluster[] = [];
  try {
    const open = await TestCluster.start();
    clusters.push(open);
    const closed = await TestCluster.start(secured.options(open.brokers.length));
    clusters.push(closed);
    await secured.grant(closed.admin, 'topic-*');
    const pairs: Pair[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      // Each goes first every other time.
      const first = round % 2 === 0 ? open : closed;
      const found = new Map([[first, await measured(first)]]);
      const second = first === open ? closed : open;
      found.set(second, await measured(second));
      if (round > 0) pairs.push({ open: found.get(open)!, secured: found.get(closed)! });
    }
    return pairs;
  } finally {
    for (const cluster of clusters) await cluster.close();
    secured.close();
  }
}

async function measured(cluster: TestCluster): Promise<Cost> {
  const { name: topic } = await cluster.createTopic({ partitions: 1 });
  const bytesPerSecond = await bulk(cluster, topic);
  const load = new SteadyLoad({
    ...{ servers: cluster.servers.join(','), client: cluster.connect() },
    ...{ topic, partitions: 1, acks: 'all', recordsPerSecond: CALM_RECORDS_PER_SECOND },
  });
  await sleep(WARM_MS);
  const fromMs = performance.now();
  await sleep(CALM_MS);
  const toMs = performance.now();
  await load.stop();
  const { p50, p99 } = load.stretch(fromMs, toMs);
  const megabytes = cluster.brokers.map(({ pid }) => residentBytes(pid) / 1e6);
  await cluster.admin.deleteTopic(topic);
  return { bytesPerSecond, p50, p99, megabytes };
}

/** As fast as it is answered. */
async function bulk(cluster: TestCluster, topic: string): Promise<number> {
  await using client = cluster.connect();
  const producer = client.producer({ acks: 'all' });
  await producer.lookUp(topic);
  const value = Buffer.alloc(RECORD_BYTES, 'tide');
  const startMs = performance.now();
  for (let sent = 0; sent < BULK_RECORDS; ) {
    if (producer.enqueue({ topic, partition: 0, value })) sent += 1;
    else await producer.ready();
  }
  await producer.flush();
  const seconds = (performance.now() - startMs) / 1_000;
  await producer.close();
  return (BULK_RECORDS * RECORD_BYTES) / seconds;
}

function residentBytes(pid: number): number {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) * 1024;
}
