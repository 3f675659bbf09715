/** Records of a batch, one by one. */
import type { BatchRecord, ConsumedRecord, RecordBatch } from './types.ts';

/**
 * The record with the place that it was read from. Field by field: a spread takes longer than it
 * takes to decode the record.
 */
export function consumed<Key, Value>(
  { topic, partition, leaderEpoch }: Pick<RecordBatch, 'topic' | 'partition' | 'leaderEpoch'>,
  { offset, timestampMs, key, value, headers }: BatchRecord<Key, Value>,
): ConsumedRecord<Key, Value> {
  return { topic, partition, leaderEpoch, offset, timestampMs, key, value, headers };
}
