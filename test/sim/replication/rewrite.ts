/**
 * A pass of compaction over a model log: which batches have which key, and which stay. A batch that
 * is gone keeps its header, as sparse batches do, so all that goes by headers goes on.
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { ModelLog } from './model-log.ts';

/** So many that a value stands for a while before it is overwritten. */
export const KEYS = 40;
export function isData({ isControl }: BatchHeader): boolean {
  return !isControl;
}

export function keyOf({ crc }: BatchHeader): number {
  return crc % KEYS;
}

export function isTombstone({ crc }: BatchHeader): boolean {
  return Math.floor(crc / KEYS) % 3 === 0;
}

export function isGone({ isSparse }: BatchHeader): boolean {
  return isSparse;
}

/**
 * Carries `order` out on the batches up to index `last`: oldest first, or a crash in between would
 * take a tombstone before what it deletes (rule K1).
 */
export function rewrite(disk: ModelLog, order: CompactionOrder, last: number): void {
  const { upTo, tombstonesBelow } = order;
  const newest = new Map<number, number>();
  for (const header of disk.held)
    if (isData(header) && !isGone(header) && header.baseOffset < upTo)
      newest.set(keyOf(header), header.baseOffset);
  for (const [index, header] of disk.batches.entries()) {
    const { baseOffset } = header;
    if (index > last || baseOffset >= upTo) return;
    if (!isData(header) || isGone(header) || baseOffset < disk.start) continue;
    const isOld = newest.get(keyOf(header)) !== baseOffset;
    if (isOld || (isTombstone(header) && baseOffset < tombstonesBelow))
      disk.batches[index] = { ...header, isSparse: true, recordCount: 0 };
  }
}
