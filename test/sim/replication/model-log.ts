/** A replica's disk: what passed write(2), and up to where it was synced. A lossy crash loses part of the rest; a warm one loses nothing. */
import type { Random } from '../../../broker/base/random.ts';
import { ProducerTable } from '../../../broker/replication/producers.ts';
import type { EpochStart, LogState, LogWrite } from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../proto/batch/frame.ts';

export function endOf(header: BatchHeader): number {
  return header.baseOffset + header.lastOffsetDelta + 1;
}

export class ModelLog {
  /** Contiguous; what was retired stays for the checkers, below `start`. */
  batches: BatchHeader[] = [];
  start = 0;
  synced = 0;
  checkpoint = 0;

  get end(): number {
    const last = this.batches.at(-1);
    return last === undefined ? this.start : endOf(last);
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
      this.synced = Math.min(this.synced, write.toOffset);
    } else if (write.kind === 'reset') {
      this.batches = [];
      this.start = write.startOffset;
      this.synced = write.startOffset;
    } else if (write.kind === 'retire') {
      this.start = write.startOffset;
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

  recover(): LogState {
    const epochs: EpochStart[] = [];
    for (const { leaderEpoch, baseOffset } of this.batches.slice(this.indexOf(this.start))) {
      if (epochs.at(-1)?.epoch !== leaderEpoch)
        epochs.push({ epoch: leaderEpoch, startOffset: baseOffset });
    }
    const endOffset = this.end;
    return {
      startOffset: this.start,
      endOffset,
      epochs,
      highWaterMark: Math.min(this.checkpoint, endOffset),
      syncedOffset: this.synced,
    };
  }

  producers(): ProducerTable {
    const table = new ProducerTable({ producersMax: 1_000 });
    for (const header of this.batches) table.apply(header);
    return table;
  }
}
