/**
 * What the core knows of its own log: bounds, epochs, HW, and the writes that are on their way to
 * the disk. Leader and follower share it; it outlives both. Holds no bytes. A write takes effect
 * here when it is emitted, and counts for others once it is `written`.
 */
import type { CompactionMark } from '../../wire/batch/control.ts';
import { type BatchHeader, endOffsetOf } from '../../wire/batch/frame.ts';
import { assert } from '../../base/assert.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import { Compactions } from './compactions.ts';
import { DataEnds } from './data-end.ts';
import { EpochMap } from './epochs.ts';
import type { EpochEnd } from './epochs.ts';
import type { OutputBuilder } from './output.ts';
import type { ProducerTable } from './producers.ts';
import { Trims } from './trims.ts';
import type { LogStart, LogState } from './types.ts';

/** A change on its way to the disk. After it, everything below `endOffset` is written. */
interface InFlight {
  readonly writeId: number;
  readonly endOffset: Offset;
}

/**
 * Shifted entries are dropped from memory once there are this many: amortises the move of the rest.
 */
const QUEUE_SLACK = 256;

/** The log of one replica. Every change of it is emitted as a {@link LogWrite} in the same call. */
export class ReplicaLog {
  readonly epochs: EpochMap;
  readonly dataEnds: DataEnds;
  readonly trims: Trims;
  readonly compactions: Compactions;
  readonly producers: ProducerTable;
  readonly #output: OutputBuilder;
  #startOffset: Offset;
  #retiredTo: Offset;
  #endOffset: Offset;
  #writtenEnd: Offset;
  #highWaterMark: Offset;
  #syncedOffset: Offset;
  #nextWriteId = 1;
  /** Write id of the cut that is on its way; 0: none. */
  #cutId = 0;
  /** Of the last cut or reset that is on its way; 0: none. */
  #shrinkId = 0;
  #inFlight: InFlight[] = [];
  #inFlightHead = 0;

  constructor(state: LogState, producers: ProducerTable, output: OutputBuilder) {
    assert(
      state.startOffset <= state.endOffset,
      `log start ${state.startOffset} must not be above log end ${state.endOffset}`,
    );
    this.epochs = new EpochMap(state.epochs, state.startEpoch);
    this.dataEnds = new DataEnds(state);
    this.trims = new Trims(state.controls);
    this.compactions = new Compactions(state);
    this.producers = producers;
    this.#output = output;
    this.#startOffset = state.startOffset;
    this.#retiredTo = Math.min(state.retiredTo ?? state.startOffset, state.startOffset);
    this.#endOffset = state.endOffset;
    this.#writtenEnd = state.endOffset;
    this.#syncedOffset = state.syncedOffset;
    // The checkpoint may be older or newer than the log: HW lies within it always (rule 9).
    this.#highWaterMark = Math.min(
      Math.max(state.highWaterMark, state.startOffset),
      state.endOffset,
    );
    producers.commit(this.#highWaterMark);
    this.#resetIfGutted(this.#endOffset, this.epochs.lastEpoch);
    this.#commitTrims();
  }

  get startOffset(): Offset {
    return this.#startOffset;
  }

  /**
   * What retention is known to have reached: this replica's own while it led, or that of a leader
   * it followed.
   */
  get retiredTo(): Offset {
    return this.#retiredTo;
  }

  /**
   * It starts above what retention reached: what stood between may have been acknowledged, so this
   * log is no evidence and may not lead.
   */
  get lacksBeginning(): boolean {
    return this.#startOffset > this.#retiredTo;
  }

  /** End with everything that was emitted. */
  get endOffset(): Offset {
    return this.#endOffset;
  }

  /** End of the data in all that was emitted: see {@link DataEnds}. */
  get dataEnd(): Offset {
    return this.dataEnds.below(this.#endOffset);
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

  /**
   * A cut is on its way. It ends at a batch boundary that only the disk knows, so nothing may be
   * appended until it says which.
   */
  get isCutting(): boolean {
    return this.#cutId > 0;
  }

  /**
   * Epoch of the batch before the written end: of one that is retired, when nothing is left; 0 for
   * none.
   */
  get writtenEpoch(): LeaderEpoch {
    return this.#writtenEnd === this.#endOffset
      ? this.epochs.lastEpoch
      : this.epochs.epochBefore(this.#writtenEnd);
  }

  /** Where the written log starts, for others. */
  get start(): LogStart {
    const { startEpoch } = this.epochs;
    const { tombstonesBelow } = this.compactions;
    return {
      offset: this.#startOffset,
      epoch: startEpoch,
      retiredTo: this.#retiredTo,
      ...(tombstonesBelow > 0 && { tombstonesBelow }),
    };
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

  /**
   * Leader: the control batch that opens an epoch, or what else it says. Returns its offset.
   */
  appendControl(
    leaderEpoch: LeaderEpoch,
    says: { readonly trimTo?: Offset; readonly compaction?: CompactionMark } = {},
  ): Offset {
    const baseOffset = this.#endOffset;
    const { dataEnd } = this;
    this.epochs.note(leaderEpoch, baseOffset);
    this.dataEnds.noteControl(baseOffset, dataEnd);
    this.#noteControl(baseOffset, says);
    this.#endOffset = baseOffset + 1;
    const writeId = this.#enqueue();
    this.#output.write({ kind: 'control', writeId, baseOffset, leaderEpoch, dataEnd, ...says });
    return baseOffset;
  }

  #noteControl(
    baseOffset: Offset,
    { trimTo, compaction }: Pick<BatchHeader, 'trimTo' | 'compaction'>,
  ): void {
    this.trims.note(baseOffset, trimTo);
    this.compactions.note(baseOffset, compaction);
  }

  /** Follower: frames `first` to the last one of `headers`, which continue the log. */
  replicate(headers: readonly BatchHeader[], first: number): void {
    for (let index = first; index < headers.length; index += 1) {
      const header = headers[index] as BatchHeader;
      this.epochs.note(header.leaderEpoch, header.baseOffset);
      this.producers.apply(header);
      if (header.isControl) {
        this.dataEnds.noteControl(header.baseOffset, header.dataEnd);
        this.#noteControl(header.baseOffset, header);
      }
      this.#endOffset = endOffsetOf(header);
    }
    this.#output.write({
      kind: 'replicate',
      writeId: this.#enqueue(),
      first,
      last: headers.length,
      endOffset: this.#endOffset,
    });
  }

  /**
   * Cuts the log to end at `endOffset`; where that lies below its start, it becomes empty there. HW
   * falls only under an unclean epoch. So does a log that would end below what it was compacted to.
   *
   * @param epoch of the batch before `endOffset` in the leader's log
   */
  truncate(endOffset: Offset, epoch: LeaderEpoch): void {
    assert(
      this.isSettled,
      `cannot truncate to ${endOffset}: writes up to ${this.#endOffset} are in flight`,
    );
    if (endOffset < this.#startOffset) {
      const retiredTo = Math.min(this.#retiredTo, endOffset);
      this.reset({ offset: endOffset, epoch, retiredTo }, true);
      return;
    }
    if (this.#resetIfGutted(endOffset, this.epochs.epochBefore(endOffset))) return;
    const keepAside = endOffset < this.#highWaterMark;
    this.#endAt(endOffset);
    this.#cutId = this.#enqueue();
    this.#shrinkId = this.#cutId;
    this.#output.write({ kind: 'truncate', writeId: this.#cutId, toOffset: endOffset, keepAside });
  }

  /**
   * Values went for the sake of later ones, up to X; a log that ends below has lost both. It is no
   * evidence and starts anew, as one that has lost its beginning (rule K7).
   *
   * @param epoch of the batch before `endOffset`
   */
  #resetIfGutted(endOffset: Offset, epoch: LeaderEpoch): boolean {
    if (endOffset >= this.compactions.begun.upTo) return false;
    this.reset({ offset: endOffset, epoch, retiredTo: this.#retiredTo }, true);
    return true;
  }

  #endAt(endOffset: Offset): void {
    this.epochs.truncate(endOffset);
    this.dataEnds.truncate(endOffset);
    this.trims.truncate(endOffset);
    this.compactions.truncate(endOffset);
    if (!this.producers.truncate(endOffset)) this.#output.rebuildProducers();
    this.#endOffset = endOffset;
    this.#writtenEnd = endOffset;
    this.#syncedOffset = Math.min(this.#syncedOffset, endOffset);
    if (endOffset < this.#highWaterMark) this.#setHighWaterMark(endOffset);
  }

  /**
   * Drops everything: the log is empty at `start`, and HW is there too (rule 9).
   *
   * @param keepAside what goes may stand in no other log (rule 3)
   */
  reset(start: LogStart, keepAside: boolean): void {
    const { offset, epoch, retiredTo, tombstonesBelow = 0 } = start;
    assert(
      this.isSettled,
      `cannot reset to ${offset}: writes up to ${this.#endOffset} are in flight`,
    );
    this.epochs.reset(epoch);
    this.dataEnds.reset(offset);
    this.trims.truncate(0);
    this.compactions.reset(tombstonesBelow);
    this.producers.clear(offset);
    this.#startOffset = offset;
    this.#retiredTo = retiredTo;
    this.#endOffset = offset;
    this.#writtenEnd = offset;
    this.#syncedOffset = offset;
    this.#setHighWaterMark(offset);
    this.#shrinkId = this.#enqueue();
    this.#output.write({ kind: 'reset', writeId: this.#shrinkId, start, keepAside });
  }

  /**
   * Retention reached `offset`: raises the log start to it, if that lies at or below HW. The epoch
   * of what goes last is kept.
   *
   * @param keepAside no retention reached it: an unclean election chose a log that starts there,
   * and what goes here may stand in no other log (rule 3)
   */
  retire(offset: Offset, keepAside: boolean): void {
    if (offset <= this.#retiredTo || offset > this.#highWaterMark) return;
    this.#retiredTo = offset;
    if (keepAside) this.producers.loseBeginning(offset);
    if (offset > this.#startOffset) {
      this.#startOffset = offset;
      this.epochs.retire(offset, this.#endOffset);
      this.dataEnds.retire(offset);
    }
    this.#output.write({
      kind: 'retire',
      writeId: this.#enqueue(),
      startOffset: offset,
      startEpoch: this.epochs.startEpoch,
      keepAside,
    });
    this.#output.changed();
  }

  /** What stood below the start is given up: the log starts there for everybody. */
  acceptStart(): void {
    if (!this.lacksBeginning) return;
    this.#retiredTo = this.#startOffset;
    this.producers.loseBeginning(this.#startOffset);
    const { startEpoch } = this.epochs;
    this.#output.write({
      kind: 'retire',
      writeId: this.#enqueue(),
      startOffset: this.#startOffset,
      startEpoch,
      keepAside: true,
    });
  }

  /**
   * Everything up to `writeId` has passed write(2).
   *
   * @param cutTo where a cut has ended, if `writeId` is one
   */
  written(writeId: number, cutTo?: Offset): void {
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
    if (writeId >= this.#shrinkId) this.#shrinkId = 0;
    if (writeId !== this.#cutId) return;
    this.#cutId = 0;
    if (cutTo === undefined || cutTo >= this.#endOffset) return;
    if (!this.#resetIfGutted(cutTo, this.epochs.epochBefore(cutTo))) this.#endAt(cutTo);
  }

  synced(offset: Offset): void {
    // Said of the log as it was before: offsets that are given anew are not synced.
    if (this.#shrinkId > 0) return;
    this.#syncedOffset = Math.max(this.#syncedOffset, offset);
  }

  /** This log matches a leader's, or is one: what is ordered of it is carried out (rule K5). */
  compactIfDue(): boolean {
    if (this.isCutting) return false;
    const order = this.compactions.due(this.#highWaterMark, this.syncedOffset);
    if (order !== null) this.#output.compact(order);
    return order !== null;
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
    this.#commitTrims();
  }

  /** Trims below HW take effect. */
  #commitTrims(): void {
    this.retire(this.trims.commit(this.#highWaterMark), false);
  }

  #enqueue(): number {
    const writeId = this.#nextWriteId;
    this.#nextWriteId += 1;
    this.#inFlight.push({ writeId, endOffset: this.#endOffset });
    return writeId;
  }
}
