/**
 * Looks at many rows at once: which of them change when brokers come and go, or when a move can go
 * on. Pure.
 */
import type { TopicId } from '../../../base/units.ts';
import { changed, settle } from '../leader-election.ts';
import type { BrokerView } from '../leader-election.ts';
import type { MetadataImage, MetadataRecord, PartitionState } from '../types.ts';

/** What happens to a row before it is settled. */
export type RowChange = (state: PartitionState, min: number, topicId: TopicId) => PartitionState;

/**
 * Settles the rows that `isAffected` picks against the brokers that `view` knows, after an optional
 * change, and returns a record for each that differs.
 */
export function settledRows(
  image: MetadataImage,
  view: BrokerView,
  isAffected: (state: PartitionState) => boolean,
  change: RowChange = (state) => state,
): MetadataRecord[] {
  const records: MetadataRecord[] = [];
  for (const { topicId, config, partitions } of image.topics.values()) {
    const min = config.minInSyncReplicas;
    for (const state of partitions) {
      const next = isAffected(state)
        ? changed(state, settle(change(state, min, topicId), min, view))
        : null;
      if (next !== null) records.push({ kind: 'partition-changed', topicId, state: next });
    }
  }
  return records;
}
