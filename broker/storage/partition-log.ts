/**
 * One partition's log on disk: the `PartitionLog` of `runtime/ports.ts`. Changes run one after the
 * other in the order they were asked; all appends that queued while a write was in flight go out in
 * the next one. An append is answered when write(2) has returned in full (P2), never when it is
 * synced; a truncation when it is synced, recovery point included (docs/rules.md#restart-classes).
 * Callers bound the queue of changes: producers by admission, followers by stream credit.
 */
import { type BatchHeader, endOffsetOf } from '../../wire/batch/frame.ts';
import { assert } from '../../base/assert.ts';
import type { CompactionOrder } from '../../base/compaction-order.ts';
import type { BrokerError } from '../../base/errors.ts';
import { partitionKey } from '../../base/units.ts';
import type { LeaderEpoch, Offset, PartitionKey, WallMs } from '../../base/units.ts';
import type { LogStart } from '../replication/types.ts';
import { isShortage } from '../runtime/ports.ts';
import type {
  CompactionOutcome,
  LogRead,
  LogSegment,
  MergeOutcome,
  PartitionLog,
  PartitionLogOptions,
  PartitionRecovery,
} from '../runtime/ports.ts';
import { keepAside, rangesFrom } from './aside.ts';
import { isRollDue, REFUSALS, takeAppends } from './change-queue.ts';
import type { AppendChange, Change, OtherChange, Waiter } from './change-queue.ts';
import { cutLine, resetLine } from './checkpoint.ts';
import type { PartitionCheckpoint } from './checkpoint.ts';
import { folderOf, storageError } from './file-system.ts';
import type { Flushable } from './flusher.ts';
import { LogLayout, LogReads } from './log-reads.ts';
import { LogCompaction } from './compaction/log-compaction.ts';
import type { PartitionLogContext } from './log-context.ts';
import { LogMarks } from './log-marks.ts';
import { ProducerSnapshots } from './producer-snapshot.ts';
import { clipEpochs } from './recovery.ts';
import type { RecoveredLog } from './recovery.ts';
import { INDEX_ENTRIES_UNSAVED_MAX, Segment } from './segment.ts';
import { PartitionTail } from './tail-cache.ts';
import { Turns } from './turns.ts';
import type { Volume } from './volume.ts';

/** The log of one partition. Made by `openPartitionLog`. */
export class FilePartitionLog implements PartitionLog, Flushable {
  readonly recovery: PartitionRecovery;
  readonly #context: PartitionLogContext;
  readonly #volume: Volume;
  readonly #key: PartitionKey;
  readonly #tail: PartitionTail;
  readonly #layout: LogLayout;
  readonly #reads: LogReads;
  readonly #snapshots: ProducerSnapshots;
  readonly #marks: LogMarks;
  readonly #compaction: LogCompaction;
  #options: PartitionLogOptions;
  #changes: Change[] = [];
  #isPumping = false;
  /** End of the log once every queued append is written. */
  #queuedEnd: Offset;
  #isClosing = false;
  #failure: BrokerError | null = null;
  /**
   * A change stopped half way for want of space or descriptors. What is on disk is sound, but no
   * longer what this object says: it takes no more changes until it is closed and opened again.
   */
  #interruption: BrokerError | null = null;
  /** What a change is about to make of this log: journalled before it does. */
  #planned: PartitionCheckpoint | null = null;
  /** The log start rose, and files below it may still be there. */
  #isRetirementDue = false;
  /** An append was refused for want of space and nothing has been appended since. */
  #isFull = false;
  /** Syncs and removals of files take turns. */
  readonly #filesTurns = new Turns();
  /** A file was made since the folder was synced. */
  #isFolderDirty = true;

  constructor(context: PartitionLogContext, recovered: RecoveredLog, recovery: PartitionRecovery) {
    this.recovery = recovery;
    this.#context = context;
    this.#volume = context.volume;
    this.#key = partitionKey(context.topicId, context.partition);
    this.#tail = new PartitionTail(context.volume.tail);
    this.#options = context.options;
    this.#layout = new LogLayout(recovered);
    const onFailure = (error: BrokerError): void => this.#fail(error);
    this.#reads = new LogReads({
      name: this.#key,
      target: context.target,
      layout: this.#layout,
      tail: this.#tail,
      onFailure,
    });
    this.#snapshots = new ProducerSnapshots(context.volume, context.folder);
    this.#marks = new LogMarks(recovered);
    this.#queuedEnd = recovered.endOffset;
    this.#compaction = new LogCompaction({
      context,
      name: this.#key,
      layout: this.#layout,
      marks: this.#marks,
      reads: this.#reads,
      tail: this.#tail,
      files: this.#filesTurns,
      options: () => this.#options,
      refusal: () => this.#refusal(),
      interrupt: (reason) => (this.#interruption ??= reason),
      seal: (upTo) => this.#seal(upTo),
      onFailure,
    });
    context.checkpoint.attach(this.#key, () => this.#planned ?? this.#marks.line(this.#layout));
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
    // Control batches have the reserve behind them.
    const needed = headers.every((header) => header.isControl) ? -Infinity : bytes;
    const refusal = this.#refusal() ?? this.#spaceRefusal(first.baseOffset, needed);
    if (refusal !== null) return Promise.reject(refusal);
    assert(
      first.baseOffset === this.#queuedEnd,
      `append to ${this.#key} begins at ${first.baseOffset}, must begin at ${this.#queuedEnd}`,
    );
    this.#isFull = false;
    this.#queuedEnd = endOffsetOf(last);
    return this.#enqueue({ kind: 'append', frames, headers, bytes });
  }

  async truncate(toOffset: Offset, keepBytes: boolean): Promise<Offset> {
    this.#queuedEnd = Math.min(this.#queuedEnd, toOffset);
    let cut = toOffset;
    await this.#change(`truncate ${this.#key} to ${toOffset}`, async () => {
      cut = await this.#truncate(toOffset, keepBytes);
    });
    return cut;
  }

  reset(start: LogStart, keepBytes = false): Promise<void> {
    this.#queuedEnd = start.offset;
    return this.#change(`reset ${this.#key} to ${start.offset}`, () =>
      this.#reset(start, keepBytes),
    );
  }

  retire(startOffset: Offset, startEpoch: LeaderEpoch, keepBytes = false): Promise<void> {
    return this.#change(`retire ${this.#key} below ${startOffset}`, () =>
      this.#retire(startOffset, startEpoch, keepBytes),
    );
  }

  read(fromOffset: Offset, upToOffset: Offset, bytesMax: number): LogRead | Promise<LogRead> {
    return this.#reads.read(fromOffset, upToOffset, bytesMax);
  }

  offsetForTimestamp(time: WallMs, upTo: Offset, from: Offset = 0): Promise<Offset | null> {
    return this.#reads.offsetForTimestamp(time, upTo, from);
  }

  segments(): readonly LogSegment[] {
    return this.#layout.report();
  }

  sizeBytes(): number {
    return this.#layout.sizeBytes();
  }

  noteHighWaterMark(offset: Offset): void {
    if (this.#marks.noteHighWaterMark(offset)) this.#context.checkpoint.noteChange();
  }

  compact(order: CompactionOrder): Promise<CompactionOutcome> {
    return this.#compaction.compact(order);
  }

  merge(): Promise<MergeOutcome> {
    return this.#compaction.merge();
  }

  saveSnapshot(offset: Offset, epoch: LeaderEpoch, text: string): void {
    const { version } = this.#layout;
    // A change in between may have made it a snapshot of another log.
    this.#snapshots.save(
      { offset, epoch, text },
      () => this.#failure === null && version === this.#layout.version,
    );
  }

  headers(fromOffset: Offset): Promise<readonly BatchHeader[]> {
    return this.#reads.headers(fromOffset);
  }

  configure(options: PartitionLogOptions): void {
    this.#options = options;
  }

  async close(): Promise<void> {
    if (this.#isClosing) return;
    let isSynced = false;
    const run = async (): Promise<void> => {
      isSynced = await this.#close();
    };
    const done =
      this.#failure === null
        ? this.#enqueue({ kind: 'other', action: `close ${this.#key}`, run, isLast: true })
        : Promise.reject(this.#failure);
    this.#isClosing = true;
    try {
      await done;
    } finally {
      await this.#compaction.settle();
      // After a failure the descriptors are still open; that they fail to close tells nothing new.
      for (const segment of this.#layout.segments)
        await segment.closeWriter().catch(() => undefined);
      this.#context.flusher.forget(this);
      this.#tail.clear();
      this.#context.checkpoint.detach(this.#key);
      for (const segment of this.#layout.segments) this.#volume.dropReader(segment.path);
      this.#context.onClosed(isSynced);
    }
  }

  /** Syncs what was written before the call: see {@link Flushable}. */
  flush(): Promise<void> {
    return this.#filesTurns.take(async () => {
      if (this.#failure !== null) return;
      try {
        await this.#syncAll();
        await this.#layout.active.saveIndex(INDEX_ENTRIES_UNSAVED_MAX);
      } catch (error) {
        const failure = storageError(`sync ${this.#key}`, error);
        this.#fail(failure);
        if (isShortage(failure) && !this.#isClosing) this.#context.flusher.noteWritten(this, 0);
      }
    });
  }

  /** Tries again to remove what a retirement could not remove for want of space or descriptors. */
  finishRetirement(): void {
    if (!this.#isRetirementDue || this.#refusal() !== null) return;
    this.retire(this.#marks.retiredTo, this.#marks.startEpoch).catch((error: unknown) => {
      this.#fail(storageError(`retire ${this.#key}`, error));
    });
  }

  #refusal(): BrokerError | null {
    const failure = this.#failure ?? this.#interruption;
    return failure ?? (this.#isClosing ? REFUSALS.closed(this.#key) : null);
  }

  /**
   * Refuses early, while there is still room for what must not fail: checkpoints, sessions, the
   * metadata log. Nothing was written.
   */
  #spaceRefusal(baseOffset: Offset, bytes: number): BrokerError | null {
    const freeBytes = this.#volume.freeBytes();
    // What was queued behind a refused append is refused too: it would leave a gap.
    if (freeBytes >= bytes && !(this.#isFull && baseOffset !== this.#queuedEnd)) return null;
    this.#isFull = true;
    return REFUSALS.space(this.#key, freeBytes);
  }

  #change(action: string, run: () => Promise<void>): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== null) return Promise.reject(refusal);
    return this.#enqueue({ kind: 'other', action, run });
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
      const failure = this.#failure ?? (change.isLast === true ? null : this.#interruption);
      if (failure !== null) throw failure;
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
      const failure = this.#failure ?? this.#interruption;
      if (failure !== null) throw failure;
      await this.#rollIfDue(this.#changes[0]);
      const { segmentBytes } = this.#options;
      const room = { usedBytes: this.#layout.active.bytes, segmentBytes };
      batch.push(...takeAppends(this.#changes, room));
      const baseOffset = batch[0]?.headers[0]?.baseOffset;
      if (baseOffset !== this.#layout.endOffset) throw REFUSALS.gap(this.#key);
      const only = batch.length === 1 ? batch[0] : undefined;
      const frames = only?.frames ?? batch.flatMap((append) => append.frames);
      const headers = only?.headers ?? batch.flatMap((append) => append.headers);
      await this.#layout.active.append(frames, headers);
      this.#noteAppended(frames, headers);
      for (const append of batch) append.resolve();
    } catch (error) {
      await this.#refuseAppends(batch, storageError(`append to ${this.#key}`, error));
    }
  }

  #noteAppended(frames: readonly Uint8Array[], headers: readonly BatchHeader[]): void {
    let bytes = 0;
    for (const [index, header] of headers.entries()) {
      const frame = frames[index] as Uint8Array;
      this.#tail.append(header.baseOffset, endOffsetOf(header), frame);
      bytes += frame.length;
      this.#marks.noteEpoch(header);
    }
    this.#layout.endOffset = this.#layout.active.endOffset;
    this.#layout.controls.note(headers);
    this.#context.flusher.noteWritten(this, bytes);
  }

  /**
   * Want of space leaves the log usable: the part that was written is cut off again. Anything else
   * is the end of this log.
   */
  async #refuseAppends(batch: readonly Change[], error: BrokerError): Promise<void> {
    let failure = error;
    if (isShortage(error) && this.#interruption === null) {
      try {
        await this.#layout.active.undoAppend();
      } catch (cutError) {
        failure = storageError(`undo an append to ${this.#key}`, cutError);
        if (isShortage(failure)) this.#interruption = failure;
      }
    }
    this.#fail(failure);
    const isFirstOther = this.#changes.findIndex((change) => change.kind !== 'append');
    const behind = this.#changes.splice(0, isFirstOther < 0 ? this.#changes.length : isFirstOther);
    this.#isFull = true;
    // A truncation or reset that still waits has said already where the log will end.
    if (this.#changes.length === 0) this.#queuedEnd = this.#layout.endOffset;
    for (const change of [...batch, ...behind]) change.reject(failure);
  }

  #fail(error: BrokerError): void {
    if (this.#failure !== null || isShortage(error)) return;
    this.#failure = error;
    this.#volume.fail(error);
  }

  async #rollIfDue(next: Change | undefined): Promise<void> {
    const { active } = this.#layout;
    const nowMs = this.#volume.clock.monotonicMs();
    if (next?.kind === 'append' && isRollDue(active, next, this.#options, nowMs))
      await this.#roll();
  }

  async #roll(): Promise<void> {
    const { active } = this.#layout;
    await this.#addSegment(this.#layout.endOffset);
    await active.saveIndex(0);
    active.unloadIndex();
  }

  /** What stands below `upTo` is in segments that are not written to any more, and synced. */
  async #seal(upTo: Offset): Promise<void> {
    await this.#change(`begin a segment of ${this.#key}`, async () => {
      const { baseOffset, bytes } = this.#layout.active;
      if (bytes > 0 && baseOffset < upTo) await this.#roll();
    });
    await this.#filesTurns.take(() => this.#syncAll());
  }

  async #addSegment(baseOffset: Offset): Promise<void> {
    const segment = Segment.empty({ ...this.#context, baseOffset });
    await segment.openWriter();
    this.#isFolderDirty = true;
    this.#layout.segments.push(segment);
  }

  async #syncAll(): Promise<void> {
    const { version, endOffset } = this.#layout;
    for (const segment of [...this.#layout.segments])
      await segment.sync(segment === this.#layout.active);
    if (this.#isFolderDirty) {
      this.#isFolderDirty = false;
      try {
        const { folder } = this.#context;
        await this.#volume.syncFolder(folder);
        await this.#volume.syncFolder(folderOf(folder));
      } catch (error) {
        this.#isFolderDirty = true;
        throw error;
      }
    }
    if (version !== this.#layout.version || endOffset <= this.#marks.syncedOffset) return;
    this.#marks.syncedOffset = endOffset;
    this.#context.checkpoint.noteChange();
    this.#context.onSynced(endOffset);
  }

  /**
   * Journals a cut or reset, then has it take effect in memory at once, then carries it out. Until
   * the journal holds it, want of space leaves everything as it was; after that the log is
   * interrupted, and the next opening finds a state on the way.
   */
  async #cutTo(
    planned: PartitionCheckpoint,
    endOffset: Offset,
    steps: {
      /** Everything that needs space or descriptors, as far as it can be done ahead. */
      readonly prepare: () => Promise<void>;
      readonly carryOut: () => Promise<void>;
    },
  ): Promise<void> {
    // Snapshots that were asked for before are of another log.
    this.#layout.version += 1;
    await this.#snapshots.remove();
    await steps.prepare();
    this.#planned = planned;
    try {
      // Order matters: a recovery point that is too low costs a scan, one that is too high would
      // vouch for bytes that are gone.
      await this.#context.checkpoint.sync();
    } catch (error) {
      this.#planned = null;
      throw error;
    }
    this.#layout.version += 1;
    this.#reads.clear();
    this.#tail.truncate(endOffset);
    if (planned.isResetting === true) this.#layout.startOffset = endOffset;
    this.#layout.endOffset = endOffset;
    this.#layout.cuts += 1;
    this.#marks.take(planned);
    try {
      await steps.carryOut();
      await this.#syncAll();
      await this.#volume.syncFolder(this.#context.folder);
      this.#planned = null;
      // Else the next start would take what is appended from here on for what a reset left.
      if (planned.isResetting === true) await this.#context.checkpoint.sync();
    } catch (error) {
      const failure = storageError(`change ${this.#key}`, error);
      this.#planned = planned;
      if (isShortage(failure)) this.#interruption = failure;
      throw failure;
    }
  }

  async #truncate(toOffset: Offset, keepBytes: boolean): Promise<Offset> {
    if (toOffset >= this.#layout.endOffset) return this.#layout.endOffset;
    await this.#filesTurns.take(async () => {
      const index = this.#layout.segments.findLastIndex(
        (segment) => segment.baseOffset <= toOffset,
      );
      const segment = this.#layout.segments[index];
      assert(segment !== undefined, `segment of offset ${toOffset} of ${this.#key} must exist`);
      // Rule 2: logs may agree up to an offset within a batch.
      const { offset: endOffset, position } = await segment.boundary(toOffset);
      assert(endOffset >= this.#layout.startOffset, `${this.#key} is cut below its log start`);
      const later = this.#layout.segments.slice(index + 1);
      const planned = cutLine(this.#marks.line(this.#layout), endOffset);
      await this.#cutTo(planned, endOffset, {
        prepare: async () => {
          await segment.openWriter();
          if (keepBytes) await this.#keepAside([segment, ...later], position);
        },
        carryOut: async () => {
          this.#layout.segments = this.#layout.segments.slice(0, index + 1);
          for (const other of later.toReversed()) await other.remove();
          await segment.cut(position, endOffset);
        },
      });
      if (endOffset < toOffset) this.#queuedEnd = endOffset;
    });
    return this.#layout.endOffset;
  }

  #reset(start: LogStart, keepBytes: boolean): Promise<void> {
    const planned = resetLine(start);
    return this.#filesTurns.take(async () => {
      await this.#cutTo(planned, start.offset, {
        prepare: async () => {
          if (keepBytes) await this.#keepAside(this.#layout.segments);
        },
        carryOut: async () => {
          this.#tail.clear();
          // A file of the new name may be among the old ones.
          for (const segment of this.#layout.segments.toReversed()) await segment.remove();
          this.#layout.segments = [];
          await this.#addSegment(start.offset);
        },
      });
    });
  }

  #retire(startOffset: Offset, startEpoch: LeaderEpoch, keepBytes: boolean): Promise<void> {
    assert(
      startOffset <= this.#layout.endOffset,
      `log start ${startOffset} of ${this.#key} must not pass its end ${this.#layout.endOffset}`,
    );
    const isDone = startOffset < this.#marks.retiredTo || !this.#isRetirementDue;
    if (startOffset <= this.#marks.retiredTo && isDone) return Promise.resolve();
    return this.#filesTurns.take(async () => {
      if (keepBytes) {
        // A snapshot of the producers may speak of what stood below.
        this.#layout.version += 1;
        await this.#snapshots.remove();
        await this.#keepAside(
          this.#layout.segments.filter(({ baseOffset }) => baseOffset < startOffset),
        );
      }
      // It holds from here on, whenever it is durable and the files are gone.
      this.#marks.retiredTo = startOffset;
      this.#marks.startEpoch = startEpoch;
      this.#layout.startOffset = Math.max(this.#layout.startOffset, startOffset);
      this.#marks.epochs = clipEpochs(
        this.#marks.epochs,
        this.#layout.startOffset,
        this.#layout.endOffset,
      );
      this.#isRetirementDue = true;
      try {
        await this.#context.checkpoint.sync();
        await this.#removeRetired();
        this.#isRetirementDue = false;
      } catch (error) {
        const failure = storageError(`retire ${this.#key} below ${startOffset}`, error);
        if (!isShortage(failure)) throw failure;
        this.#volume.logger.warn({ err: failure }, 'retired files stay for now');
      }
    });
  }

  #keepAside(segments: readonly Segment[], position = 0): Promise<void> {
    return keepAside(this.#volume, this.#context.folder, rangesFrom(segments, position));
  }

  /** Removes the segments that lie below the log start, oldest first. */
  async #removeRetired(): Promise<void> {
    for (;;) {
      const [oldest] = this.#layout.segments;
      const isGone =
        oldest !== undefined && oldest.bytes > 0 && oldest.endOffset <= this.#layout.startOffset;
      if (!isGone) return;
      // A log that is retired to its end begins a new segment there: nobody may append for long.
      if (oldest === this.#layout.active) await this.#addSegment(this.#layout.endOffset);
      this.#layout.version += 1;
      this.#reads.clear();
      await oldest.remove();
      this.#layout.segments = this.#layout.segments.slice(1);
    }
  }

  /** @returns whether everything is synced */
  async #close(): Promise<boolean> {
    await this.#snapshots.settle();
    try {
      await this.#filesTurns.take(async () => {
        await this.#syncAll();
        if (this.#interruption === null) await this.#layout.active.saveIndex(0);
        for (const segment of this.#layout.segments) await segment.closeWriter();
      });
      await this.#context.checkpoint.sync();
      return true;
    } catch (error) {
      const failure = storageError(`close ${this.#key}`, error);
      if (!isShortage(failure)) throw failure;
      // The older checkpoint holds, which is only less exact.
      this.#volume.logger.warn({ err: failure }, 'a log was closed without being synced');
      return false;
    }
  }
}
