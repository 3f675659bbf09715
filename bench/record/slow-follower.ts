/**
 * Time of appends while a follower stops again and again, in both commit modes. The modes take
 * turns, so that whatever else the machine does hits both.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpus, loadavg } from 'node:os';
import { connect } from '../../client/index.ts';
import { LocalCluster, sleep } from '../local-cluster.ts';
import { IN_SYNC, prepare, QUORUM, type Shape } from '../modes.ts';
import { SteadyLoad } from '../steady-load.ts';
import { raisePriority } from './priority.ts';
import { drawComparison, type Comparison } from './slow-follower-drawing.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RESULTS = join(ROOT, 'bench', 'results', 'slow-follower.json');
const PORT = 19_701;
const RUNS = 5;
const PARTITIONS = 4;
const RECORDS_PER_SECOND = 1_000;
const WARM_MS = 2_500;
/** Its figures are read from stretches of so long. */
const WINDOW_MS = 500;
const HEALTHY_MS = 4_000;
const SLOW_MS = 8_000;
const AFTER_MS = 3_000;
const PAUSE = { pauseMs: 500, everyMs: 2_000 };

/** Writes docs/slow-follower.svg, and what it is drawn from beside the results. */
export async function slowFollower(): Promise<void> {
  const cluster = new LocalCluster(PORT);
  try {
    await cluster.ready;
    const brokers = await cluster.local('status');
    const nice = raisePriority(brokers.map(({ pid }) => pid));
    const runs: Record<'in-sync' | 'quorum', number[][]> = { 'in-sync': [], quorum: [] };
    for (let run = 0; run < RUNS; run += 1) {
      const turns = [IN_SYNC, QUORUM];
      for (const shape of run % 2 === 0 ? turns : turns.toReversed())
        runs[shape.commitMode === 'quorum' ? 'quorum' : 'in-sync'].push(
          await measure(cluster, shape, `slow-${run}-${shape.commitMode}`),
        );
    }
    const comparison: Comparison = {
      date: new Date().toISOString().slice(0, 10),
      machine: `${cpus().length} cores, ${cpus()[0]?.model.trim() ?? ''}`,
      nice,
      loadAverage: Math.round(loadavg()[1] ?? 0),
      ...{ windowMs: WINDOW_MS, healthyMs: HEALTHY_MS, slowMs: SLOW_MS, ...PAUSE },
      ...{ perSecond: RECORDS_PER_SECOND, runs },
    };
    writeFileSync(RESULTS, `${JSON.stringify(comparison)}\n`);
    drawSlowFollower();
  } finally {
    await cluster.close();
  }
}

/** Draws again what was recorded. */
export function drawSlowFollower(): void {
  const comparison = JSON.parse(readFileSync(RESULTS, 'utf8')) as Comparison;
  writeFileSync(join(ROOT, 'docs', 'slow-follower.svg'), drawComparison(comparison));
}

/** The 99th percentile of each window, in milliseconds. */
async function measure(cluster: LocalCluster, shape: Shape, topic: string): Promise<number[]> {
  const client = connect({ servers: cluster.servers });
  const admin = client.admin();
  const { pids, cast } = await prepare(cluster, admin, shape, topic);
  const pid = pids.get(cast.follower) ?? 0;
  const load = new SteadyLoad({
    ...{ servers: cluster.servers, topic, partitions: PARTITIONS },
    ...{ recordsPerSecond: RECORDS_PER_SECOND, acks: 'all' },
  });
  await sleep(WARM_MS);
  const startMs = performance.now();
  const until = (atMs: number): Promise<void> =>
    sleep(Math.max(0, startMs + atMs - performance.now()));
  for (let atMs = HEALTHY_MS; atMs < HEALTHY_MS + SLOW_MS; atMs += PAUSE.everyMs) {
    await until(atMs);
    process.kill(pid, 'SIGSTOP');
    await until(atMs + PAUSE.pauseMs);
    process.kill(pid, 'SIGCONT');
  }
  await until(HEALTHY_MS + SLOW_MS + AFTER_MS);
  await load.stop();
  const lost = await load.countLost();
  if (lost > 0) throw new Error(`${lost} acknowledged records of ${topic} are lost`);
  await admin.deleteTopic(topic);
  await client.close();
  const windows = (HEALTHY_MS + SLOW_MS + AFTER_MS) / WINDOW_MS;
  return Array.from({ length: windows }, (_, at) => {
    const fromMs = startMs + at * WINDOW_MS;
    return Math.round(load.stretch(fromMs, fromMs + WINDOW_MS).p99 * 10) / 10;
  });
}
