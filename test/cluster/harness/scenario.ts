/** A fault under load, from the first record to the comparison of every copy on disk. */
import { expect } from 'vitest';
import type { Topic } from '../../../proto/gen/tidemark/v1/admin.ts';
import type { TestCluster, TopicShape } from './cluster.ts';
import {
  check,
  checkRepeatable,
  type StoredRecord,
  summary,
  type Verdict,
  type Violation,
} from './history.ts';
import { Load, type LoadOptions, type LoadReport } from './load.ts';
import { compareReplicas, readReplica, recordsOf } from './replicas.ts';

/** What a fault is given to work with. */
export interface Scene {
  readonly topic: Topic;
  readonly load: Load;
  /** Resolves when every partition has acknowledged so many more records, with the faults as they are now. */
  readonly progress: (records?: number) => Promise<void>;
}

/** What a scenario found out. */
export interface Outcome extends LoadReport {
  readonly topic: Topic;
  readonly verdict: Verdict;
}

export interface ScenarioOptions extends TopicShape {
  readonly load?: Partial<LoadOptions>;
}

/** Copies that must hold every acknowledged record. */
const COPIES = 3;

/**
 * Creates a topic, appends to it all the time, runs `fault` meanwhile, and, when the cluster has come to rest, checks the history against what is
 * read back and against the files of every replica. Fails where a promise was broken.
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
    await fault({ topic, load, progress });
    await progress();
  } catch (error) {
    load.pause();
    throw error;
  }
  const report = await load.stop();
  const verdict = await verify(cluster, topic, report);
  return { ...report, topic, verdict };
}

/** Checks the history of a topic at rest. Fails where a promise was broken. */
export async function verify(
  cluster: TestCluster,
  topic: Topic,
  report: Pick<LoadReport, 'appends' | 'consumed'>,
): Promise<Verdict> {
  const marks = await cluster.waitSettled(topic.name);
  // Replicas may have moved since the topic was made.
  const present = await cluster.admin.describeTopic(topic.name);
  const stored = await readAll(cluster, topic.name);
  const verdict = check(report.appends, stored);
  const violations: Violation[] = [
    ...verdict.violations,
    ...checkRepeatable(report.consumed, stored),
    ...checkReplicas(cluster, present, marks, report),
  ];
  expect(summary({ violations }), cluster.logs(10)).toEqual([]);
  return verdict;
}

/** Reads a topic to its end, as any consumer would. */
export async function readAll(cluster: TestCluster, topic: string): Promise<StoredRecord[]> {
  const client = cluster.connect();
  const records: StoredRecord[] = [];
  try {
    for await (const batch of client.consumer({ topic, from: 'earliest', follow: false })) {
      for (const { offset, key, value } of batch.records)
        records.push({ partition: batch.partition, offset, key, value });
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
  marks: ReadonlyMap<number, number>,
  { appends }: Pick<LoadReport, 'appends'>,
): Violation[] {
  const logs = partitions.flatMap(({ partition, replicas }) =>
    replicas.map((brokerId) =>
      readReplica(cluster.broker(brokerId).dataDir, brokerId, {
        topicId,
        partition,
        highWaterMark: marks.get(partition) ?? 0,
      }),
    ),
  );
  const byPartition = Map.groupBy(logs, ({ partition }) => partition);
  const differences = [...byPartition.values()].flatMap((copies) =>
    compareReplicas(copies, COPIES),
  );
  const byBroker = Map.groupBy(logs, ({ brokerId }) => brokerId);
  const histories = [...byBroker].flatMap(([brokerId, copies]) => {
    const held = new Set(copies.map(({ partition }) => partition));
    const owed = appends.filter(
      ({ outcome }) => outcome.kind !== 'acknowledged' || held.has(outcome.partition),
    );
    const stored = copies.flatMap((log) => recordsOf(log, topicId));
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
    const counts = topic.partitions.map(
      ({ partition }) => (load.acknowledged.get(partition) ?? 0) - (before.get(partition) ?? 0),
    );
    note({ counts, failed: load.failed.slice(0, 3) });
    return counts.every((count) => count >= records) ? true : undefined;
  });
}
