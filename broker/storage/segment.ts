/**
 * One segment: a file of frames named by its first offset, and its sparse index. The newest segment
 * of a log is written to, the others are sealed. Finds frames; decides nothing about durability or
 * damage. A writer's descriptor stays open until what it wrote is synced: only a descriptor that
 * was open when write-back failed is sure to hear of it (P3).
 */
import { endOffsetOf, HEADER_BYTES } from '../../wire/batch/frame.ts';
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { MonotonicMs, Offset, WallMs } from '../../base/units.ts';
import { isShortage } from '../runtime/ports.ts';
import { readFile, replaceFile, storageError } from './file-system.ts';
import { scanFrames } from './frame-scan.ts';
import type { FrameVisitor, ReadAt, ScanStop } from './frame-scan.ts';
import { readTimeSummary, SparseIndex } from './sparse-index.ts';
import type { IndexEntry, IndexSummary } from './sparse-index.ts';
import { Turns } from './turns.ts';
import type { Volume } from './volume.ts';

/** Digits of a segment's name: every safe integer fits, and names sort as numbers do. */
const NAME_DIGITS = 20;
const NAME = /^(\d{20})[.]log$/;

/** Index entries (of 64 KiB of log) that a crash may cost: recovery reads their headers again. */
export const INDEX_ENTRIES_UNSAVED_MAX = 512;

/** A frame's place. */
export interface LocatedFrame {
  readonly position: number;
  readonly header: BatchHeader;
}

/** First offset of the segment with this file name, or null for another file. */
export function segmentBaseOf(fileName: string): Offset | null {
  const match = NAME.exec(fileName);
  return match?.[1] === undefined ? null : Number(match[1]);
}

/** Whether a file of this name was to take the place of a segment, and did not. */
export function isUnfinished(fileName: string): boolean {
  return fileName.endsWith('.tmp') && segmentBaseOf(fileName.slice(0, -'.tmp'.length)) !== null;
}

export interface SegmentFile {
  readonly volume: Volume;
  readonly folder: string;
  readonly target: StampTarget;
  readonly baseOffset: Offset;
}

/** One segment of one partition. */
export class Segment {
  readonly baseOffset: Offset;
  readonly path: string;
  /** Bytes of whole, written frames. */
  bytes = 0;
  endOffset: Offset;
  /** When the first append was, or this start; on the clock that does not jump. */
  createdMs: MonotonicMs;
  maxTimestampMs: WallMs = 0;
  /** Written to since the last sync. */
  isDirty = false;
  readonly #volume: Volume;
  readonly #target: StampTarget;
  readonly #stem: string;
  #index: SparseIndex | null = null;
  #indexEntriesSaved = 0;
  /** Bytes of the log that the index files cover; infinite where they are no whole pair. */
  #indexedBytesSaved = 0;
  #writer: number | null = null;
  readonly #saves = new Turns();

  constructor(file: SegmentFile) {
    this.#volume = file.volume;
    this.#target = file.target;
    this.#stem = `${file.folder}/${String(file.baseOffset).padStart(NAME_DIGITS, '0')}`;
    this.baseOffset = file.baseOffset;
    this.endOffset = file.baseOffset;
    this.path = `${this.#stem}.log`;
    this.createdMs = file.volume.clock.monotonicMs();
  }

  /** A new segment, whose file is made by {@link openWriter}. */
  static empty(file: SegmentFile): Segment {
    const segment = new Segment(file);
    segment.#index = new SparseIndex(file.baseOffset);
    return segment;
  }

  /** Reads this segment's file. */
  get readAt(): ReadAt {
    return (into, position) => this.#volume.read(this.path, into, position);
  }

  /** Up to so many bytes of the file, in memory of their own. */
  load(position: number, length: number): Promise<Uint8Array> {
    return this.#volume.readNew(this.path, length, position);
  }

  /** Makes or opens the file for appending. */
  async openWriter(): Promise<void> {
    this.#writer ??= await this.#volume.control.open(this.path, 'write');
  }

  /**
   * Appends frames after those that are there. On rejection the file may hold part of them, beyond
   * `bytes`.
   */
  async append(frames: readonly Uint8Array[], headers: readonly BatchHeader[]): Promise<void> {
    assert(this.#writer !== null, `segment "${this.path}" must be open for writing`);
    const index = await this.index();
    const isControl = headers.every((header) => header.isControl);
    await this.#volume.write(this.#writer, frames, this.bytes, isControl);
    if (this.bytes === 0) this.createdMs = this.#volume.clock.monotonicMs();
    this.isDirty = true;
    for (const header of headers) this.#take(index, header, this.bytes);
  }

  /** Counts a frame that recovery, or whoever wrote the file, found at `position`. */
  takeRecovered(index: SparseIndex, header: BatchHeader, position: number): void {
    this.#take(index, header, position);
  }

  /** Counts only what the index covers, for recovery to count the rest again. */
  beginRecovery(index: SparseIndex): void {
    this.#index = index;
    this.bytes = index.summary.coveredBytes;
    this.endOffset = index.summary.endOffset;
    this.maxTimestampMs = index.summary.maxTimestampMs;
  }

  /** The index: from memory, from its files, or built again from headers. */
  async index(): Promise<SparseIndex> {
    if (this.#index !== null) return this.#index;
    const index = await this.loadIndex(this.bytes);
    await this.#extend(index);
    this.#index = index;
    this.#volume.noteIndexLoaded(this);
    return index;
  }

  /**
   * The index of the files beside the log if they cover no more than `bytesMax`, else an empty one.
   * Hints: see {@link locate}.
   */
  async loadIndex(bytesMax: number): Promise<SparseIndex> {
    const offsets = await readFile(this.#volume.files, `${this.#stem}.index`);
    const times = await readFile(this.#volume.files, `${this.#stem}.timeindex`);
    const index =
      offsets === null || times === null
        ? null
        : SparseIndex.decode(this.baseOffset, bytesMax, offsets, times);
    this.#indexEntriesSaved = index?.entryCount ?? 0;
    const isThere = offsets !== null || times !== null;
    this.#indexedBytesSaved = index?.summary.coveredBytes ?? (isThere ? Infinity : 0);
    return index ?? new SparseIndex(this.baseOffset);
  }

  /** Where the index files say that the whole of the file's bytes end, or null: a hint. */
  async savedEnd(): Promise<Offset | null> {
    return (await this.#savedSummary())?.endOffset ?? null;
  }

  /**
   * Largest timestamp of a sealed segment, from the index files or, where they lie, from the log.
   */
  async loadMaxTimestamp(): Promise<void> {
    const summary = await this.#savedSummary();
    if (summary !== null && summary.endOffset === this.endOffset) {
      this.maxTimestampMs = summary.maxTimestampMs;
      return;
    }
    this.maxTimestampMs = (await this.index()).summary.maxTimestampMs;
    await this.saveIndex(0);
  }

  /**
   * Writes the index files when they lack at least `entriesMin` entries. Unsynced: they are hints,
   * so where the volume is full they are left as they are.
   */
  saveIndex(entriesMin: number): Promise<void> {
    // A flush and the beginning of another segment may both ask, and the files have one draft.
    return this.#saves.take(() => this.#saveIndex(entriesMin));
  }

  async #saveIndex(entriesMin: number): Promise<void> {
    const index = this.#index;
    if (index === null || index.entryCount - this.#indexEntriesSaved < entriesMin) return;
    const { offsets, times } = index.encode();
    try {
      await replaceFile(this.#volume.files, `${this.#stem}.index`, offsets, 'hint');
      await replaceFile(this.#volume.files, `${this.#stem}.timeindex`, times, 'hint');
    } catch (error) {
      const failure = storageError(`save the index of "${this.path}"`, error);
      if (!isShortage(failure)) throw failure;
      return;
    }
    this.#indexEntriesSaved = index.entryCount;
    this.#indexedBytesSaved = index.summary.coveredBytes;
  }

  /**
   * Removes index files that say more than the log holds: power loss, or damage, took what they are
   * of. They would pass for the index of what is appended in its place.
   */
  async dropStaleIndex(): Promise<void> {
    if (this.#indexedBytesSaved > this.bytes) await this.#removeIndexFiles();
  }

  /** Frees the memory of a sealed segment's index; the next use loads it. */
  unloadIndex(): void {
    this.#index = null;
  }

  /**
   * The frame that holds `offset`. Rejects with DATA_CORRUPT when the frames before it do not lead
   * there.
   */
  async locate(offset: Offset): Promise<LocatedFrame> {
    const entry = (await this.index()).floor(offset);
    const found =
      (await this.#walk(entry, (header) => endOffsetOf(header) > offset)) ??
      (await this.#walk(null, (header) => endOffsetOf(header) > offset));
    if (found !== null) return found;
    throw new BrokerError(
      'DATA_CORRUPT',
      `Cannot find offset ${offset} in "${this.path}": the headers before it do not lead to it`,
    );
  }

  /**
   * The batch boundary at or below `offset`, and its position. Rejects as {@link locate} does.
   */
  async boundary(offset: Offset): Promise<{ readonly offset: Offset; readonly position: number }> {
    if (offset === this.endOffset) return { offset, position: this.bytes };
    const { position, header } = await this.locate(offset);
    return { offset: header.baseOffset, position };
  }

  /**
   * First frame with this timestamp or a later one, or null. Rejects with DATA_CORRUPT as
   * {@link locate} does.
   */
  async locateTime(timestampMs: WallMs): Promise<LocatedFrame | null> {
    if (this.maxTimestampMs < timestampMs) return null;
    const entry = (await this.index()).floorOfTime(timestampMs);
    const found =
      (await this.#walk(entry, (header) => header.maxTimestampMs >= timestampMs)) ??
      (await this.#walk(null, (header) => header.maxTimestampMs >= timestampMs));
    if (found !== null) return found;
    throw new BrokerError(
      'DATA_CORRUPT',
      `Cannot find timestamp ${timestampMs} in "${this.path}": the headers do not lead to it`,
    );
  }

  /** Visits frames from a place on. */
  scan(
    from: {
      readonly position: number;
      readonly offset: Offset;
      readonly epoch: number;
      readonly endPosition: number;
    },
    depth: 'headers' | 'full',
    visit: FrameVisitor,
  ): Promise<ScanStop> {
    return scanFrames(this.readAt, { ...from, depth, target: this.#target }, visit);
  }

  /** Syncs what was written; then lets go of the descriptor unless `isActive`. */
  async sync(isActive: boolean): Promise<void> {
    if (this.#writer === null) return;
    if (this.isDirty) {
      // Cleared first: a write that lands while the sync runs makes it dirty again.
      this.isDirty = false;
      await this.#volume.sync(this.#writer);
    }
    if (!isActive && !this.isDirty) await this.closeWriter();
  }

  /** Cuts the file behind `bytes`, and the index with it when frames go. Not synced. */
  async cut(bytes: number, endOffset: Offset): Promise<void> {
    assert(this.#writer !== null, `segment "${this.path}" must be open for writing`);
    const index = await this.index();
    if (bytes < index.summary.coveredBytes) {
      index.truncate(bytes);
      await this.#removeIndexFiles();
    }
    await this.#volume.control.truncate(this.#writer, bytes);
    this.bytes = bytes;
    this.endOffset = endOffset;
    this.isDirty = true;
    await this.#extend(index);
    this.maxTimestampMs = index.summary.maxTimestampMs;
  }

  /**
   * Cuts off what a failed append has written. Synced: other frames of the same epoch take these
   * offsets next, and power loss must not bring back the ones that were refused.
   */
  async undoAppend(): Promise<void> {
    await this.cut(this.bytes, this.endOffset);
    await this.sync(true);
  }

  async closeWriter(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    if (writer !== null) await this.#volume.files.close(writer);
  }

  /** Removes the files; first the log, whose name is what counts. */
  async remove(): Promise<void> {
    await this.closeWriter();
    this.#volume.dropReader(this.path);
    await this.#volume.control.remove(this.path);
    // A read that was under way may have opened it again.
    this.#volume.dropReader(this.path);
    await this.#removeIndexFiles();
  }

  async #savedSummary(): Promise<IndexSummary | null> {
    const times = await readFile(this.#volume.files, `${this.#stem}.timeindex`);
    const summary = times === null ? null : readTimeSummary(times);
    const isOfFile = summary?.baseOffset === this.baseOffset && summary.coveredBytes === this.bytes;
    return isOfFile ? summary : null;
  }

  /** Reads from headers what the index lacks at its end. */
  async #extend(index: SparseIndex): Promise<void> {
    const { coveredBytes, endOffset, lastEpoch } = index.summary;
    await this.scan(
      { position: coveredBytes, offset: endOffset, epoch: lastEpoch, endPosition: this.bytes },
      'headers',
      (header, position) => {
        index.add({ ...header, endOffset: endOffsetOf(header) }, position);
      },
    );
  }

  /** Removes the index files: what takes the place of this segment has others. */
  async removeIndex(): Promise<void> {
    await this.#removeIndexFiles();
  }

  async #removeIndexFiles(): Promise<void> {
    this.#indexEntriesSaved = 0;
    this.#indexedBytesSaved = 0;
    await this.#volume.control.remove(`${this.#stem}.index`);
    await this.#volume.control.remove(`${this.#stem}.timeindex`);
  }

  #take(index: SparseIndex, header: BatchHeader, position: number): void {
    const endOffset = endOffsetOf(header);
    index.add({ ...header, endOffset }, position);
    this.bytes = position + header.length;
    this.endOffset = endOffset;
    if (header.maxTimestampMs > this.maxTimestampMs) this.maxTimestampMs = header.maxTimestampMs;
  }

  /**
   * First frame at or after the entry that `isFound`; from the beginning without an entry. Null
   * when the frames end or break before.
   */
  async #walk(
    entry: IndexEntry | null,
    isFound: (header: BatchHeader) => boolean,
  ): Promise<LocatedFrame | null> {
    const { position, offset } = entry ?? { position: 0, offset: this.baseOffset };
    let found: LocatedFrame | null = null;
    await this.scan(
      { position, offset, epoch: 0, endPosition: this.bytes },
      'headers',
      (header, at) => {
        if (!isFound(header)) return true;
        found = { position: at, header };
        return false;
      },
    );
    return found;
  }
}

/** Whether a segment of `bytes` can take `more`: positions must fit the index's 32 bits. */
export function isRoomLeft(bytes: number, more: number, segmentBytes: number): boolean {
  return bytes === 0 || (bytes + more <= segmentBytes && bytes + more + HEADER_BYTES < 2 ** 32);
}
