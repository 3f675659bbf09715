/**
 * Which records of a log stay (K1): below X a record stays unless a later one of its key stands
 * below X, or it is a tombstone below D. Nothing else decides: no segment, frame or log start. Of a
 * batch that loses all its records the header stays while its producer may need it.
 *
 * Found by scans of the whole log below X, from its start, as many as the memory makes necessary: a
 * record is dead once a later one of its key is met, and what was found dead stays so. A batch
 * whose records cannot be read stays as it is: nobody knows its keys. So does a record without a
 * key.
 */
import type { CompactionOrder } from '../../base/compaction-order.ts';
import { FRAME_BYTES_MAX } from '../../base/limits.ts';
import type { Offset } from '../../base/units.ts';
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { endOffsetOf, HEADER_BYTES, SPARSE_HEADER_BYTES } from '../../wire/batch/frame.ts';
import type { FramePlace, RecordAccess } from './frames.ts';
import { isGap, isUnreadable, visitFrames } from './frames.ts';
import { KeyIndex, NO_OFFSET } from './key-index.ts';
import { type HashSeed, KeyedHash } from './keyed-hash.ts';
import { OffsetSet } from './offset-set.ts';
import { ProducerWindows } from './producer-windows.ts';

/** Share of the memory that keys get; the rest is for what was found dead. */
const INDEX_SHARE = 3 / 4;

export interface SurvivorsOptions {
  readonly order: CompactionOrder;
  readonly target: StampTarget;
  readonly access: RecordAccess;
  readonly seed: HashSeed;
  /** Bound of index and marks, 128 KiB or more. */
  readonly memoryBytes: number;
}

/** A larger frame that was never thinned may not be able to: it would get a checksum more. */
const THINNED_BYTES_MAX = FRAME_BYTES_MAX - (SPARSE_HEADER_BYTES - HEADER_BYTES);

/** What becomes of a batch. `gone`: its offsets are left to a gap. */
export type Fate = 'as-is' | 'thin' | 'gone';

/** What is asked of them where frames are written anew. */
export type Fates = Pick<Survivors, 'fateOf' | 'isDead'>;

/** Where frames only move to another file. */
export const EVERYTHING_STAYS: Fates = { fateOf: () => 'as-is', isDead: () => false };

export class Survivors {
  readonly #options: SurvivorsOptions;
  readonly #hash: KeyedHash;
  readonly #index: KeyIndex;
  readonly #dead: OffsetSet;
  readonly #producers: ProducerWindows;
  /** Every batch was shown to `#producers`. */
  #knowsProducers = false;
  /** A batch was met that may stay whole: tombstones behind it stay, or its dead would be back. */
  #mayStayWhole = false;
  /** Below it records were judged by an earlier round, and the log was rewritten since. */
  #windowFrom: Offset = 0;
  /** The keyed records of one batch: lanes, and offsets. */
  #lanes = new Uint32Array(4 * 64);
  #offsets: Offset[] = [];
  #tombstones: Offset[] = [];

  constructor(options: SurvivorsOptions) {
    this.#options = options;
    const indexBytes = options.memoryBytes * INDEX_SHARE;
    this.#hash = new KeyedHash(options.seed);
    this.#index = new KeyIndex(indexBytes);
    this.#dead = new OffsetSet(options.memoryBytes - indexBytes);
    this.#producers = new ProducerWindows(options.order.producersBelow);
  }

  /**
   * The next frames of the log, in order; those from X on may be left out. Returns where they end.
   * Throws CORRUPT_BATCH.
   */
  observe(frames: Uint8Array, from: FramePlace): FramePlace {
    const { target, access, order } = this.#options;
    return visitFrames(frames, from, { target, crc32: access.crc32 }, (header, frame) => {
      if (header.baseOffset >= order.upTo || header.isControl) return;
      if (!this.#knowsProducers) this.#producers.take(header);
      if (!header.isSparse && header.length > THINNED_BYTES_MAX) this.#mayStayWhole = true;
      if (header.recordCount > 0) this.#observeRecords(frame);
    });
  }

  /** The scan has met X. Returns whether it takes another one, from the start of the log. */
  endScan(): boolean {
    if (!this.#knowsProducers) this.#producers.finish();
    this.#knowsProducers = true;
    return this.#index.nextRange();
  }

  /**
   * The log was rewritten by what is known. Returns whether it takes another round of scans and of
   * rewriting, since marks of all that is dead did not fit the memory.
   */
  nextRound(): boolean {
    const { to } = this.#dead;
    if (to >= this.#options.order.upTo) return false;
    this.#windowFrom = to;
    this.#dead.clear();
    this.#index.restart();
    return true;
  }

  isDead(offset: Offset): boolean {
    return this.#dead.has(offset);
  }

  fateOf(header: BatchHeader): Fate {
    const { baseOffset, recordCount } = header;
    if (baseOffset >= this.#options.order.upTo || header.isControl || isGap(header)) return 'as-is';
    const dead = recordCount === 0 ? 0 : this.#dead.count(baseOffset, endOffsetOf(header));
    if (dead < recordCount) return dead === 0 ? 'as-is' : 'thin';
    if (!this.#producers.isKept(baseOffset)) return 'gone';
    return recordCount === 0 ? 'as-is' : 'thin';
  }

  #observeRecords(frame: Uint8Array): void {
    if (!this.#collect(frame)) return;
    const index = this.#index;
    for (const [at, offset] of this.#offsets.entries()) {
      const lanes = this.#lanes.subarray(4 * at, 4 * at + 4);
      // The index may have narrowed since the batch was read.
      if (!index.covers(lanes)) continue;
      const before = index.put(lanes, offset);
      if (before !== NO_OFFSET) this.#bury(before);
    }
    if (this.#mayStayWhole) return;
    for (const offset of this.#tombstones) this.#bury(offset);
  }

  #bury(offset: Offset): void {
    if (offset >= this.#windowFrom) this.#dead.add(offset);
  }

  /** Reads a batch whole before anything follows from it; false: it cannot be read. */
  #collect(frame: Uint8Array): boolean {
    const { access, order } = this.#options;
    const { lanes: found } = this.#hash;
    this.#offsets = [];
    this.#tombstones = [];
    try {
      access.visit(frame, (offset, key, isTombstone) => {
        if (key === undefined || offset >= order.upTo) return;
        if (isTombstone && offset < order.tombstonesBelow) this.#tombstones.push(offset);
        this.#hash.hash(key);
        if (!this.#index.covers(found)) return;
        const at = 4 * this.#offsets.push(offset) - 4;
        if (at === this.#lanes.length) this.#growLanes();
        this.#lanes.set(found, at);
      });
    } catch (error) {
      if (isUnreadable(error)) return false;
      throw error;
    }
    return true;
  }

  #growLanes(): void {
    const larger = new Uint32Array(2 * this.#lanes.length);
    larger.set(this.#lanes);
    this.#lanes = larger;
  }
}
