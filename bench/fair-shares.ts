/**
 * What a calm producer notices of a greedy one at the same leader: its latency alone, and while
 * another process appends as fast as it is answered, to the same partition and to one beside it.
 * The greedy process stands still and goes on in short turns, so that what else the machine does
 * meets both.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Admin, connect } from '../client/index.ts';
import { type LocalCluster, sleep } from './local-cluster.ts';
import { SteadyLoad, type Stretch } from './steady-load.ts';

const RECORDS_PER_SECOND = 200;
const RECORD_BYTES = 1_000;
const WARM_MS = 4_000;
/** From a change of turns until it is measured: what was under way must be answered. */
const SETTLE_MS = 600;
const MEASURED_MS = 1_500;

/** One turn of each. */
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
}

export const PLACES: readonly Place[] = [
  { name: 'the same partition', isSamePartition: true },
  { name: 'another partition of its leader', isSamePartition: false },
];

export async function fairShares(
  cluster: LocalCluster,
  { isSamePartition }: Place,
  rounds: number,
): Promise<Shares[]> {
  const { servers } = cluster;
  const client = connect({ servers });
  const admin = client.admin();
  const topic = isSamePartition ? 'calm-and-greedy' : 'calm';
  await admin.createTopic({ name: topic, partitions: 1, replicationFactor: 3 });
  const other = isSamePartition ? topic : await topicOfLeader(admin, topic);
  const calm = new SteadyLoad({
    ...{ servers, topic, partitions: 1, acks: 'all' },
    recordsPerSecond: RECORDS_PER_SECOND,
  });
  const greedy = new Greedy(servers, other);
  await sleep(WARM_MS);
  const turns: (readonly [number, number, number, number, number])[] = [];
  for (let round = 0; round < rounds; round += 1) {
    greedy.signal('SIGSTOP');
    const [aloneMs, aloneToMs] = await turn();
    greedy.signal('SIGCONT');
    await sleep(SETTLE_MS);
    const fromRecords = await endOf(admin, other);
    const [besideMs, besideToMs] = await turn(0);
    const records = (await endOf(admin, other)) - fromRecords;
    turns.push([aloneMs, aloneToMs, besideMs, besideToMs, records]);
  }
  greedy.signal('SIGKILL');
  await calm.stop();
  await client.close();
  return turns.map(([aloneMs, aloneToMs, besideMs, besideToMs, records]) => ({
    alone: calm.stretch(aloneMs, aloneToMs),
    beside: calm.stretch(besideMs, besideToMs),
    greedyBytesPerSecond: (records * RECORD_BYTES * 1_000) / (besideToMs - besideMs),
  }));
}

async function turn(settleMs = SETTLE_MS): Promise<readonly [number, number]> {
  await sleep(settleMs);
  const fromMs = performance.now();
  await sleep(MEASURED_MS);
  return [fromMs, performance.now()];
}

/** A process and those that it started. */
class Greedy {
  readonly #pid: number;

  constructor(servers: string, topic: string) {
    const { pid } = spawn(
      process.execPath,
      [
        ...['scripts/program.mjs', 'client/cli/main.ts', 'bench', 'append', topic],
        ...['--records', '100000000', '--size', String(RECORD_BYTES), '--server', servers],
      ],
      { stdio: 'ignore' },
    );
    if (pid === undefined) throw new Error('the greedy producer does not start');
    this.#pid = pid;
  }

  signal(signal: NodeJS.Signals): void {
    const pid = String(this.#pid);
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    const pids = [pid, ...children.split(' ')].filter((each) => each !== '').map(Number);
    for (const each of pids) process.kill(each, signal);
  }
}

async function endOf(admin: Admin, topic: string): Promise<number> {
  const [end] = await admin.listOffsets(topic, { at: 'latest' });
  return end?.offset ?? 0;
}

/** A new topic that the leader of another one prefers to lead: an election would be taken back. */
async function topicOfLeader(admin: Admin, topic: string): Promise<string> {
  const leaderOf = async (name: string): Promise<number | undefined> =>
    (await admin.describeTopic(name)).partitions[0]?.leader;
  for (let each = 1; ; each += 1) {
    const name = `greedy-${String(each)}`;
    await admin.createTopic({ name, partitions: 1, replicationFactor: 3 });
    await sleep(SETTLE_MS);
    if ((await leaderOf(name)) === (await leaderOf(topic))) return name;
  }
}
