/**
 * What the admin takes and gives where it is not as it travels: commit modes are words. Checks what
 * programs hand in, and translates.
 */
import {
  CommitMode as WireMode,
  type AlterTopicRequest,
  type ClusterSettings as WireSettings,
  type CreateTopicRequest,
  type DescribeClusterResponse,
  type Topic as WireTopic,
  type TopicConfig as WireConfig,
  type TopicDefaults as WireDefaults,
} from '../proto/gen/tidemark/v1/admin.ts';
import {
  bound,
  count,
  flag,
  listOf,
  named,
  oneOf,
  optional,
  recordOf,
  shape,
  size,
  text,
} from './check.ts';

/** Who must hold a record before it is committed: docs/commit-modes.md. */
export type CommitMode = 'in-sync' | 'quorum';

interface HasCommitMode {
  readonly commitMode?: CommitMode | undefined;
}

/** Settings of a topic; absent ones take the default, or stay as they are. */
export type TopicConfig = Readonly<Omit<WireConfig, 'commitMode'>> & HasCommitMode;

/** What topics have whose creator states nothing. */
export type TopicDefaults = Readonly<Omit<WireDefaults, 'commitMode'>> & HasCommitMode;

/** A topic. Its config has every setting in force. */
export type Topic = Omit<WireTopic, 'config'> & { readonly config: TopicConfig };

/** Settings of the cluster. */
export type ClusterSettings = Omit<WireSettings, 'topicDefaults'> & {
  readonly topicDefaults: TopicDefaults | undefined;
};

/** The cluster as the broker that answers knows it. */
export type ClusterDescription = Omit<DescribeClusterResponse, 'settings'> & {
  readonly settings: ClusterSettings | undefined;
};

/** What `createTopic` takes. */
export type TopicRequest = Readonly<Partial<Omit<CreateTopicRequest, 'name' | 'config'>>> & {
  readonly name: string;
  readonly config?: TopicConfig | undefined;
};

/** What `alterTopic` takes. */
export type TopicChange = Readonly<Partial<Omit<AlterTopicRequest, 'name' | 'config'>>> & {
  readonly name: string;
  readonly config?: TopicConfig | undefined;
};

const commitMode = optional(oneOf('in-sync', 'quorum'));

/** Configs of a topic, each of which may be absent. */
export const TOPIC_CONFIG = shape({
  minInSyncReplicas: optional(count),
  commitMode,
  retentionMs: optional(bound),
  retentionBytes: optional(bound),
  segmentBytes: optional(size),
  segmentMs: optional(size),
  batchBytesMax: optional(count),
  uncleanElection: optional(flag),
});

const CONFIG = optional(TOPIC_CONFIG);

/** Of `createTopic`. */
export const TOPIC_REQUEST = shape({
  name: named,
  partitions: optional(count),
  replicationFactor: optional(count),
  config: CONFIG,
  assignments: optional(listOf(shape({ replicas: listOf(count) }))),
  validateOnly: optional(flag),
});

/** Of `alterTopic`. */
export const TOPIC_CHANGE = shape({
  name: named,
  partitions: optional(count),
  replicationFactor: optional(count),
  config: CONFIG,
  waitMs: optional(count),
});

/** Of `electLeader`. */
export const ELECTION = shape({
  topic: named,
  partition: count,
  target: optional(count),
  unclean: optional(flag),
  givenUp: optional(listOf(count)),
});

/** Of `setClusterSettings`. */
export const SETTINGS = shape({
  moveBytesPerSecond: optional(bound),
  brokerOptions: optional(recordOf(text)),
  topicDefaults: optional(
    shape({ replicationFactor: optional(count), minInSyncReplicas: optional(count), commitMode }),
  ),
});

const TO_WIRE: Readonly<Record<CommitMode, WireMode>> = {
  'in-sync': WireMode.COMMIT_MODE_IN_SYNC,
  quorum: WireMode.COMMIT_MODE_QUORUM,
};

/** With the mode as it travels; absent stays as it is, or takes the default. */
export function modeToWire<T extends HasCommitMode>(
  settings: T | undefined,
): (Omit<T, 'commitMode'> & { readonly commitMode: WireMode }) | undefined {
  if (settings === undefined) return undefined;
  const mode = settings.commitMode;
  const travels = mode === undefined ? WireMode.COMMIT_MODE_UNSPECIFIED : TO_WIRE[mode];
  return { ...settings, commitMode: travels };
}

/** With the mode as a word, where one is stated. */
export function modeFromWire<T extends { readonly commitMode: WireMode }>(
  settings: T,
): Omit<T, 'commitMode'> & HasCommitMode {
  const { commitMode: travels, ...rest } = settings;
  if (travels === WireMode.COMMIT_MODE_QUORUM) return { ...rest, commitMode: 'quorum' };
  return travels === WireMode.COMMIT_MODE_IN_SYNC ? { ...rest, commitMode: 'in-sync' } : rest;
}

export function topicFromWire(topic: WireTopic): Topic {
  return { ...topic, config: topic.config === undefined ? {} : modeFromWire(topic.config) };
}

export function settingsFromWire(settings: WireSettings): ClusterSettings {
  const { topicDefaults } = settings;
  return {
    ...settings,
    topicDefaults: topicDefaults === undefined ? undefined : modeFromWire(topicDefaults),
  };
}
