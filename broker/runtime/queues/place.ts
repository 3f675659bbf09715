/** Which partition of `__queues` keeps what became of a partition's records. */
import { QUEUES_PARTITIONS } from '../../../base/internal-topics.ts';
import type { QueuePlace } from '../../queues/types.ts';
import { keyHash } from '../../../wire/batch/key-hash.ts';

/** Whoever leads it owns the place. @param place `queue` is the queue's id */
export function partitionOfQueue({ queue, topicId, partition }: QueuePlace): number {
  const key = `${queue}/${topicId}/${String(partition)}`;
  return keyHash(new TextEncoder().encode(key)) % QUEUES_PARTITIONS;
}
