/**
 * Sparse index of one segment: about one entry per 64 KiB of log, with offset, position and the
 * largest timestamp before it. A hint that is never trusted: whoever follows an entry checks the
 * frame that it finds there, and an index that is missing, short or damaged is built again from
 * batch headers (docs/rules.md#indexes-are-hints). Pure arithmetic and a codec; knows nothing of
 * files.
 *
 * Two files per segment share one trailer: `.index` holds (offset, position), `.timeindex` holds
 * timestamps. Little-endian:
 *
 *   entries     .index      u32 offset - base, u32 position      each
 *               .timeindex  u64 largest timestamp before the entry each
 *   trailer     u64 base offset, u64 covered bytes, u64 end offset, u64 largest timestamp of all,
 *               u32 entries, u32 kind, u32 last epoch, u32 CRC of everything before
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../base/assert.ts';
import type { LeaderEpoch, Offset, WallMs } from '../../base/units.ts';

/** Bytes of log between entries. */
export const INDEX_INTERVAL_BYTES = 64 * 1024;

/** Covered range: what every trailer says of its segment. */
export interface IndexSummary {
  readonly baseOffset: Offset;
  readonly coveredBytes: number;
  readonly endOffset: Offset;
  /** Largest timestamp of a batch in the covered range, 0 when there is none. */
  readonly maxTimestampMs: WallMs;
  /** Epoch of the last batch, 0 when there is none. */
  readonly lastEpoch: LeaderEpoch;
}

/** A place where a frame should begin. */
export interface IndexEntry {
  readonly offset: Offset;
  readonly position: number;
}

const KIND_OFFSETS = 1;
const KIND_TIMES = 2;
const TRAILER_BYTES = 48;
const OFFSET_ENTRY_BYTES = 8;
const TIME_ENTRY_BYTES = 8;

/** The index of one segment, in memory. */
export class SparseIndex {
  readonly baseOffset: Offset;
  readonly #offsets: Offset[] = [];
  readonly #positions: number[] = [];
  readonly #timesBefore: WallMs[] = [];
  #coveredBytes = 0;
  #endOffset: Offset;
  #maxTimestampMs: WallMs = 0;
  #lastEpoch: LeaderEpoch = 0;

  constructor(baseOffset: Offset) {
    this.baseOffset = baseOffset;
    this.#endOffset = baseOffset;
  }

  get summary(): IndexSummary {
    return {
      baseOffset: this.baseOffset,
      coveredBytes: this.#coveredBytes,
      endOffset: this.#endOffset,
      maxTimestampMs: this.#maxTimestampMs,
      lastEpoch: this.#lastEpoch,
    };
  }

  get entryCount(): number {
    return this.#offsets.length;
  }

  /** Takes in the batch that follows the covered range; `position` is where it begins. */
  add(
    batch: {
      baseOffset: Offset;
      endOffset: Offset;
      maxTimestampMs: WallMs;
      leaderEpoch: LeaderEpoch;
      length: number;
    },
    position: number,
  ): void {
    const last = this.#positions.at(-1);
    if (last === undefined || position - last >= INDEX_INTERVAL_BYTES) {
      this.#offsets.push(batch.baseOffset);
      this.#positions.push(position);
      this.#timesBefore.push(this.#maxTimestampMs);
    }
    this.#coveredBytes = position + batch.length;
    this.#endOffset = batch.endOffset;
    this.#lastEpoch = batch.leaderEpoch;
    if (batch.maxTimestampMs > this.#maxTimestampMs) this.#maxTimestampMs = batch.maxTimestampMs;
  }

  /** Last entry at or below `offset`; the segment's beginning when there is none. */
  floor(offset: Offset): IndexEntry {
    const index = lastAtMost(this.#offsets, offset);
    return index < 0 ? { offset: this.baseOffset, position: 0 } : this.#entry(index);
  }

  /** Last entry before which every batch is older than `timestampMs`. */
  floorOfTime(timestampMs: WallMs): IndexEntry {
    const index = lastAtMost(this.#timesBefore, timestampMs - 1);
    return index < 0 ? { offset: this.baseOffset, position: 0 } : this.#entry(index);
  }

  /**
   * Forgets what lies at or behind `position`, and a little before it: the covered range ends where
   * an entry began, and is extended from there.
   */
  truncate(position: number): void {
    if (position >= this.#coveredBytes) return;
    while ((this.#positions.at(-1) ?? -1) >= position) this.#pop();
    this.#pop();
  }

  #pop(): void {
    this.#endOffset = this.#offsets.pop() ?? this.baseOffset;
    this.#coveredBytes = this.#positions.pop() ?? 0;
    this.#maxTimestampMs = this.#timesBefore.pop() ?? 0;
    this.#lastEpoch = 0;
  }

  /** Both files. */
  encode(): { readonly offsets: Uint8Array; readonly times: Uint8Array } {
    const count = this.#offsets.length;
    const offsets = new Uint8Array(count * OFFSET_ENTRY_BYTES + TRAILER_BYTES);
    const times = new Uint8Array(count * TIME_ENTRY_BYTES + TRAILER_BYTES);
    const offsetView = new DataView(offsets.buffer);
    const timeView = new DataView(times.buffer);
    for (let index = 0; index < count; index += 1) {
      offsetView.setUint32(
        index * OFFSET_ENTRY_BYTES,
        (this.#offsets[index] ?? 0) - this.baseOffset,
        true,
      );
      offsetView.setUint32(index * OFFSET_ENTRY_BYTES + 4, this.#positions[index] ?? 0, true);
      timeView.setBigUint64(index * TIME_ENTRY_BYTES, BigInt(this.#timesBefore[index] ?? 0), true);
    }
    writeTrailer(offsets, this.summary, count, KIND_OFFSETS);
    writeTrailer(times, this.summary, count, KIND_TIMES);
    return { offsets, times };
  }

  /**
   * The index of two files, or null when they are not a whole, consistent pair for this segment.
   */
  static decode(
    baseOffset: Offset,
    fileBytes: number,
    offsets: Uint8Array,
    times: Uint8Array,
  ): SparseIndex | null {
    const summary = readTrailer(offsets, KIND_OFFSETS, OFFSET_ENTRY_BYTES);
    const timeSummary = readTrailer(times, KIND_TIMES, TIME_ENTRY_BYTES);
    if (summary === null || timeSummary === null || !isSame(summary, timeSummary)) return null;
    if (summary.baseOffset !== baseOffset || summary.coveredBytes > fileBytes) return null;
    const index = new SparseIndex(baseOffset);
    const offsetView = new DataView(offsets.buffer, offsets.byteOffset, offsets.length);
    const timeView = new DataView(times.buffer, times.byteOffset, times.length);
    for (let entry = 0; entry < (offsets.length - TRAILER_BYTES) / OFFSET_ENTRY_BYTES; entry += 1) {
      const offset = baseOffset + offsetView.getUint32(entry * OFFSET_ENTRY_BYTES, true);
      const position = offsetView.getUint32(entry * OFFSET_ENTRY_BYTES + 4, true);
      const time = Number(timeView.getBigUint64(entry * TIME_ENTRY_BYTES, true));
      if (!index.#restore(offset, position, time, summary)) return null;
    }
    index.#coveredBytes = summary.coveredBytes;
    index.#endOffset = summary.endOffset;
    index.#maxTimestampMs = summary.maxTimestampMs;
    index.#lastEpoch = summary.lastEpoch;
    return index;
  }

  #restore(offset: Offset, position: number, time: WallMs, summary: IndexSummary): boolean {
    const lastOffset = this.#offsets.at(-1) ?? this.baseOffset - 1;
    const lastPosition = this.#positions.at(-1) ?? -1;
    const lastTime = this.#timesBefore.at(-1) ?? 0;
    if (offset <= lastOffset || position <= lastPosition || time < lastTime) return false;
    if (offset >= summary.endOffset || position >= summary.coveredBytes) return false;
    this.#offsets.push(offset);
    this.#positions.push(position);
    this.#timesBefore.push(time);
    return true;
  }

  #entry(index: number): IndexEntry {
    const offset = this.#offsets[index];
    const position = this.#positions[index];
    assert(offset !== undefined && position !== undefined, `index entry ${index} must exist`);
    return { offset, position };
  }
}

/**
 * The trailer of a `.timeindex` file alone, or null when it is damaged: enough for retention,
 * without keeping entries.
 */
export function readTimeSummary(times: Uint8Array): IndexSummary | null {
  return readTrailer(times, KIND_TIMES, TIME_ENTRY_BYTES);
}

/** Index of the last element at or below `value` in a list that never falls, or -1. */
function lastAtMost(list: readonly number[], value: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function isSame(a: IndexSummary, b: IndexSummary): boolean {
  return (
    a.baseOffset === b.baseOffset &&
    a.coveredBytes === b.coveredBytes &&
    a.endOffset === b.endOffset &&
    a.maxTimestampMs === b.maxTimestampMs &&
    a.lastEpoch === b.lastEpoch
  );
}

function writeTrailer(bytes: Uint8Array, summary: IndexSummary, count: number, kind: number): void {
  const view = new DataView(bytes.buffer, bytes.length - TRAILER_BYTES);
  view.setBigUint64(0, BigInt(summary.baseOffset), true);
  view.setBigUint64(8, BigInt(summary.coveredBytes), true);
  view.setBigUint64(16, BigInt(summary.endOffset), true);
  view.setBigUint64(24, BigInt(summary.maxTimestampMs), true);
  view.setUint32(32, count, true);
  view.setUint32(36, kind, true);
  view.setUint32(40, summary.lastEpoch, true);
  view.setUint32(44, crc32(bytes.subarray(0, bytes.length - 4)), true);
}

function readTrailer(bytes: Uint8Array, kind: number, entryBytes: number): IndexSummary | null {
  const entriesBytes = bytes.length - TRAILER_BYTES;
  if (entriesBytes < 0 || entriesBytes % entryBytes !== 0) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + entriesBytes, TRAILER_BYTES);
  if (view.getUint32(44, true) !== crc32(bytes.subarray(0, bytes.length - 4))) return null;
  if (view.getUint32(36, true) !== kind || view.getUint32(32, true) !== entriesBytes / entryBytes)
    return null;
  return {
    baseOffset: Number(view.getBigUint64(0, true)),
    coveredBytes: Number(view.getBigUint64(8, true)),
    endOffset: Number(view.getBigUint64(16, true)),
    maxTimestampMs: Number(view.getBigUint64(24, true)),
    lastEpoch: view.getUint32(40, true),
  };
}
