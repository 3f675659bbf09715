/**
 * LogTopics: makes topics, adopts those that exist, changes what differs, deletes by policy. Never
 * steals: a topic belongs to the LogTopic whose status has its id. Topics without a LogTopic are
 * left alone.
 */
import { TOPIC_FINALIZER } from '../api/names.ts';
import { MIN_OF_CLUSTER } from '../api/replication.ts';
import { retentionSizeBytes, retentionTimeMs } from '../api/quantity.ts';
import type { ConditionStatus, LogTopic, LogTopicConfig, LogTopicStatus } from '../api/types.ts';
import { isSameStatus, withConditions } from './conditions.ts';
import type { KubeEventReason } from './events.ts';
import { MIN_DEFAULT } from './min.ts';
import { counted } from './service.ts';
import type {
  Action,
  EventNote,
  LogTopicView,
  Observation,
  TopicChange,
  TopicConfigView,
  TopicView,
} from './types.ts';

/** What a pass over one LogTopic sees. */
export type TopicObservation = Pick<Observation, 'cluster' | 'metadata' | 'logTopics'>;

/** What is to become of one LogTopic. */
export interface TopicPlan {
  /** In their order: the first that fails ends them. */
  readonly actions: readonly Action[];
  /** Told once all were carried out. */
  readonly events: readonly EventNote[];
  /** To be written whatever comes of the actions; null: as it is. */
  readonly status: LogTopicStatus | null;
}

interface Verdict {
  readonly ready: ConditionStatus;
  readonly reason: string;
  readonly message: string;
  readonly actions: readonly Action[];
  readonly events?: readonly EventNote[];
  /** The topic that is this LogTopic's. */
  readonly topic: TopicView | undefined;
}

/** Reasons of Ready that are told as events too, when they are new. */
/** Reasons of Ready for which a person has to do something, and the events that tell them. */
export const TOPIC_WARNINGS: Readonly<Record<string, KubeEventReason>> = {
  InvalidSpec: 'TopicInvalid',
  TopicTaken: 'TopicTaken',
  TopicReplaced: 'TopicReplaced',
  PartitionsCannotShrink: 'PartitionsCannotShrink',
  TopicRefused: 'TopicRefused',
};

/** Configs that brokers of earlier builds do not see: they would do without, and say nothing. */
const CONFIGS_OF_COMPACTION = [
  'cleanup',
  'retentionRecords',
  'tombstoneRetentionMs',
  'compactionDirtyPercent',
  'compactionLagMinMs',
  'compactionLagMaxMs',
] as const satisfies readonly (keyof LogTopicConfig)[];

/** LogTopics for which something is to be done or said. */
export function topicsToVisit(observation: TopicObservation, nowMs: number): string[] {
  return observation.logTopics
    .filter((view) => {
      const { actions, status } = planTopic(observation, view, nowMs);
      return actions.length > 0 || status !== null;
    })
    .map(({ resource }) => resource.metadata.name);
}

export function planTopic(
  observation: TopicObservation,
  view: LogTopicView,
  nowMs: number,
): TopicPlan {
  const { resource } = view;
  const { name, finalizers = [], deletionTimestamp, resourceVersion } = resource.metadata;
  const only = (actions: readonly Action[]): TopicPlan => ({ actions, events: [], status: null });
  // An earlier operator held it with this: see departed.ts for why none does any more.
  if (finalizers.includes(TOPIC_FINALIZER)) {
    const others = finalizers.filter((each) => each !== TOPIC_FINALIZER);
    return only([{ kind: 'set-topic-finalizer', name, resourceVersion, finalizers: others }]);
  }
  if (deletionTimestamp !== undefined) return only([]);
  const verdict = judge(observation, view);
  const { status, events } = conclude(observation, resource, verdict, nowMs);
  return { actions: verdict.actions, events: [...(verdict.events ?? []), ...events], status };
}

/** The LogTopic after brokers or API server have refused what it wants. */
export function refusedTopic(
  observation: TopicObservation,
  view: LogTopicView,
  message: string,
  nowMs: number,
): Pick<TopicPlan, 'events' | 'status'> {
  const { resource } = view;
  const { topic } = judge(observation, view);
  const verdict: Verdict = {
    ready: 'False',
    reason: 'TopicRefused',
    message,
    actions: [],
    topic,
  };
  return conclude(observation, resource, verdict, nowMs);
}

function conclude(
  observation: TopicObservation,
  resource: LogTopic,
  verdict: Verdict,
  nowMs: number,
): Pick<TopicPlan, 'events' | 'status'> {
  const before = resource.status?.conditions?.find(({ type }) => type === 'Ready');
  const warning = TOPIC_WARNINGS[verdict.reason];
  const isNew = before?.reason !== verdict.reason || before.message !== verdict.message;
  const events = warning !== undefined && isNew ? [{ reason: warning, note: verdict.message }] : [];
  return { events, status: statusOf(observation, resource, verdict, nowMs) };
}

function nameOfTopic({ metadata, spec }: LogTopic): string {
  return spec.topicName ?? metadata.name;
}

function judge(observation: TopicObservation, { resource, faults }: LogTopicView): Verdict {
  const { metadata, cluster } = observation;
  const refuse = (reason: string, message: string, ready: ConditionStatus = 'False'): Verdict => ({
    ready,
    reason,
    message,
    actions: [],
    topic: undefined,
  });
  if (faults.length > 0) return refuse('InvalidSpec', faults.join('; '));
  if (cluster.spec.paused === 'All')
    return refuse('Paused', `LogCluster ${cluster.metadata.name} is paused`, 'Unknown');
  if (metadata === null)
    return refuse(
      'ClusterUnreachable',
      `waiting for LogCluster ${cluster.metadata.name} to answer`,
      'Unknown',
    );
  const name = nameOfTopic(resource);
  const rival = rivalOf(observation, resource);
  if (rival !== undefined)
    return refuse('TopicTaken', `topic ${name} belongs to LogTopic ${rival.metadata.name}`);
  const later = CONFIGS_OF_COMPACTION.filter((field) => resource.spec.config[field] !== undefined);
  if (later.length > 0 && !metadata.hasCompaction)
    return refuse(
      'TopicRefused',
      `spec.config states ${later.join(', ')}, which needs feature level 12 of LogCluster ${cluster.metadata.name}: roll its brokers to a newer image`,
    );
  if (resource.spec.minInSyncReplicas === MIN_OF_CLUSTER && !metadata.hasFollowing)
    return refuse(
      'TopicRefused',
      `spec.minInSyncReplicas is 0, which needs feature level 16 of LogCluster ${cluster.metadata.name}: roll its brokers to a newer image`,
    );
  const topic = metadata.topics.find((each) => each.name === name);
  const known = resource.status?.topicId;
  if (topic === undefined) return create(observation, resource);
  if (known !== undefined && known !== topic.topicId) {
    return refuse(
      'TopicReplaced',
      `topic ${name} has id ${topic.topicId}, was ${known}: somebody deleted it and made another; delete this LogTopic and apply it again to adopt that one`,
    );
  }
  return compare(resource, topic);
}

/** Another LogTopic that has this topic, or the elder of two that want it. */
function rivalOf({ logTopics }: TopicObservation, resource: LogTopic): LogTopic | undefined {
  const rank = ({ metadata, status }: LogTopic): string =>
    `${status?.topicId === undefined ? 1 : 0} ${metadata.creationTimestamp ?? ''} ${metadata.name}`;
  return logTopics
    .map((view) => view.resource)
    .find(
      (other) =>
        other.metadata.uid !== resource.metadata.uid &&
        nameOfTopic(other) === nameOfTopic(resource) &&
        rank(other) < rank(resource),
    );
}

/** What the LogTopic spells out. */
function statedConfig({ spec }: LogTopic): TopicChange {
  const { minInSyncReplicas, commitMode, retention = {}, config } = spec;
  const { time, size } = retention;
  return {
    ...(minInSyncReplicas === undefined ? {} : { minInSyncReplicas }),
    ...(commitMode === undefined ? {} : { commitMode }),
    ...(time === undefined ? {} : { retentionMs: retentionTimeMs(time) }),
    ...(size === undefined ? {} : { retentionBytes: retentionSizeBytes(size) }),
    ...config,
  };
}

/**
 * What it does not spell out is the LogCluster's, then the brokers' to say. Brokers that can are
 * told no minimum of the LogCluster's: the topic would count as one that chose it.
 */
function create({ cluster, metadata }: TopicObservation, resource: LogTopic): Verdict {
  const { partitions = 1, replicationFactor = cluster.spec.replicationFactor } = resource.spec;
  const { minInSyncReplicas, commitMode } = cluster.spec;
  const name = nameOfTopic(resource);
  const usual = metadata?.hasFollowing === true ? {} : { minInSyncReplicas };
  const { minInSyncReplicas: stated = MIN_OF_CLUSTER } = resource.spec;
  const present = metadata?.settings?.topicDefaults.minInSyncReplicas ?? MIN_DEFAULT;
  const isLeft = metadata?.hasFollowing === true && stated === MIN_OF_CLUSTER;
  // The brokers would refuse it a moment before they know better.
  if (isLeft && minInSyncReplicas <= replicationFactor && present > replicationFactor)
    return {
      ready: 'False',
      reason: 'Creating',
      message: `waiting for the brokers to take minInSyncReplicas ${minInSyncReplicas} of LogCluster ${cluster.metadata.name} for their default`,
      actions: [],
      topic: undefined,
    };
  const change = { ...usual, commitMode, ...statedConfig(resource) };
  const note = `Made topic ${name} with ${counted(partitions, 'partition')}`;
  return {
    ready: 'False',
    reason: 'Creating',
    message: `making topic ${name} with ${counted(partitions, 'partition')}`,
    actions: [{ kind: 'create-topic', name, partitions, replicationFactor, change }],
    events: [{ reason: 'TopicCreated', note }],
    topic: undefined,
  };
}

/**
 * What the LogTopic does not spell out stays as it is: a topic that is adopted keeps its records
 * and its copies. A minimum that follows the LogCluster is raised by `min.ts`, in its own order.
 */
function compare(resource: LogTopic, topic: TopicView): Verdict {
  const { spec } = resource;
  const wantedPartitions = spec.partitions ?? topic.partitions.length;
  const fewer = topic.partitions.length > wantedPartitions;
  const factor = spec.replicationFactor ?? topic.replicationFactor;
  const change = Object.fromEntries(
    Object.entries(statedConfig(resource)).filter(([field, value]) =>
      field === 'minInSyncReplicas'
        ? !hasMin(topic, value as number)
        : value !== undefined && topic.config[field as keyof TopicConfigView] !== value,
    ),
  );
  const partitions = wantedPartitions > topic.partitions.length ? wantedPartitions : 0;
  const replicationFactor = factor === topic.replicationFactor ? 0 : factor;
  const differs = [
    ...Object.entries(change).map(([field, value]) =>
      field === 'minInSyncReplicas' && value === MIN_OF_CLUSTER
        ? "minInSyncReplicas to the LogCluster's"
        : `${field} to ${String(value)}`,
    ),
    ...(partitions === 0 ? [] : [`partitions to ${partitions}`]),
    ...(replicationFactor === 0 ? [] : [`replicationFactor to ${replicationFactor}`]),
  ];
  if (differs.length > 0) {
    const action: Action = {
      kind: 'alter-topic',
      name: topic.name,
      partitions,
      replicationFactor,
      change,
    };
    return {
      ready: 'False',
      reason: 'Changing',
      message: `setting ${differs.join(', ')}`,
      actions: [action],
      events: [
        { reason: 'TopicChanged', note: `Set ${differs.join(', ')} of topic ${topic.name}` },
      ],
      topic,
    };
  }
  if (fewer) {
    const message = `spec.partitions is ${wantedPartitions}, must be at least ${topic.partitions.length}: the topic has that many and cannot lose any`;
    return { ready: 'False', reason: 'PartitionsCannotShrink', message, actions: [], topic };
  }
  const moving = topic.partitions.filter(
    ({ adding, removing }) => adding.length + removing.length > 0,
  ).length;
  if (moving > 0)
    return {
      ready: 'False',
      reason: 'Moving',
      message: `${counted(moving, 'partition')} on the move`,
      actions: [],
      topic,
    };
  return {
    ready: 'True',
    reason: 'AsSpecified',
    message: `topic ${topic.name} is as the spec wants it`,
    actions: [],
    topic,
  };
}

/** Whether the topic has this minimum, chosen for it; or follows, where that is stated. */
function hasMin({ config, followsMin }: TopicView, wanted: number): boolean {
  return wanted === MIN_OF_CLUSTER
    ? followsMin
    : config.minInSyncReplicas === wanted && !followsMin;
}

/** Null where nothing new is to be said. */
function statusOf(
  { cluster, metadata: brokers }: TopicObservation,
  { metadata, status = {} }: LogTopic,
  { ready, reason, message, topic, actions }: Verdict,
  nowMs: number,
): LogTopicStatus | null {
  const leaderless = (topic?.partitions ?? []).filter(({ leader }) => leader === null).length;
  const short = (topic?.partitions ?? []).filter(({ replicas, adding, syncSet }) =>
    replicas.some((id) => !adding.includes(id) && !syncSet.includes(id)),
  ).length;
  const known = (status_: ConditionStatus): ConditionStatus =>
    topic === undefined && ready === 'Unknown' ? 'Unknown' : status_;
  const conditions = withConditions(status.conditions ?? [], metadata.generation, nowMs, [
    { type: 'Ready', status: ready, reason, message },
    {
      type: 'Available',
      status: known(topic !== undefined && leaderless === 0 ? 'True' : 'False'),
      reason: topic === undefined ? reason : leaderless === 0 ? 'Led' : 'Leaderless',
      message:
        topic === undefined
          ? message
          : leaderless === 0
            ? 'every partition has a leader'
            : `${counted(leaderless, 'partition')} without a leader`,
    },
    {
      type: 'Progressing',
      status: actions.length > 0 || reason === 'Moving' ? 'True' : 'False',
      reason,
      message,
    },
    {
      type: 'Degraded',
      status: known(short > 0 ? 'True' : 'False'),
      reason: short > 0 ? 'ReplicasBehind' : 'ReplicasInSync',
      message:
        short > 0
          ? `${counted(short, 'partition')} with a replica out of sync`
          : 'every replica is in sync',
    },
    {
      type: 'ReconciliationPaused',
      status: cluster.spec.paused === 'All' ? 'True' : 'False',
      reason: cluster.spec.paused === 'All' ? 'Paused' : 'NotPaused',
      message:
        cluster.spec.paused === 'All'
          ? `LogCluster ${cluster.metadata.name} is paused`
          : 'changes are carried out',
    },
  ]);
  const next: LogTopicStatus = {
    ...status,
    observedGeneration: metadata.generation,
    conditions,
    ...(topic === undefined
      ? {}
      : {
          topicId: topic.topicId,
          partitions: topic.partitions.length,
          replicationFactor: topic.replicationFactor,
          minInSyncReplicas: topic.config.minInSyncReplicas,
          ...(brokers?.hasFollowing === true
            ? { minInSyncReplicasFrom: topic.followsMin ? 'LogCluster' : 'Topic' }
            : {}),
          ...(cluster.status?.clusterId === undefined
            ? {}
            : { clusterId: cluster.status.clusterId }),
        }),
  };
  return isSameStatus(next, status) ? null : next;
}
