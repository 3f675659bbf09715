/**
 * `spec.minInSyncReplicas` reaches the topics that follow it, live. From feature level 16 on
 * brokers know which topics those are and see to it: the spec becomes their default. Below it a
 * topic follows while it has the minimum that the operator last gave, and no LogTopic names
 * another. Lowered at once; raised only where every partition could go on, and not while brokers
 * are being taken away.
 */
import { counted, listed } from './service.ts';
import { acts, NOTHING, refuses, type Step, waits } from './step.ts';
import type { EventNote, MetadataView, Observation, TopicView } from './types.ts';

/** The brokers' own default, which topics have that nobody gave another. */
export const MIN_DEFAULT = 2;
/** Topics changed in one pass. */
const CHANGES_PER_PASS_MAX = 50;

/** The step, and what the status says of the minimum after it. */
export interface MinFollowed {
  readonly step: Step;
  readonly given: number | undefined;
  readonly pending: readonly number[];
  /** Minimums that may be the brokers' default for topics now. */
  readonly usable: readonly number[];
}

export function followMin(observation: Observation): MinFollowed {
  const { cluster, metadata } = observation;
  const { minInSyncReplicas: given, minInSyncReplicasPending: pending = [] } = cluster.status ?? {};
  if (metadata === null) return { step: NOTHING, given, pending, usable: [] };
  return metadata.hasFollowing
    ? followDefault(observation, metadata, given)
    : followGiven(observation, metadata, given, pending);
}

/** Brokers give their default to whoever follows: what is left is to state it, and to wait. */
function followDefault(
  observation: Observation,
  { topics, settings }: MetadataView,
  given: number | undefined,
): MinFollowed {
  const wanted = observation.cluster.spec.minInSyncReplicas;
  const present = settings?.topicDefaults.minInSyncReplicas ?? MIN_DEFAULT;
  const behind = topics.filter(
    ({ followsMin, config }) => followsMin && config.minInSyncReplicas !== wanted,
  );
  const usable = [wanted];
  if (behind.length === 0) {
    const events = given === wanted ? [] : keptNotes(topics, wanted);
    return { step: { ...NOTHING, events }, given: wanted, pending: [], usable };
  }
  const doing = `setting minInSyncReplicas of ${counted(behind.length, 'topic')} to ${wanted}`;
  const isShrinking = (observation.workload?.replicas ?? 0) > observation.cluster.spec.replicas;
  // Brokers would raise it at once wherever they can.
  if (wanted > present && isShrinking) {
    const step = waits(doing, 'waiting for the scale-down to end');
    return { step, given, pending: [], usable: [] };
  }
  const refused = aboveCopies(behind, wanted, doing);
  const short = behind.flatMap((topic) => shortPartitions(topic, wanted));
  const cause = short.length > 0 ? shortText(short, wanted) : 'waiting for the brokers to do it';
  return { step: refused ?? waits(doing, cause), given, pending: [], usable };
}

/** Topics that keep another minimum than the LogCluster's: whoever changed that should know. */
function keptNotes(topics: readonly TopicView[], wanted: number): EventNote[] {
  const kept = topics.filter(
    ({ followsMin, config }) => !followsMin && config.minInSyncReplicas !== wanted,
  );
  if (kept.length === 0) return [];
  const names = listed(kept.map(({ name, config }) => `${name} (${config.minInSyncReplicas})`));
  const note = `minInSyncReplicas is another than spec.minInSyncReplicas (${wanted}) for ${counted(kept.length, 'topic')} that chose it, or is older than feature level 16: ${names}; spec.minInSyncReplicas 0 of a LogTopic lets its topic follow`;
  return [{ reason: 'MinimumsKept', note }];
}

function followGiven(
  observation: Observation,
  metadata: MetadataView,
  given: number | undefined,
  pending: readonly number[],
): MinFollowed {
  const wanted = observation.cluster.spec.minInSyncReplicas;
  // What the status does not vouch for would not follow the spec later on.
  const usable = [...(given === undefined ? [] : [given]), ...pending];
  // A change of mind midway leaves topics at any of these.
  const before = [given ?? MIN_DEFAULT, ...pending];
  const followers = metadata.topics.filter(
    (topic) =>
      topic.config.minInSyncReplicas !== wanted &&
      before.includes(topic.config.minInSyncReplicas) &&
      !hasOwnMin(observation, topic),
  );
  if (followers.length === 0)
    return { step: NOTHING, given: wanted, pending: [], usable: [wanted] };
  const doing = `setting minInSyncReplicas of ${counted(followers.length, 'topic')} to ${wanted}`;
  // Written down before the first topic has it: whoever takes over must know it for one of ours.
  if (!before.includes(wanted)) {
    const next = [...pending, wanted];
    return { step: { ...NOTHING, doing }, given, pending: next, usable: [...usable, wanted] };
  }
  return { step: changeMin(observation, followers, wanted, doing), given, pending, usable };
}

function hasOwnMin({ logTopics }: Observation, topic: TopicView): boolean {
  return logTopics.some(
    ({ resource: { spec, metadata } }) =>
      (spec.topicName ?? metadata.name) === topic.name && (spec.minInSyncReplicas ?? 0) > 0,
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
  const refused = aboveCopies(topics, wanted, doing);
  if (refused !== null) return refused;
  if ((workload?.replicas ?? 0) > cluster.spec.replicas)
    return waits(doing, 'waiting for the scale-down to end');
  const ready = topics.filter((topic) => shortPartitions(topic, wanted).length === 0);
  if (ready.length > 0) return acts(doing, ready.slice(0, CHANGES_PER_PASS_MAX).map(change));
  const short = topics.flatMap((topic) => shortPartitions(topic, wanted));
  return waits(doing, shortText(short, wanted));
}

function aboveCopies(topics: readonly TopicView[], wanted: number, doing: string): Step | null {
  const impossible = topics.filter(({ replicationFactor }) => replicationFactor < wanted);
  if (impossible.length === 0) return null;
  const names = listed(
    impossible.map(({ name, replicationFactor }) => `${name} (${replicationFactor})`),
  );
  const message = `spec.minInSyncReplicas is ${wanted}, must be at most the replication factor of every topic that follows it: ${names}`;
  return refuses(doing, { gate: 'MinAboveReplicationFactor', message });
}

function shortText(short: readonly string[], wanted: number): string {
  return `waiting for ${counted(short.length, 'partition')} to have ${wanted} replicas in sync: ${listed(short)}`;
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
