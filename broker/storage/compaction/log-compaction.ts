/**
 * Compaction of one log on disk: feeds a job with what stands below X, puts rewritten segments in
 * the place of the old ones, and then merges those that have become small. In this order, so that a
 * crash anywhere leaves a log that some order asked for (K9, K10):
 *
 *   1. what stands below X is sealed and synced, and the order is journalled
 *   2. all of it is scanned, until every record that is to go is known
 *   3. each segment is replaced, oldest first: `segment-replacement.ts`; then the order counts as
 *      done
 *   4. runs of small segments are replaced by one each; this changes no content, so it is done
 *      after a later pass or start as well
 *
 * Nothing is held while it reads and writes: a change of the log goes on, and the pass finds out.
 * Damage is never rewritten over (P9).
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import { isAtLeast } from '../../../base/compaction-order.ts';
import { BrokerError } from '../../../base/errors.ts';
import { reasonOf } from '../../../base/reason.ts';
import type { Offset } from '../../../base/units.ts';
import type { FramePlace } from '../../compaction/frames.ts';
import { isShortage } from '../../runtime/ports.ts';
import type {
  CompactionOutcome,
  CompactionWork,
  MergeOutcome,
  PartitionLogOptions,
  Shortage,
} from '../../runtime/ports.ts';
import { storageError } from '../file-system.ts';
import type { CompactionMeans } from '../log-context.ts';
import type { LogLayout } from '../log-reads.ts';
import type { Segment } from '../segment.ts';
import { Turns } from '../turns.ts';
import { nextMerge } from './merges.ts';
import { GivenWay, SegmentReplacement } from './segment-replacement.ts';
import type { LogOfSegments, ReplacementOptions } from './segment-replacement.ts';

/** What compaction asks of the log that it belongs to. */
export interface LogToCompact extends LogOfSegments {
  readonly options: () => PartitionLogOptions;
  /** See `FilePartitionLog`. */
  readonly seal: (upTo: Offset) => Promise<void>;
  readonly onFailure: (error: BrokerError) => void;
}

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

  /** See `PartitionLog.merge`. */
  merge(): Promise<MergeOutcome> {
    return this.#turns.take(() => this.#merge());
  }

  /** Resolves when nothing runs: soon, once the log refuses changes. */
  settle(): Promise<void> {
    return this.#turns.take(() => Promise.resolve());
  }

  async #compact(order: CompactionOrder): Promise<CompactionOutcome> {
    const { layout, marks, name } = this.#log;
    const { cuts } = layout;
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
      const sealed = layout.segments.slice(0, -1).map(({ bytes }) => bytes);
      return outcome(this.#stopped(`compact ${name}`, error, cuts, () => Math.max(0, ...sealed)));
    }
  }

  async #merge(): Promise<MergeOutcome> {
    const { layout, name } = this.#log;
    const { cuts } = layout;
    const refusal = this.#log.refusal();
    if (refusal !== null) throw refusal;
    const copied = { removed: 0, bytes: 0 };
    const outcome = (rest: Shortage): MergeOutcome => ({
      ...copied,
      segments: layout.segments.length,
      ...rest,
    });
    try {
      await this.#mergeAll((run) => {
        copied.removed += run.length - 1;
        copied.bytes += bytesOf(run);
      });
      return outcome({});
    } catch (error) {
      const stopped = this.#stopped(`merge segments of ${name}`, error, cuts, () =>
        bytesOf(this.#nextMerge()),
      );
      return outcome(stopped);
    }
  }

  /**
   * Why a pass or a merge ended early, where that is a state; throws what is a failure.
   *
   * @param cuts of the log as it began
   * @param bytesNeeded what must be free to go on
   */
  #stopped(action: string, error: unknown, cuts: number, bytesNeeded: () => number): Shortage {
    const { context, layout, onFailure, refusal } = this.#log;
    // Whatever goes wrong in a log that is being closed, or was cut meanwhile, went wrong with it:
    // the file that is read next may be gone by then.
    const isOver = (refusal() !== null || layout.cuts !== cuts) && context.volume.failure === null;
    if (error instanceof GivenWay || isOver) return {};
    const failure = storageError(action, error);
    if (failure.code === 'STORAGE_FAILED') onFailure(failure);
    if (!isShortage(failure)) throw failure;
    context.volume.logger.warn({ err: failure }, 'compaction waits');
    if (failure.code !== 'DISK_FULL') return { waitsFor: 'descriptors' };
    return { waitsFor: 'space', bytesNeeded: bytesNeeded() };
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

  async #pass(order: CompactionOrder): Promise<void> {
    const { layout, seal } = this.#log;
    const { background, pacer } = this.#means();
    const { cuts } = layout;
    await seal(order.upTo);
    await this.#journal(order, cuts);
    const work = background.compaction(order, this.#log.context.target);
    const pass = new Pass(this.#log, order, { work, pacer, cuts });
    try {
      await pass.run();
    } finally {
      work.close();
    }
  }

  #means(): CompactionMeans {
    const { compaction } = this.#log.context;
    if (compaction === null)
      throw new BrokerError('REFUSED', 'Cannot compact: this disk was opened without compaction');
    return compaction;
  }

  /** Until nothing is to be merged any more. */
  async #mergeAll(onMerged: (run: readonly Segment[]) => void): Promise<void> {
    const { context, layout, marks } = this.#log;
    const order = marks.compacted?.order;
    if (order === undefined || this.#nextMerge().length === 0) return;
    const { background, pacer } = this.#means();
    const work = background.compaction(order, context.target);
    const parts = { work, pacer, cuts: layout.cuts, upTo: order.upTo };
    const replacement = new SegmentReplacement({ log: this.#log, ...parts });
    try {
      for (let run = this.#nextMerge(); run.length > 0; run = this.#nextMerge())
        if (await this.#mergeRun(replacement, run)) onMerged(run);
    } finally {
      work.close();
    }
  }

  /** Returns false where the log start has risen meanwhile, and the run is another. */
  async #mergeRun(replacement: SegmentReplacement, run: readonly Segment[]): Promise<boolean> {
    const { layout } = this.#log;
    try {
      await replacement.merge(run);
      return true;
    } catch (error) {
      replacement.checkWay();
      const [first] = run;
      const isGone = !run.every(
        (segment) => isIn(layout, segment) || replacement.replaced.has(segment),
      );
      if (isGone || first === undefined) return false;
      throw judged(this.#log, first, error);
    }
  }

  /**
   * What is to be merged next: of what a pass has ended on, from the log start on. A file that
   * begins below it goes as a whole one day, and would not with others behind it.
   */
  #nextMerge(): readonly Segment[] {
    const { layout, marks, options } = this.#log;
    const { compacted } = marks;
    const { segmentBytes, mergesSegments } = options();
    const isDone = compacted !== undefined && compacted.doneTo >= compacted.order.upTo;
    if (!isDone || mergesSegments !== true) return [];
    const sealed = layout.segments.filter(
      (segment) =>
        segment !== layout.active &&
        segment.baseOffset >= layout.startOffset &&
        segment.endOffset <= compacted.doneTo,
    );
    return nextMerge(sealed, segmentBytes);
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
  readonly #replacement: SegmentReplacement;

  constructor(
    log: LogToCompact,
    order: CompactionOrder,
    parts: Pick<ReplacementOptions, 'work' | 'pacer' | 'cuts'>,
  ) {
    this.#log = log;
    this.#order = order;
    this.#work = parts.work;
    this.#replacement = new SegmentReplacement({ log, upTo: order.upTo, ...parts });
  }

  async run(): Promise<void> {
    const { context, marks } = this.#log;
    do {
      do await this.#scan();
      while (await this.#work.endScan());
      for (const segment of this.#segments())
        await this.#unlessGone(segment, () => this.#replacement.rewrite(segment));
    } while (await this.#work.nextRound());
    this.#replacement.checkWay();
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
        const blocks = this.#replacement.blocksOf(segment);
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
    const { layout } = this.#log;
    if (!isIn(layout, segment)) return;
    try {
      await work();
    } catch (error) {
      this.#replacement.checkWay();
      if (isIn(layout, segment) || this.#replacement.replaced.has(segment))
        throw judged(this.#log, segment, error);
    }
  }
}

/** What lies below the log start has gone: its file is being removed, or waits to be. */
function isIn({ segments, startOffset }: LogLayout, segment: Segment): boolean {
  return segment.endOffset > startOffset && segments.includes(segment);
}

function bytesOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A frame that cannot be believed is damage, as it is for a reader (P9). */
function judged({ name }: LogToCompact, { path }: Segment, error: unknown): unknown {
  const isCorrupt =
    error instanceof BrokerError &&
    (error.code === 'CORRUPT_BATCH' || error.code === 'DATA_CORRUPT');
  if (!isCorrupt) return error;
  const message = `Cannot compact ${name}: "${path}" is damaged: ${reasonOf(error)}`;
  return new BrokerError('DATA_CORRUPT', message, {}, error);
}
