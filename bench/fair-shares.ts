/**
 * What a calm producer notices of a greedy one at the same leader: its latency alone, and while
 * another process appends as fast as it is answered, to the same partition and to one beside it.
 */
import { spawn } from 'node:child_process';
import { connect } from '../client/index.ts';
import { type LocalCluster, sleep } from './local-cluster.ts';
import { SteadyLoad, type Stretch } from './steady-load.ts';

const TOPIC = 'fair';
const RECORDS_PER_SECOND = 200;
const WARM_MS = 2_000;
const MEASURED_MS = 6_000;

export interface Shares {
  readonly alone: Stretch;
  readonly beside: Stretch;
  /** What the greedy one was given, bytes a second. */
  readonly greedyBytesPerSecond: number;
}

export interface Place {
  readonly name: string;
  /** Else the greedy one has a partition of the same leader to itself. */
  readonly isSamePartition: boolean;
  /** As `produce-window-bytes`; empty: the default. */
  readonly windowBytes: string;
}

export const PLACES: readonly Place[] = [
  { name: 'the same partition', isSamePartition: true, windowBytes: '' },
  {
    name: 'the same partition, `produce-window-bytes` 1 MiB',
    isSamePartition: true,
    windowBytes: '1048576',
  },
  { name: 'another partition of its leader', isSamePartition: false, windowBytes: '' },
];

/** One round. */
export async function fairShares(
  cluster: LocalCluster,
  { isSamePartition, windowBytes }: Place,
): Promise<Shares> {
  const { servers } = cluster;
  const client = connect({ servers });
  const admin = client.admin();
  await admin.setClusterSettings({ brokerOptions: { 'produce-window-bytes': windowBytes } });
  const names = [TOPIC, isSamePartition ? TOPIC : `${TOPIC}-greedy`];
  for (const name of new Set(names)) {
    await admin.deleteTopic(name).catch(() => {});
    await admin.createTopic({ name, partitions: 1, replicationFactor: 3 });
  }
  const leader = await leaderOf(names[0] ?? '');
  if (!isSamePartition)
    await admin.electLeader({ topic: names[1] ?? '', partition: 0, target: leader });
  async function leaderOf(topic: string): Promise<number> {
    const [found] = await admin.listTopics([topic]);
    return found?.partitions[0]?.leader ?? -1;
  }
  const calm = new SteadyLoad({
    ...{ servers, topic: TOPIC, partitions: 1, acks: 'all' },
    recordsPerSecond: RECORDS_PER_SECOND,
  });
  await sleep(WARM_MS);
  const aloneMs = performance.now();
  await sleep(MEASURED_MS);
  const greedy = spawn(
    process.execPath,
    [
      ...['scripts/program.mjs', 'client/cli/main.ts', 'bench', 'append', names[1] ?? ''],
      ...['--records', '100000000', '--size', '1000', '--server', servers],
    ],
    { stdio: 'ignore' },
  );
  await sleep(WARM_MS);
  const fromBytes = await bytesOf(names[1] ?? '');
  const besideMs = performance.now();
  await sleep(MEASURED_MS);
  const toMs = performance.now();
  const bytes = (await bytesOf(names[1] ?? '')) - fromBytes;
  greedy.kill('SIGKILL');
  await calm.stop();
  await client.close();
  async function bytesOf(topic: string): Promise<number> {
    const [end] = await admin.listOffsets(topic, { at: 'latest' });
    return (end?.offset ?? 0) * 1_000;
  }
  return {
    alone: calm.stretch(aloneMs, besideMs - WARM_MS - 500),
    beside: calm.stretch(besideMs, toMs),
    greedyBytesPerSecond: (bytes / (toMs - besideMs)) * 1_000,
  };
}
