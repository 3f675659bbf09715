/** Topics: create, list, describe, alter, delete. */
import type { Cleanup, CommitMode, Topic, TopicConfig, TopicDefaults } from '../../admin-types.ts';
import { present } from '../../check.ts';
import { TidemarkError } from '../../errors.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { CliError } from '../exit.ts';
import type { Output, Surroundings } from '../output.ts';
import { formatBytes, formatCount, formatDuration } from '../units.ts';
import { movingText } from './placement.ts';
import { confirm } from '../confirm.ts';
import { look } from '../look.ts';
import { replicasOf, showReplicas } from '../replicas.ts';

/** Configs, as `topic create` and `topic alter` take them. */
interface SettingOptions extends CommonOptions {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly minInSyncReplicas?: number;
  readonly commitMode?: CommitMode;
  readonly retention?: number;
  readonly retentionMs?: number;
  readonly retentionBytes?: number;
  readonly segmentBytes?: number;
  readonly segmentMs?: number;
  readonly batchBytesMax?: number;
  readonly uncleanElection?: 'true' | 'false';
  readonly retentionRecords?: number;
  readonly cleanup?: Cleanup;
  readonly tombstoneRetentionMs?: number;
  readonly compactionDirtyPercent?: number;
  readonly compactionLagMinMs?: number;
  readonly compactionLagMaxMs?: number;
}

/** Options of `topic create`. */
export interface CreateOptions extends SettingOptions {
  readonly ifNotExists?: boolean;
}

/** Options of `topic alter`. */
export interface AlterOptions extends SettingOptions {
  /** Milliseconds. */
  readonly wait?: number;
}

/** Options of `topic describe`. */
export interface DescribeOptions extends CommonOptions {
  readonly all?: boolean;
}

/** Options of `topic delete`. */
export interface DeleteOptions extends CommonOptions {
  readonly ifExists?: boolean;
  readonly yes?: boolean;
}

export async function createTopic(
  name: string,
  options: CreateOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    const { partitions = 0, replicationFactor = 0 } = options;
    let topic: Topic;
    let verb = 'Created';
    try {
      topic = await cluster
        .admin()
        .createTopic({ name, partitions, replicationFactor, config: configOf(options) });
    } catch (error) {
      const exists = error instanceof TidemarkError && error.code === 'TOPIC_EXISTS';
      if (!exists || options.ifNotExists !== true) throw error;
      topic = await cluster.admin().describeTopic(name);
      verb = 'Exists already:';
    }
    out.result(topic, () => out.line(`${verb} ${headline(topic)}`));
  });
}

export interface ListOptions extends CommonOptions {
  readonly internal?: boolean;
}

export async function listTopics(options: ListOptions, around: Surroundings): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    const { internal = false } = options;
    const topics = await cluster.admin().listTopics([], { internal });
    out.result(topics, () => {
      if (topics.length === 0) {
        out.note('There are no topics; make one with: tidemark topic create <name>');
        return;
      }
      const rows = topics.map((topic) => {
        const { config, partitions } = topic;
        const offline = partitions.filter(({ leader }) => leader === undefined).length;
        const behind = partitions.filter(
          ({ syncSet, replicas }) => syncSet.length < replicas.length,
        ).length;
        return [
          topic.name,
          partitions.length,
          topic.replicationFactor,
          config.minInSyncReplicas ?? '',
          config.commitMode ?? 'in-sync',
          retentionText(config),
          healthText(offline, behind),
        ];
      });
      out.table(['TOPIC', 'PARTITIONS', 'COPIES', 'MIN', 'COMMIT', 'RETENTION', 'HEALTH'], rows);
    });
  });
}

export async function describeTopic(
  name: string,
  options: DescribeOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    const admin = cluster.admin();
    const topic = await admin.describeTopic(name);
    if (options.all !== true) {
      out.result(topic, () => showTopic(topic, out));
      return;
    }
    const seen = await look(admin);
    const replicas = replicasOf(topic, seen);
    out.result({ ...topic, replicas }, () => {
      showTopic(topic, out, seen.cluster.settings?.topicDefaults);
      out.line();
      showReplicas(replicas, out);
    });
  });
}

export async function alterTopic(
  name: string,
  options: AlterOptions,
  around: Surroundings,
): Promise<void> {
  const config = configOf(options);
  const { partitions = 0, replicationFactor = 0, wait: waitMs = 0 } = options;
  const isSame = partitions === 0 && replicationFactor === 0;
  if (isSame && Object.keys(config).length === 0) {
    throw new CliError(
      'INVALID_ARGUMENT',
      'nothing to alter: name at least one config, for example --retention 7d',
    );
  }
  await withPatience(options, around, async (cluster, { out }) => {
    const topic = await cluster
      .admin()
      .alterTopic({ name, config, partitions, replicationFactor, waitMs });
    out.result(topic, () => {
      out.line(`Altered ${headline(topic)}`);
      const moving = topic.partitions.filter(
        ({ adding, removing }) => adding.length + removing.length > 0,
      );
      if (moving.length > 0)
        out.line(
          `  ${moving.length} of its partitions are moving; to watch: tidemark cluster describe`,
        );
    });
  });
}

export async function deleteTopic(
  name: string,
  options: DeleteOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out, heard }) => {
    if (options.yes !== true) {
      await confirm(`Delete topic "${name}" and all its records?`, name, around);
      heard();
    }
    try {
      await cluster.admin().deleteTopic(name);
    } catch (error) {
      const isGone = error instanceof TidemarkError && error.code === 'UNKNOWN_TOPIC';
      if (!isGone || options.ifExists !== true) throw error;
    }
    out.result({ deleted: name }, () => out.line(`Deleted "${name}"`));
  });
}

/** The configs that were given; the others take their defaults, or stay as they are. */
function configOf(options: SettingOptions): TopicConfig {
  if (options.retention !== undefined && options.retentionMs !== undefined) {
    throw new CliError(
      'INVALID_ARGUMENT',
      'option --retention cannot be used with option --retention-ms',
    );
  }
  const retentionMs = options.retention ?? options.retentionMs;
  const { uncleanElection } = options;
  return present<TopicConfig>({
    commitMode: options.commitMode,
    minInSyncReplicas: options.minInSyncReplicas,
    retentionMs,
    retentionBytes: options.retentionBytes,
    retentionRecords: options.retentionRecords,
    segmentBytes: options.segmentBytes,
    segmentMs: options.segmentMs,
    batchBytesMax: options.batchBytesMax,
    uncleanElection: uncleanElection === undefined ? undefined : uncleanElection === 'true',
    cleanup: options.cleanup,
    tombstoneRetentionMs: options.tombstoneRetentionMs,
    compactionDirtyPercent: options.compactionDirtyPercent,
    compactionLagMinMs: options.compactionLagMinMs,
    compactionLagMaxMs: options.compactionLagMaxMs,
  });
}

function showTopic(topic: Topic, out: Output, defaults: TopicDefaults = {}): void {
  const { config } = topic;
  out.line(headline(topic));
  out.line(`  id               ${topic.topicId}`);
  out.line(`  minimum          ${minText(topic, defaults)}`);
  out.line(`  commit mode      ${config.commitMode ?? 'in-sync'}`);
  out.line(`  cleanup          ${cleanupText(config)}`);
  out.line(`  retention        ${retentionText(config)}`);
  if (config.segmentBytes !== undefined)
    out.line(`  segments         sealed at ${formatBytes(config.segmentBytes)}${ageText(config)}`);
  if (config.batchBytesMax !== undefined)
    out.line(`  largest batch    ${formatBytes(config.batchBytesMax)}`);
  out.line(`  unclean election ${config.uncleanElection === true ? 'allowed' : 'never'}`);
  out.line();
  const rows = topic.partitions.map(
    ({ partition, leader, leaderEpoch, replicas, syncSet, quorum, suspects, adding, removing }) => [
      partition,
      leader ?? 'none',
      leaderEpoch,
      replicas.join(','),
      syncSet.join(','),
      quorum,
      suspects.join(',') || '-',
      movingText(adding, removing),
    ],
  );
  out.table(
    ['PARTITION', 'LEADER', 'EPOCH', 'REPLICAS', 'SYNC SET', 'COUNT', 'SUSPECTS', 'MOVING'],
    rows,
  );
  for (const { partition, cannotLead } of topic.partitions) {
    for (const { brokerId, reason } of cannotLead)
      out.line(`partition ${partition}: broker ${brokerId} cannot lead: ${reason}`);
  }
}

/** How many replicas must be in sync, and who says so. */
function minText(topic: Topic, { minInSyncReplicas: wanted }: TopicDefaults): string {
  const { config, replicationFactor, followsMinInSyncReplicas } = topic;
  const { minInSyncReplicas: min } = config;
  if (min === undefined) return '?';
  if (!followsMinInSyncReplicas) return `${min}, chosen for this topic`;
  const follows = `${min}, follows the default of the cluster`;
  if (wanted === undefined || wanted <= min) return follows;
  return wanted > replicationFactor
    ? `${follows}, which is ${wanted} now: more than it has copies`
    : `${follows}, which is ${wanted} now: it waits for replicas in sync`;
}

function headline({ name, partitions, replicationFactor, config }: Topic): string {
  const plural = (count: number, one: string, many: string): string =>
    `${count} ${count === 1 ? one : many}`;
  const size = `${plural(partitions.length, 'partition', 'partitions')}, ${plural(replicationFactor, 'copy', 'copies')} of each`;
  return `"${name}": ${size}, at least ${config.minInSyncReplicas ?? '?'} in sync`;
}

/** What of a compacted topic is kept how long; of another one nothing more. */
function cleanupText(config: TopicConfig): string {
  const { cleanup = 'delete', compactionLagMaxMs = -1 } = config;
  if (cleanup === 'delete') return cleanup;
  const { compactionDirtyPercent = 0, compactionLagMinMs = 0, tombstoneRetentionMs = 0 } = config;
  const youngest =
    compactionLagMinMs === 0 ? '' : `, of records older than ${formatDuration(compactionLagMinMs)}`;
  const latest =
    compactionLagMaxMs < 0 ? '' : ` or once a record is ${formatDuration(compactionLagMaxMs)} old`;
  return `${cleanup}: when ${compactionDirtyPercent}% is new${latest}${youngest}; tombstones stay ${formatDuration(tombstoneRetentionMs)}`;
}

function retentionText(config: TopicConfig): string {
  const { cleanup, retentionMs = -1, retentionBytes = -1, retentionRecords = -1 } = config;
  if (cleanup === 'compact') return 'last of each key';
  const size = retentionBytes < 0 ? '' : `, ${formatBytes(retentionBytes)}`;
  const records = retentionRecords < 0 ? '' : `, ${formatCount(retentionRecords)} records`;
  return `${formatDuration(retentionMs)}${size}${records}`;
}

function ageText({ segmentMs }: TopicConfig): string {
  return segmentMs === undefined ? '' : `, or after ${formatDuration(segmentMs)}`;
}

function healthText(offline: number, behind: number): string {
  if (offline > 0) return `${offline} offline`;
  return behind > 0 ? `${behind} under-replicated` : 'ok';
}
