/**
 * What a partition's log consists of at the moment, and reads of it that run beside changes. A
 * change that moves or removes bytes counts the layout up: a read that ran across one starts anew,
 * so no reader takes a cut for damage.
 */
import { crc32 } from 'node:zlib';
import { endOffsetOf, frameBaseOffset, HEADER_BYTES, readHeader } from '../../wire/batch/frame.ts';
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { gapFrame } from '../../wire/batch/sparse.ts';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Offset, WallMs } from '../../base/units.ts';
import type { LogRead, LogSegment } from '../runtime/ports.ts';
import type { ControlMark } from '../replication/types.ts';
import { ControlMarks } from './control-marks.ts';
import { storageError } from './file-system.ts';
import { collectHeaders, findByTimestamp, LogReader } from './log-reader.ts';
import type { Segment } from './segment.ts';
import type { PartitionTail } from './tail-cache.ts';

/** Segments and bounds of one log. Changed by its owner alone. */
export class LogLayout {
  /** Oldest first; never empty; the last one is written to. */
  segments: Segment[];
  startOffset: Offset;
  endOffset: Offset;
  /** Counts changes that move or remove bytes. */
  version = 0;
  /** Counts truncations and resets. */
  cuts = 0;
  /** A segment's file is being replaced: reads that fail meanwhile start anew when it is over. */
  moving: Promise<void> | null = null;
  readonly controls: ControlMarks;

  constructor(found: {
    readonly segments: Segment[];
    readonly startOffset: Offset;
    readonly endOffset: Offset;
    readonly headers: readonly BatchHeader[];
    readonly controls: readonly ControlMark[];
  }) {
    this.segments = found.segments;
    this.startOffset = found.startOffset;
    this.endOffset = found.endOffset;
    this.controls = new ControlMarks(found.controls);
    this.controls.note(found.headers);
  }

  get active(): Segment {
    const active = this.segments.at(-1);
    assert(active !== undefined, 'a log must have a segment');
    return active;
  }

  /** For the journal: trims and orders of which a start does not read the payloads. */
  controlsBelow(offset: Offset): ControlMark[] {
    return this.controls.within(this.startOffset, Math.min(offset, this.endOffset));
  }

  /** As retention looks at them. */
  report(): LogSegment[] {
    return this.segments.map(({ baseOffset, endOffset, bytes, maxTimestampMs }) => ({
      startOffset: baseOffset,
      endOffset,
      bytes,
      maxTimestampMs,
    }));
  }

  sizeBytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

export interface LogReadsOptions {
  /** Of the partition, for messages. */
  readonly name: string;
  readonly target: StampTarget;
  readonly layout: LogLayout;
  readonly tail: PartitionTail;
  /** The disk failed under a read. */
  readonly onFailure: (error: BrokerError) => void;
}

/** Reads of one log: see `PartitionLog` of `runtime/ports.ts`. */
export class LogReads {
  readonly #options: LogReadsOptions;
  readonly #reader: LogReader;

  constructor(options: LogReadsOptions) {
    this.#options = options;
    this.#reader = new LogReader(options.name, options.target);
  }

  /** Positions have changed: forget them. */
  clear(): void {
    this.#reader.clear();
  }

  read(fromOffset: Offset, upToOffset: Offset, bytesMax: number): LogRead | Promise<LogRead> {
    const { layout, tail } = this.#options;
    const limit = Math.min(upToOffset, layout.endOffset);
    if (!this.#isWithin(fromOffset)) return Promise.reject(this.#outOfRange(fromOffset));
    if (fromOffset >= limit) return { chunks: [], nextOffset: fromOffset };
    const cached = tail.read(fromOffset, limit, bytesMax);
    return cached === null
      ? this.#readFromDisk(fromOffset, limit, bytesMax)
      : this.#cutGap(cached, fromOffset);
  }

  /**
   * A gap that begins below `fromOffset` is cut there (K2): gaps of two replicas need not begin at
   * the same offset, and a follower takes nothing but what follows on its log.
   */
  #cutGap(read: LogRead, fromOffset: Offset): LogRead {
    const [first, ...rest] = read.chunks;
    if (first === undefined || frameBaseOffset(first, 0) >= fromOffset) return read;
    const { isSparse, length, ...header } = readHeader(first, 0);
    if (!isSparse || length !== HEADER_BYTES) return read;
    const gap = {
      ...header,
      baseOffset: fromOffset,
      lastOffsetDelta: endOffsetOf(header) - 1 - fromOffset,
    };
    const cut = gapFrame(gap, this.#options.target, crc32);
    const behind = first.length === length ? [] : [first.subarray(length)];
    return { ...read, chunks: [cut, ...behind, ...rest] };
  }

  async offsetForTimestamp(
    timestampMs: WallMs,
    upToOffset: Offset,
    fromOffset: Offset,
  ): Promise<Offset | null> {
    const { name, layout } = this.#options;
    return await this.#untorn(`find timestamp ${timestampMs} in ${name}`, async () => {
      const range = {
        startOffset: Math.max(fromOffset, layout.startOffset),
        endOffset: Math.min(upToOffset, layout.endOffset),
      };
      const found = await findByTimestamp(name, [...layout.segments], range, timestampMs);
      return found?.baseOffset ?? null;
    });
  }

  async headers(fromOffset: Offset): Promise<readonly BatchHeader[]> {
    const { name, layout } = this.#options;
    if (!this.#isWithin(fromOffset)) throw this.#outOfRange(fromOffset);
    return await this.#untorn(`read headers of ${name}`, () => {
      const range = { startOffset: fromOffset, endOffset: layout.endOffset };
      return collectHeaders(name, [...layout.segments], range);
    });
  }

  #isWithin(offset: Offset): boolean {
    const { startOffset, endOffset } = this.#options.layout;
    return offset >= startOffset && offset <= endOffset;
  }

  #outOfRange(offset: Offset): BrokerError {
    const { name, layout } = this.#options;
    const range = { logStart: layout.startOffset, logEnd: layout.endOffset };
    return new BrokerError(
      'OFFSET_OUT_OF_RANGE',
      `Cannot read ${name} at offset ${offset}: the log holds ${range.logStart} to ${range.logEnd}`,
      range,
    );
  }

  #readFromDisk(fromOffset: Offset, upToOffset: Offset, bytesMax: number): Promise<LogRead> {
    const { name, layout } = this.#options;
    return this.#untorn(`read ${name} at offset ${fromOffset}`, async () => {
      if (!this.#isWithin(fromOffset)) throw this.#outOfRange(fromOffset);
      const segment = layout.segments.findLast(({ baseOffset }) => baseOffset <= fromOffset);
      assert(segment !== undefined, `segment of offset ${fromOffset} of ${name} must exist`);
      const read = await this.#reader.read({
        segment,
        fromOffset,
        upToOffset: Math.min(upToOffset, layout.endOffset),
        bytesMax,
      });
      return this.#cutGap(read, fromOffset);
    });
  }

  /** Runs a read; when bytes moved under it, its failure means nothing and it runs again. */
  async #untorn<T>(action: string, read: () => T | Promise<T>): Promise<T> {
    const { layout, onFailure } = this.#options;
    for (;;) {
      const { version } = layout;
      try {
        return await read();
      } catch (error) {
        await layout.moving;
        if (version !== layout.version) continue;
        const failure = storageError(action, error);
        if (failure.code === 'STORAGE_FAILED') onFailure(failure);
        throw failure;
      }
    }
  }
}
