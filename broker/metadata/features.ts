/**
 * What each feature level adds, and the refusals that follow. The controller raises the level of
 * the cluster by one step when every registered broker can run it, and never lowers it: below a
 * level its records are not written, since a broker one level behind could not read them.
 */
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import { MIN_OF_CLUSTER, NO_BROKER } from '../../base/units.ts';
import { configsOfCompaction } from './config.ts';
import type {
  ClusterSettings,
  MetadataImage,
  MetadataRecord,
  PartitionState,
  TopicConfig,
  TopicState,
} from './types.ts';

/** One row per level, the first one being level 1. */
export const FEATURE_LEVELS = [
  { level: 1, adds: 'the first release' },
  {
    level: 2,
    adds: 'reassignments, cordons, removal of brokers, cluster settings, and leadership handed over by a leader that has drained',
  },
  {
    level: 3,
    adds: 'broker options and defaults of topics in the settings of the cluster, and orderly stops that are taken back',
  },
  {
    level: 4,
    adds: 'registrations that name the start of their process, directories that are known to be replaced, and replicas that cannot lead',
  },
  {
    level: 5,
    adds: 'batches and gaps that compaction leaves in a log: every broker reads them',
  },
  {
    level: 6,
    adds: 'appends that expect an end of the log: every broker judges it, and none appends without looking',
  },
  {
    level: 7,
    adds: 'trims: every broker reads them in a log, and begins it there',
  },
  { level: 8, adds: 'rules of access, and quotas' },
  { level: 9, adds: 'changes of many sync sets in one request' },
  { level: 10, adds: 'names of producers that expire, and rules of access that LogAccess gave' },
  { level: 11, adds: 'groups, and cursors that the cluster keeps' },
  {
    level: 12,
    adds: 'compaction of topics, and retention by number of records: every broker keeps to both',
  },
  { level: 13, adds: 'members of groups: every broker folds their records' },
  { level: 14, adds: 'addresses of named listeners' },
  { level: 15, adds: 'queues' },
  {
    level: 16,
    adds: 'topics of which is known that their minInSyncReplicas follows the default of the cluster',
  },
] as const;

/** Highest level that this build can run. */
export const FEATURE_LEVEL_MAX = FEATURE_LEVELS.length;

/** Level of reassignments, cordons, settings and hand-overs. */
export const LEVEL_OF_MOVES = 2;

/**
 * Level of broker options and defaults of topics in the settings, and of stops that are taken back.
 */
export const LEVEL_OF_OPTIONS = 3;

/**
 * Level of registrations that name the start of their process, and of replicas that cannot lead.
 */
export const LEVEL_OF_STARTS = 4;

/** Level of appends that expect an end of the log. */
export const LEVEL_OF_EXPECTED_ENDS = 6;

/** Level of trims, which are batches that earlier builds cannot read. */
export const LEVEL_OF_TRIMS = 7;
/** Level of rules of access and of quotas. */
export const LEVEL_OF_ACCESS = 8;
/** Level of changes of many sync sets in one request. */
export const LEVEL_OF_CHANGES = 9;
/** Level of names of producers that expire. */
export const LEVEL_OF_NAMES = 10;
/** Level of rules of access that know what of them LogAccess gave. */
export const LEVEL_OF_GIVEN = 10;
/** Level of the internal topic of groups: earlier builds would let clients write to it. */
export const LEVEL_OF_GROUPS = 11;
/** Level of compacted topics, of what says when they are, and of retention by number of records. */
export const LEVEL_OF_COMPACTION = 12;
/** Level of members of groups, whose records earlier builds cannot read. */
export const LEVEL_OF_MEMBERS = 13;
/** Level of addresses of named listeners. */
export const LEVEL_OF_LISTENERS = 14;
/** Level of queues, and of the internal topic that keeps what became of their records. */
export const LEVEL_OF_QUEUES = 15;
/** Level of topics whose minInSyncReplicas follows the default of the cluster. */
export const LEVEL_OF_FOLLOWING = 16;

/** Whether the cluster has reached `level`. */
export function hasLevel(image: MetadataImage, level: number): boolean {
  return image.featureLevel >= level;
}

/**
 * Throws {@link BrokerError} REFUSED unless the cluster has reached `level`, naming who holds it
 * back.
 */
export function requireLevel(image: MetadataImage, level: number, what: string): void {
  if (hasLevel(image, level)) return;
  const behind = [...image.brokers.values()]
    .filter((broker) => broker.featureLevelMax < level)
    .map(({ brokerId }) => brokerId);
  const reason =
    behind.length === 0
      ? 'every broker can run it, it is raised once all are unfenced for a while'
      : `brokers ${behind.toSorted((a, b) => a - b).join()} cannot run it`;
  throw new BrokerError(
    'REFUSED',
    `Cannot ${what}: it needs feature level ${String(level)}, the cluster is at ${String(image.featureLevel)}; ${reason}`,
  );
}

/**
 * Throws {@link BrokerError} REFUSED where `config` states what brokers below level 12 or 16 would
 * not keep to, and one may be there. What is at its default they keep to.
 */
export function requireLevelOfConfig(
  image: MetadataImage,
  config: Partial<TopicConfig>,
  topic: string,
): void {
  if (config.minInSyncReplicas === MIN_OF_CLUSTER)
    requireLevel(
      image,
      LEVEL_OF_FOLLOWING,
      `let minInSyncReplicas of topic "${topic}" follow the default of the cluster`,
    );
  const names = configsOfCompaction(config);
  if (names.length === 0) return;
  requireLevel(image, LEVEL_OF_COMPACTION, `set ${names.join(', ')} of topic "${topic}"`);
}

/** Kinds of records that level 2 brought. */
const KINDS_OF_MOVES: ReadonlySet<MetadataRecord['kind']> = new Set([
  'broker-cordoned',
  'broker-removed',
  'replication-factor-changed',
] as const);

/** Kinds of records that level 8 brought. */
const KINDS_OF_ACCESS: ReadonlySet<MetadataRecord['kind']> = new Set([
  'access-granted',
  'access-revoked',
  'quota-set',
  'quota-deleted',
] as const);

/** Kinds of records that level 10 brought. */
const KINDS_OF_NAMES: ReadonlySet<MetadataRecord['kind']> = new Set([
  'producer-forgotten',
  'hours-counted',
] as const);

/** Kinds of records that level 15 brought. */
const KINDS_OF_QUEUES: ReadonlySet<MetadataRecord['kind']> = new Set([
  'queue-created',
  'queue-changed',
  'queue-deleted',
] as const);

/** Lowest level at which a record may be written. */
export function levelOf(record: MetadataRecord): number {
  if (record.kind === 'partition-changed') return levelOfRow(record.state);
  if (KINDS_OF_QUEUES.has(record.kind)) return LEVEL_OF_QUEUES;
  if (KINDS_OF_NAMES.has(record.kind)) return LEVEL_OF_NAMES;
  if (record.kind === 'producer-named' && (record.owner !== '' || record.hour > 0))
    return LEVEL_OF_NAMES;
  if (record.kind === 'access-granted' && record.rule.given !== undefined) return LEVEL_OF_GIVEN;
  if (KINDS_OF_ACCESS.has(record.kind)) return LEVEL_OF_ACCESS;
  if (record.kind === 'topic-created') return levelOfTopic(record.topic);
  if (record.kind === 'topic-altered') return levelOfTopic(record);
  if (record.kind === 'broker-listeners') return LEVEL_OF_LISTENERS;
  if (record.kind === 'broker-staying') return LEVEL_OF_OPTIONS;
  if (record.kind === 'broker-registered' && record.start !== undefined) return LEVEL_OF_STARTS;
  if (record.kind === 'settings-changed') return levelOfSettings(record.settings);
  return KINDS_OF_MOVES.has(record.kind) ? LEVEL_OF_MOVES : 1;
}

/** Asserts that every record may be written at the level of `image`. */
export function assertLevel(image: MetadataImage, records: readonly MetadataRecord[]): void {
  for (const record of records) {
    assert(
      hasLevel(image, levelOf(record)) || image.featureLevel === 0,
      `${record.kind} needs feature level ${String(levelOf(record))}, the cluster is at ${String(image.featureLevel)}`,
    );
  }
}

function levelOfSettings({ brokerOptions, topicDefaults }: ClusterSettings): number {
  const isPlain = Object.keys(brokerOptions).length + Object.keys(topicDefaults).length === 0;
  return isPlain ? LEVEL_OF_MOVES : LEVEL_OF_OPTIONS;
}

function levelOfTopic({ config, followsMin }: Pick<TopicState, 'config' | 'followsMin'>): number {
  if (followsMin === true) return LEVEL_OF_FOLLOWING;
  return configsOfCompaction(config).length === 0 ? 1 : LEVEL_OF_COMPACTION;
}

function levelOfRow(state: PartitionState): number {
  if (state.cannotLead.length > 0) return LEVEL_OF_STARTS;
  return state.adding.length > 0 || state.removing.length > 0 || state.successor !== NO_BROKER
    ? LEVEL_OF_MOVES
    : 1;
}
