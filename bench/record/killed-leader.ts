/** A leader is killed under load and started again: what a client and the page see of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { look } from '../../client/cli/look.ts';
import { snapshotOf } from '../../client/cli/page/snapshot.ts';
import { type Admin, connect } from '../../client/index.ts';
import { columnsOf } from '../../page/model/tiles.ts';
import type { Snapshot } from '../../page/snapshot.ts';
import { LocalCluster, sleep } from '../local-cluster.ts';
import { BUCKET_MS, drawRecording, type Frame, type Recording } from './killed-leader-drawing.ts';
import { type Acknowledged, Orders } from './orders.ts';
import { raisePriority } from './priority.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const RESULTS = join(ROOT, 'bench', 'results', 'killed-leader.json');
const PORT = 19_681;
const PARTITIONS = 6;
const RECORDS_PER_SECOND = 2_000;
const WARM_MS = 4_000;
const KILL_AT_MS = 3_000;
const START_AT_MS = 7_000;
/** It goes on for so long after all is well again. */
const AFTER_MS = 2_000;
const LENGTH_MS_MAX = 25_000;
/** Between the end of one look and the next. */
const LOOK_MS = 100;
const LOOK_MS_MAX = 1_000;

/** Writes docs/killed-leader.svg, and what it is drawn from beside the results. */
export async function killedLeader(): Promise<void> {
  const cluster = new LocalCluster(PORT);
  try {
    await cluster.ready;
    const recording = await record(cluster);
    writeFileSync(RESULTS, `${JSON.stringify(recording)}\n`);
    drawKilledLeader();
    const { longestGapMs, failed, acknowledged } = recording;
    console.log(`${acknowledged} acknowledged, ${failed} failed, longest gap ${longestGapMs} ms`);
  } finally {
    await cluster.close();
  }
}

/** Draws again what was recorded. */
export function drawKilledLeader(): void {
  const recording = JSON.parse(readFileSync(RESULTS, 'utf8')) as Recording;
  writeFileSync(join(ROOT, 'docs', 'killed-leader.svg'), drawRecording(recording));
}

async function record(cluster: LocalCluster): Promise<Recording> {
  const client = connect({ servers: cluster.servers });
  const admin = client.admin();
  await admin.createTopic({ name: 'orders', partitions: PARTITIONS, replicationFactor: 3 });
  const orders = new Orders(cluster.servers, 'orders', PARTITIONS, RECORDS_PER_SECOND);
  const brokers = await cluster.local('status');
  raisePriority(brokers.map(({ pid }) => pid));
  await sleep(WARM_MS);
  const { controller } = await admin.describeCluster();
  const leaders = (await admin.describeTopic('orders')).partitions.map(({ leader }) => leader);
  const victim = leaders.find((leader) => leader !== controller) ?? 1;
  const pid = brokers.find(({ brokerId }) => brokerId === victim)?.pid ?? 0;
  const startMs = performance.now();
  const watched = watch(admin, startMs);
  await sleep(KILL_AT_MS - (performance.now() - startMs));
  const killedAtMs = performance.now() - startMs;
  process.kill(pid, 'SIGKILL');
  await sleep(START_AT_MS - (performance.now() - startMs));
  const startedAtMs = performance.now() - startMs;
  await cluster.local('start', String(victim));
  raisePriority((await cluster.local('status')).map((broker) => broker.pid));
  const { frames, lengthMs } = await watched.untilWell();
  await orders.stop();
  await client.close();
  const acknowledged = orders.acknowledged
    .map((one) => ({ ...one, atMs: one.atMs - startMs }))
    .filter(({ atMs }) => atMs >= 0 && atMs < lengthMs);
  return {
    date: new Date().toISOString().slice(0, 10),
    perSecond: RECORDS_PER_SECOND,
    victim,
    lengthMs: Math.round(lengthMs),
    killedAtMs: Math.round(killedAtMs),
    startedAtMs: Math.round(startedAtMs),
    acknowledged: acknowledged.length,
    failed: orders.failed,
    longestGapMs: Math.round(longestGap(acknowledged, lengthMs)),
    buckets: bucketsOf(acknowledged, lengthMs),
    frames,
  };
}

/** Looks as the page does, only more often; keeps what differs. */
function watch(admin: Admin, startMs: number) {
  const frames: Frame[] = [];
  let isOver = false;
  let wellSinceMs: number | null = null;
  const looking = (async () => {
    while (!isOver) {
      const seen = snapshotOf({ look: await look(admin, LOOK_MS_MAX), atMs: Date.now() });
      const atMs = Math.round(performance.now() - startMs);
      const frame = frameOf(seen, atMs);
      const { atMs: _, ...before } = frames.at(-1) ?? { atMs };
      const { atMs: __, ...now } = frame;
      if (JSON.stringify(before) !== JSON.stringify(now)) frames.push(frame);
      if (seen.level !== 'ok') wellSinceMs = null;
      else wellSinceMs ??= atMs;
      await sleep(LOOK_MS);
    }
  })();
  return {
    untilWell: async () => {
      const now = (): number => performance.now() - startMs;
      const isWell = (): boolean =>
        wellSinceMs !== null && wellSinceMs > START_AT_MS && now() > wellSinceMs + AFTER_MS;
      while (!isWell() && now() < LENGTH_MS_MAX) await sleep(50);
      const lengthMs = now();
      isOver = true;
      await looking;
      return { frames: frames.filter(({ atMs }) => atMs < lengthMs), lengthMs };
    },
  };
}

function frameOf({ sentence, level, cluster }: Snapshot, atMs: number): Frame {
  const cards = cluster === null ? [] : columnsOf(cluster).flatMap((column) => column.cards);
  return {
    ...{ atMs, level, sentence },
    brokers: cards.map(({ broker, tiles }) => ({
      brokerId: broker.brokerId,
      state: broker.state,
      tiles: tiles.map(({ name, state }) => ({ name, state })),
    })),
  };
}

/** Of all partitions, as one client has it. */
function longestGap(acknowledged: readonly Acknowledged[], lengthMs: number): number {
  let longest = 0;
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const times = acknowledged.filter((one) => one.partition === partition).map(({ atMs }) => atMs);
    for (const [at, atMs] of [...times, lengthMs].entries())
      longest = Math.max(longest, atMs - (times[at - 1] ?? 0));
  }
  return longest;
}

/** Records acknowledged in each stretch of time, and the slowest of them in milliseconds. */
function bucketsOf(acknowledged: readonly Acknowledged[], lengthMs: number): Recording['buckets'] {
  const buckets = Array.from({ length: Math.floor(lengthMs / BUCKET_MS) }, () => ({
    ...{ count: 0, slowestMs: 0 },
  }));
  for (const { atMs, latencyMs } of acknowledged) {
    const bucket = buckets[Math.floor(atMs / BUCKET_MS)];
    if (bucket === undefined) continue;
    bucket.count += 1;
    bucket.slowestMs = Math.max(bucket.slowestMs, Math.round(latencyMs));
  }
  return buckets;
}
