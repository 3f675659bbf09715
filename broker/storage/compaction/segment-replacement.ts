/**
 * Puts a file in the place of a segment, or of several that adjoin: the new file is written beside
 * the old ones, synced, read back, and compared frame by frame (K9); then it takes the name of the
 * first. Where there are several, the journal says so before: the others are removed once the name
 * is durable, and a start removes those that a crash left. In this order:
 *
 *   1. of several, the range of offsets is journalled
 *   2. the old indexes go, and the folder is synced
 *   3. the new file takes the name, and the folder is synced: reads find the new file from then on
 *   4. of several, the others go, the folder is synced, and the journal may forget the range
 *
 * Until the third step all old files are there and count; from then on the new one holds all that
 * the others do. Never written from the reserve.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { Offset } from '../../../base/units.ts';
import { HEADER_BYTES, readHeader } from '../../../wire/batch/frame.ts';
import type { FramePlace } from '../../compaction/frames.ts';
import type { CompactionWork } from '../../runtime/ports.ts';
import { isShortage } from '../../runtime/ports.ts';
import { storageError } from '../file-system.ts';
import type { PartitionLogContext } from '../log-context.ts';
import type { LogMarks } from '../log-marks.ts';
import type { LogLayout, LogReads } from '../log-reads.ts';
import { Segment } from '../segment.ts';
import { SparseIndex } from '../sparse-index.ts';
import type { PartitionTail } from '../tail-cache.ts';
import type { Turns } from '../turns.ts';
import { FrameBlocks } from './frame-blocks.ts';
import type { Pacer } from './pacer.ts';
import { SegmentWriter } from './segment-writer.ts';

/** The log changed meanwhile: what was to be done does not hold any more. */
export class GivenWay extends Error {}

/** What a replacement asks of the log that it belongs to. */
export interface LogOfSegments {
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
  /** What is on disk is sound, and no longer what the log says: it has to be opened again. */
  readonly interrupt: (reason: BrokerError) => void;
}

export interface ReplacementOptions {
  readonly log: LogOfSegments;
  readonly work: CompactionWork;
  readonly pacer: Pacer;
  /** See `LogLayout`. Another cut ends the work. */
  readonly cuts: number;
  /** Frames that end at or below it may be others than before. */
  readonly upTo: Offset;
}

const NOTHING = new Uint8Array(0);

export class SegmentReplacement {
  readonly #log: LogOfSegments;
  readonly #work: CompactionWork;
  readonly #pacer: Pacer;
  readonly #cuts: number;
  readonly #upTo: Offset;
  /** Segments that are not in the log any more because others took their place. */
  readonly replaced = new Set<Segment>();

  constructor({ log, work, pacer, cuts, upTo }: ReplacementOptions) {
    this.#log = log;
    this.#work = work;
    this.#pacer = pacer;
    this.#cuts = cuts;
    this.#upTo = upTo;
  }

  /** Throws {@link GivenWay} where the log was cut since, or takes no change. */
  checkWay(): void {
    const { layout, refusal } = this.#log;
    if (layout.cuts !== this.#cuts || refusal() !== null) throw new GivenWay();
  }

  /** Frames of a file, at the pace that is allowed. */
  blocksOf({ path, bytes }: { readonly path: string; readonly bytes: number }): FrameBlocks {
    const { volume } = this.#log.context;
    return new FrameBlocks(async (position, length) => {
      await this.#pace(length);
      return await volume.readNew(path, length, position);
    }, bytes);
  }

  /** What the pass leaves of a segment; one that loses nothing stays. */
  async rewrite(segment: Segment): Promise<void> {
    await this.#work.beginSegment();
    await this.#replace([segment], false);
  }

  /** One segment in the place of several that adjoin. */
  async merge(segments: readonly Segment[]): Promise<void> {
    await this.#work.beginMerge();
    await this.#replace(segments, true);
  }

  /** @param isChanged a new file is wanted, though every frame stay as it is */
  async #replace(olds: readonly Segment[], isChanged: boolean): Promise<void> {
    const [first] = olds;
    if (first === undefined) return;
    const { volume } = this.#log.context;
    const bytes = olds.reduce((sum, segment) => sum + segment.bytes, 0);
    const load = (position: number, length: number): Promise<Uint8Array> =>
      first.load(position, length);
    const writer = new SegmentWriter(volume, { path: first.path, bytes, load });
    try {
      await this.#write(olds, writer, isChanged);
      if (!writer.isBegun) return;
      await writer.sync();
      const fresh = await this.#readBack(olds, writer);
      await this.#log.files.take(() => this.#swap(olds, fresh, writer.path));
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  }

  async #pace(bytes: number): Promise<void> {
    await this.#pacer.take(bytes, () => this.#log.refusal() !== null);
    this.checkWay();
  }

  async #write(
    olds: readonly Segment[],
    writer: SegmentWriter,
    isAlwaysChanged: boolean,
  ): Promise<void> {
    let place: FramePlace = { offset: olds[0]?.baseOffset ?? 0, epoch: 0 };
    let isChanged = isAlwaysChanged;
    const next = this.#framesOf(olds);
    for (let block = await next(); block !== null; block = await next()) {
      const left = await this.#work.rewrite(block, place);
      place = left.next;
      isChanged ||= left.isChanged;
      if (isChanged) await this.#pace(left.frames.length);
      await writer.add(left.frames, isChanged);
    }
    await writer.add(await this.#work.endSegment(), isChanged);
  }

  /** Blocks of these segments, one after the other; null at the end. */
  #framesOf(segments: readonly Segment[]): () => Promise<Uint8Array | null> {
    const left = [...segments];
    let blocks: FrameBlocks | null = null;
    return async () => {
      for (;;) {
        const block = (await blocks?.next()) ?? null;
        if (block !== null) return block;
        const segment = left.shift();
        if (segment === undefined) return null;
        blocks = this.blocksOf(segment);
      }
    };
  }

  /** What stands in the new file must be what stays of the old ones (K9). */
  async #readBack(segments: readonly Segment[], writer: SegmentWriter): Promise<Segment> {
    const { context } = this.#log;
    const { volume, folder, target } = context;
    const { baseOffset = 0, path = '', createdMs = 0 } = segments[0] ?? {};
    const refuse = (difference: string): never => {
      const message = `Cannot compact ${this.#log.name}: what was written in place of "${path}" is not what was to be: ${difference}`;
      throw new BrokerError('INTERNAL', message);
    };
    const fresh = new Segment({ volume, folder, target, baseOffset });
    const index = new SparseIndex(baseOffset);
    fresh.beginRecovery(index);
    const take = (frames: Uint8Array): void => {
      for (let at = 0; at < frames.length; ) {
        const header = readHeader(frames, at);
        fresh.takeRecovered(index, header, fresh.bytes);
        at += Math.max(header.length, HEADER_BYTES);
      }
    };
    const olds = this.#framesOf(segments);
    const news = this.blocksOf({ path: writer.path, bytes: writer.bytes });
    let [old, found] = [await olds(), await news.next()];
    while (old !== null) {
      const compared = await this.#work.compare(old, found ?? NOTHING);
      const isStuck = compared.old === 0 && compared.fresh === 0;
      const difference = compared.difference ?? (isStuck ? 'it ends too early' : null);
      if (difference !== null) refuse(difference);
      if (found !== null) take(found.subarray(0, compared.fresh));
      if (compared.old === old.length) old = await olds();
      else old = old.slice(compared.old);
      if (found?.length === compared.fresh) found = await news.next();
      else found = found?.slice(compared.fresh) ?? null;
    }
    const difference = await this.#work.endComparison(found ?? NOTHING);
    if (difference !== null || (await news.next()) !== null)
      refuse(difference ?? 'it goes on too far');
    if (found !== null) take(found);
    fresh.createdMs = createdMs;
    return fresh;
  }

  async #swap(olds: readonly Segment[], fresh: Segment, path: string): Promise<void> {
    const { context, layout, marks } = this.#log;
    const { volume, folder } = context;
    this.checkWay();
    if (!olds.every((segment) => layout.segments.includes(segment))) throw new GivenWay();
    const others = olds.slice(1);
    try {
      if (others.length > 0) await this.#journal(fresh);
      // An index of an old file must never stand beside the new one, whatever power loss brings
      // back.
      for (const segment of olds) await segment.removeIndex();
      await volume.syncFolder(folder);
      volume.dropReader(path);
      const rename = volume.control.rename(path, fresh.path);
      layout.moving = rename.catch(() => undefined);
      await rename;
      this.#take(olds, fresh);
    } catch (error) {
      // All old files count as before.
      marks.merging = undefined;
      throw error;
    } finally {
      layout.moving = null;
    }
    await volume.syncFolder(folder);
    if (others.length > 0) await this.#removeMerged(others);
    marks.merging = undefined;
    await fresh.saveIndex(0);
    fresh.unloadIndex();
  }

  /** A start must know that files inside this range may be left over. */
  async #journal({ baseOffset, endOffset }: Segment): Promise<void> {
    const { context, marks } = this.#log;
    marks.merging = { baseOffset, endOffset };
    await context.checkpoint.sync();
  }

  /** From here on reads find the new file. */
  #take(olds: readonly Segment[], fresh: Segment): void {
    const { context, layout, reads, tail } = this.#log;
    for (const segment of olds) this.replaced.add(segment);
    context.volume.dropReader(fresh.path);
    layout.segments = layout.segments.flatMap((each) => {
      if (each === olds[0]) return [fresh];
      return this.replaced.has(each) ? [] : [each];
    });
    layout.version += 1;
    reads.clear();
    tail.dropBelow(Math.min(fresh.endOffset, this.#upTo));
  }

  async #removeMerged(segments: readonly Segment[]): Promise<void> {
    const { context, interrupt } = this.#log;
    const { volume, folder, checkpoint } = context;
    try {
      for (const segment of segments) await segment.remove();
    } catch (error) {
      const failure = storageError(`remove merged segments of ${this.#log.name}`, error);
      // A segment that is begun later could meet a file that stayed.
      if (isShortage(failure)) interrupt(failure);
      throw failure;
    }
    await volume.syncFolder(folder);
    checkpoint.noteChange();
  }
}
