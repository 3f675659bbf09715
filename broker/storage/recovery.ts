/**
 * What a partition's folder holds after a stop, and what of it may be believed (P5, P6, P9; DESIGN.md section 6).
 *
 * Below the recovery point bytes were synced and believed; above it every byte is scanned, and after a lossy start everything is. Where the good
 * frames stop, the log ends. After a clean or warm start one incomplete frame at the very end was never acknowledged and is cut silently.
 * Everything else that is cut may have been acknowledged: the session file is deleted first, so that no later start can pass for warm; the
 * bytes are kept aside; and the damage is reported, so that this replica is distrusted and fetches the range again. A cut that nobody is told
 * of would be an answer of "no such record".
 */
import type { BatchHeader, StampTarget } from '../../proto/batch/frame.ts';
import { assert } from '../base/assert.ts';
import type { Offset } from '../base/units.ts';
import type { RestartClass } from '../metadata/types.ts';
import type { EpochStart } from '../replication/types.ts';
import type { PartitionCheckpoint } from './checkpoint.ts';
import { keepAside } from './aside.ts';
import type { CutRange } from './aside.ts';
import type { ScanStop } from './frame-scan.ts';
import { Segment, segmentBaseOf } from './segment.ts';
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
  /** Makes every later start lossy; awaited before anything damaged is cut. */
  readonly onDamage: () => Promise<void>;
}

export interface RecoveredLog {
  /** Oldest first; never empty; the last is open for writing. */
  readonly segments: Segment[];
  readonly startOffset: Offset;
  readonly endOffset: Offset;
  readonly epochs: EpochStart[];
  readonly highWaterMark: Offset;
  /** Equals the end: what is re-exposed has been synced (P6). */
  readonly syncedOffset: Offset;
  readonly damage: Damage | null;
  /** Headers that were read on the way, from `headersFrom` to the end. */
  readonly headers: readonly BatchHeader[];
  readonly headersFrom: Offset;
}

/** Opens, checks and, where the rules allow, repairs the log in a folder. Rejects as the file system does. */
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
    if (endOffset < this.#recoveryPoint)
      await this.#report(endOffset, `the log ends below its synced offset ${this.#recoveryPoint}`);
    await active.openWriter();
    for (const segment of this.#segments) await segment.sync(segment === active);
    if (headersFrom < endOffset) await volume.files.syncFolder(folder);
    return {
      segments: this.#segments,
      startOffset: this.#startOffset,
      endOffset,
      epochs: clipEpochs(this.#epochs, this.#startOffset, endOffset),
      highWaterMark: Math.min(
        Math.max(checkpoint?.highWaterMark ?? 0, this.#startOffset),
        endOffset,
      ),
      syncedOffset: endOffset,
      damage: this.#damage,
      headers: this.#headers,
      headersFrom,
    };
  }

  get #active(): Segment {
    const active = this.#segments.at(-1);
    assert(active !== undefined, `log in "${this.#request.folder}" must have a segment`);
    return active;
  }

  /** Lists segments, drops what an interrupted retirement or reset left, and settles the log start. */
  async #openSegments(): Promise<void> {
    const { volume, folder, target, checkpoint } = this.#request;
    const bases = (await volume.files.list(folder))
      .map(segmentBaseOf)
      .filter((base) => base !== null)
      .sort((a, b) => a - b);
    const firstBase = bases[0];
    this.#startOffset = checkpoint?.startOffset ?? firstBase ?? 0;
    for (const [index, baseOffset] of bases.entries()) {
      const segment = new Segment({ volume, folder, target, baseOffset });
      const nextBase = bases[index + 1];
      if (nextBase !== undefined && nextBase <= this.#startOffset) {
        await segment.remove();
        continue;
      }
      const status = await volume.files.stat(segment.path);
      segment.bytes = status.bytes;
      segment.createdMs = status.createdMs;
      segment.endOffset = nextBase ?? baseOffset;
      this.#segments.push(segment);
    }
    if (firstBase !== undefined && firstBase > this.#startOffset) {
      // Retirement and reset journal the new start before files go, so the files in front went by themselves.
      const reason = `segments before offset ${firstBase} are missing`;
      await this.#giveUp(
        this.#startOffset,
        this.#segments.map((segment) => ({ segment, position: 0 })),
        reason,
      );
      await this.#startAnew();
    }
    if (this.#segments.length === 0)
      this.#segments.push(Segment.empty({ volume, folder, target, baseOffset: this.#startOffset }));
  }

  /** Scans from the segment that holds `scanFrom` on. Returns the offset from which headers were collected. */
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

  /** Counts the good frames of one segment: headers lead to `scanFrom`, from there on every byte is checked. Cuts the log where they stop. */
  async #scanSegment(segment: Segment, scanFrom: Offset): Promise<Offset> {
    const fileBytes = segment.bytes;
    const index = await segment.loadIndex(fileBytes);
    index.truncate(index.floor(scanFrom).position + 1);
    segment.beginRecovery(index);
    let stop = await this.#walk(segment, fileBytes, scanFrom, 'headers');
    // A header's own length and count are under the payload's checksum, which was not looked at: where they, or the index, lead elsewhere
    // than to `scanFrom`, the whole segment is read.
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

  /** Ends the log at `position` of the segment. A reason means that the bytes may have been acknowledged. */
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
    this.#damage ??= { fromOffset, reason };
  }
}

/** Epochs of the batches in [startOffset, endOffset): those that ended before go, the first one left begins at the start. */
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
