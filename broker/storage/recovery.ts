/**
 * What a partition's folder holds after a stop, and what of it may be believed (P5, P6, P9;
 * docs/rules.md#restart-classes).
 *
 * Below the recovery point bytes were synced and believed; above it every byte is scanned, and
 * after a lossy start everything is. Where the good frames stop, the log ends. After a clean or
 * warm start one incomplete frame at the very end was never acknowledged and is cut silently.
 * Everything else that is cut may have been acknowledged: the session file is deleted first, so
 * that no later start can pass for warm; the bytes are kept aside; and the damage is reported, so
 * that this replica is distrusted and fetches the range again. A cut that nobody is told of would
 * be an answer of "no such record".
 *
 * The checkpoint says what must be found at least: after a clean or warm start all that was
 * written, after a lossy one what was synced. Which files make up the log is found in
 * `segment-chain.ts`.
 */
import type { BatchHeader, StampTarget } from '../../wire/batch/frame.ts';
import { assert } from '../../base/assert.ts';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { RestartClass } from '../metadata/types.ts';
import type { ControlMark, EpochStart } from '../replication/types.ts';
import { doneUpTo } from './checkpoint.ts';
import type { CompactionState, PartitionCheckpoint } from './checkpoint.ts';
import { keepAside, moveAside } from './aside.ts';
import type { CutRange } from './aside.ts';
import { folderOf } from './file-system.ts';
import type { ScanStop } from './frame-scan.ts';
import { Segment } from './segment.ts';
import { findChain } from './segment-chain.ts';
import type { Volume } from './volume.ts';

/** The log was cut at `fromOffset`, and bytes that may have been acknowledged with it. */
export interface Damage {
  readonly fromOffset: Offset;
  readonly reason: string;
}

export interface RecoveryRequest {
  readonly volume: Volume;
  readonly folder: string;
  readonly target: StampTarget;
  readonly restartClass: RestartClass;
  readonly checkpoint: PartitionCheckpoint | null;
  /** The checkpoint names every log that was ever answered for. */
  readonly isCheckpointWhole: boolean;
  /** Makes every later start lossy; awaited before anything damaged is cut. */
  readonly onDamage: () => Promise<void>;
}

export interface RecoveredLog {
  /** Oldest first; never empty; the last is open for writing. */
  readonly segments: Segment[];
  readonly startOffset: Offset;
  readonly startEpoch: LeaderEpoch;
  /** Below `startOffset`: the log has lost its beginning. */
  readonly retiredTo: Offset;
  /** Where the journal says that the log starts. */
  readonly statedStart: Offset;
  readonly endOffset: Offset;
  readonly epochs: EpochStart[];
  readonly highWaterMark: Offset;
  /** Equals the end: what is re-exposed has been synced (P6). */
  readonly syncedOffset: Offset;
  readonly damage: Damage | null;
  /** How far it is compacted, as journalled; undefined: never. */
  readonly compacted: CompactionState | undefined;
  /** D that it was begun with as a copy, as journalled; 0: none. */
  readonly tombstonesBelow: Offset;
  /** Trims and orders to compact below `headersFrom`, as journalled. */
  readonly controls: readonly ControlMark[];
  /** Headers that were read on the way, from `headersFrom` to the end. */
  readonly headers: readonly BatchHeader[];
  readonly headersFrom: Offset;
}

/**
 * Opens, checks and, where the rules allow, repairs the log in a folder. Rejects as the file system
 * does.
 */
export async function recoverLog(request: RecoveryRequest): Promise<RecoveredLog> {
  return await new Recovery(request).run();
}

class Recovery {
  readonly #request: RecoveryRequest;
  readonly #recoveryPoint: Offset;
  readonly #headers: BatchHeader[] = [];
  #segments: Segment[] = [];
  #startOffset: Offset = 0;
  #damage: Damage | null = null;
  #epochs: EpochStart[] = [];

  constructor(request: RecoveryRequest) {
    this.#request = request;
    this.#recoveryPoint = request.checkpoint?.syncedOffset ?? 0;
  }

  async run(): Promise<RecoveredLog> {
    try {
      return await this.#recover();
    } catch (error) {
      for (const segment of this.#segments) await segment.closeWriter().catch(() => undefined);
      throw error;
    }
  }

  async #recover(): Promise<RecoveredLog> {
    const { checkpoint, restartClass, volume, folder } = this.#request;
    await this.#openSegments();
    const scanFrom =
      restartClass === 'lossy'
        ? this.#startOffset
        : Math.max(this.#recoveryPoint, this.#startOffset);
    // From there on headers say the epochs (rule 4).
    this.#epochs = (checkpoint?.epochs ?? []).filter(({ startOffset }) => startOffset < scanFrom);
    const headersFrom = await this.#scan(scanFrom);
    const active = this.#active;
    const endOffset = Math.max(active.endOffset, this.#startOffset);
    await this.#checkEnd(endOffset);
    await active.openWriter();
    // P6: nothing that a power loss could take back is answered for. Nor could it bring back what a
    // process cut that died before it synced the cut.
    const isCutInDoubt = restartClass !== 'clean';
    if (isCutInDoubt) active.isDirty = true;
    for (const segment of this.#segments) await segment.sync(segment === active);
    if (isCutInDoubt || headersFrom < endOffset) await volume.syncFolder(folder);
    // A cut leaves the folder itself where it is.
    if (headersFrom < endOffset) await volume.syncFolder(folderOf(folder));
    const epochs = clipEpochs(this.#epochs, this.#startOffset, endOffset);
    return {
      segments: this.#segments,
      startOffset: this.#startOffset,
      startEpoch: this.#startEpoch(epochs),
      retiredTo: this.#retiredTo,
      statedStart: this.#statedStart,
      endOffset,
      epochs,
      highWaterMark: Math.min(
        Math.max(checkpoint?.highWaterMark ?? 0, this.#startOffset),
        endOffset,
      ),
      syncedOffset: endOffset,
      damage: this.#damage,
      // A reset empties the log, and what it holds from then on is of others.
      compacted:
        checkpoint?.isResetting === true
          ? undefined
          : doneUpTo(checkpoint?.compacted, this.#damage?.fromOffset ?? endOffset),
      tombstonesBelow: checkpoint?.tombstonesBelow ?? 0,
      controls: (checkpoint?.controls ?? []).filter(
        ({ baseOffset }) => baseOffset >= this.#startOffset && baseOffset < headersFrom,
      ),
      headers: this.#headers,
      headersFrom,
    };
  }

  /**
   * What retention reached, as journalled before anything of it went. Unknown is 0: then a log that
   * starts above has lost its beginning.
   */
  get #retiredTo(): Offset {
    return this.#request.checkpoint?.startOffset ?? 0;
  }

  get #statedStart(): Offset {
    return this.#request.checkpoint?.logStartOffset ?? this.#retiredTo;
  }

  /** Of the journal, where it is about this start and fits what follows. */
  #startEpoch(epochs: readonly EpochStart[]): LeaderEpoch {
    const startEpoch = this.#request.checkpoint?.startEpoch ?? 0;
    const isOfThis =
      this.#startOffset === this.#statedStart && startEpoch <= (epochs[0]?.epoch ?? Infinity);
    return isOfThis ? startEpoch : 0;
  }

  get #active(): Segment {
    const active = this.#segments.at(-1);
    assert(active !== undefined, `log in "${this.#request.folder}" must have a segment`);
    return active;
  }

  /** What the checkpoint names must be there; and what it does not name was never answered for. */
  async #checkEnd(endOffset: Offset): Promise<void> {
    const { checkpoint, restartClass } = this.#request;
    const name = restartClass === 'lossy' ? 'synced' : 'written';
    const end = checkpoint?.[`${name}Offset`] ?? 0;
    if (endOffset < end)
      await this.#report(endOffset, `the log ends at ${endOffset}, it was ${name} up to ${end}`);
    else if (checkpoint === null && this.#request.isCheckpointWhole && endOffset > 0)
      await this.#report(endOffset, 'the checkpoint names no such log');
  }

  /** Finds the segments of the log, and settles its start. */
  async #openSegments(): Promise<void> {
    const { volume, folder, target, checkpoint } = this.#request;
    const chain = await findChain({ volume, folder, target, checkpoint });
    this.#startOffset = chain.startOffset;
    this.#segments = chain.segments;
    for (const { segment, reason } of chain.strays) {
      volume.logger.warn({ path: segment.path, reason }, 'a file is no part of the log');
      await moveAside(volume, folder, segment);
    }
    if (chain.damage !== null) await this.#report(chain.damage.fromOffset, chain.damage.reason);
    for (const segment of chain.lost) await moveAside(volume, folder, segment);
    for (const segment of chain.leftovers) await segment.remove();
    // The next checkpoint forgets that some of them may be there.
    if (checkpoint?.merging !== undefined) await volume.syncFolder(folder);
    // Of a pass of compaction that was interrupted.
    for (const path of chain.unfinished) await volume.control.remove(path);
    if (this.#segments.length === 0)
      this.#segments.push(Segment.empty({ volume, folder, target, baseOffset: this.#startOffset }));
  }

  /**
   * Scans from the segment that holds `scanFrom` on. Returns the offset from which headers were
   * collected.
   */
  async #scan(scanFrom: Offset): Promise<Offset> {
    let index = Math.max(
      0,
      this.#segments.findLastIndex((segment) => segment.baseOffset <= scanFrom),
    );
    for (const sealed of this.#segments.slice(0, index)) await sealed.loadMaxTimestamp();
    let headersFrom: Offset | null = null;
    for (
      let segment = this.#segments[index];
      segment !== undefined;
      segment = this.#segments[index]
    ) {
      const from = await this.#scanSegment(
        segment,
        headersFrom === null ? scanFrom : segment.baseOffset,
      );
      headersFrom ??= from;
      await segment.dropStaleIndex();
      const next = this.#segments[index + 1];
      if (next !== undefined && segment.endOffset !== next.baseOffset) {
        await this.#cut(
          segment,
          segment.bytes,
          `the segment ends at ${segment.endOffset} and the next one begins at ${next.baseOffset}`,
        );
      }
      index += 1;
    }
    // What an interrupted reset left lies wholly below the log start.
    if (this.#active.endOffset < this.#startOffset) await this.#startAnew();
    return headersFrom ?? scanFrom;
  }

  /**
   * Counts the good frames of one segment: headers lead to `scanFrom`, from there on every byte is
   * checked. Cuts the log where they stop.
   */
  async #scanSegment(segment: Segment, scanFrom: Offset): Promise<Offset> {
    const fileBytes = segment.bytes;
    const index = await segment.loadIndex(fileBytes);
    index.truncate(index.floor(scanFrom).position + 1);
    segment.beginRecovery(index);
    let stop = await this.#walk(segment, fileBytes, scanFrom, 'headers');
    // A header's own length and count are under the payload's checksum, which was not looked at:
    // where they, or the index, lead elsewhere than to `scanFrom`, the whole segment is read.
    const isShort = stop.kind === 'end' && stop.offset < scanFrom;
    const isLed = isShort || (stop.kind !== 'invalid' && stop.offset === scanFrom);
    if (!isLed) {
      index.truncate(0);
      segment.beginRecovery(index);
    }
    const headersFrom = segment.endOffset;
    if (!isLed || stop.kind === 'stopped')
      stop = await this.#walk(segment, fileBytes, Number.POSITIVE_INFINITY, 'full');
    if (stop.kind === 'end') return headersFrom;
    const isLast = segment === this.#active;
    const isTorn =
      stop.kind === 'incomplete' &&
      isLast &&
      stop.offset >= this.#recoveryPoint &&
      this.#request.restartClass !== 'lossy';
    await this.#cut(segment, stop.position, isTorn ? null : stop.reason);
    return headersFrom;
  }

  /** Visits frames from the end of what `segment` counts to `untilOffset`, and counts them. */
  async #walk(
    segment: Segment,
    fileBytes: number,
    untilOffset: Offset,
    depth: 'headers' | 'full',
  ): Promise<ScanStop> {
    const index = await segment.index();
    const from = {
      position: segment.bytes,
      offset: segment.endOffset,
      epoch: index.summary.lastEpoch,
      endPosition: fileBytes,
    };
    if (depth === 'full') {
      // P6: what is about to be answered again must survive the next power loss; run() syncs it.
      await segment.openWriter();
      segment.isDirty = true;
    }
    return await segment.scan(from, depth, (header, position) => {
      if (header.baseOffset >= untilOffset) return false;
      segment.takeRecovered(index, header, position);
      if (depth === 'headers') return true;
      this.#headers.push(header);
      if (header.leaderEpoch > (this.#epochs.at(-1)?.epoch ?? 0))
        this.#epochs.push({ epoch: header.leaderEpoch, startOffset: header.baseOffset });
      return true;
    });
  }

  /**
   * Ends the log at `position` of the segment. A reason means that the bytes may have been
   * acknowledged.
   */
  async #cut(segment: Segment, position: number, reason: string | null): Promise<void> {
    const later = this.#segments.slice(this.#segments.indexOf(segment) + 1);
    if (reason !== null) {
      await this.#giveUp(
        segment.endOffset,
        [{ segment, position }, ...later.map((other) => ({ segment: other, position: 0 }))],
        reason,
      );
    }
    for (const other of later.toReversed()) await other.remove();
    this.#segments = this.#segments.slice(0, this.#segments.length - later.length);
    await segment.openWriter();
    await segment.cut(position, segment.endOffset);
  }

  /** Prepares the cut of bytes that may have been acknowledged. */
  async #giveUp(fromOffset: Offset, ranges: readonly CutRange[], reason: string): Promise<void> {
    await this.#report(fromOffset, reason);
    await keepAside(this.#request.volume, this.#request.folder, ranges);
  }

  /** Replaces all segments by an empty one at the log start. */
  async #startAnew(): Promise<void> {
    const { volume, folder, target } = this.#request;
    for (const segment of this.#segments) await segment.remove();
    this.#segments = [Segment.empty({ volume, folder, target, baseOffset: this.#startOffset })];
  }

  async #report(fromOffset: Offset, reason: string): Promise<void> {
    const { volume, folder } = this.#request;
    volume.logger.error({ folder, fromOffset, reason }, 'log is damaged');
    await this.#request.onDamage();
    if (this.#damage === null || fromOffset < this.#damage.fromOffset)
      this.#damage = { fromOffset, reason };
  }
}

/**
 * Epochs of the batches in [startOffset, endOffset): those that ended before go, the first one left
 * begins at the start.
 */
export function clipEpochs(
  epochs: readonly EpochStart[],
  startOffset: Offset,
  endOffset: Offset,
): EpochStart[] {
  const below = epochs.filter((start) => start.startOffset < endOffset);
  const first = below.findLastIndex((start) => start.startOffset <= startOffset);
  if (startOffset >= endOffset) return [];
  return below.slice(Math.max(first, 0)).map(({ epoch, startOffset: offset }) => ({
    epoch,
    startOffset: Math.max(offset, startOffset),
  }));
}
