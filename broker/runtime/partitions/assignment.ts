/**
 * A partition's row as its replica's core takes it: with what the core needs of brokers and topic.
 * Pure.
 */
import type { BrokerId } from '../../../base/units.ts';
import { isCompacted } from '../../metadata/config.ts';
import { leavingMembers } from '../../metadata/leader-election.ts';
import type { MetadataImage, PartitionState, TopicState } from '../../metadata/types.ts';
import type { Assignment, ReplicaInfo } from '../../replication/types.ts';

/** The assignment that `state` means to the broker that holds a replica of it. */
export function assignmentOf(
  brokers: MetadataImage['brokers'],
  topic: Pick<TopicState, 'config'>,
  state: PartitionState,
): Assignment {
  const info = (brokerId: BrokerId): ReplicaInfo => {
    const broker = brokers.get(brokerId);
    return {
      brokerId,
      brokerEpoch: broker?.brokerEpoch ?? 0,
      fenced: broker?.fenced ?? true,
      stopping: broker?.stopping ?? false,
    };
  };
  const { leader, leaderEpoch, partitionEpoch, syncSet, quorum } = state;
  const { suspects, uncleanEpoch, successor } = state;
  const { minInSyncReplicas, commitMode, batchBytesMax } = topic.config;
  return {
    leader,
    leaderEpoch,
    partitionEpoch,
    replicas: state.replicas.map(info),
    syncSet,
    quorum,
    suspects,
    uncleanEpoch,
    successor,
    leaving: leavingMembers(state),
    minInSyncReplicas,
    commitMode,
    batchBytesMax,
    isCompacted: isCompacted(topic.config),
  };
}
