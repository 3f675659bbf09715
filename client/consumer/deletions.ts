/**
 * Deletions that a reader of a compacted topic may miss: tombstones go some time after what they
 * delete, and who comes later sees neither. Must not use streams. Source: docs/compaction.md.
 */
import type { FetchPartition } from '../../proto/gen/tidemark/v1/log.ts';
import { TidemarkError } from '../errors.ts';
import type { Reader } from './partition-reader.ts';

/** What a replica says with what it sends: see log.proto. */
export interface DeletionMarks {
  readonly compactedTo: number;
  readonly tombstonesBelow: number;
}

/** Of a log that is not compacted, and of brokers of older builds: nothing is gone. */
export function deletionsOf({
  compactedTo = 0,
  tombstonesBelow = 0,
}: Pick<FetchPartition, 'compactedTo' | 'tombstonesBelow'>): DeletionMarks {
  return { compactedTo, tombstonesBelow };
}

/**
 * Takes what is sent as read from such a log. DELETIONS_MISSED where keys that were read before may
 * have been deleted by tombstones that are gone. A tombstone below what their log was compacted to
 * is none of them, for it would have taken those records with it; nor is one below the position,
 * for it was read.
 */
export function missedDeletions(
  topic: string,
  reader: Reader,
  { compactedTo, tombstonesBelow }: DeletionMarks,
): TidemarkError | undefined {
  const { partition, nextOffset: offset } = reader;
  const isMissed = tombstonesBelow > Math.max(offset, reader.compactedTo);
  reader.compactedTo = Math.min(reader.compactedTo, compactedTo);
  if (!isMissed) return undefined;
  const message = `Cannot read on at ${topic}/${partition} offset ${offset}: tombstones below offset ${tombstonesBelow} are gone, so keys that were read before may be deleted; read from earliest into an empty state`;
  const details = { topic, partition, offset, tombstonesBelow };
  return new TidemarkError('DELETIONS_MISSED', message, 'no', details);
}
