/**
 * Configs of a topic: one table of names, defaults and bounds, and the checks against it. Bad ones
 * are rejected, never repaired (Kafka silently clamps minInSyncReplicas to the replication factor:
 * rule 8), and every fault is reported at once. Must not know where one came from or how it is
 * applied.
 */
import {
  BATCH_BYTES_MIN,
  FRAME_BYTES_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  REPLICATION_FACTOR_MAX,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SEGMENT_MS_MAX,
  SEGMENT_MS_MIN,
} from '../../base/limits.ts';
import { nameFault } from '../../base/names.ts';
import type { Cleanup, CommitMode, TopicConfig } from './types.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;
const COMMIT_MODES: readonly CommitMode[] = ['in-sync', 'quorum'];
const CLEANUPS: readonly Cleanup[] = ['delete', 'compact', 'both'];

/** One row for a whole number. Bounds are inclusive; `isUnboundedAllowed` admits -1 beside them. */
export interface NumberConfig {
  readonly type: 'number';
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly isUnboundedAllowed: boolean;
  readonly meaning: string;
}

/** One row for one with a few values. */
export interface ChoiceConfig {
  readonly type: 'choice';
  readonly default: string | boolean;
  readonly values: readonly (string | boolean)[];
  readonly meaning: string;
}

/** Every config of a topic. */
export const TOPIC_CONFIGS = {
  minInSyncReplicas: {
    type: 'number',
    default: 2,
    min: 1,
    max: REPLICATION_FACTOR_MAX,
    isUnboundedAllowed: false,
    meaning:
      'Fewest trusted, unfenced members of the sync set that let an append in; at most the replication factor',
  },
  commitMode: {
    type: 'choice',
    default: 'in-sync',
    values: COMMIT_MODES,
    meaning:
      'in-sync: every member of the sync set acknowledges; quorum: a majority does, which needs three replicas or more',
  },
  retentionMs: {
    type: 'number',
    default: 7 * DAY_MS,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    isUnboundedAllowed: true,
    meaning: 'Age past which the leader retires sealed segments; -1 keeps for ever',
  },
  retentionBytes: {
    type: 'number',
    default: -1,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    isUnboundedAllowed: true,
    meaning:
      'Bytes of one replica past which the leader retires sealed segments; -1 means no bound',
  },
  retentionRecords: {
    type: 'number',
    default: -1,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    isUnboundedAllowed: true,
    meaning:
      'Newest committed records of a partition that stay at least: the leader retires the sealed segments before them; -1 means no bound',
  },
  segmentBytes: {
    type: 'number',
    default: 64 * MIB,
    min: SEGMENT_BYTES_MIN,
    max: SEGMENT_BYTES_MAX,
    isUnboundedAllowed: false,
    meaning: 'Size at which a segment is sealed; at least batchBytesMax',
  },
  segmentMs: {
    type: 'number',
    default: DAY_MS,
    min: SEGMENT_MS_MIN,
    max: SEGMENT_MS_MAX,
    isUnboundedAllowed: false,
    meaning: 'Age at which a segment is sealed, so that retention by time can retire it',
  },
  batchBytesMax: {
    type: 'number',
    default: MIB,
    min: BATCH_BYTES_MIN,
    max: FRAME_BYTES_MAX,
    isUnboundedAllowed: false,
    meaning: 'Largest batch frame accepted, header included',
  },
  uncleanElection: {
    type: 'choice',
    default: false,
    values: [false, true],
    meaning:
      'May a leader be elected without enough trusted logs, with a published range of possible loss',
  },
  cleanup: {
    type: 'choice',
    default: 'delete',
    values: CLEANUPS,
    meaning:
      'delete: retention retires old segments; compact: the last record of every key stays, and retention takes nothing; both: both',
  },
  tombstoneRetentionMs: {
    type: 'number',
    default: DAY_MS,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    isUnboundedAllowed: false,
    meaning: 'Time that a tombstone stays at least, from the order that takes what it deletes',
  },
  compactionDirtyPercent: {
    type: 'number',
    default: 50,
    min: 1,
    max: 100,
    isUnboundedAllowed: false,
    meaning: 'Share of a log that was written since the last pass, at which another one is due',
  },
  compactionLagMinMs: {
    type: 'number',
    default: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    isUnboundedAllowed: false,
    meaning: 'Age below which compaction leaves every record',
  },
  compactionLagMaxMs: {
    type: 'number',
    default: -1,
    // Nothing younger than a moment is ever compacted, so 0 could only mean without end.
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
    isUnboundedAllowed: true,
    meaning:
      'Age of a record that no pass has seen, at which one is due, however small its share; at least compactionLagMinMs; -1 means none',
  },
} as const satisfies Record<keyof TopicConfig, NumberConfig | ChoiceConfig>;

/**
 * The defaults of the table. What a build before feature level 12 did not know is absent in the
 * metadata log while it has its default (`codec.ts`), so those defaults can never change.
 */
export const TOPIC_CONFIG_DEFAULTS: TopicConfig = {
  minInSyncReplicas: TOPIC_CONFIGS.minInSyncReplicas.default,
  commitMode: TOPIC_CONFIGS.commitMode.default,
  retentionMs: TOPIC_CONFIGS.retentionMs.default,
  retentionBytes: TOPIC_CONFIGS.retentionBytes.default,
  retentionRecords: TOPIC_CONFIGS.retentionRecords.default,
  segmentBytes: TOPIC_CONFIGS.segmentBytes.default,
  segmentMs: TOPIC_CONFIGS.segmentMs.default,
  batchBytesMax: TOPIC_CONFIGS.batchBytesMax.default,
  uncleanElection: TOPIC_CONFIGS.uncleanElection.default,
  cleanup: TOPIC_CONFIGS.cleanup.default,
  tombstoneRetentionMs: TOPIC_CONFIGS.tombstoneRetentionMs.default,
  compactionDirtyPercent: TOPIC_CONFIGS.compactionDirtyPercent.default,
  compactionLagMinMs: TOPIC_CONFIGS.compactionLagMinMs.default,
  compactionLagMaxMs: TOPIC_CONFIGS.compactionLagMaxMs.default,
};

/** Configs that brokers know from feature level 12 on. */
const CONFIGS_OF_COMPACTION: ReadonlySet<string> = new Set<keyof TopicConfig>([
  'retentionRecords',
  'cleanup',
  'tombstoneRetentionMs',
  'compactionDirtyPercent',
  'compactionLagMinMs',
  'compactionLagMaxMs',
]);

/** Whether a config is one of feature level 12, and says what brokers below it do anyway. */
export function isDefaultOfCompaction(name: string, value: unknown): boolean {
  return (
    CONFIGS_OF_COMPACTION.has(name) && value === TOPIC_CONFIG_DEFAULTS[name as keyof TopicConfig]
  );
}

/** The configs that need feature level 12: none that is absent, or at its default. */
export function configsOfCompaction(config: Partial<TopicConfig>): string[] {
  return Object.entries(config)
    .filter(([name, value]) => CONFIGS_OF_COMPACTION.has(name) && value !== undefined)
    .filter(([name, value]) => !isDefaultOfCompaction(name, value))
    .map(([name]) => name);
}

/** Whether compaction works on the logs of a topic. */
export function isCompacted({ cleanup }: Pick<TopicConfig, 'cleanup'>): boolean {
  return cleanup !== 'delete';
}

/** Configs as checked: `config` may be used only when `faults` is empty. */
export interface CheckedTopicConfig {
  readonly config: TopicConfig;
  /** One sentence per fault, naming field, value and what is allowed. */
  readonly faults: readonly string[];
}

/**
 * Fills absent configs of `partial` from `defaults`. Checks what is given against its bounds, and
 * the whole, defaults included, against the relations: a default that does not fit this topic's
 * replication factor is a fault too. What is not in the table is a fault.
 */
export function validateTopicConfig(
  partial: Partial<TopicConfig>,
  defaults: TopicConfig,
  topic: { readonly replicationFactor: number },
): CheckedTopicConfig {
  const faults = Object.keys(partial)
    .filter((name) => !Object.hasOwn(TOPIC_CONFIGS, name))
    .map(
      (name) => `${name} is not a config, must be one of ${Object.keys(TOPIC_CONFIGS).join(', ')}`,
    );
  const given = Object.fromEntries(
    Object.entries(partial).filter(([, value]) => value !== undefined),
  );
  const config: TopicConfig = { ...defaults, ...given };
  for (const name of Object.keys(TOPIC_CONFIGS) as (keyof TopicConfig)[]) {
    // What is not given was judged when it was set: an older build may have had other bounds.
    const fault = Object.hasOwn(given, name) ? configFault(name, config[name]) : null;
    if (fault !== null) faults.push(fault);
  }
  return { config, faults: [...faults, ...relationFaults(config, topic.replicationFactor)] };
}

/** What is wrong with a topic name that a client asks for, or null. */
export function topicNameFault(name: string): string | null {
  return nameFault('name', name);
}

/** What is wrong with a replication factor, or null. */
export function replicationFactorFault(replicationFactor: number): string | null {
  if (
    Number.isInteger(replicationFactor) &&
    replicationFactor >= 1 &&
    replicationFactor <= REPLICATION_FACTOR_MAX
  )
    return null;
  return `replicationFactor is ${String(replicationFactor)}, must be a whole number from 1 to ${String(REPLICATION_FACTOR_MAX)}`;
}

/** What is wrong with a partition count, or null. */
export function partitionCountFault(partitions: number): string | null {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= PARTITIONS_PER_TOPIC_MAX)
    return null;
  return `partitions is ${String(partitions)}, must be a whole number from 1 to ${String(PARTITIONS_PER_TOPIC_MAX)}`;
}

function configFault(name: keyof TopicConfig, value: unknown): string | null {
  const row: NumberConfig | ChoiceConfig = TOPIC_CONFIGS[name];
  const shown = JSON.stringify(value) ?? String(value);
  if (row.type === 'choice') {
    if (row.values.some((allowed) => allowed === value)) return null;
    return `${name} is ${shown}, must be ${row.values.map((allowed) => JSON.stringify(allowed)).join(' or ')}`;
  }
  if (row.isUnboundedAllowed && value === -1) return null;
  if (typeof value === 'number' && Number.isInteger(value) && value >= row.min && value <= row.max)
    return null;
  const unbounded = row.isUnboundedAllowed ? '-1 or ' : '';
  return `${name} is ${shown}, must be ${unbounded}a whole number from ${String(row.min)} to ${String(row.max)}`;
}

function relationFaults(config: TopicConfig, replicationFactor: number): string[] {
  const faults: string[] = [];
  // Rule 8: such a topic could never take an append.
  if (config.minInSyncReplicas > replicationFactor) {
    faults.push(
      `minInSyncReplicas is ${String(config.minInSyncReplicas)}, must be at most replicationFactor (${String(replicationFactor)})`,
    );
  }
  // docs/rules.md#sync-set-and-q: a majority of two is both, so quorum mode would promise what it
  // cannot give.
  if (config.commitMode === 'quorum' && replicationFactor < 3) {
    faults.push(
      `commitMode is "quorum", must be "in-sync" while replicationFactor (${String(replicationFactor)}) is below 3`,
    );
  }
  if (config.segmentBytes < config.batchBytesMax) {
    faults.push(
      `segmentBytes is ${String(config.segmentBytes)}, must be at least batchBytesMax (${String(config.batchBytesMax)})`,
    );
  }
  if (config.compactionLagMaxMs !== -1 && config.compactionLagMaxMs < config.compactionLagMinMs) {
    faults.push(
      `compactionLagMaxMs is ${String(config.compactionLagMaxMs)}, must be -1 or at least compactionLagMinMs (${String(config.compactionLagMinMs)})`,
    );
  }
  return faults;
}
