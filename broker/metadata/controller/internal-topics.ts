/**
 * Topics of the cluster's own: made when a broker first needs one, never by a client, and widened
 * as brokers join. What they are follows from their name alone, whatever a request or a setting of
 * the cluster says. Pure.
 */
import { BrokerError } from '../../../base/errors.ts';
import {
  GROUPS_PARTITIONS,
  GROUPS_TOPIC,
  QUEUES_PARTITIONS,
  QUEUES_TOPIC,
} from '../../../base/internal-topics.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../config.ts';
import type { MakeInternalTopicRequest } from '../controller-types.ts';
import { hasLevel, LEVEL_OF_GROUPS, LEVEL_OF_QUEUES, requireLevel } from '../features.ts';
import type { BrokerView } from '../leader-election.ts';
import { placeableBrokers, placeReplicas } from '../placement.ts';
import type { MetadataImage, MetadataRecord, TopicConfig, TopicState } from '../types.ts';
import { changeTopic, checkRoom, newPartitions, type TopicLimits } from './topics.ts';

/** All of them: how many partitions each has, and the level from which it may be. */
const INTERNAL_TOPICS = [
  {
    name: GROUPS_TOPIC,
    partitions: GROUPS_PARTITIONS,
    level: LEVEL_OF_GROUPS,
    what: 'keep cursors of groups',
  },
  {
    name: QUEUES_TOPIC,
    partitions: QUEUES_PARTITIONS,
    level: LEVEL_OF_QUEUES,
    what: 'keep what became of records of queues',
  },
] as const;

/** Copies that such a topic has where there are brokers enough. */
const COPIES_WANTED = 3;
const MIB = 1024 * 1024;

/**
 * Two of three copies, always in sync, and nothing goes by age or size. Small segments, so that a
 * trim frees space.
 */
function configOf(replicationFactor: number): TopicConfig {
  return {
    ...TOPIC_CONFIG_DEFAULTS,
    minInSyncReplicas: minOf(replicationFactor),
    commitMode: 'in-sync',
    retentionMs: -1,
    retentionBytes: -1,
    segmentBytes: 16 * MIB,
    batchBytesMax: 4 * MIB,
    uncleanElection: false,
  };
}

function minOf(replicationFactor: number): number {
  return replicationFactor >= COPIES_WANTED ? 2 : 1;
}

/**
 * Records that make it; none where it is there. Throws {@link BrokerError} REFUSED while it cannot
 * be, and INVALID_ARGUMENT for a name that this build knows no such topic of.
 */
export function makeInternalTopic(
  image: MetadataImage,
  { topicId, name }: MakeInternalTopicRequest,
  limits: TopicLimits,
): MetadataRecord[] {
  const known = INTERNAL_TOPICS.find((topic) => topic.name === name);
  if (known === undefined)
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `Cannot make topic "${name}": no topic of the cluster's own has this name`,
    );
  requireLevel(image, known.level, known.what);
  if (image.topicIdsByName.has(name)) return [];
  if (image.topics.has(topicId))
    throw new BrokerError('TOPIC_EXISTS', `Cannot make topic "${name}": id ${topicId} is taken`);
  const { partitions } = known;
  checkRoom(image, partitions, limits);
  const replicationFactor = Math.min(COPIES_WANTED, placeableBrokers(image).length);
  if (replicationFactor === 0)
    throw new BrokerError(
      'REFUSED',
      `Cannot make topic "${name}": no broker is unfenced, not stopping and not cordoned`,
    );
  const config = configOf(replicationFactor);
  const lists = placeReplicas(image, { topicId, partitions, replicationFactor });
  const states = newPartitions(image, { name, config, firstPartition: 0, lists });
  const topic = { topicId, name, replicationFactor, config, partitions: states };
  return [{ kind: 'topic-created', topic }];
}

/**
 * Records that bring each nearer to what it is to be: first more copies, as brokers join, then the
 * higher minInSyncReplicas, once every sync set satisfies it.
 */
export function widenInternalTopics(
  image: MetadataImage,
  view: BrokerView,
  limits: TopicLimits,
): MetadataRecord[] {
  return INTERNAL_TOPICS.flatMap(({ name, level }) => {
    const topic = image.topics.get(image.topicIdsByName.get(name) ?? '');
    return topic === undefined || !hasLevel(image, level)
      ? []
      : widened(image, view, topic, limits);
  });
}

function widened(
  image: MetadataImage,
  view: BrokerView,
  topic: TopicState,
  limits: TopicLimits,
): MetadataRecord[] {
  const { topicId, config } = topic;
  const reachable = Math.min(COPIES_WANTED, placeableBrokers(image).length);
  if (topic.replicationFactor < reachable)
    return [{ kind: 'replication-factor-changed', topicId, replicationFactor: reachable }];
  const minInSyncReplicas = minOf(topic.replicationFactor);
  if (config.minInSyncReplicas >= minInSyncReplicas || !isWhole(topic)) return [];
  const change = { config: { minInSyncReplicas }, partitions: 0, replicationFactor: 0 };
  const { records, shortfall } = changeTopic(image, view, topic, change, limits);
  return shortfall === null ? [...records] : [];
}

/** Every copy is in sync, so that a raised minInSyncReplicas stops no append at the next death. */
function isWhole({ replicationFactor, partitions }: TopicState): boolean {
  return partitions.every(
    ({ syncSet, target }) => target === undefined && syncSet.length === replicationFactor,
  );
}
