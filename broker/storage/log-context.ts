/** What the log of a partition is opened with. */
import type { StampTarget } from '../../wire/batch/frame.ts';
import type { Offset, TopicId } from '../../base/units.ts';
import type { Background, PartitionLogOptions } from '../runtime/ports.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Pacer } from './compaction/pacer.ts';
import type { Flusher } from './flusher.ts';
import type { Volume } from './volume.ts';

/** By what logs of one disk are compacted. */
export interface CompactionMeans {
  readonly background: Background;
  readonly pacer: Pacer;
}

/**
 * What a log needs. Its folder exists, and the folder's parent holds all partitions of the broker.
 */
export interface PartitionLogContext {
  readonly volume: Volume;
  readonly checkpoint: Checkpoint;
  readonly flusher: Flusher;
  readonly topicId: TopicId;
  readonly partition: number;
  readonly target: StampTarget;
  readonly folder: string;
  readonly options: PartitionLogOptions;
  /** Null: this disk takes no orders to compact. */
  readonly compaction: CompactionMeans | null;
  readonly onSynced: (offset: Offset) => void;
  /** `isSynced` false: for want of space or descriptors, something is only in the page cache. */
  readonly onClosed: (isSynced: boolean) => void;
}
