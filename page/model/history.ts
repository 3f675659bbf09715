/**
 * What successive snapshots tell together: rates, waits for a commit, and what changed between two.
 * Pure; both lists have a bound.
 */
import type { ClusterSeen, PartitionSeen, Snapshot } from '../snapshot.ts';
import { keyOf } from './tiles.ts';

/** What changed. */
export interface Mark {
  /** Clock of the snapshot that showed it first. */
  readonly atMs: number;
  readonly kind: 'election' | 'fence' | 'sync set' | 'controller' | 'loss';
  readonly text: string;
}

/** One point of the plots. */
export interface Point {
  readonly atMs: number;
  /** Records committed in a second, all partitions together; null where nobody knows. */
  readonly perSecond: number | null;
  /**
   * Longest time for which a partition that has records to commit, or no leader, has committed
   * none: from the first snapshot that showed it, so at least so long.
   */
  readonly waitMs: number;
  /**
   * 99th percentile of the time that appends took which were answered since the snapshot before:
   * the upper end of its class. Null where none was, or nobody knows.
   */
  readonly p99Ms: number | null;
}

/** What is remembered. */
export interface History {
  readonly points: readonly Point[];
  /** Oldest first. */
  readonly marks: readonly Mark[];
  readonly last: Snapshot | null;
  /** By partition. */
  readonly progress: ReadonlyMap<string, Progress>;
}

interface Progress {
  /** The largest high-water mark that was seen. */
  readonly committed: number;
  /** First snapshot since the last growth that showed records to commit, or no leader. */
  readonly waitsSinceMs: number | null;
}

/** Five minutes of a snapshot a second. */
const POINTS_MAX = 300;
const MARKS_MAX = 200;
/** Changes of one kind between two snapshots that are told in full. */
const TOLD_MAX = 3;

export const NO_HISTORY: History = { points: [], marks: [], last: null, progress: new Map() };

/** With one more snapshot. */
export function remember(before: History, now: Snapshot): History {
  const { progress, gained, waitMs } = progressOf(before, now);
  const elapsedMs = now.atMs - (before.last?.atMs ?? now.atMs);
  const isKnown = now.cluster !== null && before.last?.cluster != null && elapsedMs > 0;
  const perSecond = isKnown ? (gained * 1_000) / elapsedMs : null;
  const marks = before.last === null ? [] : changesBetween(before.last, now);
  return {
    points: [
      ...before.points,
      { atMs: now.atMs, perSecond, waitMs, p99Ms: p99Between(before.last, now) },
    ].slice(-POINTS_MAX),
    marks: [...before.marks, ...marks].slice(-MARKS_MAX),
    last: now,
    progress,
  };
}

function progressOf(
  before: History,
  { atMs, cluster }: Snapshot,
): { progress: ReadonlyMap<string, Progress>; gained: number; waitMs: number } {
  const progress = new Map<string, Progress>();
  let gained = 0;
  // Where nobody answers, every partition waits.
  if (cluster === null)
    for (const [key, { committed, waitsSinceMs }] of before.progress)
      progress.set(key, { committed, waitsSinceMs: waitsSinceMs ?? atMs });
  for (const partition of cluster?.partitions ?? []) {
    const key = keyOf(partition);
    const then = before.progress.get(key);
    const log = leaderLog(partition);
    const committed = Math.max(log?.committed ?? 0, then?.committed ?? 0);
    const growth = then === undefined ? 0 : committed - then.committed;
    const waits = log === null || log.end > log.committed;
    // Records seen for the first time have only just begun to wait, as far as anybody can tell.
    const sinceMs = growth > 0 ? atMs : (then?.waitsSinceMs ?? atMs);
    gained += growth;
    progress.set(key, { committed, waitsSinceMs: waits ? sinceMs : null });
  }
  let waitMs = 0;
  for (const { waitsSinceMs } of progress.values())
    waitMs = Math.max(waitMs, atMs - (waitsSinceMs ?? atMs));
  return { progress, gained, waitMs };
}

/** Of the batches that all brokers answered between two snapshots, in milliseconds. */
function p99Between(before: Snapshot | null, now: Snapshot): number | null {
  const then = new Map(before?.cluster?.brokers.map((broker) => [broker.brokerId, broker]));
  const [first] = now.cluster?.brokers.flatMap(({ appends }) => appends ?? []) ?? [];
  if (before?.cluster == null || first === undefined) return null;
  const { boundsUs } = first;
  const gained = boundsUs.map(() => 0);
  let slower = 0;
  for (const { brokerId, appends } of now.cluster?.brokers ?? []) {
    // Brokers of another build may count otherwise.
    if (appends === null || appends.boundsUs.join() !== boundsUs.join()) continue;
    const old = then.get(brokerId)?.appends;
    // Of a broker that started since, all are new.
    const isSame =
      old != null && appends.counts.every((count, at) => count >= (old.counts[at] ?? 0));
    for (const [at, count] of appends.counts.entries()) {
      const gain = count - (isSame ? (old.counts[at] ?? 0) : 0);
      if (at < boundsUs.length) gained[at] = (gained[at] ?? 0) + gain;
      else slower += gain;
    }
  }
  return percentile(boundsUs, gained, slower, 0.99);
}

function percentile(
  boundsUs: readonly number[],
  counts: readonly number[],
  slower: number,
  share: number,
): number | null {
  const all = counts.reduce((sum, count) => sum + count, slower);
  if (all === 0) return null;
  let seen = 0;
  const at = counts.findIndex((count) => {
    seen += count;
    return seen >= all * share;
  });
  return (boundsUs[at] ?? boundsUs.at(-1) ?? 0) / 1_000;
}

/** What the leader says of its own log; null where there is none, or it is silent. */
function leaderLog({ leader, replicas }: PartitionSeen) {
  return replicas.find(({ brokerId }) => brokerId === leader)?.log ?? null;
}

/** What happened between two snapshots, told in words. */
export function changesBetween(before: Snapshot, now: Snapshot): Mark[] {
  if (before.cluster === null || now.cluster === null) return [];
  const mark = (kind: Mark['kind']) => (text: string) => ({ atMs: now.atMs, kind, text });
  const [then, cluster] = [before.cluster, now.cluster];
  const { elections, syncSets } = partitionChanges(then, cluster);
  const controller =
    cluster.controller === then.controller || cluster.controller === null
      ? []
      : [`broker ${cluster.controller} is the controller`];
  const losses = cluster.losses.filter((loss) => !then.losses.includes(loss));
  return [
    ...joined(brokerChanges(then, cluster)).map(mark('fence')),
    ...controller.map(mark('controller')),
    ...joined(elections).map(mark('election')),
    ...joined(syncSets).map(mark('sync set')),
    ...joined(losses).map(mark('loss')),
  ];
}

function brokerChanges(before: ClusterSeen, now: ClusterSeen): string[] {
  const then = new Map(before.brokers.map(({ brokerId, state }) => [brokerId, state]));
  return now.brokers.flatMap(({ brokerId, state }) => {
    const old = then.get(brokerId);
    return old === state
      ? []
      : [`broker ${brokerId} is ${state}${old === undefined ? '' : `, was ${old}`}`];
  });
}

function partitionChanges(
  before: ClusterSeen,
  now: ClusterSeen,
): { elections: string[]; syncSets: string[] } {
  const then = new Map(before.partitions.map((one) => [keyOf(one), one]));
  const [elections, syncSets]: [string[], string[]] = [[], []];
  for (const partition of now.partitions) {
    const old = then.get(keyOf(partition));
    if (old === undefined) continue;
    const { topic, partition: number, leader, leaderEpoch, syncSet } = partition;
    const name = `${topic}/${number}`;
    if (leader !== old.leader)
      elections.push(
        leader === null
          ? `${name} has no leader`
          : `${name} is led by ${leader}, epoch ${leaderEpoch}`,
      );
    const change = setChange(old.syncSet, syncSet);
    if (change !== '') syncSets.push(`${name} in sync: ${change}`);
  }
  return { elections, syncSets };
}

function setChange(before: readonly number[], now: readonly number[]): string {
  const left = before.filter((id) => !now.includes(id)).map((id) => `−${id}`);
  const came = now.filter((id) => !before.includes(id)).map((id) => `+${id}`);
  return [...left, ...came].join(' ');
}

/** One text of all where they are few, else of the first and how many more there are. */
function joined(texts: readonly string[]): string[] {
  if (texts.length === 0) return [];
  const more = texts.length - TOLD_MAX;
  return [`${texts.slice(0, TOLD_MAX).join('; ')}${more > 0 ? `; and ${more} more` : ''}`];
}
