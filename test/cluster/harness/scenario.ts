/** A fault under load, from the first record to the comparison of every copy on disk. */
import { expect } from 'vitest';
import type { Topic } from '../../../client/admin-types.ts';
import { type Held, type TestCluster, type TopicShape } from './cluster.ts';
import {
  type Append,
  check,
  checkFollowed,
  checkRepeatable,
  type StoredRecord,
  summary,
  type Verdict,
  type Violation,
} from './history.ts';
import { Load, type LoadOptions, type LoadReport } from './load.ts';
import { compareReplicas, readReplica, recordsOf } from './replicas.ts';
import { when } from './wait.ts';

/** What a fault is given to work with. */
export interface Scene {
  readonly topic: Topic;
  readonly load: Load;
  /**
   * Resolves when every partition has acknowledged so many more records, with the faults as they
   * are now.
   */
  readonly progress: (records?: number) => Promise<void>;
}

/** What a scenario found out. */
export interface Outcome extends LoadReport {
  readonly topic: Topic;
  readonly verdict: Verdict;
}

export interface ScenarioOptions extends TopicShape {
  readonly load?: Partial<LoadOptions>;
  /** The fault lets records be retired: those below the log starts are owed no more. */
  readonly isRetiring?: boolean;
  /** Copies of each partition at the end; default: three. */
  readonly copies?: number;
}

const NOTHING: Held = { logStart: 0, highWaterMark: 0 };

/**
 * Creates a topic, appends to it all the time, runs `fault` meanwhile, and, when the cluster has
 * come to rest, checks the history against what is read back and against the files of every
 * replica. Fails where a promise was broken.
 */
export async function underLoad(
  cluster: TestCluster,
  options: ScenarioOptions,
  fault: (scene: Scene) => Promise<void>,
): Promise<Outcome> {
  const topic = await cluster.createTopic(options);
  const load = new Load(() => cluster.connect(), { topic: topic.name, ...options.load });
  const progress = (records = 20): Promise<void> => moreAcknowledged(cluster, topic, load, records);
  try {
    await progress();
    await cluster.wait('the reader to begin', () => when(load.readUpTo.size > 0));
    await fault({ topic, load, progress });
    await progress();
    await load.drain();
    await cluster.wait('the reader to be given all that was acknowledged', (note) => {
      note({ read: [...load.readUpTo], acknowledged: [...load.acknowledgedUpTo] });
      return when(load.isReadUp);
    });
  } catch (error) {
    load.pause();
    throw error;
  }
  const report = await load.stop();
  const verdict = await verify(cluster, topic, report, options);
  return { ...report, topic, verdict };
}

/** Checks the history of a topic at rest. Fails where a promise was broken. */
export async function verify(
  cluster: TestCluster,
  topic: Topic,
  { appends, consumed }: Pick<LoadReport, 'appends' | 'consumed'>,
  { isRetiring = false, copies = 3 }: Pick<ScenarioOptions, 'isRetiring' | 'copies'> = {},
): Promise<Verdict> {
  const held = await cluster.waitSettled(topic.name);
  const isKept = ({ partition, offset }: { partition: number; offset: number }): boolean =>
    !isRetiring || offset >= (held.get(partition)?.logStart ?? 0);
  const owed = appends.filter(({ outcome }) => outcome.kind !== 'acknowledged' || isKept(outcome));
  // Replicas may have moved since the topic was made.
  const present = await cluster.admin.describeTopic(topic.name);
  const stored = await readAll(cluster, topic.name);
  const verdict = check(owed, stored);
  const violations: Violation[] = [
    ...verdict.violations,
    ...checkRepeatable(consumed.filter(isKept), stored),
    ...checkFollowed(consumed, stored),
    ...checkReplicas(cluster, present, { held, copies }, owed),
  ];
  expect(summary({ violations }), cluster.logs(10)).toEqual([]);
  return verdict;
}

/** Reads a topic to its end, as any consumer would. */
export async function readAll(cluster: TestCluster, topic: string): Promise<StoredRecord[]> {
  const client = cluster.connect();
  const records: StoredRecord[] = [];
  try {
    for await (const batch of client.consumer({
      topic,
      from: 'earliest',
      follow: false,
      onLoss: 'yield',
    })) {
      if ('kind' in batch) continue;
      for (const { offset, key, value } of batch.records)
        records.push({
          partition: batch.partition,
          offset,
          key,
          value: value ?? new Uint8Array(0),
        });
    }
    return records;
  } finally {
    await client.close();
  }
}

/** The same check for each broker's own files, and the copies against each other. */
function checkReplicas(
  cluster: TestCluster,
  { topicId, partitions }: Topic,
  { held, copies }: { readonly held: ReadonlyMap<number, Held>; readonly copies: number },
  appends: readonly Append[],
): Violation[] {
  const logs = partitions.flatMap(({ partition, replicas }) =>
    replicas.map((brokerId) =>
      readReplica(cluster.broker(brokerId).dataDir, brokerId, {
        ...(held.get(partition) ?? NOTHING),
        topicId,
        partition,
      }),
    ),
  );
  const byPartition = Map.groupBy(logs, ({ partition }) => partition);
  const differences = [...byPartition.values()].flatMap((some) => compareReplicas(some, copies));
  const byBroker = Map.groupBy(logs, ({ brokerId }) => brokerId);
  const histories = [...byBroker].flatMap(([brokerId, own]) => {
    const partitionsHeld = new Set(own.map(({ partition }) => partition));
    const owed = appends.filter(
      ({ outcome }) => outcome.kind !== 'acknowledged' || partitionsHeld.has(outcome.partition),
    );
    const stored = own.flatMap((log) => recordsOf(log, topicId));
    return check(owed, stored).violations.map((one) => ({
      ...one,
      detail: `on broker ${brokerId}: ${one.detail}`,
    }));
  });
  return [...differences, ...histories];
}

async function moreAcknowledged(
  cluster: TestCluster,
  topic: Topic,
  load: Load,
  records: number,
): Promise<void> {
  const before = new Map(load.acknowledged);
  await cluster.wait(`${records} more records of each partition`, (note) => {
    load.checkReader();
    const counts = topic.partitions.map(
      ({ partition }) => (load.acknowledged.get(partition) ?? 0) - (before.get(partition) ?? 0),
    );
    note({ counts, failed: load.failed.slice(0, 3) });
    return counts.every((count) => count >= records) ? true : undefined;
  });
}
