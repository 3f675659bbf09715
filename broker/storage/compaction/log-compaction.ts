/**
 * Compaction of one log on disk: feeds a job with what stands below X, and puts rewritten segments
 * in the place of the old ones. In this order, so that a crash anywhere leaves a log that some
 * order asked for (K9, K10):
 *
 *   1. what stands below X is sealed and synced, and the order is journalled
 *   2. all of it is scanned, until every record that is to go is known
 *   3. for each segment, oldest first: the new file is written beside the old one, synced, read
 *      back, and compared record by record; the old index goes; the new file takes the name; the
 *      folder is synced; then it counts as done
 *
 * Nothing is held while it reads and writes: a change of the log goes on, and the pass finds out.
 * Damage is never rewritten over (P9).
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import { isAtLeast } from '../../../base/compaction-order.ts';
import { BrokerError } from '../../../base/errors.ts';
import { reasonOf } from '../../../base/reason.ts';
import type { Offset } from '../../../base/units.ts';
import { HEADER_BYTES, readHeader } from '../../../wire/batch/frame.ts';
import type { FramePlace } from '../../compaction/frames.ts';
import { isShortage } from '../../runtime/ports.ts';
import type { CompactionOutcome, CompactionWork } from '../../runtime/ports.ts';
import { storageError } from '../file-system.ts';
import type { PartitionLogContext } from '../log-context.ts';
import type { LogMarks } from '../log-marks.ts';
import type { LogLayout, LogReads } from '../log-reads.ts';
import { Segment } from '../segment.ts';
import { SparseIndex } from '../sparse-index.ts';
import type { PartitionTail } from '../tail-cache.ts';
import { Turns } from '../turns.ts';
import { FrameBlocks } from './frame-blocks.ts';
import type { Pacer } from './pacer.ts';
import { SegmentWriter } from './segment-writer.ts';

/** What compaction asks of the log that it belongs to. */
export interface LogToCompact {
  readonly context: PartitionLogContext;
  readonly name: string;
  readonly layout: LogLayout;
  readonly marks: LogMarks;
  readonly reads: LogReads;
  readonly tail: PartitionTail;
  /** Syncs and changes of files, one after the other. */
  readonly files: Turns;
  /** Why the log takes no change, or null. */
  readonly refusal: () => BrokerError | null;
  /** See `FilePartitionLog`. */
  readonly seal: (upTo: Offset) => Promise<void>;
  readonly onFailure: (error: BrokerError) => void;
}

/** The log changed under the pass: what it was about does not hold any more. */
class GivenWay extends Error {}

const NOTHING = new Uint8Array(0);

export class LogCompaction {
  readonly #log: LogToCompact;
  readonly #turns = new Turns();

  constructor(log: LogToCompact) {
    this.#log = log;
  }

  /** See `PartitionLog.compact`. */
  compact(order: CompactionOrder): Promise<CompactionOutcome> {
    return this.#turns.take(() => this.#compact(order));
  }

  /** Resolves when nothing runs: soon, once the log refuses changes. */
  settle(): Promise<void> {
    return this.#turns.take(() => Promise.resolve());
  }

  async #compact(order: CompactionOrder): Promise<CompactionOutcome> {
    const { layout, marks, name, onFailure } = this.#log;
    const refusal = this.#log.refusal() ?? this.#refusalOf(order);
    if (refusal !== null) throw refusal;
    const bytesBefore = layout.sizeBytes();
    const outcome = (rest: Partial<CompactionOutcome>): CompactionOutcome => ({
      bytesBefore,
      bytesAfter: layout.sizeBytes(),
      isComplete: false,
      ...rest,
    });
    const isDone = (): boolean =>
      marks.compacted !== undefined &&
      isAtLeast(marks.compacted.order, order) &&
      marks.compacted.doneTo >= order.upTo;
    try {
      if (!isDone()) await this.#pass(order);
      return outcome({ isComplete: isDone() });
    } catch (error) {
      const { failure: broken } = this.#log.context.volume;
      // Whatever goes wrong in a log that is being closed went wrong with it.
      const isOver = this.#log.refusal() !== null && broken === null;
      if (error instanceof GivenWay || isOver) return outcome({});
      const failure = storageError(`compact ${name}`, error);
      if (isShortage(failure)) return outcome(this.#waiting(failure));
      if (failure.code === 'STORAGE_FAILED') onFailure(failure);
      throw failure;
    }
  }

  /** Lower than an order before it, or above what this log has synced (K3). */
  #refusalOf(order: CompactionOrder): BrokerError | null {
    const { marks, name } = this.#log;
    const { upTo, tombstonesBelow, producersBelow } = order;
    const refuse = (field: string, value: number, must: string): BrokerError =>
      new BrokerError(
        'INVALID_ARGUMENT',
        `Cannot compact ${name}: ${field} is ${value}, must be ${must}`,
      );
    for (const [field, value] of Object.entries(order) as [string, number][])
      if (!Number.isSafeInteger(value) || value < 0) return refuse(field, value, 'an offset');
    if (upTo > marks.syncedOffset)
      return refuse('upTo', upTo, `${marks.syncedOffset}, the synced offset, or below`);
    if (tombstonesBelow > upTo)
      return refuse('tombstonesBelow', tombstonesBelow, `${upTo} (upTo) or below`);
    if (producersBelow > upTo)
      return refuse('producersBelow', producersBelow, `${upTo} (upTo) or below`);
    const before = marks.compacted?.order;
    if (before === undefined || isAtLeast(order, before)) return null;
    const words = `${before.upTo}, ${before.tombstonesBelow}, ${before.producersBelow}`;
    return refuse('the order', upTo, `at least the one before (${words}) in each offset`);
  }

  #waiting(failure: BrokerError): Partial<CompactionOutcome> {
    const { context } = this.#log;
    context.volume.logger.warn({ err: failure }, 'compaction waits');
    if (failure.code !== 'DISK_FULL') return { waitsFor: 'descriptors' };
    const sealed = this.#log.layout.segments.slice(0, -1);
    return { waitsFor: 'space', bytesNeeded: Math.max(0, ...sealed.map(({ bytes }) => bytes)) };
  }

  async #pass(order: CompactionOrder): Promise<void> {
    const { context, layout, seal } = this.#log;
    const { compaction, target } = context;
    if (compaction === null)
      throw new BrokerError('REFUSED', 'Cannot compact: this disk was opened without compaction');
    const { cuts } = layout;
    await seal(order.upTo);
    await this.#journal(order, cuts);
    const work = compaction.background.compaction(order, target);
    const pass = new Pass(this.#log, { order, work, pacer: compaction.pacer, cuts });
    try {
      await pass.run();
    } finally {
      work.close();
    }
  }

  /** K10: a start must know that records may be gone before the first of them goes. */
  #journal(order: CompactionOrder, cuts: number): Promise<void> {
    const { context, files, layout, marks } = this.#log;
    return files.take(async () => {
      if (layout.cuts !== cuts || this.#log.refusal() !== null) throw new GivenWay();
      const before = marks.compacted;
      if (before !== undefined && isAtLeast(before.order, order)) return;
      marks.compacted = { order, doneTo: 0 };
      try {
        await context.checkpoint.sync();
      } catch (error) {
        marks.compacted = before;
        throw error;
      }
    });
  }
}

/** One pass; it ends with the log that it began with, or gives way. */
class Pass {
  readonly #log: LogToCompact;
  readonly #order: CompactionOrder;
  readonly #work: CompactionWork;
  readonly #pacer: Pacer;
  readonly #cuts: number;
  /** Segments that are not in the log any more because this pass has put others in their place. */
  readonly #replaced = new Set<Segment>();

  constructor(
    log: LogToCompact,
    parts: {
      readonly order: CompactionOrder;
      readonly work: CompactionWork;
      readonly pacer: Pacer;
      readonly cuts: number;
    },
  ) {
    this.#log = log;
    this.#order = parts.order;
    this.#work = parts.work;
    this.#pacer = parts.pacer;
    this.#cuts = parts.cuts;
  }

  async run(): Promise<void> {
    const { context, marks } = this.#log;
    do {
      do await this.#scan();
      while (await this.#work.endScan());
      for (const segment of this.#segments())
        await this.#unlessGone(segment, () => this.#rewrite(segment));
    } while (await this.#work.nextRound());
    this.#checkWay();
    const { compacted } = marks;
    if (compacted === undefined) throw new GivenWay();
    marks.compacted = { ...compacted, doneTo: this.#order.upTo };
    context.checkpoint.noteChange();
  }

  /** Those that hold offsets below X, oldest first; none is written to. */
  #segments(): Segment[] {
    const { segments, active } = this.#log.layout;
    return segments.filter(
      (segment) => segment !== active && segment.baseOffset < this.#order.upTo,
    );
  }

  /** All records below X, from the log start. */
  async #scan(): Promise<void> {
    for (const segment of this.#segments())
      await this.#unlessGone(segment, async () => {
        let place: FramePlace = { offset: segment.baseOffset, epoch: 0 };
        const blocks = this.#blocksOf(segment);
        for (let block = await blocks.next(); block !== null; block = await blocks.next()) {
          place = await this.#work.observe(block, place);
          if (place.offset >= this.#order.upTo) return;
        }
      });
  }

  /**
   * Works on a segment. Where retention takes it meanwhile that is no matter: nothing is left to be
   * done, and whatever went wrong went wrong with it.
   */
  async #unlessGone(segment: Segment, work: () => Promise<void>): Promise<void> {
    const isThere = (): boolean => this.#log.layout.segments.includes(segment);
    if (!isThere()) return;
    try {
      await work();
    } catch (error) {
      this.#checkWay();
      if (isThere() || this.#replaced.has(segment)) throw this.#judged(error, segment);
    }
  }

  /** A frame that cannot be believed is damage, as it is for a reader (P9). */
  #judged(error: unknown, segment: Segment): unknown {
    const isCorrupt =
      error instanceof BrokerError &&
      (error.code === 'CORRUPT_BATCH' || error.code === 'DATA_CORRUPT');
    if (!isCorrupt) return error;
    const message = `Cannot compact ${this.#log.name}: "${segment.path}" is damaged: ${reasonOf(error)}`;
    return new BrokerError('DATA_CORRUPT', message, {}, error);
  }

  #checkWay(): void {
    const { layout, refusal } = this.#log;
    if (layout.cuts !== this.#cuts || refusal() !== null) throw new GivenWay();
  }

  /** Frames of a file, at the pace that is allowed. */
  #blocksOf({ path, bytes }: { readonly path: string; readonly bytes: number }): FrameBlocks {
    const { volume } = this.#log.context;
    return new FrameBlocks(async (position, length) => {
      await this.#pace(length);
      return await volume.readNew(path, length, position);
    }, bytes);
  }

  async #pace(bytes: number): Promise<void> {
    await this.#pacer.take(bytes, () => this.#log.refusal() !== null);
    this.#checkWay();
  }

  async #rewrite(segment: Segment): Promise<void> {
    const { volume } = this.#log.context;
    const writer = new SegmentWriter(volume, segment);
    try {
      await this.#write(segment, writer);
      if (!writer.isBegun) return;
      await writer.sync();
      const fresh = await this.#readBack(segment, writer);
      await this.#log.files.take(() => this.#swap(segment, fresh, writer.path));
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  async #write(segment: Segment, writer: SegmentWriter): Promise<void> {
    await this.#work.beginSegment();
    let place: FramePlace = { offset: segment.baseOffset, epoch: 0 };
    let isChanged = false;
    const blocks = this.#blocksOf(segment);
    for (let block = await blocks.next(); block !== null; block = await blocks.next()) {
      const left = await this.#work.rewrite(block, place);
      ({ next: place, isChanged } = left);
      if (isChanged) await this.#pace(left.frames.length);
      await writer.add(left.frames, isChanged);
    }
    await writer.add(await this.#work.endSegment(), isChanged);
  }

  /** What stands in the new file must be what stays of the old one (K9). */
  async #readBack(segment: Segment, writer: SegmentWriter): Promise<Segment> {
    const { context } = this.#log;
    const { volume, folder, target } = context;
    const fresh = new Segment({ volume, folder, target, baseOffset: segment.baseOffset });
    const index = new SparseIndex(segment.baseOffset);
    fresh.beginRecovery(index);
    const take = (frames: Uint8Array): void => {
      for (let at = 0; at < frames.length; ) {
        const header = readHeader(frames, at);
        fresh.takeRecovered(index, header, fresh.bytes);
        at += Math.max(header.length, HEADER_BYTES);
      }
    };
    const olds = this.#blocksOf(segment);
    const news = this.#blocksOf({ path: writer.path, bytes: writer.bytes });
    let [old, found] = [await olds.next(), await news.next()];
    while (old !== null) {
      const compared = await this.#work.compare(old, found ?? NOTHING);
      const isStuck = compared.old === 0 && compared.fresh === 0;
      const difference = compared.difference ?? (isStuck ? 'it ends too early' : null);
      if (difference !== null) this.#refuse(segment, difference);
      if (found !== null) take(found.subarray(0, compared.fresh));
      if (compared.old === old.length) old = await olds.next();
      else old = old.slice(compared.old);
      if (found?.length === compared.fresh) found = await news.next();
      else found = found?.slice(compared.fresh) ?? null;
    }
    const difference = await this.#work.endComparison(found ?? NOTHING);
    if (difference !== null || (await news.next()) !== null)
      this.#refuse(segment, difference ?? 'it goes on too far');
    if (found !== null) take(found);
    fresh.createdMs = segment.createdMs;
    return fresh;
  }

  #refuse(segment: Segment, difference: string): never {
    throw new BrokerError(
      'INTERNAL',
      `Cannot compact ${this.#log.name}: what was written in place of "${segment.path}" is not what was to be: ${difference}`,
    );
  }

  async #swap(segment: Segment, fresh: Segment, path: string): Promise<void> {
    const { context, layout } = this.#log;
    const { volume, folder } = context;
    this.#checkWay();
    if (!layout.segments.includes(segment)) throw new GivenWay();
    // An index of the old file must never stand beside the new one, whatever power loss brings
    // back.
    await segment.removeIndex();
    await volume.syncFolder(folder);
    volume.dropReader(path);
    const rename = volume.control.rename(path, segment.path);
    layout.moving = rename.catch(() => undefined);
    try {
      await rename;
      this.#replace(segment, fresh);
    } finally {
      layout.moving = null;
    }
    await volume.syncFolder(folder);
    await fresh.saveIndex(0);
    fresh.unloadIndex();
  }

  /** From here on reads find the new file. */
  #replace(segment: Segment, fresh: Segment): void {
    const { context, layout, reads, tail } = this.#log;
    this.#replaced.add(segment);
    context.volume.dropReader(segment.path);
    layout.segments = layout.segments.map((each) => (each === segment ? fresh : each));
    layout.version += 1;
    reads.clear();
    tail.dropBelow(Math.min(fresh.endOffset, this.#order.upTo));
  }
}
