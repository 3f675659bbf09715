/**
 * Whether a leader's log ends where an append expects it to: no data at or above that offset, which
 * is not above the end. Control batches do not count, so an election breaks nobody's expectation.
 */
import { BrokerError } from '../../base/errors.ts';
import type { LeaderEpoch, Offset, PartitionKey } from '../../base/units.ts';
import type { ReplicaLog } from './log.ts';
import type { ExpectedEnd } from './types.ts';

/** Why the append is refused. */
interface Refusal {
  readonly error: BrokerError;
  /**
   * It is certain once everything below is committed. That stands in every later leader's log,
   * behind nothing that an earlier try of the same batch left: the check of producers would have
   * found it. Undefined: the log does not reach so far, and the append may be tried again at once.
   */
  readonly dataEnd?: Offset;
}

/** @returns null: the append may be taken */
export function judgeExpectedEnd(
  { offset, leaderEpoch: statedEpoch }: ExpectedEnd,
  log: ReplicaLog,
  leaderEpoch: LeaderEpoch,
  key: PartitionKey,
): Refusal | null {
  const { dataEnd, dataEnds, endOffset, producers } = log;
  const where = `Cannot append to ${key} at expected offset ${offset}`;
  if (offset > endOffset || statedEpoch > leaderEpoch) {
    const reason = `the log of the leader of epoch ${leaderEpoch} ends at ${endOffset}`;
    const message = `${where} behind epoch ${statedEpoch}: ${reason}`;
    const details = { leaderEpoch, retry: 'refresh' } as const;
    return { error: new BrokerError('OFFSET_NOT_AVAILABLE', message, details) };
  }
  const isTaken = dataEnd > offset;
  if (!isTaken && hasEpochBefore(log, dataEnds.below(offset), statedEpoch)) return null;
  const first = producers.firstFrom(offset);
  const isHolder = first !== null && dataEnds.below(first.baseOffset) <= offset;
  const details = { leaderEpoch, dataEnd, ...(isHolder ? { holder: first } : {}) };
  const error = isTaken
    ? new BrokerError('OFFSET_TAKEN', `${where}: data ends at ${dataEnd}`, details)
    : new BrokerError(
        'POSITION_DIVERGED',
        `${where}: the record before it is not of epoch ${statedEpoch}`,
        { leaderEpoch, dataEnd },
      );
  return { error, dataEnd };
}

/** Whether a reader of this log may have been at `position` after a batch of `epoch`. */
function hasEpochBefore(log: ReplicaLog, position: Offset, epoch: LeaderEpoch): boolean {
  if (epoch === 0 || position <= log.startOffset) return true;
  const agreed = log.endOf(epoch);
  return agreed.epoch === epoch && agreed.endOffset >= position;
}
