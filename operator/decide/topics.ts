/**
 * LogTopics: makes topics, adopts those that exist, changes what differs, deletes by policy. Never steals: a topic belongs to the LogTopic whose status has its id.
 * Topics without a LogTopic are left alone.
 */
import { TOPIC_FINALIZER } from '../api/names.ts';
import { retentionSizeBytes, retentionTimeMs } from '../api/quantity.ts';
import type { ConditionStatus, LogTopic, LogTopicStatus } from '../api/types.ts';
import { withConditions } from './conditions.ts';
import { counted } from './service.ts';
import type {
  Action,
  LogTopicView,
  Observation,
  TopicChange,
  TopicSettings,
  TopicView,
} from './types.ts';

/** LogTopics worked on in one pass. */
const TOPICS_PER_PASS_MAX = 100;

interface Verdict {
  readonly ready: ConditionStatus;
  readonly reason: string;
  readonly message: string;
  readonly actions: readonly Action[];
  /** The topic that is this LogTopic's. */
  readonly topic: TopicView | undefined;
}

export function topicActions(observation: Observation, nowMs: number): Action[] {
  return observation.logTopics
    .flatMap((view) => oneTopic(observation, view, nowMs))
    .slice(0, TOPICS_PER_PASS_MAX);
}

function oneTopic(observation: Observation, view: LogTopicView, nowMs: number): Action[] {
  const { resource } = view;
  const { name, finalizers = [], deletionTimestamp, resourceVersion } = resource.metadata;
  const hasFinalizer = finalizers.includes(TOPIC_FINALIZER);
  const setFinalizers = (kept: readonly string[]): Action => ({
    kind: 'set-topic-finalizer',
    name,
    resourceVersion,
    finalizers: kept,
  });
  const others = finalizers.filter((each) => each !== TOPIC_FINALIZER);
  if (deletionTimestamp !== undefined)
    return hasFinalizer
      ? [
          ...deletions(observation, resource),
          ...releases(observation, resource, setFinalizers(others)),
        ]
      : [];
  const wantsFinalizer = resource.spec.deletionPolicy === 'Delete';
  if (wantsFinalizer !== hasFinalizer)
    return [setFinalizers(wantsFinalizer ? [...others, TOPIC_FINALIZER] : others)];
  const verdict = judge(observation, view);
  const status = statusOf(observation, resource, verdict, nowMs);
  return status === null
    ? [...verdict.actions]
    : [...verdict.actions, { kind: 'write-topic-status', name, status }];
}

function nameOfTopic({ metadata, spec }: LogTopic): string {
  return spec.topicName ?? metadata.name;
}

function deletions({ metadata }: Observation, resource: LogTopic): Action[] {
  const topic = metadata?.topics.find(({ name }) => name === nameOfTopic(resource));
  const isOurs = topic !== undefined && topic.topicId === resource.status?.topicId;
  return isOurs && resource.spec.deletionPolicy === 'Delete'
    ? [{ kind: 'delete-topic', name: topic.name }]
    : [];
}

/** The finalizer goes once nobody knows the topic any more; what cannot be asked is waited for. */
function releases(
  { metadata, cluster }: Observation,
  resource: LogTopic,
  release: Action,
): Action[] {
  if (cluster.metadata.deletionTimestamp !== undefined || resource.spec.deletionPolicy === 'Retain')
    return [release];
  if (metadata === null) return [];
  const isThere = metadata.topics.some(
    ({ name, topicId }) => name === nameOfTopic(resource) && topicId === resource.status?.topicId,
  );
  return isThere ? [] : [release];
}

function judge(observation: Observation, { resource, faults }: LogTopicView): Verdict {
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
  const topic = metadata.topics.find((each) => each.name === name);
  const known = resource.status?.topicId;
  if (topic === undefined) return create(observation, resource);
  if (known !== undefined && known !== topic.topicId) {
    return refuse(
      'TopicReplaced',
      `topic ${name} has id ${topic.topicId}, was ${known}: somebody deleted it and made another; delete this LogTopic and apply it again to adopt that one`,
    );
  }
  return compare(observation, resource, topic);
}

/** Another LogTopic that has this topic, or the elder of two that want it. */
function rivalOf({ logTopics }: Observation, resource: LogTopic): LogTopic | undefined {
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

/** What the LogTopic wants; fields that neither it nor its LogCluster sets stay with the broker. */
function wantedSettings({ cluster }: Observation, { spec }: LogTopic): TopicChange {
  return {
    minInSyncReplicas: spec.minInSyncReplicas ?? cluster.spec.minInSyncReplicas,
    commitMode: spec.commitMode ?? cluster.spec.commitMode,
    retentionMs: retentionTimeMs(spec.retention.time),
    retentionBytes: retentionSizeBytes(spec.retention.size),
    ...spec.config,
  };
}

function create(observation: Observation, resource: LogTopic): Verdict {
  const { spec } = resource;
  const name = nameOfTopic(resource);
  const action: Action = {
    kind: 'create-topic',
    name,
    partitions: spec.partitions,
    replicationFactor: spec.replicationFactor ?? observation.cluster.spec.replicationFactor,
    change: wantedSettings(observation, resource),
  };
  return {
    ready: 'False',
    reason: 'Creating',
    message: `making topic ${name} with ${counted(spec.partitions, 'partition')}`,
    actions: [action],
    topic: undefined,
  };
}

function compare(observation: Observation, resource: LogTopic, topic: TopicView): Verdict {
  const { spec } = resource;
  const fewer = topic.partitions.length > spec.partitions;
  const factor = spec.replicationFactor ?? observation.cluster.spec.replicationFactor;
  const wanted = wantedSettings(observation, resource);
  // A minimum that follows the LogCluster is raised in its own order.
  const given = {
    ...wanted,
    minInSyncReplicas: spec.minInSyncReplicas ?? topic.settings.minInSyncReplicas,
  };
  const change = Object.fromEntries(
    Object.entries(given).filter(
      ([field, value]) =>
        value !== undefined && topic.settings[field as keyof TopicSettings] !== value,
    ),
  );
  const partitions = spec.partitions > topic.partitions.length ? spec.partitions : 0;
  const replicationFactor = factor === topic.replicationFactor ? 0 : factor;
  const differs = [
    ...Object.entries(change).map(([field, value]) => `${field} to ${String(value)}`),
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
      topic,
    };
  }
  if (fewer) {
    const message = `spec.partitions is ${spec.partitions}, must be at least ${topic.partitions.length}: the topic has that many and cannot lose any`;
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

/** Null where nothing new is to be said. */
function statusOf(
  { cluster }: Observation,
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
          minInSyncReplicas: topic.settings.minInSyncReplicas,
          ...(cluster.status?.clusterId === undefined
            ? {}
            : { clusterId: cluster.status.clusterId }),
        }),
  };
  return JSON.stringify(next) === JSON.stringify({ ...status }) ? null : next;
}
