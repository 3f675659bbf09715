/**
 * Checks the folder of one partition against itself and against its line in the checkpoint: every
 * batch, how segments follow on each other, epochs, indexes, the producer table. Repairs nothing:
 * what recovery would do with it, `recovery.ts` says.
 */
import type { LeaderEpoch, Offset, PartitionKey, TopicId } from '../../../base/units.ts';
import { partitionKey } from '../../../base/units.ts';
import { topicIdToBytes } from '../../../wire/batch/frame.ts';
import type { StampTarget } from '../../../wire/batch/frame.ts';
import type { EpochStart } from '../../replication/types.ts';
import type { PartitionCheckpoint } from '../checkpoint.ts';
import { readFile } from '../file-system.ts';
import type { FileSystem } from '../file-system.ts';
import { loadProducerSnapshot, producerSnapshotPath } from '../producer-snapshot.ts';
import { clipEpochs } from '../recovery.ts';
import { mergedInto } from '../segment-chain.ts';
import { segmentBaseOf } from '../segment.ts';
import { Findings } from './findings.ts';
import { IndexCheck } from './index-check.ts';
import { namesIn, withReader } from './read-only.ts';
import { scanSegment } from './segment-check.ts';
import { reasonOf } from '../../../base/reason.ts';

export interface PartitionCheck {
  readonly files: FileSystem;
  readonly folder: string;
  /** What stands before the names of files that are told. */
  readonly shown: string;
  readonly topicId: TopicId;
  readonly partition: number;
  /**
   * Its line in the checkpoint. `absent`: the checkpoint is whole and has none. `unknown`: there is
   * no checkpoint to ask.
   */
  readonly line: PartitionCheckpoint | 'absent' | 'unknown';
}

/** What the folder holds. Offsets: the first, and the one after the last. */
export interface PartitionReport {
  readonly key: PartitionKey;
  readonly topicId: TopicId;
  readonly partition: number;
  readonly segments: number;
  readonly batches: number;
  /** Without those of the broker itself. */
  readonly records: number;
  readonly bytes: number;
  readonly startOffset: Offset;
  readonly endOffset: Offset;
  readonly lastEpoch: LeaderEpoch;
  readonly findings: Findings;
}

/** Reads everything. Files that cannot be read are faults; rejects where the folder cannot be. */
export async function checkPartition(check: PartitionCheck): Promise<PartitionReport> {
  return await new Checker(check).run();
}

interface SegmentFile {
  readonly baseOffset: Offset;
  readonly name: string;
}

interface SegmentEnds extends SegmentFile {
  readonly bytes: number;
  readonly endOffset: Offset;
}

class Checker {
  readonly #check: PartitionCheck;
  readonly #target: StampTarget;
  readonly #line: PartitionCheckpoint | null;
  readonly #findings = new Findings();
  readonly #epochs: EpochStart[] = [];
  #names: readonly string[] = [];
  #batches = 0;
  #records = 0;
  #bytes = 0;
  #lastEpoch: LeaderEpoch = 0;

  constructor(check: PartitionCheck) {
    this.#check = check;
    this.#target = { topicIdBytes: topicIdToBytes(check.topicId), partition: check.partition };
    this.#line = typeof check.line === 'string' ? null : check.line;
  }

  async run(): Promise<PartitionReport> {
    const { files, folder, topicId, partition } = this.#check;
    this.#names = (await namesIn(files, folder)) ?? [];
    const found = this.#sortNames();
    const segments: SegmentEnds[] = [];
    for (const [index, file] of found.entries())
      if (!this.#isMerged(file, segments))
        segments.push(await this.#segment(file, index < found.length - 1));
    const chain = this.#followOn(segments);
    const startOffset = Math.max(this.#line?.startOffset ?? 0, chain[0]?.baseOffset ?? 0);
    const endOffset = Math.max(chain.at(-1)?.endOffset ?? startOffset, startOffset);
    this.#compareWithLine(segments.length, startOffset, endOffset);
    await this.#producers(startOffset, endOffset);
    return {
      key: partitionKey(topicId, partition),
      topicId,
      partition,
      segments: segments.length,
      batches: this.#batches,
      records: this.#records,
      bytes: this.#bytes,
      startOffset,
      endOffset,
      lastEpoch: this.#lastEpoch,
      findings: this.#findings,
    };
  }

  /** The segments, oldest first; what is no part of a log is told. */
  #sortNames(): SegmentFile[] {
    const segments: SegmentFile[] = [];
    for (const name of this.#names) {
      const baseOffset = segmentBaseOf(name);
      if (baseOffset !== null) segments.push({ baseOffset, name });
      else if (name === 'aside')
        this.#findings.note(this.#shown(name), 'bytes that were cut', 'nothing; kept for people');
      else if (name.endsWith('.tmp'))
        this.#findings.note(this.#shown(name), 'an unfinished file', 'nothing; it is not read');
      else if (!this.#isOfLog(name))
        this.#findings.fault(this.#shown(name), null, 'a stray file', 'only files of the log');
    }
    return segments.sort((a, b) => a.baseOffset - b.baseOffset);
  }

  #isOfLog(name: string): boolean {
    if (name === producerSnapshotPath('').slice(1)) return true;
    const stem = /^(.+)[.](?:time)?index$/.exec(name)?.[1];
    return stem !== undefined && this.#names.includes(`${stem}.log`);
  }

  /** Left over: the log holds its offsets in the file that it was merged into. */
  #isMerged(file: SegmentFile, before: readonly SegmentEnds[]): boolean {
    const whole = mergedInto(file, before, this.#line?.merging);
    if (whole === null) return false;
    const found = `it was merged into "${whole.name}"`;
    this.#findings.note(this.#shown(file.name), found, 'nothing; the next start removes it');
    return true;
  }

  async #segment(file: SegmentFile, isSealed: boolean): Promise<SegmentEnds> {
    const { files, folder } = this.#check;
    try {
      const { bytes } = await files.stat(`${folder}/${file.name}`);
      this.#bytes += bytes;
      const endOffset = await this.#scan(file, bytes, isSealed);
      return { ...file, bytes, endOffset };
    } catch (error) {
      this.#findings.fault(
        this.#shown(file.name),
        null,
        reasonOf(error),
        'a file that can be read',
      );
      return { ...file, bytes: 0, endOffset: file.baseOffset };
    }
  }

  async #scan(file: SegmentFile, bytes: number, isSealed: boolean): Promise<Offset> {
    const { files, folder } = this.#check;
    const { baseOffset, name } = file;
    const index = await this.#indexOf(file, bytes);
    const faultsBefore = this.#findings.faults;
    const isWhole = (): boolean => this.#findings.faults === faultsBefore;
    const end = await withReader(files, `${folder}/${name}`, (readAt) =>
      scanSegment({
        readAt,
        target: this.#target,
        baseOffset,
        bytes,
        epoch: this.#lastEpoch,
        onFrame: (header, position) => {
          this.#batches += 1;
          if (!header.isControl) this.#records += header.recordCount;
          if (header.leaderEpoch > this.#lastEpoch)
            this.#epochs.push({ epoch: header.leaderEpoch, startOffset: header.baseOffset });
          this.#lastEpoch = header.leaderEpoch;
          if (isWhole()) index.take(header, position);
        },
        onFault: (stop, next) => {
          const where = `the batch of offset ${stop.offset}, of epoch ${stop.epoch} or later`;
          const unread = (next?.position ?? bytes) - stop.position;
          const reach = unread === 0 ? '' : `; ${unread} bytes cannot be read`;
          // Nobody was told of what a crash tore: the next start cuts it.
          const isTorn =
            stop.kind === 'incomplete' &&
            next === null &&
            !isSealed &&
            this.#isUnstated(stop.offset);
          if (isTorn)
            this.#findings.note(this.#shown(name), `a torn write: ${stop.reason}`, 'a whole batch');
          else this.#findings.fault(this.#shown(name), stop.position, stop.reason + reach, where);
        },
      }),
    );
    index.finish(isSealed, isWhole());
    return end.offset;
  }

  /** The checkpoint promises nothing from there on. */
  #isUnstated(offset: Offset): boolean {
    return offset >= (this.#line?.writtenOffset ?? 0);
  }

  async #indexOf({ baseOffset, name }: SegmentFile, bytes: number): Promise<IndexCheck> {
    const { files, folder } = this.#check;
    const stem = name.slice(0, -'.log'.length);
    const read = async (file: string): Promise<Uint8Array | null> => {
      try {
        return await readFile(files, `${folder}/${file}`);
      } catch (error) {
        this.#findings.fault(this.#shown(file), null, reasonOf(error), 'a file that can be read');
        return null;
      }
    };
    const [offsetsFile, timesFile] = [`${stem}.index`, `${stem}.timeindex`];
    const [offsets, times] = [await read(offsetsFile), await read(timesFile)];
    const shown = { offsetsFile: this.#shown(offsetsFile), timesFile: this.#shown(timesFile) };
    return new IndexCheck({ ...shown, offsets, times }, baseOffset, bytes, this.#findings);
  }

  /** The segments from the log start on. Each begins where the one before ends. */
  #followOn(segments: readonly SegmentEnds[]): SegmentEnds[] {
    if (this.#line?.isResetting === true) return [];
    const start = this.#line?.startOffset ?? 0;
    const chain: SegmentEnds[] = [];
    for (const segment of segments) {
      const isBelow =
        segment.endOffset < start ||
        (segment.endOffset === start &&
          segments.some((other) => other !== segment && other.baseOffset === start));
      const last = chain.at(-1);
      if (isBelow && segment.baseOffset < start) {
        const found = `it ends at offset ${segment.endOffset}`;
        this.#findings.note(this.#shown(segment.name), found, `nothing below ${start}: retired`);
        continue;
      }
      if (last !== undefined && segment.baseOffset !== last.endOffset) {
        const found = `the segment begins at offset ${segment.baseOffset}`;
        this.#findings.fault(this.#shown(segment.name), 0, found, `${last.endOffset}`);
      }
      chain.push(segment);
    }
    return chain;
  }

  #compareWithLine(fileCount: number, startOffset: Offset, endOffset: Offset): void {
    const shown = this.#shown('');
    if (this.#check.line === 'absent') {
      if (fileCount > 0 && endOffset > 0)
        this.#findings.fault(shown, null, 'a log', 'none: the checkpoint names no such log');
      return;
    }
    if (this.#line === null) return;
    const { isResetting, syncedOffset, writtenOffset, highWaterMark } = this.#line;
    if (isResetting === true) {
      this.#findings.note(shown, `a reset to offset ${writtenOffset} was begun`, 'an ended one');
      return;
    }
    const missedFrom = this.#line.logStartOffset ?? this.#line.startOffset;
    if (fileCount === 0)
      this.#findings.fault(shown, null, 'no segment', `the log from offset ${missedFrom} on`);
    else if (startOffset > missedFrom)
      this.#findings.fault(shown, null, `the log starts at ${startOffset}`, `${missedFrom}`);
    const promised = [
      ['synced', syncedOffset],
      ['written', writtenOffset],
      ['committed', highWaterMark],
    ] as const;
    const broken = promised.find(([, offset]) => endOffset < offset);
    if (broken !== undefined) {
      const [what, offset] = broken;
      this.#findings.fault(shown, null, `the log ends at ${endOffset}`, `${what} up to ${offset}`);
    }
    if (this.#findings.faults === 0) this.#compareEpochs(startOffset, syncedOffset);
  }

  #compareEpochs(startOffset: Offset, syncedOffset: Offset): void {
    const known = clipEpochs(this.#line?.epochs ?? [], startOffset, syncedOffset);
    const found = clipEpochs(this.#epochs, startOffset, syncedOffset);
    const words = (epochs: readonly EpochStart[]): string =>
      epochs.map((each) => `${each.epoch} from ${each.startOffset}`).join(', ') || 'none';
    if (words(known) !== words(found))
      this.#findings.fault(
        this.#shown(''),
        null,
        `batches of the epochs ${words(found)}`,
        `${words(known)}, as the checkpoint says`,
      );
  }

  async #producers(startOffset: Offset, endOffset: Offset): Promise<void> {
    const { files, folder } = this.#check;
    const path = producerSnapshotPath(folder);
    const name = path.slice(folder.length + 1);
    if (!this.#names.includes(name)) return;
    const expected = 'a table of this log; it is built again from the batches';
    try {
      const snapshot = await loadProducerSnapshot(files, path);
      if (snapshot === null)
        this.#findings.fault(this.#shown(name), 0, 'its checksum or content fails', expected);
      else if (snapshot.offset < startOffset || snapshot.offset > endOffset)
        this.#findings.note(this.#shown(name), `a table as of offset ${snapshot.offset}`, expected);
    } catch (error) {
      this.#findings.fault(this.#shown(name), null, reasonOf(error), 'a file that can be read');
    }
  }

  #shown(name: string): string {
    return name === '' ? this.#check.shown : `${this.#check.shown}/${name}`;
  }
}
