/**
 * A replica's disk: what passed write(2), and up to where it was synced. A lossy crash loses part
 * of the rest; a warm one loses nothing.
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import type { Random } from '../../../base/random.ts';
import { ProducerTable } from '../../../broker/replication/producers.ts';
import type { EpochStart, LogState, LogWrite } from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';

export function endOf(header: BatchHeader): number {
  return header.baseOffset + header.lastOffsetDelta + 1;
}

export class ModelLog {
  /** Contiguous; what was retired stays for the checkers, below `start`. */
  batches: BatchHeader[] = [];
  start = 0;
  /** Journalled with the start: epoch of the batch before it, and what retention reached. */
  startEpoch = 0;
  retiredTo = 0;
  /**
   * The first offset left by a loss of what stood before it; 0: there was none, or the log was
   * copied anew since.
   */
  lostTo = 0;
  synced = 0;
  checkpoint = 0;
  /** Journalled before anything goes. */
  compacted: CompactionOrder | undefined;
  tombstonesBelow = 0;
  /** Counts cuts: what was begun before one is not gone on with. */
  cuts = 0;

  copy(): ModelLog {
    return Object.assign(new ModelLog(), this, { batches: [...this.batches] });
  }

  get end(): number {
    const last = this.batches.at(-1);
    return last === undefined ? this.start : Math.max(this.start, endOf(last));
  }

  /** What a broker can read: nothing below the start. */
  get held(): readonly BatchHeader[] {
    return this.batches.slice(this.indexOf(this.start));
  }

  /** Index of the batch at `offset`, or of the one after it. */
  indexOf(offset: number): number {
    let low = 0;
    let high = this.batches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.batches[middle] as BatchHeader).baseOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(offset: number): BatchHeader | undefined {
    const batch = this.batches[this.indexOf(offset)];
    return batch?.baseOffset === offset ? batch : undefined;
  }

  apply(write: LogWrite, headers: readonly BatchHeader[]): void {
    if (write.kind === 'truncate') {
      this.batches.length = this.indexOf(write.toOffset);
      const last = this.batches.at(-1);
      if (last !== undefined && endOf(last) > write.toOffset) this.batches.pop();
      this.cuts += 1;
      this.synced = Math.min(this.synced, write.toOffset);
      this.checkpoint = Math.min(this.checkpoint, write.toOffset);
    } else if (write.kind === 'reset') {
      this.batches = [];
      this.start = write.start.offset;
      this.startEpoch = write.start.epoch;
      this.retiredTo = write.start.retiredTo;
      this.lostTo = Math.min(
        this.lostTo,
        write.start.retiredTo < write.start.offset ? Infinity : 0,
      );
      this.compacted = undefined;
      this.tombstonesBelow = write.start.tombstonesBelow ?? 0;
      this.cuts += 1;
      this.synced = write.start.offset;
      this.checkpoint = Math.min(this.checkpoint, write.start.offset);
    } else if (write.kind === 'retire') {
      this.start = Math.max(this.start, write.startOffset);
      this.startEpoch = write.startEpoch;
      this.retiredTo = write.startOffset;
    } else {
      for (const header of headers) {
        if (header.baseOffset !== this.end)
          throw new Error(`write at ${header.baseOffset}, the log ends at ${this.end}`);
        this.batches.push(header);
      }
    }
  }

  /** Power loss: any unsynced suffix may go. */
  loseSuffix(random: Random): void {
    const first = this.indexOf(Math.max(this.synced, this.start));
    const kept = first + random.below(this.batches.length - first + 1);
    this.batches.length = kept;
    this.checkpoint = Math.min(this.checkpoint, this.end);
  }

  /**
   * The first segments vanish: some batches from the start on, never all. The journal is not told.
   */
  loseBeginning(random: Random): void {
    const first = this.indexOf(this.start);
    const lost = random.below(this.batches.length - first);
    const next = this.batches[first + lost];
    if (lost === 0 || next === undefined) return;
    this.batches.splice(0, first + lost);
    this.start = next.baseOffset;
    this.lostTo = this.start;
    this.checkpoint = Math.max(this.checkpoint, this.start);
    this.synced = Math.max(this.synced, this.start);
  }

  /**
   * Where the data ends, as far as this log shows: at or above its last data batch, and exactly
   * there if that stands in the log and no later control batch states more.
   */
  get dataEnd(): { readonly least: number; readonly most: number } {
    const last = this.batches.findLastIndex(({ isControl }) => !isControl);
    const found = this.batches[last];
    const least = found === undefined ? 0 : endOf(found);
    if (least <= this.start) return { least, most: this.end };
    const stated = this.batches.slice(last + 1).map(({ dataEnd = 0 }) => dataEnd);
    const exact = Math.max(least, ...stated);
    return { least: exact, most: exact };
  }

  /** What the log says for itself in an election: the larger one wins. */
  get rank(): { readonly lastEpoch: number; readonly end: number } {
    const { epochs, startEpoch = 0 } = this.recover();
    return { lastEpoch: epochs.at(-1)?.epoch ?? startEpoch, end: this.end };
  }

  recover(): LogState {
    const epochs: EpochStart[] = [];
    for (const { leaderEpoch, baseOffset } of this.held) {
      if (epochs.at(-1)?.epoch !== leaderEpoch)
        epochs.push({ epoch: leaderEpoch, startOffset: baseOffset });
    }
    const endOffset = this.end;
    return {
      startOffset: this.start,
      startEpoch: this.start === this.retiredTo ? this.startEpoch : 0,
      retiredTo: this.retiredTo,
      endOffset,
      epochs,
      controls: this.held
        .filter(({ trimTo, compaction }) => (trimTo ?? compaction) !== undefined)
        .map(({ baseOffset, dataEnd, trimTo, compaction }) => ({
          baseOffset,
          dataEnd,
          trimTo,
          compaction,
        })),
      highWaterMark: Math.min(this.checkpoint, endOffset),
      syncedOffset: this.synced,
      tombstonesBelow: this.tombstonesBelow,
      ...(this.compacted !== undefined && { compacted: this.compacted }),
    };
  }

  producers(): ProducerTable {
    const table = new ProducerTable({ producersMax: 1_000, nowMs: 0 });
    table.clear(this.start);
    for (const header of this.held) table.apply(header);
    return table;
  }
}
