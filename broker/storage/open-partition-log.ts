/**
 * Opens a partition's log: recovers its segments, and gathers what the producer table is rebuilt
 * from.
 */
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { endOffsetOf, topicIdToBytes } from '../../wire/batch/frame.ts';
import { BrokerError } from '../../base/errors.ts';
import { partitionKey } from '../../base/units.ts';
import type { Offset } from '../../base/units.ts';
import type { RestartClass } from '../metadata/types.ts';
import type { ControlMark } from '../replication/types.ts';
import type { PartitionRecovery } from '../runtime/ports.ts';
import { storageError } from './file-system.ts';
import { collectHeaders } from './log-reader.ts';
import { FilePartitionLog } from './partition-log.ts';
import type { PartitionLogContext } from './log-context.ts';
import { loadProducerSnapshot, producerSnapshotPath } from './producer-snapshot.ts';
import type { ProducerSnapshot } from './producer-snapshot.ts';
import { recoverLog } from './recovery.ts';
import type { RecoveredLog } from './recovery.ts';

export interface OpenRequest extends Omit<PartitionLogContext, 'target'> {
  readonly restartClass: RestartClass;
  /** Makes every later start lossy; awaited before damaged bytes are cut. */
  readonly onDamage: () => Promise<void>;
}

/** Opens and recovers. Damage is reported in `recovery`; rejects with STORAGE_FAILED. */
export async function openPartitionLog(request: OpenRequest): Promise<FilePartitionLog> {
  const key = partitionKey(request.topicId, request.partition);
  const topicIdBytes = topicIdToBytes(request.topicId);
  const target: StampTarget = { topicIdBytes, partition: request.partition };
  try {
    const { recovered, recovery } = await recover(request, target, key);
    return new FilePartitionLog({ ...request, target }, recovered, recovery);
  } catch (error) {
    throw storageError(`open the log of ${key}`, error);
  }
}

/**
 * A header that is found damaged below the recovery point makes it a matter for a full scan, as
 * after a lossy start.
 */
async function recover(
  request: OpenRequest,
  target: StampTarget,
  key: string,
): Promise<{ readonly recovered: RecoveredLog; readonly recovery: PartitionRecovery }> {
  const { volume, folder, restartClass, onDamage } = request;
  const checkpoint = request.checkpoint.get(key);
  const recovered = await recoverLog({
    volume,
    folder,
    target,
    restartClass,
    checkpoint,
    isCheckpointWhole: request.checkpoint.file === 'whole',
    onDamage,
  });
  const snapshot = await usableSnapshot(request, recovered);
  try {
    const headers = await gatherHeaders(key, recovered, snapshot?.offset ?? recovered.startOffset);
    const { startOffset, startEpoch, retiredTo, endOffset, highWaterMark, syncedOffset, damage } =
      recovered;
    const epochs = [...recovered.epochs];
    const controls = controlsOf(recovered, headers);
    const { compacted, tombstonesBelow } = recovered;
    const state = {
      ...(compacted === undefined ? {} : { compacted: compacted.order }),
      ...(tombstonesBelow > 0 && { tombstonesBelow }),
      startOffset,
      startEpoch,
      retiredTo,
      endOffset,
      epochs,
      controls,
      highWaterMark,
      syncedOffset,
    };
    return { recovered, recovery: { state, snapshot, headers, damage } };
  } catch (error) {
    const isCorrupt = error instanceof BrokerError && error.code === 'DATA_CORRUPT';
    if (!isCorrupt || restartClass === 'lossy') throw error;
    for (const segment of recovered.segments) await segment.closeWriter();
    return await recover({ ...request, restartClass: 'lossy' }, target, key);
  }
}

/** Control batches, in order: payloads were read of those that stand above the recovery point. */
function controlsOf(
  { controls, headers }: RecoveredLog,
  gathered: readonly BatchHeader[],
): ControlMark[] {
  const marks = new Map<Offset, ControlMark>();
  const take = (found: readonly BatchHeader[]): void => {
    for (const { isControl, baseOffset, dataEnd, trimTo, compaction } of found)
      if (isControl) marks.set(baseOffset, { baseOffset, dataEnd, trimTo, compaction });
  };
  take(gathered);
  for (const mark of controls) marks.set(mark.baseOffset, mark);
  take(headers);
  return [...marks.values()].sort((one, other) => one.baseOffset - other.baseOffset);
}

async function gatherHeaders(
  key: string,
  recovered: RecoveredLog,
  fromOffset: Offset,
): Promise<BatchHeader[]> {
  const range = { startOffset: fromOffset, endOffset: recovered.headersFrom };
  const headers =
    fromOffset < recovered.headersFrom ? await collectHeaders(key, recovered.segments, range) : [];
  for (const header of recovered.headers)
    if (endOffsetOf(header) > fromOffset) headers.push(header);
  return headers;
}

/**
 * The producer snapshot if it is one of this log; any other is deleted. Its offset alone does not
 * prove that: a power loss may bring back one that was removed with what the log was cut of, and
 * its batches, which are in no log, would be acknowledged as duplicates.
 */
async function usableSnapshot(
  { volume, folder }: OpenRequest,
  { startOffset, startEpoch, endOffset, epochs, damage }: RecoveredLog,
): Promise<Pick<ProducerSnapshot, 'offset' | 'text'> | null> {
  const path = producerSnapshotPath(folder);
  const found = await loadProducerSnapshot(volume.files, path);
  if (found === null) return null;
  const { offset, epoch, text } = found;
  const own = epochs.findLast((each) => each.startOffset < offset)?.epoch ?? startEpoch;
  const isWithin = offset >= startOffset && offset <= endOffset;
  if (damage === null && isWithin && (epoch ?? own) === own) return { offset, text };
  await volume.files.remove(path);
  return null;
}
