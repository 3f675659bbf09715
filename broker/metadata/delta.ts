/**
 * What differs between two images, by reference: `apply` shares whatever it did not change, so
 * equal references mean equal values.
 */
import type { BrokerId, TopicId } from '../../base/units.ts';
import type { MetadataImage, TopicState } from './types.ts';

/** A partition whose row, or topic configuration, is new, changed or gone. */
export interface ChangedPartition {
  readonly topicId: TopicId;
  readonly partition: number;
}

/**
 * Partitions that differ, in order of topic and number. A changed topic configuration touches all
 * partitions of the topic.
 */
export function changedPartitions(before: MetadataImage, after: MetadataImage): ChangedPartition[] {
  if (before.topics === after.topics) return [];
  const changed: ChangedPartition[] = [];
  for (const topicId of new Set([...before.topics.keys(), ...after.topics.keys()])) {
    const [old, now] = [before.topics.get(topicId), after.topics.get(topicId)];
    if (old !== now) changed.push(...changedOfTopic(topicId, old, now));
  }
  return changed;
}

/** Brokers that were registered, changed or removed. */
export function changedBrokers(before: MetadataImage, after: MetadataImage): BrokerId[] {
  if (before.brokers === after.brokers) return [];
  const ids = new Set([...before.brokers.keys(), ...after.brokers.keys()]);
  return [...ids].filter((id) => before.brokers.get(id) !== after.brokers.get(id));
}

/** Whether rules of access were granted or revoked. */
export function isAccessChanged(before: MetadataImage, after: MetadataImage): boolean {
  return before.access !== after.access;
}

function changedOfTopic(
  topicId: TopicId,
  before: TopicState | undefined,
  after: TopicState | undefined,
): ChangedPartition[] {
  const count = Math.max(before?.partitions.length ?? 0, after?.partitions.length ?? 0);
  const isConfigChanged = before?.config !== after?.config;
  return Array.from({ length: count }, (_, partition) => ({ topicId, partition })).filter(
    ({ partition }) =>
      isConfigChanged || before?.partitions[partition] !== after?.partitions[partition],
  );
}
