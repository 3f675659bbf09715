/**
 * One partition on this broker: drives the replication core and its log. Bytes pass by the core: it sees headers, this file moves frames
 * between the network and the log in the order that the core decides. Knows nothing of sockets or of metadata.
 */
import {
  checkFrame,
  checkStamp,
  controlFrame,
  readHeader,
  splitFrames,
  stampFrame,
  topicIdToBytes,
} from '../../proto/batch/frame.ts';
import type { BatchHeader, Crc32 } from '../../proto/batch/frame.ts';
import { assert, assertNever } from '../base/assert.ts';
import { BrokerError } from '../base/errors.ts';
import type { BrokerEpoch, BrokerId, Offset, TopicId } from '../base/units.ts';
import { partitionKey } from '../base/units.ts';
import { Partition } from '../replication/partition.ts';
import type { PartitionStatus } from '../replication/partition.ts';
import { ProducerTable } from '../replication/producers.ts';
import type {
  AckLevel,
  AppendResult,
  Assignment,
  FollowerMessage,
  LogWrite,
  PartitionInput,
  PartitionOutput,
  Position,
  PushWindow,
  SyncSetProposal,
} from '../replication/types.ts';
import type { ReplicaMarks, ReplicaRead } from './api.ts';
import type { Cancel, Clock, InspectedLog, LogRead, PartitionLog, PushedFrames } from './ports.ts';

/** Batches after which the producer table is saved again, so that a start replays at most so many headers. */
const SNAPSHOT_INTERVAL_BATCHES = 20_000;

/** What a replica needs of the broker around it. */
export interface ReplicaHost {
  readonly clock: Clock;
  readonly crc32: Crc32;
  sendPosition(to: BrokerId, replica: Replica, position: Position): void;
  sendMessage(replica: Replica, message: FollowerMessage): void;
  proposeSyncSet(replica: Replica, proposal: SyncSetProposal): Promise<void>;
  /** Marks, role or writable end moved. */
  onChanged(replica: Replica): void;
  /** Frames of this many bytes were written or dropped: give the leader its credit back. */
  onConsumed(from: BrokerId, bytes: number): void;
  onStopped(replica: Replica, reason: string): void;
  /** The controller hears this broker: see Lifecycle.isHeard. */
  isHeard(): boolean;
  onFact(
    event: string,
    replica: Replica,
    fields: Readonly<Record<string, string | number | boolean>>,
  ): void;
}

export interface ReplicaOptions {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly self: BrokerId;
  readonly selfEpoch: BrokerEpoch;
  readonly lagMsMax: number;
  readonly appendsPendingMax: number;
  readonly producersMax: number;
}

interface PendingAppend {
  readonly frame: Uint8Array;
  readonly header: BatchHeader;
  readonly done: (result: AppendResult) => void;
}

/** Frames of the input in hand, while the core decides which of them to write. */
interface FramesInHand {
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
  readonly headers: readonly BatchHeader[];
  readonly from: BrokerId;
}

export class Replica {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly log: PartitionLog;
  readonly #host: ReplicaHost;
  readonly #self: BrokerId;
  readonly #topicIdBytes: Uint8Array;
  readonly #core: Partition;
  readonly #producers: ProducerTable;
  readonly #pending = new Map<number, PendingAppend>();
  readonly #watchers = new Set<() => void>();
  readonly #inputs: PartitionInput[] = [];
  #inHand: FramesInHand | null = null;
  #isStepping = false;
  #nextRequestId = 1;
  #batchesSinceSnapshot = 0;
  #stopped: string | null = null;
  #isFull = false;
  #isClosed = false;

  constructor(options: ReplicaOptions, log: PartitionLog, host: ReplicaHost) {
    this.topicId = options.topicId;
    this.topic = options.topic;
    this.partition = options.partition;
    this.log = log;
    this.#host = host;
    this.#self = options.self;
    this.#topicIdBytes = topicIdToBytes(options.topicId);
    this.#producers = recoverProducers(log, options.producersMax);
    this.#core = new Partition(
      {
        self: options.self,
        selfEpoch: options.selfEpoch,
        key: partitionKey(options.topicId, options.partition),
        lagMsMax: options.lagMsMax,
        appendsPendingMax: options.appendsPendingMax,
        nowMs: host.clock.monotonicMs(),
      },
      log.recovery.state,
      this.#producers,
    );
  }

  /** A write found no space: the core has given up, the log is intact. Open the log again once there is space. */
  get isFull(): boolean {
    return this.#isFull;
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

  position(position: Position): void {
    this.#step({ kind: 'position', position });
  }

  followerMessage(from: BrokerId, message: FollowerMessage): void {
    if (message.kind === 'diverged') {
      const { leaderEpoch, epoch, endOffset } = message;
      this.#step({ kind: 'diverged', from, leaderEpoch, epoch, endOffset });
    } else {
      this.#step({
        kind: 'reset-to',
        from,
        leaderEpoch: message.leaderEpoch,
        startOffset: message.startOffset,
      });
    }
  }

  /** States the follower's position again, on a stream that was just opened. */
  restatePosition(): void {
    const stated = this.#core.position();
    if (stated !== null && this.#stopped === null)
      this.#host.sendPosition(stated.to, this, stated.position);
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

  /** See BrokerApi.append. */
  append(frame: Uint8Array, ack: AckLevel, done: (result: AppendResult) => void): void {
    const header = checkFrame(frame, 0, this.#host.crc32);
    if (header.length !== frame.length) {
      throw new BrokerError(
        'CORRUPT_BATCH',
        `Cannot append: frame has ${frame.length} bytes, its length field says ${header.length}`,
      );
    }
    this.#refuseIfStopped();
    const requestId = this.#nextRequestId;
    this.#nextRequestId += 1;
    this.#pending.set(requestId, { frame, header, done });
    this.#step({ kind: 'append', requestId, ack, header, wallMs: this.#host.clock.wallMs() });
  }

  /** Frames pushed by a leader. Every batch is checked, both checksums, before the core hears of it. */
  frames(from: BrokerId, frames: PushedFrames): void {
    const [bytes] = frames.chunks;
    assert(frames.chunks.length <= 1, `a received push has one chunk, not ${frames.chunks.length}`);
    const { leaderEpoch, highWaterMark, logStartOffset } = frames;
    const inHand =
      bytes === undefined || bytes.length === 0 ? null : this.#checkFrames(from, bytes);
    this.#inHand = inHand;
    const size = bytes?.length ?? 0;
    const written = this.#stepNow({
      kind: 'frames',
      from,
      leaderEpoch,
      highWaterMark,
      logStartOffset,
      headers: inHand?.headers ?? [],
    });
    this.#inHand = null;
    if (size === 0) return;
    const giveBack = (): void => {
      this.#host.onConsumed(from, size);
    };
    if (written === null) giveBack();
    else written.then(giveBack, giveBack);
  }

  marks(): ReplicaMarks {
    const { leader, leaderEpoch, logStart } = this.#core.status();
    return {
      isLeader: leader === this.#self,
      leader,
      leaderEpoch,
      logStart,
      highWaterMark: this.#core.readEnd(),
      // Who may have been replaced unheard knows what is committed, but not where that ends.
      latest: this.#host.isHeard() ? this.#core.latest() : null,
    };
  }

  /** See BrokerApi.read. */
  read(position: {
    readonly offset: Offset;
    readonly epoch: number;
    readonly bytesMax: number;
    readonly allowFollower: boolean;
    readonly inSyncOnly?: boolean;
  }): ReplicaRead | Promise<ReplicaRead> {
    this.#refuseIfStopped();
    const marks = this.marks();
    this.#checkPosition(position, marks);
    if (position.offset >= marks.highWaterMark)
      return { chunks: [], nextOffset: position.offset, marks };
    const read = this.log.read(position.offset, marks.highWaterMark, position.bytesMax);
    return read instanceof Promise
      ? read.then((found) => ({ ...found, marks }))
      : { ...read, marks };
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
    this.log.saveSnapshot(this.#core.status().logEnd, this.#producers.snapshot());
  }

  /** Answers everything pending, then syncs and closes the log. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { done } of this.#pending.values()) done({ ok: false, error: this.#closedError() });
    this.#pending.clear();
    for (const watcher of [...this.#watchers]) watcher();
    if (this.#stopped === null) this.saveSnapshot(true);
    await this.log.close();
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

  #checkPosition(
    position: {
      readonly offset: Offset;
      readonly epoch: number;
      readonly allowFollower: boolean;
      readonly inSyncOnly?: boolean;
    },
    marks: ReplicaMarks,
  ): void {
    const name = `${this.topic}/${this.partition}`;
    const { logEnd, syncSet, suspects } = this.#core.status();
    const isInSync =
      syncSet.includes(this.#self) && !suspects.includes(this.#self) && this.#host.isHeard();
    const mayFollow = position.allowFollower && (position.inSyncOnly !== true || isInSync);
    if (!marks.isLeader && !mayFollow) {
      const hint = marks.leader < 0 ? {} : { leader: marks.leader, leaderEpoch: marks.leaderEpoch };
      throw new BrokerError(
        'NOT_LEADER',
        `Cannot read ${name} here: broker ${this.#self} does not lead it`,
        hint,
      );
    }
    // A follower's end is not the log's: who has read further elsewhere waits here until it has come (rule 7 binds only the leader's word).
    const end = marks.isLeader ? logEnd : Infinity;
    if (position.offset < marks.logStart || position.offset > end) {
      throw new BrokerError(
        'OFFSET_OUT_OF_RANGE',
        `Cannot read ${name} at offset ${position.offset}: it must be ${marks.logStart} to ${marks.highWaterMark}`,
        { logStart: marks.logStart, logEnd: marks.highWaterMark },
      );
    }
    if (position.epoch === 0) return;
    const agreed =
      this.#core.divergence(position.epoch, position.offset)?.endOffset ?? position.offset;
    if (agreed < position.offset) {
      throw new BrokerError(
        'POSITION_DIVERGED',
        `Cannot read ${name} at offset ${position.offset} of epoch ${position.epoch}: the log agrees with that position up to ${agreed}`,
        { logStart: marks.logStart, logEnd: agreed },
      );
    }
  }

  #checkFrames(from: BrokerId, bytes: Uint8Array): FramesInHand {
    const { frames, rest } = splitFrames(bytes);
    if (rest !== 0)
      throw new BrokerError(
        'CORRUPT_BATCH',
        `Cannot replicate: broker ${from} sent ${rest} bytes that are no whole frame`,
      );
    const place = { topicIdBytes: this.#topicIdBytes, partition: this.partition };
    for (const { at } of frames) {
      checkFrame(bytes, at, this.#host.crc32);
      checkStamp(bytes, at, place, this.#host.crc32);
    }
    return {
      bytes,
      starts: frames.map(({ at }) => at),
      headers: frames.map(({ header }) => header),
      from,
    };
  }

  #step(input: PartitionInput): void {
    if (this.#isClosed || this.#stopped !== null) return;
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        // Its failure is an input of its own: see #write.
        void this.#carryOut(this.#core.step(next));
      }
    } finally {
      this.#isStepping = false;
    }
  }

  /** A step whose input may not wait, since its bytes are in hand. Network callbacks never run inside another step. */
  #stepNow(input: PartitionInput): Promise<void> | null {
    if (this.#isClosed || this.#stopped !== null) return null;
    assert(!this.#isStepping, 'frames arrived inside a step');
    this.#isStepping = true;
    let written: Promise<void> | null = null;
    try {
      written = this.#carryOut(this.#core.step(input));
    } finally {
      this.#isStepping = false;
    }
    const next = this.#inputs.shift();
    if (next !== undefined) this.#step(next);
    return written;
  }

  /** @returns the last write's end, or null when there was none */
  #carryOut(output: PartitionOutput): Promise<void> | null {
    if (output.stopped !== null) {
      this.#stop(output.stopped);
      return null;
    }
    let written: Promise<void> | null = null;
    for (const write of output.writes) written = this.#write(write);
    for (const { requestId, result } of output.replies) {
      const pending = this.#pending.get(requestId);
      this.#pending.delete(requestId);
      pending?.done(result);
    }
    for (const message of output.messages) this.#host.sendMessage(this, message);
    if (output.position !== null)
      this.#host.sendPosition(output.position.to, this, output.position.position);
    if (output.proposal !== null) this.#propose(output.proposal);
    if (output.rebuildProducers) this.#rebuildProducers(written ?? Promise.resolve());
    if (output.isChanged) this.#announce();
    return written;
  }

  #announce(): void {
    this.log.noteHighWaterMark(this.#core.readEnd());
    this.#host.onChanged(this);
    for (const watcher of [...this.#watchers]) watcher();
  }

  #write(write: LogWrite): Promise<void> {
    const done = this.#startWrite(write);
    return done.then(
      () => {
        this.#step({ kind: 'written', writeId: write.writeId });
      },
      (error: unknown) => {
        this.#host.onFact('write-failed', this, { reason: String(error) });
        if (error instanceof BrokerError && error.code === 'DISK_FULL') this.#isFull = true;
        this.#step({ kind: 'failed' });
      },
    );
  }

  #startWrite(write: LogWrite): Promise<void> {
    switch (write.kind) {
      case 'append': {
        const pending = this.#pending.get(write.requestId);
        assert(pending !== undefined, `no frame is pending for request ${write.requestId}`);
        return this.#appendStamped(pending.frame, write);
      }
      case 'epoch-start': {
        const timestampMs = this.#host.clock.wallMs();
        const { leaderEpoch } = write;
        const frame = controlFrame(
          { kind: 'epoch-start', leaderEpoch, timestampMs, brokerId: this.#self },
          this.#host.crc32,
        );
        return this.#appendStamped(frame, write);
      }
      case 'replicate':
        return this.#replicate(write);
      case 'truncate':
        this.#host.onFact('truncate', this, {
          toOffset: write.toOffset,
          keepAside: write.keepAside,
        });
        return this.log.truncate(write.toOffset, write.keepAside);
      case 'reset':
        this.#host.onFact('reset', this, { startOffset: write.startOffset });
        return this.log.reset(write.startOffset);
      case 'retire':
        return this.log.retire(write.startOffset);
      default:
        return assertNever(write);
    }
  }

  #appendStamped(
    frame: Uint8Array,
    write: { readonly baseOffset: Offset; readonly leaderEpoch: number },
  ): Promise<void> {
    const { baseOffset, leaderEpoch } = write;
    stampFrame(
      frame,
      0,
      { baseOffset, leaderEpoch, topicIdBytes: this.#topicIdBytes, partition: this.partition },
      this.#host.crc32,
    );
    this.#batchesSinceSnapshot += 1;
    return this.log.append([frame], [readHeader(frame, 0)]);
  }

  #replicate(write: Extract<LogWrite, { kind: 'replicate' }>): Promise<void> {
    const inHand = this.#inHand;
    assert(inHand !== null, 'a replicate write needs the frames in hand');
    const { bytes, starts, headers } = inHand;
    const chosen = headers.slice(write.first, write.last);
    const frames = chosen.map((header, index) => {
      const start = starts[write.first + index] ?? 0;
      return bytes.subarray(start, start + header.length);
    });
    this.#batchesSinceSnapshot += chosen.length;
    return this.log.append(frames, chosen);
  }

  #propose(proposal: SyncSetProposal): void {
    const { proposalId } = proposal;
    this.#host.proposeSyncSet(this, proposal).then(
      () => {
        this.#step({ kind: 'sync-set-result', proposalId, error: null });
      },
      (cause: unknown) => {
        const error =
          cause instanceof BrokerError
            ? cause
            : new BrokerError('INTERNAL', String(cause), {}, cause);
        this.#step({ kind: 'sync-set-result', proposalId, error });
      },
    );
  }

  /** @param cut the truncation that made it necessary */
  #rebuildProducers(cut: Promise<void>): void {
    const replayed = cut.then(() => this.log.headers(this.#core.status().logStart));
    replayed.then(
      (headers) => {
        this.#producers.rebuild(headers);
      },
      (error: unknown) => {
        this.#stop(`the producer table cannot be rebuilt: ${String(error)}`);
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
    for (const { done } of this.#pending.values()) done({ ok: false, error });
    this.#pending.clear();
    this.#host.onStopped(this, reason);
    for (const watcher of [...this.#watchers]) watcher();
  }
}

function recoverProducers(log: PartitionLog, producersMax: number): ProducerTable {
  const table = new ProducerTable({ producersMax });
  const { snapshot, headers } = log.recovery;
  if (snapshot !== null) table.restore(snapshot.text);
  for (const header of headers) table.apply(header);
  return table;
}
