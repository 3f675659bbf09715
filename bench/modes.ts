/**
 * The two commit modes beside each other (docs/commit-modes.md): latency and availability of
 * appends with acks=all while a follower is slow or dead, the leader dies, or two of three are
 * dead. The brokers that lead, follow and control are told apart, so that each situation has one
 * cause.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Admin, connect } from '../client/index.ts';
import type { CommitMode } from '../client/admin-types.ts';
import { type LocalCluster } from './local-cluster.ts';
import { median } from './median.ts';
import { SteadyLoad, type Stretch } from './steady-load.ts';

const RUNS = 5;
const PARTITIONS = 4;
/**
 * About a hundredth of what three brokers take on the machines of this project: latency is then the
 * protocol's, and the fault's.
 */
const RECORDS_PER_SECOND = 1_000;
/** Connections are made, code is compiled. */
const WARM_MS = 1_500;
const MEASURED_MS = 6_000;
/** The moment of a death, as opposed to the time after it. */
const MOMENT_MS = 2_000;
/** Of the default session timeout, 3 s. */
const LONG_PAUSE_MS = 5_000;
/**
 * With two of three dead an append cannot succeed: its client shall say so within the measurement.
 */
const HOPELESS_TIMEOUT_MS = 2_000;
const RESTORED_MS_MAX = 60_000;

export interface Shape {
  readonly commitMode: CommitMode;
  readonly replicationFactor: 2 | 3;
  readonly minInSyncReplicas: 1 | 2;
}

/**
 * Who does what. The controller leads half of the partitions, so that no other broker's fault is
 * also the controller's.
 */
interface Cast {
  readonly controller: number;
  /** Leads the other half. */
  readonly leader: number;
  /** Leads nothing. */
  readonly follower: number;
}

export interface Scene {
  readonly cluster: LocalCluster;
  readonly cast: Cast;
  readonly pids: ReadonlyMap<number, number>;
}

/** A stretch of time with a name. */
interface Span {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
}

interface Situation {
  readonly name: string;
  readonly deliveryTimeoutMs?: number;
  /** Has something happen, and says which stretches of time matter. */
  readonly play: (scene: Scene) => Promise<readonly Span[]>;
  /**
   * Runs when the stretches have been measured and the load goes on: what it brings back, and when.
   */
  readonly recover?: (scene: Scene) => Promise<number>;
}

export const IN_SYNC: Shape = {
  commitMode: 'in-sync',
  replicationFactor: 3,
  minInSyncReplicas: 2,
};
export const QUORUM: Shape = { ...IN_SYNC, commitMode: 'quorum' };
const TWO_MIN_ONE: Shape = { ...IN_SYNC, replicationFactor: 2, minInSyncReplicas: 1 };
/** Commits as quorum mode would with two replicas: a majority of two is both. */
const TWO_MIN_TWO: Shape = { ...IN_SYNC, replicationFactor: 2 };

const HEALTHY: Situation = {
  name: 'all healthy',
  play: async () => [await span('', MEASURED_MS)],
};

/**
 * As the kernel does to a container at its CPU limit: the quota of each 100 ms is spent after half
 * of it.
 */
const THROTTLED: Situation = {
  name: 'follower stopped 50 ms of every 100 ms',
  play: async (scene) => [await whilePausing(scene, { pauseMs: 50, everyMs: 100 })],
};

/** A garbage collection, a disk that hangs, a migrated virtual machine. */
const HICCUPS: Situation = {
  name: 'follower stopped 500 ms of every 2 s',
  play: async (scene) => [await whilePausing(scene, { pauseMs: 500, everyMs: 2_000 })],
};

const LONG_PAUSE: Situation = {
  name: 'follower stopped for 5 s',
  play: async (scene) => [
    await whilePausing(scene, { pauseMs: LONG_PAUSE_MS, everyMs: MEASURED_MS }),
  ],
};

const DEAD_FOLLOWER: Situation = {
  name: 'follower killed',
  play: async (scene) => await afterDeathOf(scene, ['follower']),
};

const DEAD_LEADER: Situation = {
  name: 'leader of half the partitions killed',
  play: async (scene) => await afterDeathOf(scene, ['leader']),
};

const TWO_DEAD: Situation = {
  name: 'two of three killed',
  deliveryTimeoutMs: HOPELESS_TIMEOUT_MS,
  play: async (scene) => await afterDeathOf(scene, ['follower', 'leader']),
  recover: async ({ cluster, cast }) => {
    const sinceMs = performance.now();
    await cluster.local('start', String(cast.leader));
    await sleep(MEASURED_MS);
    return sinceMs;
  },
};

const CASES: readonly { readonly situation: Situation; readonly shapes: readonly Shape[] }[] = [
  { situation: HEALTHY, shapes: [IN_SYNC, QUORUM] },
  { situation: THROTTLED, shapes: [IN_SYNC, QUORUM] },
  { situation: HICCUPS, shapes: [IN_SYNC, QUORUM] },
  { situation: LONG_PAUSE, shapes: [IN_SYNC, QUORUM] },
  { situation: DEAD_FOLLOWER, shapes: [IN_SYNC, QUORUM] },
  { situation: DEAD_LEADER, shapes: [IN_SYNC, QUORUM] },
  { situation: TWO_DEAD, shapes: [IN_SYNC, QUORUM] },
  { situation: DEAD_FOLLOWER, shapes: [TWO_MIN_ONE, TWO_MIN_TWO] },
];

/** What one run found out about one row of the table. */
interface Finding {
  readonly stretch: Stretch;
  readonly lost: number;
  readonly backAfterMs: number | null;
}

/** Prints a table. Modes take turns within a run, so that what else the machine does hits both. */
export async function commitModes(cluster: LocalCluster): Promise<void> {
  const rows = new Map<string, Finding[]>();
  for (let run = 0; run < RUNS; run += 1) {
    for (const { situation, shape } of turnsOf(run)) {
      const name = `modes-${run}-${situation.name}-${nameOf(shape)}`;
      const topic = name.replaceAll(/[^a-z0-9]+/g, '-');
      for (const [span, finding] of await measure(cluster, situation, shape, topic)) {
        const key = `${situation.name}${span} | ${nameOf(shape)}`;
        rows.set(key, [...(rows.get(key) ?? []), finding]);
      }
    }
  }
  print(rows);
}

/** Every case in each of its shapes; who goes first alternates from run to run. */
function turnsOf(run: number): { readonly situation: Situation; readonly shape: Shape }[] {
  return CASES.flatMap(({ situation, shapes }) =>
    (run % 2 === 0 ? shapes : shapes.toReversed()).map((shape) => ({ situation, shape })),
  );
}

async function measure(
  cluster: LocalCluster,
  situation: Situation,
  shape: Shape,
  topic: string,
): Promise<readonly [string, Finding][]> {
  const client = connect({ servers: cluster.servers });
  try {
    const admin = client.admin();
    const scene = await prepare(cluster, admin, shape, topic);
    const { deliveryTimeoutMs } = situation;
    const load = new SteadyLoad({
      servers: cluster.servers,
      topic,
      partitions: PARTITIONS,
      recordsPerSecond: RECORDS_PER_SECOND,
      acks: 'all',
      ...(deliveryTimeoutMs === undefined ? {} : { deliveryTimeoutMs }),
    });
    await sleep(WARM_MS);
    const spans = await situation.play(scene);
    const recoveredMs = (await situation.recover?.(scene)) ?? null;
    await restore(cluster, admin, topic);
    await load.stop();
    const lost = await load.countLost();
    await admin.deleteTopic(topic);
    return spans.map((span, index) => {
      const isLast = index === spans.length - 1;
      const backAfterMs = recoveredMs === null || !isLast ? null : load.backAfterMs(recoveredMs);
      return [span.name, { stretch: load.stretch(span.fromMs, span.toMs), lost, backAfterMs }];
    });
  } finally {
    await client.close();
  }
}

/** Makes a topic of which the three brokers have parts that differ. */
export async function prepare(
  cluster: LocalCluster,
  admin: Admin,
  shape: Shape,
  topic: string,
): Promise<Scene> {
  const { controller = 0 } = await admin.describeCluster();
  const brokers = await cluster.local('status');
  const [leader = 0, follower = 0] = brokers
    .map(({ brokerId }) => brokerId)
    .filter((id) => id !== controller);
  const placed = [controller, leader].map((first) => {
    const others = [follower, first === controller ? leader : controller];
    return { replicas: [first, ...others.slice(0, shape.replicationFactor - 1)] };
  });
  const { commitMode, minInSyncReplicas } = shape;
  await admin.createTopic({
    name: topic,
    assignments: Array.from({ length: PARTITIONS / placed.length }, () => placed).flat(),
    config: { commitMode, minInSyncReplicas },
  });
  const pids = new Map(brokers.map(({ brokerId, pid }) => [brokerId, pid ?? 0]));
  return { cluster, cast: { controller, leader, follower }, pids };
}

/**
 * Starts what is down, and resolves when everybody serves and every partition has all its replicas
 * in sync, led as at first.
 */
async function restore(cluster: LocalCluster, admin: Admin, topic: string): Promise<void> {
  const deadlineMs = performance.now() + RESTORED_MS_MAX;
  for (const { brokerId, state } of await cluster.local('status'))
    if (state === 'down') await cluster.local('start', String(brokerId));
  for (;;) {
    const { brokers } = await admin.describeCluster();
    const { partitions } = await admin.describeTopic(topic);
    const isServing = brokers.every(({ fenced }) => !fenced);
    const isInSync = partitions.every(
      ({ syncSet, replicas, suspects, leader }) =>
        syncSet.length === replicas.length && suspects.length === 0 && leader !== undefined,
    );
    if (isServing && isInSync) return;
    if (performance.now() > deadlineMs)
      throw new Error(`${topic} was not restored within ${RESTORED_MS_MAX} ms`);
    await sleep(100);
  }
}

async function span(name: string, lengthMs: number): Promise<Span> {
  const fromMs = performance.now();
  await sleep(lengthMs);
  return { name, fromMs, toMs: performance.now() };
}

/** A process that is stopped keeps its connections and says nothing. */
async function whilePausing(
  { pids, cast }: Scene,
  { pauseMs, everyMs }: { readonly pauseMs: number; readonly everyMs: number },
): Promise<Span> {
  const pid = pids.get(cast.follower) ?? 0;
  const fromMs = performance.now();
  for (let atMs = fromMs; atMs < fromMs + MEASURED_MS; atMs += everyMs) {
    process.kill(pid, 'SIGSTOP');
    await sleep(pauseMs);
    process.kill(pid, 'SIGCONT');
    await sleep(Math.max(0, atMs + everyMs - performance.now()));
  }
  return { name: '', fromMs, toMs: performance.now() };
}

async function afterDeathOf(
  { pids, cast }: Scene,
  victims: readonly (keyof Cast)[],
): Promise<readonly Span[]> {
  for (const victim of victims) process.kill(pids.get(cast[victim]) ?? 0, 'SIGKILL');
  return [
    await span(`: the first ${MOMENT_MS / 1000} s`, MOMENT_MS),
    await span(': after that', MEASURED_MS - MOMENT_MS),
  ];
}

function nameOf({ commitMode, replicationFactor, minInSyncReplicas }: Shape): string {
  const mode = commitMode === 'quorum' ? 'quorum' : 'in-sync';
  return replicationFactor === 3 ? mode : `${mode}, RF 2, min ${minInSyncReplicas}`;
}

function print(rows: ReadonlyMap<string, readonly Finding[]>): void {
  console.log(
    `\nCommit modes: ${PARTITIONS} partitions, ${RECORDS_PER_SECOND} records/s of 1,000 B offered in an open loop, acks=all; RF 3, min 2 where nothing else is said; medians of ${RUNS} runs, the range of p99 in parentheses. The brokers that are killed or stopped are not the controller.\n`,
  );
  console.log(
    '| situation | mode | p50 ms | p99 ms | p99.9 ms | longest gap of a partition, ms | acknowledged within 1 s | failed | acknowledged and lost |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const [key, findings] of rows) {
    const figure = (of: (stretch: Stretch) => number): number =>
      median(findings.map(({ stretch }) => of(stretch)));
    const p99s = findings.map(({ stretch }) => stretch.p99);
    const lost = findings.reduce((sum, finding) => sum + finding.lost, 0);
    const cells = [
      key,
      ms(figure(({ p50 }) => p50)),
      `${ms(median(p99s))} (${ms(Math.min(...p99s))} to ${ms(Math.max(...p99s))})`,
      ms(figure(({ p999 }) => p999)),
      ms(figure(({ longestGapMs }) => longestGapMs)),
      `${(figure(({ promptShare }) => promptShare) * 100).toFixed(2)} %`,
      failuresText(findings),
      String(lost),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  for (const [key, findings] of rows) {
    const backs = findings.flatMap(({ backAfterMs }) =>
      backAfterMs === null ? [] : [backAfterMs],
    );
    if (backs.length > 0)
      console.log(
        `\n${key.replace(': after that |', ',')}: every partition acknowledged again ${ms(median(backs))} ms after one of the dead was started again, its process included (${ms(Math.min(...backs))} to ${ms(Math.max(...backs))})`,
      );
  }
}

function failuresText(findings: readonly Finding[]): string {
  const sums = new Map<string, number>();
  for (const { stretch } of findings)
    for (const [code, count] of stretch.failures) sums.set(code, (sums.get(code) ?? 0) + count);
  return sums.size === 0 ? '0' : [...sums].map(([code, count]) => `${count} ${code}`).join(', ');
}

function ms(value: number): string {
  if (!Number.isFinite(value)) return 'never';
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}
