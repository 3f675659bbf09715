/**
 * What the core knows of its own log: bounds, epochs, HW, and the writes that are on their way to the disk. Leader and follower share it;
 * it outlives both. Holds no bytes. A write takes effect here when it is emitted, and counts for others once it is `written`.
 */
import type { BatchHeader } from '../../proto/batch/frame.ts';
import { assert } from '../base/assert.ts';
import type { LeaderEpoch, Offset } from '../base/units.ts';
import { EpochMap } from './epochs.ts';
import type { EpochEnd } from './epochs.ts';
import type { OutputBuilder } from './output.ts';
import type { ProducerTable } from './producers.ts';
import type { LogState } from './types.ts';

/** A change on its way to the disk. After it, everything below `endOffset` is written. */
interface InFlight {
  readonly writeId: number;
  readonly endOffset: Offset;
}

/** Shifted entries are dropped from memory once there are this many: amortises the move of the rest. */
const QUEUE_SLACK = 256;

/** The log of one replica. Every change of it is emitted as a {@link LogWrite} in the same call. */
export class ReplicaLog {
  readonly epochs: EpochMap;
  readonly producers: ProducerTable;
  readonly #output: OutputBuilder;
  #startOffset: Offset;
  #endOffset: Offset;
  #writtenEnd: Offset;
  #highWaterMark: Offset;
  #syncedOffset: Offset;
  #nextWriteId = 1;
  #inFlight: InFlight[] = [];
  #inFlightHead = 0;

  constructor(state: LogState, producers: ProducerTable, output: OutputBuilder) {
    assert(
      state.startOffset <= state.endOffset,
      `log start ${state.startOffset} must not be above log end ${state.endOffset}`,
    );
    this.epochs = new EpochMap(state.epochs);
    this.producers = producers;
    this.#output = output;
    this.#startOffset = state.startOffset;
    this.#endOffset = state.endOffset;
    this.#writtenEnd = state.endOffset;
    this.#syncedOffset = state.syncedOffset;
    // The checkpoint may be older or newer than the log: HW lies within it always (rule 9).
    this.#highWaterMark = Math.min(
      Math.max(state.highWaterMark, state.startOffset),
      state.endOffset,
    );
    producers.commit(this.#highWaterMark);
  }

  get startOffset(): Offset {
    return this.#startOffset;
  }

  /** End with everything that was emitted. */
  get endOffset(): Offset {
    return this.#endOffset;
  }

  /** End of what passed write(2). */
  get writtenEnd(): Offset {
    return this.#writtenEnd;
  }

  get highWaterMark(): Offset {
    return this.#highWaterMark;
  }

  get syncedOffset(): Offset {
    return Math.min(this.#syncedOffset, this.#writtenEnd);
  }

  /** Nothing is on its way to the disk: what is stated now is the whole log. */
  get isSettled(): boolean {
    return this.#inFlightHead === this.#inFlight.length;
  }

  /** Epoch of the last written batch, 0 for none. */
  get writtenEpoch(): LeaderEpoch {
    return this.#writtenEnd === this.#endOffset
      ? this.epochs.lastEpoch
      : this.epochs.epochOf(this.#writtenEnd - 1);
  }

  endOf(epoch: LeaderEpoch): EpochEnd {
    return this.epochs.endOf(epoch, { startOffset: this.#startOffset, endOffset: this.#endOffset });
  }

  /** Leader: a client's batch, at the end. Returns its base offset. */
  append(requestId: number, leaderEpoch: LeaderEpoch, header: BatchHeader): Offset {
    const baseOffset = this.#endOffset;
    this.epochs.note(leaderEpoch, baseOffset);
    this.producers.applyAt(header, baseOffset);
    this.#endOffset = baseOffset + header.lastOffsetDelta + 1;
    this.#output.write({
      kind: 'append',
      writeId: this.#enqueue(),
      requestId,
      baseOffset,
      leaderEpoch,
    });
    return baseOffset;
  }

  /** Leader: the control batch that opens an epoch. Returns its offset. */
  appendEpochStart(leaderEpoch: LeaderEpoch): Offset {
    const baseOffset = this.#endOffset;
    this.epochs.note(leaderEpoch, baseOffset);
    this.#endOffset = baseOffset + 1;
    this.#output.write({ kind: 'epoch-start', writeId: this.#enqueue(), baseOffset, leaderEpoch });
    return baseOffset;
  }

  /** Follower: frames `first` to the last one of `headers`, which continue the log. */
  replicate(headers: readonly BatchHeader[], first: number): void {
    for (let index = first; index < headers.length; index += 1) {
      const header = headers[index] as BatchHeader;
      this.epochs.note(header.leaderEpoch, header.baseOffset);
      this.producers.apply(header);
      this.#endOffset = header.baseOffset + header.lastOffsetDelta + 1;
    }
    this.#output.write({
      kind: 'replicate',
      writeId: this.#enqueue(),
      first,
      last: headers.length,
      endOffset: this.#endOffset,
    });
  }

  /** Cuts the log to end at `endOffset`; where that lies below its start, it becomes empty there. HW falls only under an unclean epoch. */
  truncate(endOffset: Offset): void {
    assert(
      this.isSettled,
      `cannot truncate to ${endOffset}: writes up to ${this.#endOffset} are in flight`,
    );
    if (endOffset < this.#startOffset) {
      this.reset(endOffset);
      this.#setHighWaterMark(endOffset);
      return;
    }
    const keepAside = endOffset < this.#highWaterMark;
    this.epochs.truncate(endOffset);
    if (!this.producers.truncate(endOffset)) this.#output.rebuildProducers();
    this.#endOffset = endOffset;
    this.#writtenEnd = endOffset;
    this.#syncedOffset = Math.min(this.#syncedOffset, endOffset);
    if (keepAside) this.#setHighWaterMark(endOffset);
    this.#output.write({
      kind: 'truncate',
      writeId: this.#enqueue(),
      toOffset: endOffset,
      keepAside,
    });
  }

  /** Drops everything: the log is empty at `startOffset`. */
  reset(startOffset: Offset): void {
    assert(
      this.isSettled,
      `cannot reset to ${startOffset}: writes up to ${this.#endOffset} are in flight`,
    );
    this.epochs.clear();
    this.producers.clear();
    this.#startOffset = startOffset;
    this.#endOffset = startOffset;
    this.#writtenEnd = startOffset;
    this.#syncedOffset = startOffset;
    this.#setHighWaterMark(Math.max(this.#highWaterMark, startOffset));
    this.#output.write({ kind: 'reset', writeId: this.#enqueue(), startOffset });
  }

  /**
   * Raises the log start to `offset` if that lies at or below HW. The last batch always stays: it carries the epoch by which elections
   * compare logs.
   */
  retire(offset: Offset): void {
    if (offset <= this.#startOffset || offset > this.#highWaterMark || offset >= this.#writtenEnd)
      return;
    this.#startOffset = offset;
    this.epochs.retire(offset);
    this.#output.write({ kind: 'retire', writeId: this.#enqueue(), startOffset: offset });
    this.#output.changed();
  }

  /** Everything up to `writeId` has passed write(2). */
  written(writeId: number): void {
    for (;;) {
      const head = this.#inFlight[this.#inFlightHead];
      if (head === undefined || head.writeId > writeId) break;
      this.#writtenEnd = head.endOffset;
      this.#inFlightHead += 1;
    }
    if (this.isSettled) {
      this.#inFlight.length = 0;
      this.#inFlightHead = 0;
    } else if (this.#inFlightHead >= QUEUE_SLACK) {
      this.#inFlight.splice(0, this.#inFlightHead);
      this.#inFlightHead = 0;
    }
  }

  synced(offset: Offset): void {
    this.#syncedOffset = Math.max(this.#syncedOffset, offset);
  }

  /** Moves HW up to `offset`; never down (rule 6). True if it moved. */
  raiseHighWaterMark(offset: Offset): boolean {
    if (offset <= this.#highWaterMark) return false;
    assert(
      offset <= this.#writtenEnd,
      `high-water mark ${offset} must not be above ${this.#writtenEnd}, the end of what is written`,
    );
    this.#setHighWaterMark(offset);
    return true;
  }

  #setHighWaterMark(offset: Offset): void {
    this.#highWaterMark = offset;
    this.producers.commit(offset);
    this.#output.changed();
  }

  #enqueue(): number {
    const writeId = this.#nextWriteId;
    this.#nextWriteId += 1;
    this.#inFlight.push({ writeId, endOffset: this.#endOffset });
    return writeId;
  }
}
