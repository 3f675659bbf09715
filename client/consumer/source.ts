/**
 * Which replica of a partition a consumer reads: the leader, or an in-sync follower in the reader's
 * own rack (KIP-392). Decides from metadata and from what the consumer has met with; knows no
 * streams.
 */
import type { BrokerView, PartitionLeadership } from '../cluster.ts';

/** A replica to read from. */
export interface Source {
  readonly brokerId: number;
  /** It does not lead: read only while it is in sync. */
  readonly isFollower: boolean;
}

/** What the choice depends on beside the partition itself. */
export interface SourceView {
  /** Rack of the reader; empty: the leaders are read. */
  readonly rack: string;
  readonly broker: (brokerId: number) => BrokerView | undefined;
  /** It went away, or lagged, a moment ago. */
  readonly isAvoided: (brokerId: number) => boolean;
  /** Broker that is read now: stays, as long as it is one of those that may be read. */
  readonly present: number | undefined;
}

/**
 * The source, or undefined while there is no leader and nobody near. Several followers in the rack
 * share its partitions.
 */
export function chooseSource(found: PartitionLeadership, view: SourceView): Source | undefined {
  const { partition, leader, inSync } = found;
  const isNear = (brokerId: number): boolean => view.broker(brokerId)?.rack === view.rack;
  const atLeader = leader === undefined ? undefined : { brokerId: leader, isFollower: false };
  if (view.rack === '' || (leader !== undefined && isNear(leader))) return atLeader;
  const near = inSync.filter(
    (brokerId) =>
      isNear(brokerId) && view.broker(brokerId)?.isUp === true && !view.isAvoided(brokerId),
  );
  const stays = near.find((brokerId) => brokerId === view.present);
  const brokerId = stays ?? near[partition % near.length];
  return brokerId === undefined ? atLeader : { brokerId, isFollower: true };
}
