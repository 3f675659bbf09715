/** Topics: create, list, describe, alter, delete. */
import { CommitMode, type Topic, type TopicConfig } from '../../../proto/gen/tidemark/v1/admin.ts';
import { TidemarkError } from '../../errors.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError } from '../exit.ts';
import type { Output, Surroundings } from '../output.ts';
import { formatBytes, formatDuration } from '../units.ts';
import { movingText } from './placement.ts';

/** Settings, as `topic create` and `topic alter` take them. */
interface SettingOptions extends CommonOptions {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly minInSyncReplicas?: number;
  readonly commitMode?: 'in-sync' | 'quorum';
  readonly retention?: number;
  readonly retentionMs?: number;
  readonly retentionBytes?: number;
  readonly segmentBytes?: number;
  readonly batchBytesMax?: number;
  readonly uncleanElection?: 'true' | 'false';
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

/** Options of `topic delete`. */
export interface DeleteOptions extends CommonOptions {
  readonly ifExists?: boolean;
}

const COMMIT_MODES = {
  'in-sync': CommitMode.COMMIT_MODE_IN_SYNC,
  quorum: CommitMode.COMMIT_MODE_QUORUM,
} as const;

export async function createTopic(
  name: string,
  options: CreateOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (cluster, { out }) => {
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
    out.result(topicJson(topic), () => out.line(`${verb} ${headline(topic)}`));
  });
}

export async function listTopics(options: CommonOptions, around: Surroundings): Promise<void> {
  await withCluster(options, around, async (cluster, { out }) => {
    const topics = await cluster.admin().listTopics();
    out.result(topics.map(topicJson), () => {
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
          config?.minInSyncReplicas ?? '',
          modeName(config),
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
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withCluster(options, around, async (cluster, { out }) => {
    const topic = await cluster.admin().describeTopic(name);
    out.result(topicJson(topic), () => showTopic(topic, out));
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
  if (isSame && config.commitMode === 0 && Object.keys(config).length === 1) {
    throw new CliError(
      'INVALID_ARGUMENT',
      'nothing to alter: name at least one setting, for example --retention 7d',
    );
  }
  await withCluster(options, around, async (cluster, { out }) => {
    const topic = await cluster
      .admin()
      .alterTopic({ name, config, partitions, replicationFactor, waitMs });
    out.result(topicJson(topic), () => {
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
  await withCluster(options, around, async (cluster, { out }) => {
    try {
      await cluster.admin().deleteTopic(name);
    } catch (error) {
      const isGone = error instanceof TidemarkError && error.code === 'UNKNOWN_TOPIC';
      if (!isGone || options.ifExists !== true) throw error;
    }
    out.result({ deleted: name }, () => out.line(`Deleted "${name}"`));
  });
}

/** The settings that were given; the others take their defaults, or stay as they are. */
function configOf(options: SettingOptions): TopicConfig {
  const {
    minInSyncReplicas,
    commitMode,
    retentionBytes,
    segmentBytes,
    batchBytesMax,
    uncleanElection,
  } = options;
  if (options.retention !== undefined && options.retentionMs !== undefined) {
    throw new CliError(
      'INVALID_ARGUMENT',
      'option --retention cannot be used with option --retention-ms',
    );
  }
  const retentionMs = options.retention ?? options.retentionMs;
  return {
    commitMode:
      commitMode === undefined ? CommitMode.COMMIT_MODE_UNSPECIFIED : COMMIT_MODES[commitMode],
    ...(minInSyncReplicas === undefined ? {} : { minInSyncReplicas }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(retentionBytes === undefined ? {} : { retentionBytes }),
    ...(segmentBytes === undefined ? {} : { segmentBytes }),
    ...(batchBytesMax === undefined ? {} : { batchBytesMax }),
    ...(uncleanElection === undefined ? {} : { uncleanElection: uncleanElection === 'true' }),
  };
}

function showTopic(topic: Topic, out: Output): void {
  const { config } = topic;
  out.line(headline(topic));
  out.line(`  id               ${topic.topicId}`);
  out.line(`  commit mode      ${modeName(config)}`);
  out.line(`  retention        ${retentionText(config)}`);
  if (config?.segmentBytes !== undefined)
    out.line(`  segments         ${formatBytes(config.segmentBytes)}`);
  if (config?.batchBytesMax !== undefined)
    out.line(`  largest batch    ${formatBytes(config.batchBytesMax)}`);
  out.line(`  unclean election ${config?.uncleanElection === true ? 'allowed' : 'never'}`);
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
}

function headline({ name, partitions, replicationFactor, config }: Topic): string {
  const plural = (count: number, one: string, many: string): string =>
    `${count} ${count === 1 ? one : many}`;
  const size = `${plural(partitions.length, 'partition', 'partitions')}, ${plural(replicationFactor, 'copy', 'copies')} of each`;
  return `"${name}": ${size}, at least ${config?.minInSyncReplicas ?? '?'} in sync`;
}

function modeName(config: TopicConfig | undefined): string {
  return config?.commitMode === CommitMode.COMMIT_MODE_QUORUM ? 'quorum' : 'in-sync';
}

function retentionText(config: TopicConfig | undefined): string {
  const { retentionMs = -1, retentionBytes = -1 } = config ?? {};
  const size = retentionBytes < 0 ? '' : `, ${formatBytes(retentionBytes)}`;
  return `${formatDuration(retentionMs)}${size}`;
}

function healthText(offline: number, behind: number): string {
  if (offline > 0) return `${offline} offline`;
  return behind > 0 ? `${behind} under-replicated` : 'ok';
}

/** For scripts: words instead of the numbers of enums. */
function topicJson(topic: Topic): unknown {
  return { ...topic, config: { ...topic.config, commitMode: modeName(topic.config) } };
}
