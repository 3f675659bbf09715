/**
 * `spec.minInSyncReplicas` reaches the topics that follow it, live. A topic follows while it has
 * the minimum that the operator last gave, and no LogTopic names another. Lowered at once; raised
 * only where every partition could go on, and not while brokers are being taken away.
 */
import { counted, listed } from './service.ts';
import { acts, NOTHING, refuses, type Step, waits } from './step.ts';
import type { Observation, TopicView } from './types.ts';

/** The brokers' own default, which topics have that nobody gave another. */
export const MIN_DEFAULT = 2;
/** Topics changed in one pass. */
const CHANGES_PER_PASS_MAX = 50;

/** The step, and what the status says of the minimum after it. */
export interface MinFollowed {
  readonly step: Step;
  readonly given: number | undefined;
  readonly pending: readonly number[];
}

export function followMin(observation: Observation): MinFollowed {
  const { cluster, metadata } = observation;
  const { minInSyncReplicas: given, minInSyncReplicasPending: pending = [] } = cluster.status ?? {};
  const wanted = cluster.spec.minInSyncReplicas;
  if (metadata === null) return { step: NOTHING, given, pending };
  // A change of mind midway leaves topics at any of these.
  const before = [given ?? MIN_DEFAULT, ...pending];
  const followers = metadata.topics.filter(
    (topic) =>
      topic.config.minInSyncReplicas !== wanted &&
      before.includes(topic.config.minInSyncReplicas) &&
      !hasOwnMin(observation, topic),
  );
  if (followers.length === 0) return { step: NOTHING, given: wanted, pending: [] };
  const doing = `setting minInSyncReplicas of ${counted(followers.length, 'topic')} to ${wanted}`;
  // Written down before the first topic has it: whoever takes over must know it for one of ours.
  if (!before.includes(wanted))
    return { step: { ...NOTHING, doing }, given, pending: [...pending, wanted] };
  return { step: changeMin(observation, followers, wanted, doing), given, pending };
}

function hasOwnMin({ logTopics }: Observation, topic: TopicView): boolean {
  return logTopics.some(
    ({ resource: { spec, metadata } }) =>
      (spec.topicName ?? metadata.name) === topic.name && spec.minInSyncReplicas !== undefined,
  );
}

function changeMin(
  { cluster, workload }: Observation,
  topics: readonly TopicView[],
  wanted: number,
  doing: string,
): Step {
  const change = (topic: TopicView) =>
    ({
      kind: 'alter-topic',
      name: topic.name,
      partitions: 0,
      replicationFactor: 0,
      change: { minInSyncReplicas: wanted },
    }) as const;
  const lowered = topics.filter(({ config }) => config.minInSyncReplicas > wanted);
  if (lowered.length > 0) return acts(doing, lowered.slice(0, CHANGES_PER_PASS_MAX).map(change));
  const impossible = topics.filter(({ replicationFactor }) => replicationFactor < wanted);
  if (impossible.length > 0) {
    const names = listed(
      impossible.map(({ name, replicationFactor }) => `${name} (${replicationFactor})`),
    );
    const message = `spec.minInSyncReplicas is ${wanted}, must be at most the replication factor of every topic that follows it: ${names}`;
    return refuses(doing, { gate: 'MinAboveReplicationFactor', message });
  }
  if ((workload?.replicas ?? 0) > cluster.spec.replicas)
    return waits(doing, 'waiting for the scale-down to end');
  const ready = topics.filter((topic) => shortPartitions(topic, wanted).length === 0);
  if (ready.length > 0) return acts(doing, ready.slice(0, CHANGES_PER_PASS_MAX).map(change));
  const short = topics.flatMap((topic) => shortPartitions(topic, wanted));
  return waits(
    doing,
    `waiting for ${counted(short.length, 'partition')} to have ${wanted} replicas in sync: ${listed(short)}`,
  );
}

function shortPartitions({ name, partitions }: TopicView, min: number): string[] {
  return partitions
    .map(({ partition, syncSet, suspects }) => ({
      partition,
      trusted: syncSet.filter((id) => !suspects.includes(id)).length,
    }))
    .filter(({ trusted }) => trusted < min)
    .map(({ partition, trusted }) => `${name}/${partition} has ${trusted}`);
}
