/**
 * One partition's log on disk: the `PartitionLog` of `runtime/ports.ts`. Changes run one after the other in the order they were asked; all
 * appends that queued while a write was in flight go out in the next one. An append is answered when write(2) has returned in full (P2),
 * never when it is synced; a truncation when it is synced, recovery point included (DESIGN.md section 6).
 *
 * The queue of changes is bounded by its callers: producers by admission, followers by stream credit.
 */
import type { BatchHeader, StampTarget } from '../../proto/batch/frame.ts';
import { assert } from '../base/assert.ts';
import { BrokerError } from '../base/errors.ts';
import { partitionKey } from '../base/units.ts';
import type { Offset, PartitionKey, TopicId, WallMs } from '../base/units.ts';
import type { EpochStart } from '../replication/types.ts';
import type {
  LogRead,
  PartitionLog,
  PartitionLogOptions,
  PartitionRecovery,
  SealedSegment,
} from '../runtime/ports.ts';
import { keepAside } from './aside.ts';
import { takeAppends } from './change-queue.ts';
import type { AppendChange, Change, OtherChange, Waiter } from './change-queue.ts';
import type { Checkpoint } from './checkpoint.ts';
import { storageError } from './file-system.ts';
import type { Flushable, Flusher } from './flusher.ts';
import { endOffsetOf } from './frame-scan.ts';
import { collectHeaders, findByTimestamp, LogReader } from './log-reader.ts';
import { producerSnapshotPath, saveProducerSnapshot } from './producer-snapshot.ts';
import { clipEpochs } from './recovery.ts';
import type { RecoveredLog } from './recovery.ts';
import { isRoomLeft, Segment } from './segment.ts';
import { PartitionTail } from './tail-cache.ts';
import type { Volume } from './volume.ts';

/** What a log needs. Its folder exists, and the folder's parent holds all partitions of the broker. */
export interface PartitionLogContext {
  readonly volume: Volume;
  readonly checkpoint: Checkpoint;
  readonly flusher: Flusher;
  readonly topicId: TopicId;
  readonly partition: number;
  readonly target: StampTarget;
  readonly folder: string;
  readonly options: PartitionLogOptions;
  readonly onSynced: (offset: Offset) => void;
  readonly onClosed: () => void;
}

/** Index entries (of 64 KiB of log) that a crash may cost: recovery reads their headers again. */
const INDEX_ENTRIES_UNSAVED_MAX = 512;

/** The log of one partition. Made by `openPartitionLog`. */
export class FilePartitionLog implements PartitionLog, Flushable {
  readonly recovery: PartitionRecovery;
  readonly #context: PartitionLogContext;
  readonly #volume: Volume;
  readonly #key: PartitionKey;
  readonly #tail: PartitionTail;
  readonly #reader: LogReader;
  #options: PartitionLogOptions;
  #segments: Segment[];
  #epochs: EpochStart[];
  #startOffset: Offset;
  #endOffset: Offset;
  #syncedOffset: Offset;
  #highWaterMark: Offset;
  #changes: Change[] = [];
  #isPumping = false;
  /** End of the log once every queued append is written. */
  #queuedEnd: Offset;
  #isClosing = false;
  #failure: BrokerError | null = null;
  /** An append was refused for want of space and nothing has been appended since. */
  #isFull = false;
  /** Counts changes that move or remove bytes: a read or flush that ran across one starts anew or claims nothing. */
  #layoutVersion = 0;
  /** Syncs and removals of files take turns. */
  #filesTurn: Promise<void> = Promise.resolve();
  /** A file was made since the folder was synced. */
  #isFolderDirty = true;
  #snapshotTurn: Promise<void> = Promise.resolve();

  constructor(context: PartitionLogContext, recovered: RecoveredLog, recovery: PartitionRecovery) {
    this.recovery = recovery;
    this.#context = context;
    this.#volume = context.volume;
    this.#key = partitionKey(context.topicId, context.partition);
    this.#tail = new PartitionTail(context.volume.tail);
    this.#reader = new LogReader(this.#key, context.target);
    this.#options = context.options;
    this.#segments = recovered.segments;
    this.#epochs = recovered.epochs;
    this.#startOffset = recovered.startOffset;
    this.#endOffset = recovered.endOffset;
    this.#queuedEnd = recovered.endOffset;
    this.#syncedOffset = recovered.syncedOffset;
    this.#highWaterMark = recovered.highWaterMark;
    context.checkpoint.attach(this.#key, () => ({
      startOffset: this.#startOffset,
      highWaterMark: this.#highWaterMark,
      syncedOffset: this.#syncedOffset,
      epochs: this.#epochs,
    }));
    context.checkpoint.noteChange();
  }

  append(frames: readonly Uint8Array[], headers: readonly BatchHeader[]): Promise<void> {
    const first = headers[0];
    const last = headers.at(-1);
    assert(
      first !== undefined && last !== undefined && frames.length === headers.length,
      `append of ${frames.length} frames has ${headers.length} headers`,
    );
    let bytes = 0;
    for (const frame of frames) bytes += frame.length;
    const refusal = this.#refusal() ?? this.#spaceRefusal(first.baseOffset, bytes);
    if (refusal !== null) return Promise.reject(refusal);
    assert(
      first.baseOffset === this.#queuedEnd,
      `append to ${this.#key} begins at ${first.baseOffset}, must begin at ${this.#queuedEnd}`,
    );
    this.#isFull = false;
    this.#queuedEnd = endOffsetOf(last);
    return this.#enqueue({ kind: 'append', frames, headers, bytes });
  }

  truncate(toOffset: Offset, keepBytes: boolean): Promise<void> {
    this.#queuedEnd = Math.min(this.#queuedEnd, toOffset);
    return this.#change(`truncate ${this.#key} to ${toOffset}`, () =>
      this.#truncate(toOffset, keepBytes),
    );
  }

  reset(startOffset: Offset): Promise<void> {
    this.#queuedEnd = startOffset;
    return this.#change(`reset ${this.#key} to ${startOffset}`, () => this.#reset(startOffset));
  }

  retire(startOffset: Offset): Promise<void> {
    return this.#change(`retire ${this.#key} below ${startOffset}`, () =>
      this.#retire(startOffset),
    );
  }

  read(fromOffset: Offset, upToOffset: Offset, bytesMax: number): LogRead | Promise<LogRead> {
    const limit = Math.min(upToOffset, this.#endOffset);
    if (fromOffset < this.#startOffset || fromOffset > this.#endOffset)
      return Promise.reject(this.#outOfRange(fromOffset));
    if (fromOffset >= limit) return { chunks: [], nextOffset: fromOffset };
    return (
      this.#tail.read(fromOffset, limit, bytesMax) ??
      this.#readFromDisk(fromOffset, limit, bytesMax)
    );
  }

  async offsetForTimestamp(timestampMs: WallMs, upToOffset: Offset): Promise<Offset | null> {
    return await this.#untorn(`find timestamp ${timestampMs} in ${this.#key}`, async () => {
      const range = {
        startOffset: this.#startOffset,
        endOffset: Math.min(upToOffset, this.#endOffset),
      };
      return (
        (await findByTimestamp(this.#key, [...this.#segments], range, timestampMs))?.baseOffset ??
        null
      );
    });
  }

  sealedSegments(): readonly SealedSegment[] {
    return this.#segments.slice(0, -1).map(({ baseOffset, endOffset, bytes, maxTimestampMs }) => ({
      startOffset: baseOffset,
      endOffset,
      bytes,
      maxTimestampMs,
    }));
  }

  sizeBytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.bytes;
    return bytes;
  }

  noteHighWaterMark(offset: Offset): void {
    if (offset === this.#highWaterMark) return;
    this.#highWaterMark = offset;
    this.#context.checkpoint.noteChange();
  }

  saveSnapshot(offset: Offset, text: string): void {
    const version = this.#layoutVersion;
    this.#snapshotTurn = this.#snapshotTurn.then(async () => {
      // A truncation in between may have made it a snapshot of another log.
      if (this.#failure !== null || version !== this.#layoutVersion) return;
      try {
        await saveProducerSnapshot(this.#volume.files, this.#snapshotPath, { offset, text });
      } catch (error) {
        this.#volume.logger.warn(
          { err: error, partition: this.#key },
          'producer snapshot was not saved; the next start reads headers instead',
        );
      }
    });
  }

  async headers(fromOffset: Offset): Promise<readonly BatchHeader[]> {
    if (fromOffset < this.#startOffset || fromOffset > this.#endOffset)
      throw this.#outOfRange(fromOffset);
    return await this.#untorn(`read headers of ${this.#key}`, () =>
      collectHeaders(this.#key, [...this.#segments], {
        startOffset: fromOffset,
        endOffset: this.#endOffset,
      }),
    );
  }

  configure(options: PartitionLogOptions): void {
    this.#options = options;
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    const done = this.#change(`close ${this.#key}`, () => this.#close());
    this.#isClosing = true;
    try {
      await done;
    } finally {
      // After a failure the descriptors are still open; that they fail to close tells nothing new.
      for (const segment of this.#segments) await segment.closeWriter().catch(() => undefined);
      this.#context.flusher.forget(this);
      this.#tail.clear();
      this.#context.checkpoint.detach(this.#key);
      for (const segment of this.#segments) this.#volume.dropReader(segment.path);
      this.#context.onClosed();
    }
  }

  /** Syncs what was written before the call: see {@link Flushable}. */
  flush(): Promise<void> {
    return this.#takeFilesTurn(async () => {
      if (this.#failure !== null) return;
      try {
        await this.#syncAll();
        await this.#active.saveIndex(INDEX_ENTRIES_UNSAVED_MAX);
      } catch (error) {
        this.#fail(storageError(`sync ${this.#key}`, error));
      }
    });
  }

  get #active(): Segment {
    const active = this.#segments.at(-1);
    assert(active !== undefined, `log of ${this.#key} must have a segment`);
    return active;
  }

  get #snapshotPath(): string {
    return producerSnapshotPath(this.#context.folder);
  }

  #refusal(): BrokerError | null {
    if (this.#failure !== null) return this.#failure;
    return this.#isClosing
      ? new BrokerError('STORAGE_FAILED', `Cannot change ${this.#key}: its log is closed`)
      : null;
  }

  /** Refuses early, while there is still room for what must not fail: checkpoints, sessions, the metadata log. Nothing was written. */
  #spaceRefusal(baseOffset: Offset, bytes: number): BrokerError | null {
    const freeBytes = this.#volume.freeBytes();
    // What was queued behind a refused append is refused too: it would leave a gap.
    if (freeBytes >= bytes && !(this.#isFull && baseOffset !== this.#queuedEnd)) return null;
    this.#isFull = true;
    return new BrokerError(
      'DISK_FULL',
      `Cannot append ${bytes} bytes to ${this.#key}: ${freeBytes} bytes are free beyond the reserve`,
    );
  }

  /** An append before this one was refused for want of space. */
  #gapRefusal(): BrokerError {
    return new BrokerError(
      'DISK_FULL',
      `Cannot append to ${this.#key}: what comes before was refused on a full disk`,
    );
  }

  #outOfRange(offset: Offset): BrokerError {
    const range = { logStart: this.#startOffset, logEnd: this.#endOffset };
    return new BrokerError(
      'OFFSET_OUT_OF_RANGE',
      `Cannot read ${this.#key} at offset ${offset}: the log holds ${range.logStart} to ${range.logEnd}`,
      range,
    );
  }

  #change(action: string, run: () => Promise<void>): Promise<void> {
    const refusal = this.#refusal();
    return refusal === null
      ? this.#enqueue({ kind: 'other', action, run })
      : Promise.reject(refusal);
  }

  #enqueue(change: AppendChange | OtherChange): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#changes.push({ ...change, resolve, reject });
      if (this.#isPumping) return;
      this.#isPumping = true;
      // After the caller's turn, so that all of its appends share one write.
      queueMicrotask(() => void this.#pump());
    });
  }

  async #pump(): Promise<void> {
    while (this.#changes.length > 0) {
      const first = this.#changes[0];
      if (first?.kind === 'append') await this.#writeAppends();
      else if (first !== undefined) await this.#runOther(first);
    }
    this.#isPumping = false;
  }

  async #runOther(change: Change & OtherChange): Promise<void> {
    this.#changes.shift();
    try {
      if (this.#failure !== null) throw this.#failure;
      await change.run();
      change.resolve();
    } catch (error) {
      const failure = storageError(change.action, error);
      this.#fail(failure);
      change.reject(failure);
    }
  }

  /** Writes the appends at the head of the queue in one writev. */
  async #writeAppends(): Promise<void> {
    const batch: (AppendChange & Waiter)[] = [];
    try {
      if (this.#failure !== null) throw this.#failure;
      await this.#rollIfDue(this.#changes[0]);
      const room = { usedBytes: this.#active.bytes, segmentBytes: this.#options.segmentBytes };
      batch.push(...takeAppends(this.#changes, room));
      const baseOffset = batch[0]?.headers[0]?.baseOffset;
      if (baseOffset !== this.#endOffset) throw this.#gapRefusal();
      const frames =
        batch.length === 1 && batch[0] !== undefined
          ? batch[0].frames
          : batch.flatMap((append) => append.frames);
      const headers =
        batch.length === 1 && batch[0] !== undefined
          ? batch[0].headers
          : batch.flatMap((append) => append.headers);
      await this.#active.append(frames, headers);
      this.#noteAppended(frames, headers);
      for (const append of batch) append.resolve();
    } catch (error) {
      await this.#refuseAppends(batch, storageError(`append to ${this.#key}`, error));
    }
  }

  #noteAppended(frames: readonly Uint8Array[], headers: readonly BatchHeader[]): void {
    let bytes = 0;
    for (const [index, header] of headers.entries()) {
      const frame = frames[index];
      assert(frame !== undefined, `frame ${index} must exist`);
      this.#tail.append(header.baseOffset, endOffsetOf(header), frame);
      bytes += frame.length;
      if (header.leaderEpoch > (this.#epochs.at(-1)?.epoch ?? 0))
        this.#epochs.push({ epoch: header.leaderEpoch, startOffset: header.baseOffset });
    }
    this.#endOffset = this.#active.endOffset;
    this.#context.flusher.noteWritten(this, bytes);
  }

  /** A full disk leaves the log usable: the part that was written is cut off again. Anything else is the end of this log. */
  async #refuseAppends(batch: readonly Change[], error: BrokerError): Promise<void> {
    let failure = error;
    if (error.code === 'DISK_FULL') {
      try {
        await this.#active.cut(this.#active.bytes, this.#active.endOffset);
      } catch (cutError) {
        failure = new BrokerError(
          'STORAGE_FAILED',
          `Cannot undo an append to ${this.#key} on a full disk`,
          {},
          cutError,
        );
      }
    }
    if (failure.code !== 'DISK_FULL') this.#fail(failure);
    const isFirstOther = this.#changes.findIndex((change) => change.kind !== 'append');
    const behind = this.#changes.splice(0, isFirstOther < 0 ? this.#changes.length : isFirstOther);
    this.#isFull = true;
    // A truncation or reset that still waits has said already where the log will end.
    if (this.#changes.length === 0) this.#queuedEnd = this.#endOffset;
    for (const change of [...batch, ...behind]) change.reject(failure);
  }

  #fail(error: BrokerError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#volume.fail(error);
  }

  async #rollIfDue(next: Change | undefined): Promise<void> {
    const active = this.#active;
    if (next?.kind !== 'append' || active.bytes === 0) return;
    const isOld = this.#volume.clock.wallMs() - active.createdMs >= this.#options.segmentMs;
    if (!isOld && isRoomLeft(active.bytes, next.bytes, this.#options.segmentBytes)) return;
    await this.#addSegment(this.#endOffset);
    await active.saveIndex(0);
    active.unloadIndex();
  }

  async #addSegment(baseOffset: Offset): Promise<void> {
    const segment = Segment.empty({
      volume: this.#volume,
      folder: this.#context.folder,
      target: this.#context.target,
      baseOffset,
    });
    await segment.openWriter();
    this.#isFolderDirty = true;
    this.#segments.push(segment);
  }

  /** Runs `work` when no other sync or removal of this log's files runs. */
  #takeFilesTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#filesTurn.then(work);
    this.#filesTurn = turn.catch(() => undefined);
    return turn;
  }

  async #syncAll(): Promise<void> {
    const version = this.#layoutVersion;
    const endOffset = this.#endOffset;
    const isFolderDirty = this.#isFolderDirty;
    this.#isFolderDirty = false;
    for (const segment of [...this.#segments]) await segment.sync(segment === this.#active);
    if (isFolderDirty) {
      await this.#volume.files.syncFolder(this.#context.folder);
      await this.#volume.files.syncFolder(
        this.#context.folder.slice(0, this.#context.folder.lastIndexOf('/')),
      );
    }
    if (version !== this.#layoutVersion || endOffset <= this.#syncedOffset) return;
    this.#syncedOffset = endOffset;
    this.#context.checkpoint.noteChange();
    this.#context.onSynced(endOffset);
  }

  /** Order matters: a recovery point that is too low costs a scan, one that is too high would vouch for bytes that are gone. */
  #truncate(toOffset: Offset, keepBytes: boolean): Promise<void> {
    assert(
      toOffset >= this.#startOffset,
      `truncation of ${this.#key} to ${toOffset} is below its log start ${this.#startOffset}`,
    );
    if (toOffset >= this.#endOffset) return Promise.resolve();
    return this.#takeFilesTurn(async () => {
      const index = this.#segments.findLastIndex((segment) => segment.baseOffset <= toOffset);
      const segment = this.#segments[index];
      assert(segment !== undefined, `segment of offset ${toOffset} of ${this.#key} must exist`);
      const position = await this.#boundary(segment, toOffset);
      await this.#forgetFrom(toOffset);
      const later = this.#segments.slice(index + 1);
      if (keepBytes) {
        await keepAside(this.#volume, this.#context.folder, [
          { segment, position },
          ...later.map((other) => ({ segment: other, position: 0 })),
        ]);
      }
      await segment.openWriter();
      this.#segments = this.#segments.slice(0, index + 1);
      for (const other of later.toReversed()) await other.remove();
      await segment.cut(position, toOffset);
      await this.#syncAll();
      await this.#volume.files.syncFolder(this.#context.folder);
    });
  }

  /** Position at which the batch that begins at `toOffset` stands, or would stand. */
  async #boundary(segment: Segment, toOffset: Offset): Promise<number> {
    if (toOffset === segment.endOffset) return segment.bytes;
    const { position, header } = await segment.locate(toOffset);
    assert(
      header.baseOffset === toOffset,
      `truncation of ${this.#key} to ${toOffset} is inside the batch at ${header.baseOffset}`,
    );
    return position;
  }

  /** Lowers end, recovery point and what follows from them, in memory and, synced, in the checkpoint. */
  async #forgetFrom(toOffset: Offset): Promise<void> {
    this.#layoutVersion += 1;
    this.#reader.clear();
    this.#tail.truncate(toOffset);
    this.#endOffset = toOffset;
    this.#epochs = this.#epochs.filter(({ startOffset }) => startOffset < toOffset);
    this.#syncedOffset = Math.min(this.#syncedOffset, toOffset);
    this.#highWaterMark = Math.min(this.#highWaterMark, toOffset);
    await this.#snapshotTurn;
    await this.#volume.files.remove(this.#snapshotPath);
    await this.#context.checkpoint.sync();
  }

  #reset(startOffset: Offset): Promise<void> {
    return this.#takeFilesTurn(async () => {
      this.#startOffset = startOffset;
      this.#syncedOffset = startOffset;
      this.#highWaterMark = startOffset;
      this.#endOffset = startOffset;
      this.#tail.clear();
      await this.#forgetFrom(startOffset);
      this.#epochs = [];
      const old = this.#segments;
      // A file of the new name may be among the old ones.
      for (const segment of old.toReversed()) await segment.remove();
      this.#segments = [];
      await this.#addSegment(startOffset);
      await this.#syncAll();
    });
  }

  #retire(startOffset: Offset): Promise<void> {
    assert(
      startOffset <= this.#endOffset,
      `log start ${startOffset} of ${this.#key} must not pass its end ${this.#endOffset}`,
    );
    if (startOffset <= this.#startOffset) return Promise.resolve();
    return this.#takeFilesTurn(async () => {
      this.#startOffset = startOffset;
      this.#epochs = clipEpochs(this.#epochs, startOffset, this.#endOffset);
      await this.#context.checkpoint.sync();
      const gone = this.#segments
        .slice(0, -1)
        .filter((segment) => segment.endOffset <= startOffset);
      if (gone.length === 0) return;
      this.#layoutVersion += 1;
      this.#reader.clear();
      this.#segments = this.#segments.slice(gone.length);
      for (const segment of gone) await segment.remove();
    });
  }

  async #close(): Promise<void> {
    await this.#snapshotTurn;
    await this.#takeFilesTurn(async () => {
      await this.#syncAll();
      await this.#active.saveIndex(0);
      for (const segment of this.#segments) await segment.closeWriter();
    });
    await this.#context.checkpoint.sync();
  }

  #readFromDisk(fromOffset: Offset, upToOffset: Offset, bytesMax: number): Promise<LogRead> {
    return this.#untorn(`read ${this.#key} at offset ${fromOffset}`, () => {
      if (fromOffset < this.#startOffset || fromOffset > this.#endOffset)
        throw this.#outOfRange(fromOffset);
      const segment = this.#segments.findLast(({ baseOffset }) => baseOffset <= fromOffset);
      assert(segment !== undefined, `segment of offset ${fromOffset} of ${this.#key} must exist`);
      return this.#reader.read({
        segment,
        fromOffset,
        upToOffset: Math.min(upToOffset, this.#endOffset),
        bytesMax,
      });
    });
  }

  /** Runs a read; when bytes moved under it, its failure means nothing and it runs again. */
  async #untorn<T>(action: string, read: () => T | Promise<T>): Promise<T> {
    for (;;) {
      const version = this.#layoutVersion;
      try {
        return await read();
      } catch (error) {
        if (version !== this.#layoutVersion) continue;
        const failure = storageError(action, error);
        if (failure.code === 'STORAGE_FAILED') this.#fail(failure);
        throw failure;
      }
    }
  }
}
