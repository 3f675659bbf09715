/**
 * What no honest peer can say, field by field: each function answers with the reason, or null.
 * Whatever comes from another process is judged here before it acts, and is an error of that
 * process; the numbers may be anything that a number can be. What is possible, and only wrong, is
 * for the rules of the protocol.
 */
import { isOffset, OFFSET_MAX } from '../../base/limits.ts';
import { type BatchHeader, endOffsetOf } from '../../wire/batch/frame.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { ReplicaLog } from './log.ts';
import type { Position } from './types.ts';

/**
 * Why no follower can be at this position, or null. Only the leader hands out what is of its own
 * epoch.
 */
export function positionFault(
  { lastEpoch, endOffset, syncedOffset, start }: Position,
  leaderEpoch: LeaderEpoch,
  log: ReplicaLog,
): string | null {
  const { offset = 0, retiredTo = 0, epoch = 0, tombstonesBelow = 0 } = start ?? {};
  if (!isEpoch(lastEpoch, leaderEpoch) || !isEpoch(epoch, leaderEpoch))
    return `states epochs ${epoch} and ${lastEpoch}, must be 0 to ${leaderEpoch}`;
  if (![endOffset, syncedOffset, offset, retiredTo, tombstonesBelow].every(isOffset))
    return `states end ${endOffset}, synced ${syncedOffset}, start ${offset}, retired ${retiredTo}, tombstones ${tombstonesBelow}: must be 0 to ${OFFSET_MAX}`;
  if (lastEpoch === leaderEpoch && endOffset > log.writtenEnd)
    return `states end ${endOffset} in epoch ${lastEpoch}, of which ${log.writtenEnd} is the end`;
  if (syncedOffset > endOffset) return `states synced ${syncedOffset}, above its end ${endOffset}`;
  if (offset > endOffset || retiredTo > offset)
    return `states start ${offset} with retention at ${retiredTo} and end ${endOffset}`;
  // An empty log ends where it starts.
  if (start !== undefined && lastEpoch === 0 && endOffset !== offset)
    return `states batches from ${offset} to ${endOffset}, and none that has an epoch`;
  return null;
}

/** Why these marks cannot be a leader's, or null: it retires below HW alone (rule 9). */
export function markFault(highWaterMark: Offset, logStartOffset: Offset): string | null {
  if (!(isOffset(highWaterMark) && isOffset(logStartOffset)))
    return `log start ${logStartOffset} and high-water mark ${highWaterMark}, must be 0 to ${OFFSET_MAX}`;
  return logStartOffset <= highWaterMark
    ? null
    : `log start ${logStartOffset}, must be at or below the high-water mark ${highWaterMark}`;
}

/**
 * Why these frames cannot stand at the end of the log, or null. Offsets are contiguous, epochs
 * never fall.
 *
 * @param first index of the first one that the log does not hold
 */
export function frameFault(
  headers: readonly BatchHeader[],
  first: number,
  log: ReplicaLog,
  leaderEpoch: LeaderEpoch,
): string | null {
  let epoch = log.epochs.lastEpoch;
  let end = log.endOffset;
  let dataEnd = log.dataEnds.knownBelow(end);
  for (let index = 0; index < headers.length; index += 1) {
    const header = headers[index]!;
    const { baseOffset } = header;
    const endOffset = endOffsetOf(header);
    if (!(isOffset(baseOffset) && isOffset(endOffset)) || endOffset <= baseOffset)
      return `a batch from ${baseOffset} to ${endOffset}, must be within 0 to ${OFFSET_MAX}`;
    if (index < first) {
      if (endOffset > log.endOffset)
        return `a batch from ${baseOffset} to ${endOffset}, the log ends at ${log.endOffset}`;
      continue;
    }
    if (baseOffset !== end) return `base offset ${baseOffset}, must be ${end}`;
    if (!isEpoch(header.leaderEpoch, leaderEpoch) || header.leaderEpoch < epoch)
      return `epoch ${header.leaderEpoch}, must be ${epoch} to ${leaderEpoch}`;
    if (header.trimTo !== undefined && !(header.trimTo >= 0 && header.trimTo <= baseOffset))
      return `a trim to ${header.trimTo}, must be 0 to ${baseOffset}, where it stands`;
    if (header.compaction !== undefined && !(header.compaction.upTo <= baseOffset))
      return `a compaction to ${header.compaction.upTo}, must be 0 to ${baseOffset}, where it stands`;
    epoch = header.leaderEpoch;
    end = endOffset;
    if (!header.isControl) dataEnd = end;
    else if (header.dataEnd !== undefined && header.dataEnd < dataEnd)
      return `a control batch that states dataEnd ${header.dataEnd}, must be ${dataEnd} or more`;
  }
  return null;
}

/**
 * Why no leader can say that logs agree up to here, or start here, or null.
 *
 * @param epoch of the batch before
 */
export function boundFault(
  offset: Offset,
  epoch: LeaderEpoch,
  leaderEpoch: LeaderEpoch,
): string | null {
  if (!isOffset(offset)) return `offset ${offset}, must be 0 to ${OFFSET_MAX}`;
  return isEpoch(epoch, leaderEpoch) ? null : `epoch ${epoch}, must be 0 to ${leaderEpoch}`;
}

function isEpoch(epoch: number, epochMax: LeaderEpoch): boolean {
  return Number.isSafeInteger(epoch) && epoch >= 0 && epoch <= epochMax;
}
