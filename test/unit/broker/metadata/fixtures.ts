/** Builders of metadata values: one per object, every field can be overridden. */
import { FEATURE_LEVEL_MAX } from '../../../../broker/metadata/features.ts';
import { apply, emptyImage } from '../../../../broker/metadata/apply.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../broker/metadata/config.ts';
import type {
  BrokerState,
  MetadataImage,
  PartitionState,
  TopicConfig,
  TopicState,
} from '../../../../broker/metadata/types.ts';

export function brokerState(brokerId: number, patch: Partial<BrokerState> = {}): BrokerState {
  return {
    brokerId,
    brokerEpoch: brokerId + 1,
    directoryId: `directory-${String(brokerId)}`,
    host: `host-${String(brokerId)}`,
    port: 9000,
    rack: `rack-${String(brokerId % 3)}`,
    restartClass: 'new',
    fenced: false,
    stopping: false,
    cordoned: false,
    unfencedEpoch: brokerId + 1,
    featureLevelMax: FEATURE_LEVEL_MAX,
    ...patch,
  };
}

export function partitionState(patch: Partial<PartitionState> = {}): PartitionState {
  const replicas = patch.replicas ?? [0, 1, 2];
  const syncSet = patch.syncSet ?? replicas;
  return {
    partition: 0,
    replicas,
    syncSet,
    quorum: syncSet.length,
    leader: syncSet[0] ?? -1,
    leaderEpoch: 1,
    partitionEpoch: 1,
    suspects: [],
    uncleanEpoch: 0,
    adding: [],
    removing: [],
    successor: -1,
    cannotLead: [],
    ...patch,
  };
}

export function topicState(
  partitions: readonly PartitionState[],
  config: Partial<TopicConfig> = {},
  patch: Partial<TopicState> = {},
): TopicState {
  return {
    topicId: 't',
    name: 't',
    replicationFactor: 3,
    config: { ...TOPIC_CONFIG_DEFAULTS, ...config },
    partitions,
    ...patch,
  };
}

export function imageOf(
  brokers: readonly BrokerState[],
  topics: readonly TopicState[] = [],
): MetadataImage {
  const image = apply(
    emptyImage(),
    [{ kind: 'cluster', clusterId: 'c', featureLevel: FEATURE_LEVEL_MAX }],
    {
      index: 1,
      term: 1,
    },
  );
  return {
    ...image,
    brokers: new Map(brokers.map((broker) => [broker.brokerId, broker])),
    lastBrokerEpoch: Math.max(0, ...brokers.map((broker) => broker.brokerEpoch)),
    topics: new Map(topics.map((topic) => [topic.topicId, topic])),
    topicIdsByName: new Map(topics.map((topic) => [topic.name, topic.topicId])),
  };
}
