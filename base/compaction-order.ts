/** What a pass of compaction is told: three offsets, the same for every replica. */
import type { Offset } from './units.ts';

/**
 * An order to compact a log. What it leaves depends on the log and these offsets alone (K1); orders
 * of one log rise in each of the three.
 */
export interface CompactionOrder {
  /**
   * X: a record below it stays only if none of its key comes later below X. At or below the synced
   * offset of the log.
   */
  readonly upTo: Offset;
  /** D, at or below X: tombstones below it go. */
  readonly tombstonesBelow: Offset;
  /**
   * P, at or below X: batches below it are no longer needed to tell a repeated batch. From there on
   * the last batches of each producer below X keep their headers.
   */
  readonly producersBelow: Offset;
}

/** Whether `order` asks for all that `other` does. */
export function isAtLeast(order: CompactionOrder, other: CompactionOrder): boolean {
  return (
    order.upTo >= other.upTo &&
    order.tombstonesBelow >= other.tombstonesBelow &&
    order.producersBelow >= other.producersBelow
  );
}
