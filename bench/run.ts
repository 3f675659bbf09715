/**
 * What a user gets on this machine, measured from outside: `npm run bench`, or
 * `npm run bench -- append gap`. Prints Markdown for bench/results. Absolute figures move from run
 * to run on shared machines: medians of several runs are printed, with the range.
 */
import { cpus, totalmem } from 'node:os';
import type { Acks } from '../client/index.ts';
import { measureCompaction } from './compact.ts';
import { neverWait, readNothing } from './hostile-clients.ts';
import { type Cost, costOfSecurity } from './secured.ts';
import { fairShares, PLACES, type Shares } from './fair-shares.ts';
import { fillGroupTopic, groupSpeed, type Reading } from './groups.ts';
import { LEASES, type Leases, queueSpeed } from './queues.ts';
import { measureOperator } from './operator.ts';
import { LocalCluster, sleep } from './local-cluster.ts';
import { median } from './median.ts';
import { commitModes } from './modes.ts';
import { SteadyLoad, type Stretch } from './steady-load.ts';

const PORT = 19_641;
const RUNS = 5;
const PAIRS = 15;

interface AppendResult {
  readonly recordsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly longestGapMs: number;
  readonly failed: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number };
}

interface RoundtripResult {
  readonly appendMs: { readonly p50: number; readonly p99: number; readonly p999: number };
  readonly endToEndMs: { readonly p50: number; readonly p99: number; readonly p999: number };
}

function row(what: string, values: readonly number[], unit: string, digits = 0): void {
  const show = (value: number): string =>
    value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  const range =
    values.length > 1
      ? ` (${show(Math.min(...values))} to ${show(Math.max(...values))}, ${values.length} runs)`
      : '';
  console.log(`| ${what} | ${show(median(values))} ${unit}${range} |`);
}

async function withCluster<Result>(
  use: (cluster: LocalCluster) => Promise<Result>,
): Promise<Result> {
  const cluster = new LocalCluster(PORT);
  try {
    await cluster.ready;
    return await use(cluster);
  } finally {
    await cluster.close();
  }
}

/**
 * From the command to three brokers that serve, on an empty folder; and what they hold when nothing
 * happens.
 */
async function start(): Promise<void> {
  const seconds: number[] = [];
  const memory: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    const cluster = new LocalCluster(PORT);
    seconds.push(await cluster.ready);
    if (run === RUNS - 1) {
      await sleep(10_000);
      memory.push(...(await cluster.memoryMegabytes()));
    }
    await cluster.close();
  }
  row('three fresh brokers ready', seconds, 's', 2);
  row('memory per broker, idle for 10 s', memory, 'MB');
}

async function append(): Promise<void> {
  await withCluster(async (cluster) => {
    for (const [size, records] of [
      [1_000, 400_000],
      [100, 1_500_000],
    ] as const) {
      const results: AppendResult[] = [];
      for (let run = 0; run < RUNS; run += 1) {
        const topic = `append-${size}-${run}`;
        results.push(
          await cluster.tidemark<AppendResult>(
            'bench',
            'append',
            topic,
            '--partitions',
            '1',
            '--records',
            String(records),
            '--size',
            String(size),
          ),
        );
      }
      row(
        `append, 1 partition, 1 producer, ${size} B`,
        results.map((result) => result.recordsPerSecond),
        'records/s',
      );
      row(
        '  the same in MB',
        results.map((result) => result.bytesPerSecond / 1e6),
        'MB/s',
        1,
      );
    }
    row('memory per broker after that', await cluster.memoryMegabytes(), 'MB');
    const read = await cluster.tidemark<{ recordsPerSecond: number }>(
      'bench',
      'read',
      'append-1000-0',
    );
    row('read back, 1 consumer, 1,000 B', [read.recordsPerSecond], 'records/s');
  });
}

/**
 * The rate of a calm day: latency from the scheduled time, so a stall counts for everything that it
 * held up.
 */
async function latency(): Promise<void> {
  await withCluster(async (cluster) => {
    const one = await cluster.tidemark<RoundtripResult>(
      'bench',
      'roundtrip',
      'one-by-one',
      '--partitions',
      '1',
      '--records',
      '5000',
    );
    row('one after another, 1 KB, p50', [one.appendMs.p50], 'ms', 2);
    row('one after another, 1 KB, p99', [one.appendMs.p99], 'ms', 2);
    row('end to end, one at a time, p50', [one.endToEndMs.p50], 'ms', 2);
    row('end to end, one at a time, p99', [one.endToEndMs.p99], 'ms', 2);
    const open = await cluster.tidemark<AppendResult>(
      'bench',
      'append',
      'open-loop',
      '--partitions',
      '1',
      '--records',
      '200000',
      '--rate',
      '10000',
    );
    row('10,000 records/s of 1 KB, open loop, p50', [open.latencyMs.p50], 'ms', 2);
    row('10,000 records/s of 1 KB, open loop, p99', [open.latencyMs.p99], 'ms', 2);
  });
}

/**
 * What ends the leader, and for whom. Rule 22: an orderly stop makes no append fail, and loses
 * nothing that the leader alone acknowledged.
 */
const ENDS: readonly {
  readonly signal: 'SIGKILL' | 'SIGTERM';
  readonly acks: Acks;
  readonly mode: 'in-sync' | 'quorum';
}[] = [
  { signal: 'SIGKILL', acks: 'all', mode: 'in-sync' },
  { signal: 'SIGKILL', acks: 'all', mode: 'quorum' },
  { signal: 'SIGTERM', acks: 'all', mode: 'in-sync' },
  { signal: 'SIGTERM', acks: 'all', mode: 'quorum' },
  { signal: 'SIGTERM', acks: 'leader', mode: 'in-sync' },
];
const GAP_RECORDS_PER_SECOND = 10_000;

/**
 * Longest gap between acknowledgements when the leader gets a signal at 10,000 records/s; the cases
 * take turns.
 */
async function gap(): Promise<void> {
  await withCluster(async (cluster) => {
    const found = ENDS.map(() => ({ gaps: [] as number[], failed: 0, lost: 0 }));
    for (let run = 0; run < RUNS; run += 1) {
      for (const [index, { signal, acks, mode }] of ENDS.entries()) {
        const topic = `gap-${signal.toLowerCase()}-${acks}-${mode}-${run}`;
        const shape = ['--partitions', '1', '--replication-factor', '3', '--commit-mode', mode];
        await cluster.tidemark('topic', 'create', topic, ...shape);
        const load = new SteadyLoad({
          servers: cluster.servers,
          topic,
          partitions: 1,
          recordsPerSecond: GAP_RECORDS_PER_SECOND,
          acks,
        });
        await sleep(2_500);
        const leader = String(await cluster.leaderOf(topic));
        const fromMs = performance.now();
        await cluster.local('kill', leader, ...(signal === 'SIGTERM' ? ['--stop'] : []));
        await sleep(3_000);
        await load.stop();
        const { longestGapMs, failures } = load.stretch(fromMs, performance.now());
        const result = found[index]!;
        result.gaps.push(longestGapMs);
        result.failed += [...failures.values()].reduce((sum, count) => sum + count, 0);
        result.lost += await load.countLost();
        await waitUntilDown(cluster, leader);
        await cluster.local('start', leader);
        await sleep(4_000);
      }
    }
    for (const [index, { signal, acks, mode }] of ENDS.entries()) {
      const { gaps, failed, lost } = found[index]!;
      const what = `leader ${signal}, ${mode}, acks=${acks}`;
      row(`longest gap between acknowledgements, ${what}`, gaps, 'ms');
      console.log(`|   appends that failed; acknowledged and lost | ${failed}; ${lost} |`);
    }
  });
}

async function waitUntilDown(cluster: LocalCluster, brokerId: string): Promise<void> {
  for (;;) {
    const broker = (await cluster.local('status')).find((one) => String(one.brokerId) === brokerId);
    if (broker?.state === 'down') return;
    await sleep(100);
  }
}

/** The largest broker beside clients that keep no bargain. */
async function bounded(): Promise<void> {
  await withCluster(async (cluster) => {
    await cluster.tidemark(
      'bench',
      'append',
      'bounded',
      '--partitions',
      '1',
      '--records',
      '300000',
    );
    const topic = await cluster.tidemark<{ topicId: string; partitions: { leader: number }[] }>(
      'topic',
      'describe',
      'bounded',
    );
    const leader = topic.partitions[0]?.leader ?? 1;
    const address = cluster.servers.split(',')[leader - 1] ?? '';
    const place = { address, topicId: topic.topicId, partition: 0 };
    const before = await cluster.memoryMegabytes();
    const readers = Array.from({ length: 5 }, () => readNothing(place));
    const writer = neverWait(place);
    const peaks: number[] = [];
    for (let second = 0; second < 20; second += 1) {
      await sleep(1_000);
      peaks.push(Math.max(...(await cluster.memoryMegabytes())));
    }
    const { sent, refused } = writer();
    for (const end of readers) end();
    row('largest broker before', [Math.max(...before)], 'MB');
    row(
      'largest broker in 20 s beside 5 readers that read nothing and a producer that never waits',
      [Math.max(...peaks)],
      'MB',
    );
    console.log(`| batches of 0.5 MB sent, refused | ${sent}, ${refused} |`);
  });
}

async function modes(): Promise<void> {
  await withCluster(commitModes);
}

/** What a calm producer notices of a greedy one at the same leader. */
async function fair(): Promise<void> {
  await withCluster(async (cluster) => {
    for (const place of PLACES) {
      const rounds = await fairShares(cluster, place, PAIRS);
      const figures = (what: string, of: (shares: Shares) => Stretch): void => {
        for (const quantile of ['p50', 'p99'] as const)
          row(
            `${what}, ${quantile}`,
            rounds.map((shares) => of(shares)[quantile]),
            'ms',
            1,
          );
      };
      figures('calm producer, 200 records/s of 1,000 bytes, alone', ({ alone }) => alone);
      figures(`the same beside a greedy one in ${place.name}`, ({ beside }) => beside);
      row(
        '  p99 in parts of p99 alone',
        rounds.map(({ alone, beside }) => beside.p99 / alone.p99),
        'times',
        1,
      );
      const rates = rounds.map(({ greedyBytesPerSecond }) => greedyBytesPerSecond / 1e6);
      row('what the greedy one is given', rates, 'MB/s');
    }
  });
}

/** Everything on, beside plaintext: two clusters in turns. */
async function secured(): Promise<void> {
  const pairs = await costOfSecurity(PAIRS);
  const figures = (
    what: string,
    unit: string,
    digits: number,
    of: (cost: Cost) => number,
  ): void => {
    row(
      `${what}, plaintext`,
      pairs.map(({ open }) => of(open)),
      unit,
      digits,
    );
    row(
      `${what}, TLS, tokens and rules`,
      pairs.map((pair) => of(pair.secured)),
      unit,
      digits,
    );
    row(
      '  the second in parts of the first',
      pairs.map((pair) => of(pair.secured) / of(pair.open)),
      'times',
      2,
    );
  };
  figures('append, 1 producer, 1,000 B', 'MB/s', 1, ({ bytesPerSecond }) => bytesPerSecond / 1e6);
  figures('500 records/s of 1,000 B, open loop, p50', 'ms', 2, ({ p50 }) => p50);
  figures('500 records/s of 1,000 B, open loop, p99', 'ms', 2, ({ p99 }) => p99);
  figures('memory of a broker', 'MB', 0, ({ megabytes }) => median(megabytes));
}

/** The operator alone, with no LogCluster and with fifty. */
async function operator(): Promise<void> {
  for (const cost of await measureOperator([0, 50])) {
    const what = `operator, ${cost.clusters} LogClusters:`;
    row(`${what} memory`, [cost.megabytes], 'MB');
    row(`${what} requests to the API server`, [cost.requestsPerMinute], 'a minute');
    row(`${what} share of a core`, [cost.processorShare * 100], '%', 1);
  }
}

/** One pass over a log of a million keys, with no cluster around. */
async function compact(): Promise<void> {
  const cost = await measureCompaction();
  const { records, bytesBefore, bytesAfter, seconds, peakMegabytes, loopMsMax } = cost;
  const what = `compaction of ${records.toLocaleString('en')} records of 100 bytes, 1,000,000 keys:`;
  row(`${what} bytes before`, [bytesBefore / 1e6], 'MB');
  row(`${what} bytes after`, [bytesAfter / 1e6], 'MB');
  row(`${what} time`, [seconds], 's', 1);
  row(`${what} of the log`, [bytesBefore / 1e6 / seconds], 'MB/s', 1);
  row(`${what} memory above idle, at its peak`, [peakMegabytes], 'MB');
  row(`${what} longest stop of the loop`, [loopMsMax], 'ms');
  row(`${what} the same order again`, [cost.againMs], 'ms', 2);
  for (const [beside, times] of [
    ['alone', cost.aloneMs],
    ['beside the pass', cost.besideMs],
  ] as const) {
    const sorted = [...times].sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    row(`appends of 10 MB/s to another log, ${beside}, half of them within`, [at(0.5)], 'ms', 2);
    row(`appends of 10 MB/s to another log, ${beside}, 99 % within`, [at(0.99)], 'ms', 2);
  }
}

/** Six partitions, records of 100 bytes, one program that accepts each of them by itself. */
async function queues(): Promise<void> {
  await withCluster(async (cluster) => {
    const cases = (Object.keys(LEASES) as Leases[]).flatMap((leases) =>
      [32, 256].map((concurrency) => ({ leases, concurrency, rates: [] as number[] })),
    );
    for (let run = 0; run < RUNS; run += 1)
      for (const { leases, concurrency, rates } of cases)
        rates.push(await queueSpeed(cluster, leases, concurrency, run));
    for (const { leases, concurrency, rates } of cases)
      row(`queue, ${concurrency} jobs at a time, leases ${WHERE[leases]}`, rates, 'records/s');
  });
}

const WHERE: Record<Leases, string> = { memory: 'in memory', committed: 'committed' };

/** A plain consumer and a group of one, in turns. */
async function groups(): Promise<void> {
  await withCluster(async (cluster) => {
    await fillGroupTopic(cluster);
    await groupSpeed(cluster, -1);
    const rounds: Reading[] = [];
    for (let run = 0; run < RUNS; run += 1) rounds.push(await groupSpeed(cluster, run));
    const figures = (what: string, of: (reading: Reading) => number): void => {
      row(what, rounds.map(of), 'records/s');
      row(
        '  in parts of the plain consumer',
        rounds.map((reading) => of(reading) / reading.plain),
        'times',
        2,
      );
    };
    row(
      'read 100 B, 6 partitions, one by one, plain consumer',
      rounds.map(({ plain }) => plain),
      'records/s',
    );
    figures('the same as a group of one that commits each second', ({ group }) => group);
    figures('the same with ten commits a second', ({ often }) => often);
  });
}

const MEASURES = {
  start,
  append,
  latency,
  gap,
  bounded,
  fair,
  secured,
  modes,
  operator,
  compact,
  queues,
  groups,
};
/** Those of the brokers; the operator needs programs that only the tests on Kubernetes build. */
const USUAL = Object.keys(MEASURES).filter((name) => name !== 'operator' && name !== 'compact');

async function main(): Promise<void> {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !Object.hasOwn(MEASURES, name));
  if (unknown.length > 0)
    throw new Error(
      `unknown measure ${unknown.join(', ')}: there are ${Object.keys(MEASURES).join(', ')}`,
    );
  const [cpu] = cpus();
  console.log(
    `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpu?.model.trim() ?? '?'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, all on one machine; RF 3, min 2, acks=all\n`,
  );
  console.log('| what | figure |\n|---|---|');
  for (const [name, measure] of Object.entries(MEASURES)) {
    if ((asked.length === 0 ? USUAL : asked).includes(name)) await measure();
  }
}

await main();
