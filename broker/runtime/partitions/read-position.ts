/** Whether a replica may serve a position. */
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId, Offset } from '../../../base/units.ts';
import type { Partition, PartitionStatus } from '../../replication/partition.ts';
import type { CompactionStatus } from '../../replication/compactions.ts';
import type { DeletionMarks, ReplicaMarks } from '../api.ts';

/** What a reader asks for. */
export interface ReadPosition {
  readonly offset: Offset;
  readonly epoch: number;
  readonly bytesMax: number;
  readonly allowFollower: boolean;
  readonly inSyncOnly?: boolean;
}

/** What the replica knows. */
export interface ServedReplica {
  /** For people: topic and partition. */
  readonly name: string;
  readonly self: BrokerId;
  readonly status: PartitionStatus;
  readonly marks: ReplicaMarks;
  /** The controller heard this broker lately. */
  readonly isHeard: boolean;
  readonly divergence: Partition['divergence'];
}

/**
 * Throws {@link BrokerError} NOT_LEADER, OFFSET_OUT_OF_RANGE, OFFSET_NOT_AVAILABLE or
 * POSITION_DIVERGED.
 */
export function checkReadPosition(
  { offset, epoch, allowFollower, inSyncOnly }: ReadPosition,
  { name, self, status, marks, isHeard, divergence }: ServedReplica,
): void {
  const { logEnd, syncSet, suspects } = status;
  const { logStart, highWaterMark } = marks;
  const isInSync = syncSet.includes(self) && !suspects.includes(self) && isHeard;
  const mayFollow = allowFollower && (inSyncOnly !== true || isInSync);
  if (!marks.isLeader && !mayFollow) {
    const hint = marks.leader < 0 ? {} : { leader: marks.leader, leaderEpoch: marks.leaderEpoch };
    throw new BrokerError(
      'NOT_LEADER',
      `Cannot read ${name} here: broker ${self} does not lead it`,
      hint,
    );
  }
  const outOfRange = (): BrokerError =>
    new BrokerError(
      'OFFSET_OUT_OF_RANGE',
      `Cannot read ${name} at offset ${offset}: it must be ${logStart} to ${highWaterMark}`,
      { logStart, logEnd: highWaterMark },
    );
  if (offset < logStart) throw outOfRange();
  if (offset < status.undecidedTo) {
    // An earlier leader may have answered it: nobody may see what is below, or be told that it is
    // gone.
    throw new BrokerError(
      'OFFSET_NOT_AVAILABLE',
      `Cannot read ${name} at offset ${offset}: a trim to ${status.undecidedTo} is not committed yet`,
    );
  }
  if (marks.isLeader && epoch > marks.leaderEpoch) {
    // Another leads by now and this broker has not heard of it, or no leader ever had it (rule 21).
    throw new BrokerError(
      'OFFSET_NOT_AVAILABLE',
      `Cannot read ${name} after a record of epoch ${epoch}: broker ${self} leads epoch ${marks.leaderEpoch} and knows no later one`,
    );
  }
  // First the epoch, then the end: a position that was cut off stays one, however short the log is
  // by now.
  const parting = epoch === 0 ? null : divergence(epoch, offset);
  const agreed = parting?.endOffset ?? offset;
  if (parting !== null && agreed < offset) {
    throw new BrokerError(
      'POSITION_DIVERGED',
      `Cannot read ${name} at offset ${offset} of epoch ${epoch}: the log agrees with that position up to ${agreed}`,
      { logStart, logEnd: agreed, agreedEpoch: parting.epoch },
    );
  }
  // A follower's end is not the log's: who has read further elsewhere waits here until it has
  // come (rule 7 binds only the leader's word).
  if (marks.isLeader && offset > logEnd) throw outOfRange();
}

/** What a read says of deletions, by how the log was compacted before it and after. */
export function deletionMarks(
  { doneTo }: Pick<CompactionStatus, 'doneTo'>,
  { floor }: Pick<CompactionStatus, 'floor'>,
): DeletionMarks {
  return { compactedTo: doneTo, tombstonesBelow: floor };
}
