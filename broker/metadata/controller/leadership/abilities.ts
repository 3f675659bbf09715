/**
 * What brokers say of their replicas: one that stopped, or has no room, cannot lead its partition
 * however its log ends. Metadata holds that word until the broker takes it back or registers anew,
 * so that every controller knows it. Pure.
 */
import type { BrokerId } from '../../../../base/units.ts';
import type { AbilityStatement } from '../../controller-types.ts';
import {
  canSucceed,
  changed,
  countedMembers,
  leaderCandidates,
  settle,
  withAbility,
} from '../../leader-election.ts';
import type { BrokerView } from '../../leader-election.ts';
import type { MetadataImage, MetadataRecord, PartitionState } from '../../types.ts';

/**
 * Reason of a replica whose volume is below its reserve: it can write no more records, and still
 * serves what it has.
 */
export const DISK_SHORT = 'disk-short';

type RowRecord = Extract<MetadataRecord, { kind: 'partition-changed' }>;

/**
 * Records that follow from what `brokerId` says. A leader that cannot lead is replaced at once, or
 * its partition waits without one: then whoever can lead first does so in a new epoch. One that is
 * short of space hands over (rule 22), and is passed over while another member can lead. What is
 * said of a partition that the broker does not hold changes nothing.
 */
export function abilityRecords(
  image: MetadataImage,
  view: BrokerView,
  brokerId: BrokerId,
  statements: readonly AbilityStatement[],
): RowRecord[] {
  // The last word on a partition counts.
  const records = new Map<string, RowRecord>();
  for (const { topicId, partition, reason } of statements) {
    const topic = image.topics.get(topicId);
    const state = topic?.partitions[partition];
    if (topic === undefined || state === undefined) continue;
    const able =
      reason === DISK_SHORT
        ? withoutSpace(state, brokerId, view)
        : withAbility(state, brokerId, reason);
    const next = changed(state, settle(able, topic.config.minInSyncReplicas, view));
    const key = `${topicId}/${String(partition)}`;
    if (next === null) records.delete(key);
    else records.set(key, { kind: 'partition-changed', topicId, state: next });
  }
  return [...records.values()];
}

function withoutSpace(state: PartitionState, brokerId: BrokerId, view: BrokerView): PartitionState {
  const others = countedMembers(state, view).filter((id) => id !== brokerId);
  // Somebody must serve the reads. All brokers of a cluster fill up together.
  if (others.length === 0) return state;
  if (state.leader !== brokerId) return withAbility(state, brokerId, DISK_SHORT);
  const successor = leaderCandidates(state, view).find(
    (id) => id !== brokerId && canSucceed(state, id, view),
  );
  return successor === undefined ? state : { ...state, successor };
}
