/**
 * Judges requests to create, alter and delete topics: records to commit, or a refusal that names
 * every fault. Pure.
 */
import { BrokerError } from '../../../base/errors.ts';
import { isInternalTopic } from '../../../base/internal-topics.ts';
import { type BrokerId, MIN_OF_CLUSTER } from '../../../base/units.ts';
import {
  partitionCountFault,
  replicationFactorFault,
  topicNameFault,
  validateTopicConfig,
} from '../config.ts';
import type {
  AlterTopicRequest,
  CreateTopicRequest,
  DeleteTopicRequest,
} from '../controller-types.ts';
import { changed, countedMembers, newPartition, quorumAim, settle } from '../leader-election.ts';
import type { BrokerView } from '../leader-election.ts';
import {
  hasLevel,
  LEVEL_OF_FOLLOWING,
  LEVEL_OF_MOVES,
  requireLevel,
  requireLevelOfConfig,
} from '../features.ts';
import { placeableBrokers, placeReplicas } from '../placement.ts';
import type {
  MetadataImage,
  MetadataRecord,
  PartitionState,
  TopicConfig,
  TopicState,
} from '../types.ts';

/** What bounds topics. */
export interface TopicLimits {
  readonly defaults: TopicConfig;
  /** Partitions of the whole cluster. */
  readonly partitionsMax: number;
}

/**
 * Records that create the topic; none when it is there already under this id, so that a repeated
 * request succeeds. Throws {@link BrokerError}.
 */
export function createTopic(
  image: MetadataImage,
  request: CreateTopicRequest,
  limits: TopicLimits,
): MetadataRecord[] {
  const { topicId, name, partitions, replicationFactor } = request;
  const usual = defaultsOf(image, limits);
  const { follows, stated } = minMeant(request.config, usual, true);
  const { config, faults } = validateTopicConfig(stated, usual, { replicationFactor });
  const shapeFaults = [
    topicNameFault(name),
    partitionCountFault(partitions),
    replicationFactorFault(replicationFactor),
    topicId === '' ? 'topicId is "", must be a uuid' : null,
  ];
  const all = [
    ...shapeFaults.filter((fault) => fault !== null),
    ...faults,
    ...assignmentFaults(image, request),
  ];
  if (all.length > 0)
    throw new BrokerError('INVALID_ARGUMENT', `Cannot create topic "${name}": ${all.join('; ')}`);
  const taken = image.topicIdsByName.get(name);
  if (taken === topicId) return [];
  if (taken !== undefined || image.topics.has(topicId))
    throw new BrokerError(
      'TOPIC_EXISTS',
      `Cannot create topic "${name}": it exists with id ${taken ?? topicId}`,
    );
  requireLevelOfConfig(image, request.config, name);
  requireLevelOfConfig(image, config, name);
  checkRoom(image, partitions, limits);
  const lists = request.assignments.length > 0 ? request.assignments : place(image, request);
  const states = newPartitions(image, { name, config, firstPartition: 0, lists });
  const origin = follows && hasLevel(image, LEVEL_OF_FOLLOWING) ? FOLLOWS : {};
  const topic = { topicId, name, replicationFactor, config, ...origin, partitions: states };
  return [{ kind: 'topic-created', topic }];
}

const FOLLOWS = { followsMin: true } as const;

/** What a topic has whose creator states nothing. */
export function defaultsOf({ settings }: MetadataImage, { defaults }: TopicLimits): TopicConfig {
  const { replicationFactor: _, ...usual } = settings.topicDefaults;
  return { ...defaults, ...usual };
}

/**
 * Whether a request leaves minInSyncReplicas to the cluster, and the configs that it states then.
 *
 * @param isUnstated what silence means: yes of a new topic, of another one what it did before
 */
function minMeant(
  config: Partial<TopicConfig>,
  usual: TopicConfig,
  isUnstated: boolean,
): { readonly follows: boolean; readonly stated: Partial<TopicConfig> } {
  const { minInSyncReplicas } = config;
  if (minInSyncReplicas === MIN_OF_CLUSTER)
    return { follows: true, stated: { ...config, minInSyncReplicas: usual.minInSyncReplicas } };
  return { follows: minInSyncReplicas === undefined && isUnstated, stated: config };
}

/** A judged change of a topic. */
export interface AlterTopicVerdict {
  readonly records: readonly MetadataRecord[];
  /**
   * The change is allowed, but a sync set does not satisfy the raised minInSyncReplicas yet: what
   * to answer unless it is waited for. Null: commit it.
   */
  readonly shortfall: BrokerError | null;
}

/**
 * Records that change configs, aim at another replication factor and add partitions. Throws
 * {@link BrokerError}.
 */
export function alterTopic(
  image: MetadataImage,
  view: BrokerView,
  request: AlterTopicRequest,
  limits: TopicLimits,
): AlterTopicVerdict {
  const topic = topicByName(image, request.name);
  refuseInternal(topic, 'alter');
  return changeTopic(image, view, topic, request, limits);
}

/** As {@link alterTopic}, of any topic. */
export function changeTopic(
  image: MetadataImage,
  view: BrokerView,
  topic: TopicState,
  request: Pick<AlterTopicRequest, 'config' | 'partitions' | 'replicationFactor'>,
  limits: TopicLimits,
): AlterTopicVerdict {
  const replicationFactor =
    request.replicationFactor === 0 ? topic.replicationFactor : request.replicationFactor;
  const isFollower = topic.followsMin === true;
  const { follows, stated } = minMeant(request.config, defaultsOf(image, limits), isFollower);
  const { config, faults } = validateTopicConfig(stated, topic.config, { replicationFactor });
  const grown = request.partitions === 0 ? topic.partitions.length : request.partitions;
  const countFault =
    grown < topic.partitions.length
      ? `partitions is ${String(grown)}, must not fall below ${String(topic.partitions.length)}`
      : partitionCountFault(grown);
  const all = [countFault, replicationFactorFault(replicationFactor), ...faults].filter(
    (fault) => fault !== null,
  );
  if (all.length > 0)
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `Cannot alter topic "${topic.name}": ${all.join('; ')}`,
    );
  requireLevelOfConfig(image, request.config, topic.name);
  requireLevelOfConfig(image, config, topic.name);
  const records: MetadataRecord[] = [];
  if (!isSameConfig(topic.config, config) || follows !== isFollower) {
    const origin = follows ? FOLLOWS : {};
    records.push({ kind: 'topic-altered', topicId: topic.topicId, config, ...origin });
    records.push(...requorum(topic, config, view));
  }
  if (replicationFactor !== topic.replicationFactor) {
    refuseWidth(image, topic, replicationFactor);
    records.push({ kind: 'replication-factor-changed', topicId: topic.topicId, replicationFactor });
  }
  const added = grown - topic.partitions.length;
  if (added > 0) {
    checkRoom(image, added, limits);
    const lists = place(image, { ...topic, replicationFactor, partitions: added });
    const states = newPartitions(image, {
      name: topic.name,
      config,
      firstPartition: topic.partitions.length,
      lists,
    });
    records.push({ kind: 'partitions-added', topicId: topic.topicId, partitions: states });
  }
  const shortfall = raiseShortfall(topic, config, view);
  // The new replicas of the same request could not join while it waits for them.
  if (shortfall !== null && replicationFactor > topic.replicationFactor) {
    throw new BrokerError(
      'REFUSED',
      `${shortfall.message}; raise replicationFactor from ${String(topic.replicationFactor)} to ${String(replicationFactor)} first`,
    );
  }
  return { records, shortfall };
}

/** What gives a topic that follows the default of the cluster this one. */
export function changeMin(
  topic: TopicState,
  minInSyncReplicas: number,
  view: BrokerView,
): AlterTopicVerdict {
  const config = { ...topic.config, minInSyncReplicas };
  const altered = { kind: 'topic-altered', topicId: topic.topicId, config, ...FOLLOWS } as const;
  return {
    records: [altered, ...requorum(topic, config, view)],
    shortfall: raiseShortfall(topic, config, view),
  };
}

/** Records that delete the topic. Throws {@link BrokerError} UNKNOWN_TOPIC. */
export function deleteTopic(image: MetadataImage, request: DeleteTopicRequest): MetadataRecord[] {
  const topic = topicByName(image, request.name);
  refuseInternal(topic, 'delete');
  return [{ kind: 'topic-deleted', topicId: topic.topicId }];
}

function refuseInternal({ name }: TopicState, what: string): void {
  if (!isInternalTopic(name)) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot ${what} topic "${name}": it is the cluster's own, which alone changes it`,
  );
}

/** Throws {@link BrokerError} UNKNOWN_TOPIC. */
export function topicByName(image: MetadataImage, name: string): TopicState {
  const topic = image.topics.get(image.topicIdsByName.get(name) ?? '');
  if (topic === undefined) throw new BrokerError('UNKNOWN_TOPIC', `No topic is named "${name}"`);
  return topic;
}

function assignmentFaults(image: MetadataImage, request: CreateTopicRequest): string[] {
  const { assignments, partitions, replicationFactor } = request;
  if (assignments.length === 0) return [];
  if (assignments.length !== partitions)
    return [
      `assignments has ${String(assignments.length)} lists, must have partitions (${String(partitions)})`,
    ];
  return assignments.flatMap((list, index) => {
    const unknown = list.filter((id) => !image.brokers.has(id));
    if (list.length !== replicationFactor || new Set(list).size !== list.length) {
      return [
        `assignments[${String(index)}] is ${list.join()}, must name replicationFactor (${String(replicationFactor)}) different brokers`,
      ];
    }
    return unknown.length > 0
      ? [`assignments[${String(index)}] names brokers ${unknown.join()}, which are not registered`]
      : [];
  });
}

export function checkRoom(image: MetadataImage, added: number, limits: TopicLimits): void {
  const present = [...image.topics.values()].reduce(
    (sum, topic) => sum + topic.partitions.length,
    0,
  );
  if (present + added <= limits.partitionsMax) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot add ${String(added)} partitions to ${String(present)}: the cluster may have at most ${String(limits.partitionsMax)}`,
  );
}

function place(
  image: MetadataImage,
  request: {
    readonly topicId: string;
    readonly name: string;
    readonly partitions: number;
    readonly replicationFactor: number;
  },
): BrokerId[][] {
  const available = placeableBrokers(image).length;
  if (available < request.replicationFactor) {
    throw new BrokerError(
      'REFUSED',
      `Cannot place topic "${request.name}": replicationFactor is ${String(request.replicationFactor)}, only ${String(available)} brokers are unfenced, not stopping and not cordoned`,
    );
  }
  return placeReplicas(image, request);
}

export function newPartitions(
  image: MetadataImage,
  request: {
    readonly name: string;
    readonly config: TopicConfig;
    readonly firstPartition: number;
    readonly lists: readonly (readonly BrokerId[])[];
  },
): PartitionState[] {
  const { name, config, firstPartition, lists } = request;
  return lists.map((replicas, index) => {
    const state = newPartition(firstPartition + index, replicas, config, image.brokers);
    const present = state?.syncSet.length ?? 0;
    if (state === null || present < config.minInSyncReplicas) {
      throw new BrokerError(
        'REFUSED',
        `Cannot create ${name}/${String(firstPartition + index)}: ${String(present)} of its replicas (${replicas.join()}) are unfenced and not stopping, ` +
          `minInSyncReplicas is ${String(config.minInSyncReplicas)}`,
      );
    }
    return state;
  });
}

function refuseWidth(image: MetadataImage, topic: TopicState, replicationFactor: number): void {
  requireLevel(image, LEVEL_OF_MOVES, `change replicationFactor of topic "${topic.name}"`);
  const available = placeableBrokers(image).length;
  if (replicationFactor < topic.replicationFactor || available >= replicationFactor) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot raise replicationFactor of topic "${topic.name}" from ${String(topic.replicationFactor)} to ${String(replicationFactor)}: ` +
      `only ${String(available)} brokers are unfenced, not stopping and not cordoned`,
  );
}

/**
 * A greater m binds at once, so it is taken only where S satisfies it. q follows by the leader's
 * own proposals; HW waits for it (rule 8).
 */
function raiseShortfall(
  topic: TopicState,
  config: TopicConfig,
  view: BrokerView,
): BrokerError | null {
  const [from, to] = [topic.config.minInSyncReplicas, config.minInSyncReplicas];
  if (to <= from) return null;
  for (const state of topic.partitions) {
    const counted = countedMembers(state, view).filter((id) => !state.removing.includes(id)).length;
    if (counted >= to) continue;
    return new BrokerError(
      'REFUSED',
      `Cannot raise minInSyncReplicas of topic "${topic.name}" from ${String(from)} to ${String(to)}: partition ${String(state.partition)} has ` +
        `${String(counted)} trusted unfenced members in S that stay, must have ${String(to)}`,
    );
  }
  return null;
}

/**
 * Lowers q to what mode and m now aim at; that is always safe. Raising it needs certificates, and
 * is the leader's to propose. A change of mode moves every partition epoch, so that an addition
 * which a leader proposed for the old mode, and holds HW for, cannot be committed as one of the
 * new.
 */
function requorum(topic: TopicState, config: TopicConfig, view: BrokerView): MetadataRecord[] {
  return topic.partitions.flatMap((state): MetadataRecord[] => {
    const lowered = { ...state, quorum: Math.min(state.quorum, quorumAim(state, config)) };
    const isModeChanged = config.commitMode !== topic.config.commitMode;
    const settled = changed(state, settle(lowered, config.minInSyncReplicas, view));
    const next =
      settled === null && isModeChanged
        ? { ...state, partitionEpoch: state.partitionEpoch + 1 }
        : settled;
    return next === null
      ? []
      : [{ kind: 'partition-changed', topicId: topic.topicId, state: next }];
  });
}

function isSameConfig(left: TopicConfig, right: TopicConfig): boolean {
  return (Object.keys(left) as (keyof TopicConfig)[]).every((name) => left[name] === right[name]);
}
