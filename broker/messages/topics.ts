/**
 * Topic requests and configs, between protobuf and the values of the metadata core. Shared by
 * `service`, which meets them from clients, and `network`, which carries them to the controller.
 * Checks shape and range of every field; rules that need metadata are the controller's.
 */
import {
  BROKER_ID_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  REPLICATION_FACTOR_MAX,
} from '../../base/limits.ts';
import { MIN_OF_CLUSTER, NO_BROKER } from '../../base/units.ts';
import type {
  AlterTopicRequest,
  CreateTopicRequest,
  ElectLeaderRequest,
} from '../metadata/controller-types.ts';
import type { RestartClass, TopicConfig } from '../metadata/types.ts';
import { Cleanup, type CleanupConfig } from '../../proto/gen/tidemark/v1/cleanup.ts';
import {
  CommitMode,
  type AlterTopicRequest as AlterTopicMessage,
  type CreateTopicRequest as CreateTopicMessage,
  type ElectLeaderRequest as ElectLeaderMessage,
  RestartClass as RestartClassValue,
  type TopicConfig as TopicConfigMessage,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { integerField, refuse, topicNameField, uuidField } from './fields.ts';

const SAFE_MAX = Number.MAX_SAFE_INTEGER;
const U32_MAX = 0xffff_ffff;

const RESTART_CLASSES = {
  new: RestartClassValue.RESTART_CLASS_NEW,
  clean: RestartClassValue.RESTART_CLASS_CLEAN,
  warm: RestartClassValue.RESTART_CLASS_WARM,
  lossy: RestartClassValue.RESTART_CLASS_LOSSY,
} as const satisfies Record<RestartClass, RestartClassValue>;

const CLEANUPS = {
  delete: Cleanup.CLEANUP_DELETE,
  compact: Cleanup.CLEANUP_COMPACT,
  both: Cleanup.CLEANUP_BOTH,
} as const satisfies Record<TopicConfig['cleanup'], Cleanup>;

/** A restart class as its enum. */
export function restartClassToMessage(restartClass: RestartClass): RestartClassValue {
  return RESTART_CLASSES[restartClass];
}

/** The restart class of an enum. */
export function restartClassField(field: string, value: RestartClassValue): RestartClass {
  const found = (Object.keys(RESTART_CLASSES) as RestartClass[]).find(
    (name) => RESTART_CLASSES[name] === value,
  );
  return found ?? refuse(field, value, 'RESTART_CLASS_NEW, _CLEAN, _WARM or _LOSSY');
}

/** A broker id. */
export function brokerIdField(field: string, value: number): number {
  return integerField(field, value, 0, BROKER_ID_MAX);
}

/** Configs of a topic, some or all. */
export function topicConfigToMessage(config: Partial<TopicConfig>): TopicConfigMessage {
  return {
    minInSyncReplicas: config.minInSyncReplicas,
    commitMode: commitModeToMessage(config.commitMode),
    retentionMs: config.retentionMs,
    retentionBytes: config.retentionBytes,
    segmentBytes: config.segmentBytes,
    segmentMs: config.segmentMs,
    batchBytesMax: config.batchBytesMax,
    uncleanElection: config.uncleanElection,
    cleanup: cleanupToMessage(config),
  };
}

/** The configs that a message states. */
export function topicConfigField(
  field: string,
  message: TopicConfigMessage | undefined,
): Partial<TopicConfig> {
  if (message === undefined) return {};
  const config: { -readonly [Key in keyof TopicConfig]?: TopicConfig[Key] } = {};
  const {
    minInSyncReplicas,
    commitMode,
    retentionMs,
    retentionBytes,
    segmentBytes,
    segmentMs,
    batchBytesMax,
  } = message;
  if (minInSyncReplicas !== undefined) {
    config.minInSyncReplicas = integerField(
      `${field}.min_in_sync_replicas`,
      minInSyncReplicas,
      MIN_OF_CLUSTER,
      REPLICATION_FACTOR_MAX,
    );
  }
  if (commitMode === CommitMode.COMMIT_MODE_IN_SYNC) config.commitMode = 'in-sync';
  else if (commitMode === CommitMode.COMMIT_MODE_QUORUM) config.commitMode = 'quorum';
  else if (commitMode !== CommitMode.COMMIT_MODE_UNSPECIFIED) {
    refuse(`${field}.commit_mode`, commitMode, 'COMMIT_MODE_IN_SYNC or COMMIT_MODE_QUORUM');
  }
  if (retentionMs !== undefined)
    config.retentionMs = integerField(`${field}.retention_ms`, retentionMs, -1, SAFE_MAX);
  if (retentionBytes !== undefined)
    config.retentionBytes = integerField(`${field}.retention_bytes`, retentionBytes, -1, SAFE_MAX);
  if (segmentBytes !== undefined)
    config.segmentBytes = integerField(`${field}.segment_bytes`, segmentBytes, 1, SAFE_MAX);
  if (segmentMs !== undefined)
    config.segmentMs = integerField(`${field}.segment_ms`, segmentMs, 1, SAFE_MAX);
  if (batchBytesMax !== undefined)
    config.batchBytesMax = integerField(`${field}.batch_bytes_max`, batchBytesMax, 1, U32_MAX);
  if (message.uncleanElection !== undefined) config.uncleanElection = message.uncleanElection;
  return { ...config, ...cleanupField(`${field}.cleanup`, message.cleanup) };
}

/** Absent where it would state nothing. */
function cleanupToMessage(config: Partial<TopicConfig>): CleanupConfig | undefined {
  const { cleanup } = config;
  const message = {
    retentionRecords: config.retentionRecords,
    tombstoneRetentionMs: config.tombstoneRetentionMs,
    compactionDirtyPercent: config.compactionDirtyPercent,
    compactionLagMinMs: config.compactionLagMinMs,
    compactionLagMaxMs: config.compactionLagMaxMs,
  };
  if (cleanup !== undefined) return { ...message, cleanup: CLEANUPS[cleanup] };
  return Object.values(message).every((value) => value === undefined)
    ? undefined
    : { ...message, cleanup: Cleanup.CLEANUP_UNSPECIFIED };
}

function cleanupField(field: string, message: CleanupConfig | undefined): Partial<TopicConfig> {
  if (message === undefined) return {};
  const number = (name: string, value: number | undefined, min: number): number | undefined =>
    value === undefined ? undefined : integerField(`${field}.${name}`, value, min, SAFE_MAX);
  const stated = {
    cleanup: cleanupWord(`${field}.cleanup`, message.cleanup),
    retentionRecords: number('retention_records', message.retentionRecords, -1),
    tombstoneRetentionMs: number('tombstone_retention_ms', message.tombstoneRetentionMs, 0),
    compactionDirtyPercent: number('compaction_dirty_percent', message.compactionDirtyPercent, 0),
    compactionLagMinMs: number('compaction_lag_min_ms', message.compactionLagMinMs, 0),
    compactionLagMaxMs: number('compaction_lag_max_ms', message.compactionLagMaxMs, -1),
  };
  return Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined));
}

function cleanupWord(field: string, value: Cleanup): TopicConfig['cleanup'] | undefined {
  if (value === Cleanup.CLEANUP_UNSPECIFIED) return undefined;
  const found = (Object.keys(CLEANUPS) as (keyof typeof CLEANUPS)[]).find(
    (name) => CLEANUPS[name] === value,
  );
  return found ?? refuse(field, value, 'CLEANUP_DELETE, _COMPACT or _BOTH');
}

/** A request to make a topic, as a message. Its topic id travels beside it. */
export function createTopicToMessage(request: CreateTopicRequest): CreateTopicMessage {
  return {
    name: request.name,
    partitions: request.partitions,
    replicationFactor: request.replicationFactor,
    config: topicConfigToMessage(request.config),
    assignments: request.assignments.map((replicas) => ({ replicas: [...replicas] })),
    validateOnly: request.validateOnly,
  };
}

/** A request to make a topic. Counts of 0 stay: the controller puts its defaults there. */
export function createTopicField(topicId: string, message: CreateTopicMessage): CreateTopicRequest {
  return {
    kind: 'create-topic',
    topicId: uuidField('topic_id', topicId),
    name: topicNameField('name', message.name),
    partitions: integerField('partitions', message.partitions, 0, PARTITIONS_PER_TOPIC_MAX),
    replicationFactor: integerField(
      'replication_factor',
      message.replicationFactor,
      0,
      REPLICATION_FACTOR_MAX,
    ),
    config: topicConfigField('config', message.config),
    assignments: assignmentsField(message.assignments),
    validateOnly: message.validateOnly,
  };
}

/** A request to change a topic, as a message. */
export function alterTopicToMessage(request: AlterTopicRequest): AlterTopicMessage {
  const { name, partitions, replicationFactor, waitMs } = request;
  return {
    name,
    config: topicConfigToMessage(request.config),
    partitions,
    replicationFactor,
    waitMs,
  };
}

/** A request to change a topic. */
export function alterTopicField(message: AlterTopicMessage): AlterTopicRequest {
  return {
    kind: 'alter-topic',
    name: topicNameField('name', message.name),
    config: topicConfigField('config', message.config),
    partitions: integerField('partitions', message.partitions, 0, PARTITIONS_PER_TOPIC_MAX),
    replicationFactor: integerField(
      'replication_factor',
      message.replicationFactor,
      0,
      REPLICATION_FACTOR_MAX,
    ),
    waitMs: message.waitMs,
  };
}

/** A request to move leadership, as a message. */
export function electLeaderToMessage(request: ElectLeaderRequest): ElectLeaderMessage {
  return {
    topic: request.topic,
    partition: request.partition,
    target: request.target === NO_BROKER ? undefined : request.target,
    unclean: request.unclean,
    givenUp: [...request.givenUp],
  };
}

/** A request to move leadership. */
export function electLeaderField(message: ElectLeaderMessage): ElectLeaderRequest {
  integerField('given_up length', message.givenUp.length, 0, REPLICATION_FACTOR_MAX);
  return {
    kind: 'elect-leader',
    topic: topicNameField('topic', message.topic),
    partition: integerField('partition', message.partition, 0, PARTITIONS_PER_TOPIC_MAX - 1),
    target: message.target === undefined ? NO_BROKER : brokerIdField('target', message.target),
    unclean: message.unclean,
    givenUp: message.givenUp.map((brokerId, index) =>
      brokerIdField(`given_up[${index}]`, brokerId),
    ),
  };
}

export function commitModeToMessage(mode: TopicConfig['commitMode'] | undefined): CommitMode {
  if (mode === undefined) return CommitMode.COMMIT_MODE_UNSPECIFIED;
  return mode === 'in-sync' ? CommitMode.COMMIT_MODE_IN_SYNC : CommitMode.COMMIT_MODE_QUORUM;
}

function assignmentsField(
  assignments: CreateTopicMessage['assignments'],
): readonly (readonly number[])[] {
  integerField('assignments length', assignments.length, 0, PARTITIONS_PER_TOPIC_MAX);
  return assignments.map(({ replicas }, index) => {
    integerField(
      `assignments[${index}].replicas length`,
      replicas.length,
      1,
      REPLICATION_FACTOR_MAX,
    );
    return replicas.map((brokerId) => brokerIdField(`assignments[${index}].replicas`, brokerId));
  });
}
