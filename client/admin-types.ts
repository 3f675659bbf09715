/**
 * What the admin takes and gives where it is not as it travels: commit modes are words. Checks what
 * programs hand in, and translates.
 */
import {
  Cleanup as WireCleanup,
  type CleanupConfig as WireCleanupConfig,
} from '../proto/gen/tidemark/v1/cleanup.ts';
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

/**
 * What becomes of old records: `delete`: retention retires whole segments; `compact`: the last
 * record of every key stays, and retention takes nothing; `both`: both. docs/compaction.md.
 */
export type Cleanup = 'delete' | 'compact' | 'both';

interface HasCommitMode {
  readonly commitMode?: CommitMode | undefined;
}

/**
 * Settings of a topic; absent ones take the default, or stay as they are. A `minInSyncReplicas` of
 * 0 chooses none: the topic follows the default of the cluster, as one does that was made without
 * (`followsMinInSyncReplicas` of a `Topic`).
 */
export type TopicConfig = Readonly<Omit<WireConfig, 'commitMode' | 'cleanup'>> &
  HasCommitMode &
  Readonly<Omit<WireCleanupConfig, 'cleanup'>> & { readonly cleanup?: Cleanup | undefined };

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
  retentionRecords: optional(bound),
  cleanup: optional(oneOf('delete', 'compact', 'both')),
  tombstoneRetentionMs: optional(size),
  compactionDirtyPercent: optional(count),
  compactionLagMinMs: optional(size),
  compactionLagMaxMs: optional(bound),
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

const CLEANUP_TO_WIRE: Readonly<Record<Cleanup, WireCleanup>> = {
  delete: WireCleanup.CLEANUP_DELETE,
  compact: WireCleanup.CLEANUP_COMPACT,
  both: WireCleanup.CLEANUP_BOTH,
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

/** Configs as they travel; absent ones stay as they are, or take the default. */
export function configToWire(config: TopicConfig | undefined): WireConfig | undefined {
  const travels = modeToWire(config);
  if (travels === undefined) return undefined;
  const {
    cleanup: word,
    retentionRecords,
    tombstoneRetentionMs,
    compactionDirtyPercent,
    compactionLagMinMs,
    compactionLagMaxMs,
    ...rest
  } = travels;
  const numbers = {
    retentionRecords,
    tombstoneRetentionMs,
    compactionDirtyPercent,
    compactionLagMinMs,
    compactionLagMaxMs,
  };
  if (word === undefined && Object.values(numbers).every((value) => value === undefined))
    return rest;
  const cleanup = word === undefined ? WireCleanup.CLEANUP_UNSPECIFIED : CLEANUP_TO_WIRE[word];
  return { ...rest, cleanup: { ...numbers, cleanup } };
}

/** Whether brokers that do not know of it would keep fewer records, or more, than it says. */
export function needsCompaction({
  cleanup = 'delete',
  retentionRecords = -1,
}: TopicConfig): boolean {
  return cleanup !== 'delete' || retentionRecords !== -1;
}

export function topicFromWire(topic: WireTopic): Topic {
  return { ...topic, config: topic.config === undefined ? {} : configFromWire(topic.config) };
}

/** A cleanup that this build has no word for is left out. */
function configFromWire(config: WireConfig): TopicConfig {
  const { cleanup: travels, ...rest } = modeFromWire(config);
  if (travels === undefined) return rest;
  const { cleanup: kind, ...numbers } = travels;
  const words = Object.entries(CLEANUP_TO_WIRE) as [Cleanup, WireCleanup][];
  const [cleanup] = words.find(([, wire]) => wire === kind) ?? [];
  return cleanup === undefined ? { ...rest, ...numbers } : { ...rest, ...numbers, cleanup };
}

export function settingsFromWire(settings: WireSettings): ClusterSettings {
  const { topicDefaults } = settings;
  return {
    ...settings,
    topicDefaults: topicDefaults === undefined ? undefined : modeFromWire(topicDefaults),
  };
}
