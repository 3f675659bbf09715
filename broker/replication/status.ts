/** What one replica of a partition says of itself, for people, metrics and whoever drives it. */
import type { BrokerId, LeaderEpoch, Offset, PartitionEpoch } from '../../base/units.ts';

/**
 * `waiting`: no leader is known, or this replica is not assigned. `spent`: it is to lead an epoch
 * that it led before, and needs another. `stopped`: it must not go on in this epoch, see
 * `PartitionOutput.stopped`. `failed`: a write or sync failed, for good.
 */
export type Role = 'leader' | 'follower' | 'waiting' | 'spent' | 'stopped' | 'failed';

/** A follower as its leader sees it. */
export interface FollowerStatus {
  readonly brokerId: BrokerId;
  /** Acknowledged end; null while nothing is acknowledged in this epoch and incarnation. */
  readonly endOffset: Offset | null;
  readonly lagMs: number;
  /** Member of S. */
  readonly isInSync: boolean;
  /** It acknowledged more than it holds: lossy, whatever it claims. */
  readonly hasLost: boolean;
}

export interface PartitionStatus {
  readonly role: Role;
  /** NO_BROKER while unknown. */
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  readonly logStart: Offset;
  /**
   * Below it nothing is certain, neither that it is there nor that it is gone: a trim is not
   * committed yet. 0: none.
   */
  readonly undecidedTo: Offset;
  /** With what is on its way to the disk. */
  readonly logEnd: Offset;
  readonly writtenEnd: Offset;
  readonly highWaterMark: Offset;
  /** Everything below has passed fdatasync. */
  readonly syncedOffset: Offset;
  readonly syncSet: readonly BrokerId[];
  readonly quorum: number;
  readonly suspects: readonly BrokerId[];
  /** Leader only, else empty. */
  readonly followers: readonly FollowerStatus[];
  /** Fewer than min members of S are unfenced and trusted: appends are refused. Leader only. */
  readonly belowMin: boolean;
  /** A replica is missing from S. */
  readonly isUnderReplicated: boolean;
  readonly appendsPending: number;
  /**
   * Refuses appends, and everything appended is committed: leadership may move without loss at any
   * ack level (rule 22).
   */
  readonly isDrained: boolean;
  /** Follower: its log is a prefix of the leader's. */
  readonly isMatched: boolean;
}
