/**
 * One partition on this broker: drives the replication core and its log. Bytes pass by the core: it
 * sees headers, this file moves frames between the network and the log in the order that the core
 * decides. Knows nothing of sockets or of metadata.
 */
import {
  checkFrame,
  controlFrame,
  readHeader,
  stampFrame,
  topicIdToBytes,
  withControl,
} from '../../../wire/batch/frame.ts';
import type { BatchHeader, StampTarget } from '../../../wire/batch/frame.ts';
import { assert, assertNever } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId, Offset, TopicId } from '../../../base/units.ts';
import { partitionKey } from '../../../base/units.ts';
import type { CompactionStatus } from '../../replication/compactions.ts';
import { Partition, type PartitionStatus } from '../../replication/partition.ts';
import type {
  AppendResult,
  AppendTerms,
  Assignment,
  FollowerMessage,
  LogWrite,
  PartitionInput,
  PartitionOutput,
  Position,
  PushWindow,
  SyncSetProposal,
} from '../../replication/types.ts';
import type { LossReport } from '../../metadata/types.ts';
import type { DeletionMarks, ReplicaMarks, ReplicaRead } from '../api.ts';
import type { Cancel } from '../../../base/clock.ts';
import { isShortage } from '../ports.ts';
import type { InspectedLog, LogRead, PartitionLog, PushedFrames } from '../ports.ts';
import { type CrossedLoss, crossedLosses, type ReaderWay } from './crossed-losses.ts';
import { PendingAppends } from './pending-appends.ts';
import { ReplicaProducers } from './replica-producers.ts';
import { checkReadPosition, deletionMarks, type ReadPosition } from './read-position.ts';
import { batchStart } from './batch-start.ts';
import { SourceFaults } from './source-faults.ts';
import { type ReceivedFrames, receiveFrames } from './received-frames.ts';
import { type CompactionProgress, ReplicaCompaction } from './replica-compaction.ts';
import type { ReplicaHost, ReplicaOptions } from './replica-host.ts';
import { StepQueue } from '../step-queue.ts';

/**
 * Batches after which the producer table is saved again, so that a start replays at most so many
 * headers.
 */
const SNAPSHOT_INTERVAL_BATCHES = 20_000;

type CompactionInput = Omit<Extract<PartitionInput, { kind: 'compact' }>, 'kind'>;

interface Step {
  readonly input: PartitionInput;
  /** What stands behind an input of kind `frames` that carries any. */
  readonly received: ReceivedFrames | null;
}

export class Replica {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly log: PartitionLog;
  readonly #host: ReplicaHost<Replica>;
  readonly #self: BrokerId;
  readonly #place: StampTarget;
  readonly #core: Partition;
  readonly #producers: ReplicaProducers;
  readonly #compaction: ReplicaCompaction;
  readonly #pending = new PendingAppends();
  readonly #watchers = new Set<() => void>();
  readonly #steps = new StepQueue<Step>((step) => {
    this.#take(step);
  });
  #batchesSinceSnapshot = 0;
  readonly #faults: SourceFaults;
  #stopped: string | null = null;
  #isFull = false;
  #isClosed = false;

  constructor(options: ReplicaOptions, log: PartitionLog, host: ReplicaHost<Replica>) {
    this.topicId = options.topicId;
    this.topic = options.topic;
    this.partition = options.partition;
    this.log = log;
    this.#host = host;
    this.#self = options.self;
    this.#place = {
      topicIdBytes: topicIdToBytes(options.topicId),
      partition: options.partition,
    };
    this.#producers = new ReplicaProducers({
      clock: host.clock,
      log,
      producersMax: options.producersMax,
      producersGiven: () => host.producersGiven(),
      logStart: () => this.#core.status().logStart,
      onGiven: (leaderEpoch, given) => {
        this.#step({ kind: 'producers-given', leaderEpoch, given });
      },
      onUnread: (error) => {
        host.onFact('producers-unread', { partition: this.name, reason: String(error) });
        if (error instanceof BrokerError && error.code === 'DATA_CORRUPT')
          host.onDamage(this, error);
      },
    });
    this.#compaction = new ReplicaCompaction({
      name: () => this.name,
      log,
      ...host,
      onDone: (order) => {
        this.#step({ kind: 'compacted', order });
      },
      onDamage: (error) => {
        host.onDamage(this, error);
      },
    });
    this.#faults = new SourceFaults({
      nowMs: () => host.clock.monotonicMs(),
      endOffset: () => this.#core.status().writtenEnd,
      ask: () => {
        this.restatePosition(true);
      },
      giveUp: (reason) => {
        host.onRefused(this, this.#core.status().leader, reason);
      },
    });
    this.#core = new Partition(
      {
        self: options.self,
        selfEpoch: options.selfEpoch,
        key: partitionKey(options.topicId, options.partition),
        lagMsMax: options.lagMsMax,
        appendsPendingMax: options.appendsPendingMax,
        nowMs: host.clock.monotonicMs(),
        producerFault: (id, epoch) => host.producerFault(id, epoch),
      },
      log.recovery.state,
      this.#producers.table,
    );
  }

  /** For people: topic and partition. */
  get name(): string {
    return `${this.topic}/${this.partition}`;
  }

  /**
   * A write found no space: the core has given up, the log is intact. Open the log again once there
   * is space.
   */
  get isFull(): boolean {
    return this.#isFull;
  }

  /**
   * Why this replica cannot lead its partition now, in a word the controller is told; null: it can.
   */
  get cannotLead(): string | null {
    if (this.#isFull) return 'disk-full';
    if (this.#stopped !== null) return 'stopped';
    return this.#core.whyNotLead() ?? (this.#producers.isUnread ? 'producers-unread' : null);
  }

  get stopped(): string | null {
    return this.#stopped;
  }

  get isLeader(): boolean {
    return this.#core.status().role === 'leader';
  }

  status(): PartitionStatus {
    return this.#core.status();
  }

  assign(assignment: Assignment): void {
    this.#step({ kind: 'assign', assignment });
  }

  tick(): void {
    this.#step({ kind: 'tick', nowMs: this.#host.clock.monotonicMs() });
    this.#faults.tick();
    this.#producers.tick();
  }

  drain(): void {
    this.#step({ kind: 'drain' });
  }

  /** Takes a drain back. */
  resume(): void {
    this.#step({ kind: 'resume' });
  }

  setLagLimit(lagMsMax: number): void {
    this.#step({ kind: 'lag-limit', lagMsMax });
  }

  fail(): void {
    this.#step({ kind: 'failed' });
  }

  synced(offset: Offset): void {
    this.#step({ kind: 'synced', offset });
  }

  retire(offset: Offset): void {
    this.#step({ kind: 'retire', offset });
  }

  /** Orders what is due, as far as it may. */
  compact(ground: CompactionInput): void {
    this.#step({ kind: 'compact', ...ground });
  }

  compaction(): CompactionStatus & CompactionProgress {
    return { ...this.#core.compaction(), ...this.#compaction.progress };
  }

  /** See BrokerApi.trim. */
  async trim(offset: Offset): Promise<Offset> {
    const to = await batchStart(this.log, offset, () => {
      this.#refuseIfStopped();
      return this.#core.readEnd();
    });
    return new Promise((resolve, reject) => {
      const requestId = this.#pending.add(new Uint8Array(0), (result) => {
        if (result.ok) resolve(this.#core.status().logStart);
        else reject(result.error);
      });
      this.#step({ kind: 'trim', requestId, offset: to });
    });
  }

  position(position: Position): void {
    this.#step({ kind: 'position', position });
  }

  followerMessage(from: BrokerId, message: FollowerMessage): void {
    if (message.kind === 'diverged') {
      const { leaderEpoch, epoch, endOffset } = message;
      this.#step({ kind: 'diverged', from, leaderEpoch, epoch, endOffset });
    } else {
      this.#step({ ...message, from });
    }
  }

  /** States the follower's position again, on a stream that was just opened. */
  restatePosition(resend = false): void {
    const stated = this.#core.position();
    if (stated === null || this.#stopped !== null) return;
    const { position, to } = stated;
    this.#host.sendPosition(to, this, resend ? { ...position, resend } : position);
  }

  /** See Partition.inspect. */
  inspect(leaderEpoch: number): InspectedLog | null {
    const log = this.#stopped === null ? this.#core.inspect(leaderEpoch) : null;
    return log === null ? null : { ...log, highWaterMark: this.#core.readEnd() };
  }

  followerGone(follower: BrokerId): void {
    this.#core.followerGone(follower);
  }

  pushWindow(follower: BrokerId): PushWindow | null {
    return this.#stopped === null ? this.#core.pushWindow(follower) : null;
  }

  pushed(follower: BrokerId, upTo: Offset, highWaterMark: Offset): void {
    this.#core.pushed(follower, upTo, highWaterMark);
  }

  /** See BrokerApi.append: never throws, and calls `done` exactly once. */
  append(frame: Uint8Array, terms: AppendTerms, done: (result: AppendResult) => void): void {
    const judged = this.#judgeFrame(frame);
    if (judged instanceof BrokerError) {
      done({ ok: false, error: judged });
      return;
    }
    const requestId = this.#pending.add(frame, done);
    const wallMs = this.#host.clock.wallMs();
    const { ack, expectedEnd } = terms;
    this.#step({ kind: 'append', requestId, ack, header: judged, wallMs, expectedEnd });
  }

  /**
   * Frames pushed by a leader. Every batch is checked, both checksums, before the core hears of it.
   */
  frames(from: BrokerId, frames: PushedFrames): void {
    const [bytes] = frames.chunks;
    assert(frames.chunks.length <= 1, `a received push has one chunk, not ${frames.chunks.length}`);
    const { leaderEpoch, highWaterMark, logStartOffset } = frames;
    const received =
      bytes === undefined || bytes.length === 0
        ? null
        : receiveFrames(from, bytes, this.#place, this.#host.crc32);
    if (received instanceof BrokerError) {
      // A bad frame concerns this partition alone: the stream and its other partitions go on.
      this.#host.onConsumed(from, bytes?.length ?? 0);
      this.#host.onFact('frames-refused', { partition: this.name, from, reason: received.message });
      this.#faults.failed(leaderEpoch);
      return;
    }
    const headers = received?.headers ?? [];
    this.#steps.push({
      input: { kind: 'frames', from, leaderEpoch, highWaterMark, logStartOffset, headers },
      received,
    });
  }

  marks(): ReplicaMarks {
    const { leader, leaderEpoch, logStart, undecidedTo } = this.#core.status();
    return {
      isLeader: leader === this.#self,
      leader,
      leaderEpoch,
      logStart,
      earliest: undecidedTo > logStart ? null : logStart,
      highWaterMark: this.#core.readEnd(),
      // Who may have been replaced unheard knows what is committed, but not where that ends.
      latest: this.#host.isHeard() ? this.#core.latest() : null,
    };
  }

  /** Where the data below `offset` ends: without the control batches behind it. */
  dataEndBelow(offset: Offset): Offset {
    return this.#core.dataEndBelow(offset);
  }

  /** Of the record before `offset`; 0: there is none, or nobody knows. */
  epochBefore(offset: Offset): number {
    return this.#core.epochBefore(offset);
  }

  /** See BrokerApi.read. */
  read(position: ReadPosition): ReplicaRead | Promise<ReplicaRead> {
    this.#refuseIfStopped();
    const marks = this.marks();
    checkReadPosition(position, {
      name: this.name,
      self: this.#self,
      status: this.#core.status(),
      marks,
      isHeard: this.#host.isHeard(),
      divergence: (epoch, offset) => this.#core.divergence(epoch, offset),
    });
    const before = this.#core.compaction();
    const deletions = (): DeletionMarks => deletionMarks(before, this.#core.compaction());
    const found = (read: LogRead): ReplicaRead => ({ ...read, marks, deletions: deletions() });
    if (position.offset >= marks.highWaterMark)
      return found({ chunks: [], nextOffset: position.offset });
    const read = this.log.read(position.offset, marks.highWaterMark, position.bytesMax);
    return read instanceof Promise ? read.then(found) : found(read);
  }

  /** Those of the partition's reports that a reader comes across. */
  crossedLosses(reports: readonly LossReport[], way: ReaderWay): readonly CrossedLoss[] {
    return crossedLosses(reports, way, {
      logEnd: this.#core.status().logEnd,
      epochBefore: (offset) => this.#core.epochBefore(offset),
      endOf: (epoch) => this.#core.endOf(epoch),
    });
  }

  /** Bytes for a follower, from `from` up to `upTo`. */
  readForPush(window: PushWindow, bytesMax: number): LogRead | Promise<LogRead> {
    return this.log.read(window.from, window.upTo, bytesMax);
  }

  /** Readers look again: what may be read here changed without a change of the log. */
  wakeReaders(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  watch(callback: () => void): Cancel {
    this.#watchers.add(callback);
    return () => this.#watchers.delete(callback);
  }

  /** Saves the producer table, when enough has come since the last time or `always`. */
  saveSnapshot(always: boolean): void {
    if (
      this.#stopped !== null ||
      (!always && this.#batchesSinceSnapshot < SNAPSHOT_INTERVAL_BATCHES)
    )
      return;
    this.#batchesSinceSnapshot = 0;
    const { logEnd } = this.#core.status();
    this.log.saveSnapshot(logEnd, this.#core.lastEpoch, this.#producers.table.snapshot());
  }

  /** Answers everything pending, then syncs and closes the log. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#pending.giveUp(
      new BrokerError(
        'STALE_EPOCH',
        `Outcome of the append on ${this.topic}/${this.partition} is unknown: broker ${this.#self} no longer holds it`,
      ),
    );
    for (const watcher of [...this.#watchers]) watcher();
    this.#compaction.close();
    if (this.#stopped === null) this.saveSnapshot(true);
    await this.log.close();
  }

  /**
   * The header of a frame that the core may be asked about; else why not. Nothing of a refused
   * frame stays.
   */
  #judgeFrame(frame: Uint8Array): BatchHeader | BrokerError {
    try {
      const header = checkFrame(frame, 0, this.#host.crc32);
      if (header.length !== frame.length) {
        return new BrokerError(
          'CORRUPT_BATCH',
          `Cannot append: frame has ${frame.length} bytes, its length field says ${header.length}`,
        );
      }
      this.#refuseIfStopped();
      return header;
    } catch (error) {
      if (error instanceof BrokerError) return error;
      throw error;
    }
  }

  #closedError(): BrokerError {
    return new BrokerError(
      'NOT_LEADER',
      `Cannot serve ${this.topic}/${this.partition}: broker ${this.#self} no longer holds it`,
    );
  }

  #refuseIfStopped(): void {
    if (this.#isClosed) throw this.#closedError();
    if (this.#stopped !== null) {
      throw new BrokerError(
        'STORAGE_FAILED',
        `Cannot serve ${this.topic}/${this.partition}: the replica is stopped: ${this.#stopped}`,
      );
    }
  }

  #step(input: PartitionInput): void {
    this.#steps.push({ input, received: null });
  }

  #take({ input, received }: Step): void {
    const written = this.#isClosed ? null : this.#advance(input, received);
    if (received === null) return;
    const giveBack = (): void => {
      this.#host.onConsumed(received.from, received.bytes.length);
    };
    if (written === null) giveBack();
    else written.then(giveBack, giveBack);
  }

  #advance(input: PartitionInput, received: ReceivedFrames | null): Promise<void> | null {
    const output = this.#core.step(input);
    // What stopped it was of one leader epoch.
    if (input.kind === 'assign' && this.#core.status().role !== 'stopped') this.#stopped = null;
    return this.#carryOut(output, received);
  }

  /**
   * @returns the last write's end, or null when there was none. Its failure is an input: see #write
   */
  #carryOut(output: PartitionOutput, received: ReceivedFrames | null): Promise<void> | null {
    if (output.stopped !== null) this.#stop(output.stopped);
    if (output.refused !== null)
      this.#host.onRefused(this, output.refused.peer, output.refused.reason);
    let written: Promise<void> | null = null;
    for (const write of output.writes) written = this.#write(write, received);
    for (const { requestId, result } of output.replies) {
      this.#pending.answer(requestId, result);
    }
    for (const message of output.messages) this.#host.sendMessage(this, message);
    if (output.position !== null)
      this.#host.sendPosition(output.position.to, this, output.position.position);
    if (output.proposal !== null) this.#propose(output.proposal);
    if (output.compaction !== null) this.#compaction.ask(output.compaction);
    if (output.asksProducers) this.#producers.ask(this.#core.status().leaderEpoch);
    if (output.rebuildProducers) this.#producers.rebuild(written ?? Promise.resolve());
    if (output.isChanged) this.#announce();
    return written;
  }

  #announce(): void {
    this.log.noteHighWaterMark(this.#core.readEnd());
    this.#host.onChanged(this);
    for (const watcher of [...this.#watchers]) watcher();
  }

  #write(write: LogWrite, received: ReceivedFrames | null): Promise<void> {
    const { writeId } = write;
    return this.#startWrite(write, received).then(
      (endOffset) => {
        const cut = endOffset === undefined ? {} : { endOffset };
        this.#step({ kind: 'written', writeId, ...cut });
      },
      (error: unknown) => {
        this.#host.onFact('write-failed', { partition: this.name, reason: String(error) });
        if (isShortage(error)) this.#isFull = true;
        this.#step({ kind: 'failed' });
      },
    );
  }

  /** Resolves, of a cut, to where the log ends now. */
  #startWrite(write: LogWrite, received: ReceivedFrames | null): Promise<Offset | void> {
    switch (write.kind) {
      case 'append':
        return this.#appendStamped(this.#pending.frameOf(write.requestId), write);
      case 'control': {
        const control = { ...write, timestampMs: this.#host.clock.wallMs(), brokerId: this.#self };
        return this.#appendStamped(controlFrame(control, this.#host.crc32), write);
      }
      case 'replicate':
        return this.#replicate(write, received);
      case 'truncate':
        this.#host.onFact('truncate', {
          partition: this.name,
          toOffset: write.toOffset,
          keepAside: write.keepAside,
        });
        return this.log.truncate(write.toOffset, write.keepAside);
      case 'reset':
        this.#host.onFact('reset', {
          partition: this.name,
          startOffset: write.start.offset,
        });
        this.#compaction.reset();
        return this.log.reset(write.start, write.keepAside);
      case 'retire':
        return this.log.retire(write.startOffset, write.startEpoch, write.keepAside);
      default:
        return assertNever(write);
    }
  }

  #appendStamped(
    frame: Uint8Array,
    write: { readonly baseOffset: Offset; readonly leaderEpoch: number },
  ): Promise<void> {
    const { baseOffset, leaderEpoch } = write;
    stampFrame(frame, 0, { baseOffset, leaderEpoch, ...this.#place }, this.#host.crc32);
    this.#batchesSinceSnapshot += 1;
    return this.log.append([frame], [withControl(frame, 0, readHeader(frame, 0))]);
  }

  #replicate(
    write: Extract<LogWrite, { kind: 'replicate' }>,
    received: ReceivedFrames | null,
  ): Promise<void> {
    assert(received !== null, 'only received frames are replicated');
    const { bytes, starts, headers } = received;
    const chosen = headers.slice(write.first, write.last);
    const frames = chosen.map((header, index) => {
      const start = starts[write.first + index] ?? 0;
      return bytes.subarray(start, start + header.length);
    });
    this.#batchesSinceSnapshot += chosen.length;
    return this.log.append(frames, chosen);
  }

  #propose(proposal: SyncSetProposal): void {
    const { leaderEpoch, proposalId } = proposal;
    this.#host.proposeSyncSet(this, proposal).then(
      () => {
        this.#step({ kind: 'sync-set-result', leaderEpoch, proposalId, error: null });
      },
      (cause: unknown) => {
        const error =
          cause instanceof BrokerError
            ? cause
            : new BrokerError('INTERNAL', String(cause), {}, cause);
        this.#step({ kind: 'sync-set-result', leaderEpoch, proposalId, error });
      },
    );
  }

  #stop(reason: string): void {
    if (this.#stopped !== null) return;
    this.#stopped = reason;
    const error = new BrokerError(
      'STORAGE_FAILED',
      `Cannot serve ${this.topic}/${this.partition}: the replica is stopped: ${reason}`,
    );
    this.#pending.giveUp(error);
    this.#host.onStopped(this, reason);
    for (const watcher of [...this.#watchers]) watcher();
  }
}
