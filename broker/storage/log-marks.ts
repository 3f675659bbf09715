/** What the journal says of one log, as of now. Changed by the log alone. */
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';
import type { EpochStart } from '../replication/types.ts';
import { startLine } from './checkpoint.ts';
import type { CompactionState, MergedRange, PartitionCheckpoint } from './checkpoint.ts';
import type { LogLayout } from './log-reads.ts';
import type { RecoveredLog } from './recovery.ts';

export class LogMarks {
  epochs: EpochStart[];
  startEpoch: LeaderEpoch;
  /** What retention reached: see `LogStart`. */
  retiredTo: Offset;
  /** Where the journal says that the log starts. */
  statedStart: Offset;
  syncedOffset: Offset;
  highWaterMark: Offset;
  compacted: CompactionState | undefined;
  /** See `LogStart`. */
  tombstonesBelow: Offset;
  /** While segments become one. A start ends what was begun before it. */
  merging: MergedRange | undefined;

  constructor(recovered: RecoveredLog) {
    this.epochs = recovered.epochs;
    this.startEpoch = recovered.startEpoch;
    this.retiredTo = recovered.retiredTo;
    this.statedStart = recovered.statedStart;
    this.syncedOffset = recovered.syncedOffset;
    this.highWaterMark = recovered.highWaterMark;
    this.compacted = recovered.compacted;
    this.tombstonesBelow = recovered.tombstonesBelow;
  }

  /** The batch stands at the end of the log. */
  noteEpoch({ leaderEpoch, baseOffset }: BatchHeader): void {
    if (leaderEpoch > (this.epochs.at(-1)?.epoch ?? 0))
      this.epochs.push({ epoch: leaderEpoch, startOffset: baseOffset });
  }

  /** Returns whether it is another than before. */
  noteHighWaterMark(offset: Offset): boolean {
    const isChanged = offset !== this.highWaterMark;
    this.highWaterMark = offset;
    return isChanged;
  }

  line(layout: LogLayout): PartitionCheckpoint {
    return {
      ...startLine(this.statedStart, this.retiredTo),
      startEpoch: this.startEpoch,
      highWaterMark: this.highWaterMark,
      syncedOffset: this.syncedOffset,
      writtenOffset: layout.endOffset,
      epochs: this.epochs,
      controls: layout.controlsBelow(this.syncedOffset),
      compacted: this.compacted,
      tombstonesBelow: this.tombstonesBelow,
      merging: this.merging,
    };
  }

  /** A cut, or a reset, was journalled with this line. */
  take(planned: PartitionCheckpoint): void {
    this.retiredTo = planned.startOffset;
    this.statedStart = planned.logStartOffset ?? planned.startOffset;
    this.startEpoch = planned.startEpoch;
    this.epochs = [...planned.epochs];
    this.syncedOffset = planned.syncedOffset;
    this.highWaterMark = planned.highWaterMark;
    this.compacted = planned.compacted;
    this.tombstonesBelow = planned.tombstonesBelow ?? 0;
  }
}
