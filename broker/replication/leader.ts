/**
 * Leader of one partition in one epoch: takes appends, judges positions, moves HW, asks for changes
 * of (S, q). A new epoch gets a new object, so no acknowledgement outlives its epoch (rule 6).
 * Sources: KIP-101, KIP-279, KIP-903, KIP-966; docs/rules.md#sync-set-and-q.
 */
import type { BatchHeader } from '../../wire/batch/frame.ts';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import { NO_BROKER } from '../../base/units.ts';
import type { BrokerEpoch, BrokerId, MonotonicMs, Offset, PartitionKey } from '../../base/units.ts';
import { batchFault } from './append-faults.ts';
import { PendingAppends } from './appends.ts';
import { nextCompaction, syncedEnd } from './compactions.ts';
import { judgeExpectedEnd } from './expected-end.ts';
import { committedEnd, UNKNOWN_END } from './high-water.ts';
import type { ReplicaLog } from './log.ts';
import type { OutputBuilder } from './output.ts';
import { positionFault } from './peer-faults.ts';
import { Progress } from './progress.ts';
import { SyncSetChanges } from './sync-set.ts';
import type { MemberView } from './sync-set.ts';
import { trimFault } from './trims.ts';
import type { Assignment, PartitionInput, Position, PushWindow, ReplicaInfo } from './types.ts';

export interface LeaderOptions {
  readonly self: BrokerId;
  readonly key: PartitionKey;
  readonly lagMsMax: number;
  readonly appendsPendingMax: number;
  readonly nowMs: MonotonicMs;
  /** See PartitionOptions. */
  readonly producerFault?: (producerId: number, producerEpoch: number) => BrokerError | null;
}

type AppendInput = Extract<PartitionInput, { kind: 'append' }>;
type CompactInput = Extract<PartitionInput, { kind: 'compact' }>;

export class Leader implements MemberView {
  readonly #self: BrokerId;
  readonly #key: PartitionKey;
  readonly #producerFault: LeaderOptions['producerFault'];
  readonly #log: ReplicaLog;
  readonly #output: OutputBuilder;
  readonly #changes: SyncSetChanges;
  readonly #appends: PendingAppends;
  /** Offset of this epoch's first batch: HW moves only past it (rule 7; Raft, figure 8). */
  readonly #epochStart: Offset;
  readonly #progress = new Map<BrokerId, Progress>();
  readonly #endOf = (member: BrokerId): Offset => this.#acknowledgedEnd(member);
  #assignment: Assignment;
  #trustedCount = 0;
  #isDraining = false;
  /**
   * Successor that appends wait for. Once set it stays until metadata names another or none: a
   * request to hand over may be on its way, and what was appended after it would be lost (rule 22).
   */
  #handingTo: BrokerId = NO_BROKER;
  #nowMs: MonotonicMs;

  /** Emits the epoch-start batch: the first write of an epoch, before any append (rule 3). */
  constructor(
    options: LeaderOptions,
    assignment: Assignment,
    log: ReplicaLog,
    output: OutputBuilder,
  ) {
    assert(
      log.epochs.lastEpoch < assignment.leaderEpoch,
      `${options.key}: cannot lead epoch ${assignment.leaderEpoch} twice`,
    );
    this.#self = options.self;
    this.#key = options.key;
    this.#producerFault = options.producerFault;
    this.#log = log;
    this.#output = output;
    this.#nowMs = options.nowMs;
    this.#assignment = assignment;
    this.#changes = new SyncSetChanges(options, assignment);
    this.#appends = new PendingAppends(options.appendsPendingMax, output);
    this.#epochStart = log.appendControl(assignment.leaderEpoch);
    log.producers.beginLeading();
    this.#askProducers();
    this.assign(assignment);
  }

  get followers(): Iterable<Progress> {
    return this.#progress.values();
  }

  /**
   * HW is the end of the log, as far as this replica can tell: the epoch start is committed (rule
   * 7), and no request to hand over may be on its way, after which a successor commits more.
   */
  get isEndKnown(): boolean {
    return this.#handingTo === NO_BROKER && this.#log.highWaterMark > this.#epochStart;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Takes no appends, since another will lead. */
  get isLeaving(): boolean {
    return this.#isDraining || this.#handingTo !== NO_BROKER;
  }

  get trustedCount(): number {
    return this.#trustedCount;
  }

  get appendsPending(): number {
    return this.#appends.count;
  }

  /** Metadata of this same epoch has changed. */
  assign(assignment: Assignment): void {
    this.#assignment = assignment;
    if (assignment.successor !== this.#handingTo) this.#handingTo = NO_BROKER;
    this.#changes.assign(assignment);
    this.#trustedCount = this.#changes.trustedCount;
    for (const { brokerId, brokerEpoch } of assignment.replicas) {
      const progress = this.#progress.get(brokerId);
      if (progress !== undefined && progress.brokerEpoch !== brokerEpoch)
        progress.forget(brokerEpoch);
      else if (progress === undefined && brokerId !== this.#self)
        this.#progress.set(brokerId, new Progress(brokerId, brokerEpoch, this.#nowMs));
    }
    for (const follower of this.#progress.keys()) {
      if (this.#replica(follower) === undefined) this.#progress.delete(follower);
    }
    this.#advance();
    this.#propose();
  }

  append(input: AppendInput): void {
    const { requestId, header } = input;
    const refusal = this.#refusal(input);
    if (refusal !== null) {
      this.#output.refuse(requestId, refusal);
      return;
    }
    const check = this.#log.producers.check(header);
    if (check.kind === 'error') {
      // With the epoch: a leader that has been replaced unawares knows less of a producer than its
      // successor, and the client can tell.
      const { code, message } = check.error;
      this.#output.refuse(
        requestId,
        new BrokerError(code, message, { leaderEpoch: this.#assignment.leaderEpoch }),
      );
    } else if (check.kind === 'duplicate') {
      const { baseOffset, lastOffset } = check;
      this.#appends.addDuplicate(requestId, {
        baseOffset,
        lastOffset,
        leaderEpoch: this.#log.epochs.epochOf(baseOffset),
        isDuplicate: true,
      });
      this.#appends.committed(this.#log.highWaterMark);
    } else if (this.#isExpected(input)) {
      const { leaderEpoch } = this.#assignment;
      const baseOffset = this.#log.append(requestId, leaderEpoch, header);
      this.#appends.add(requestId, input.ack, {
        baseOffset,
        lastOffset: baseOffset + header.lastOffsetDelta,
        leaderEpoch,
        isDuplicate: false,
      });
    }
  }

  /** See {@link judgeExpectedEnd}. */
  #isExpected({ requestId, expectedEnd }: AppendInput): boolean {
    if (expectedEnd === undefined) return true;
    const { leaderEpoch } = this.#assignment;
    const refusal = judgeExpectedEnd(expectedEnd, this.#log, leaderEpoch, this.#key);
    if (refusal === null) return true;
    const { error, dataEnd } = refusal;
    if (dataEnd === undefined) {
      this.#output.refuse(requestId, error);
      return false;
    }
    this.#appends.addRefusal(requestId, dataEnd, error);
    this.#appends.committed(this.#log.highWaterMark);
    return false;
  }

  /** The local log is written further. */
  written(): void {
    this.#appends.written(this.#log.writtenEnd);
    this.#advance();
    // Readers wait for HW, but pushers for what is written.
    this.#output.changed();
  }

  /**
   * A follower's position in this epoch. One whose broker epoch is not the registered one proves
   * nothing (rules 13, 14).
   */
  position(position: Position): void {
    const progress = this.#progress.get(position.from);
    if (progress === undefined || progress.brokerEpoch !== position.brokerEpoch) return;
    const fault = positionFault(position, this.#assignment.leaderEpoch, this.#log);
    if (fault !== null) {
      progress.isMatched = false;
      this.#output.refusePeer(position.from, `${this.#key}: broker ${position.from} ${fault}`);
      return;
    }
    const { endOffset } = position;
    // A log without batches may have been reset since it was matched: what was pushed to it
    // meanwhile is gone.
    const isExpected =
      progress.isMatched &&
      position.resend !== true &&
      position.lastEpoch > 0 &&
      endOffset >= progress.endOffset &&
      endOffset <= progress.sentOffset;
    if (!isExpected) {
      // What was stated before a reset may come after it was asked for: only a log without batches
      // shows that it has been carried out.
      const isSame = progress.lacksBeginning && position.lastEpoch > 0;
      progress.lacksBeginning = isSame || this.#lacksBeginning(position);
      progress.isMatched = !progress.lacksBeginning && this.#judge(position, progress);
      if (progress.lacksBeginning) this.#repair(progress);
      if (!progress.isMatched) return;
      progress.sentOffset = endOffset;
      this.#output.changed();
    }
    progress.acknowledge(endOffset, this.#log.writtenEnd, this.#nowMs);
    progress.syncedOffset = position.syncedOffset;
    progress.tombstonesBelow = position.start?.tombstonesBelow ?? 0;
    this.#advance();
    this.#propose();
  }

  /**
   * Retention wants to drop everything below `offset`. Who was to be sent what is gone now starts
   * anew at the log start: on its stream that follows what was pushed, so it is still below.
   */
  retire(offset: Offset): void {
    this.#log.retire(offset, false);
    this.#resetPassed();
  }

  /**
   * Makes the log begin at `offset`, or where it does if that is above. A trim is answered, and
   * takes effect, when it is committed as any record is: then no replica that may lead is without
   * it (docs/rules.md#trims).
   */
  trim(requestId: number, offset: Offset): void {
    const { leaderEpoch } = this.#assignment;
    const where = `Cannot trim ${this.#key} to ${offset} in epoch ${leaderEpoch}`;
    const refusal = this.#standing(where) ?? trimFault(offset, this.#log, this.isEndKnown, where);
    if (refusal !== null) {
      this.#output.refuse(requestId, refusal);
      return;
    }
    const { furthest } = this.#log.trims;
    if (offset <= furthest.trimTo) {
      // Said again, and committed: not so where only retention came as far.
      const { baseOffset } = furthest;
      const done = { baseOffset, lastOffset: baseOffset, leaderEpoch, isDuplicate: true };
      this.#output.reply(requestId, { ok: true, ...done });
      return;
    }
    const trimTo = Math.max(offset, this.#log.startOffset);
    const baseOffset = this.#log.appendControl(leaderEpoch, { trimTo });
    const placed = { baseOffset, lastOffset: baseOffset, leaderEpoch, isDuplicate: false };
    this.#appends.add(requestId, 'all', placed);
  }

  /** The topic is compacted: orders what is due, as a control batch (rules K3, K4). */
  compact(input: CompactInput): void {
    const { leaderEpoch } = this.#assignment;
    if (this.#standing('') !== null || !this.isEndKnown) return;
    const { compactions, highWaterMark, producers } = this.#log;
    const { syncSet } = this.#assignment;
    const compaction = nextCompaction(compactions.newest?.mark ?? null, {
      ...input,
      wanted: input.upTo,
      begun: compactions.begun,
      isNewestCommitted: (compactions.newest?.baseOffset ?? -1) < highWaterMark,
      highWaterMark,
      syncedEnd: this.#syncedEnd(),
      acknowledgedEnd: Math.min(...syncSet.map((member) => this.#acknowledgedEnd(member))),
      silent: producers.silentBelow(),
    });
    if (compaction === null) return;
    this.#log.appendControl(leaderEpoch, { compaction });
  }

  /** This replica has carried out what was ordered: copies of its log may begin. */
  compacted(): void {
    for (const progress of this.#progress.values())
      if (progress.awaitsReset) this.#resetToStart(progress);
  }

  #syncedEnd(): Offset {
    const own = { self: this.#self, syncedOffset: this.#log.syncedOffset };
    return syncedEnd(this.#assignment, own, (member) => this.#progress.get(member)?.syncedEnd);
  }

  /** See CompactionStatus. Each read asks, and hardly any topic is compacted. */
  compactableTo(): Offset {
    if (this.#assignment.isCompacted !== true) return 0;
    return Math.max(0, Math.min(this.#log.highWaterMark, this.#syncedEnd()));
  }

  /**
   * Carries out what is due. Tombstones go: who has not been sent them by now needs a copy that is
   * begun without them (rule K6).
   */
  compactIfDue(): void {
    if (!this.#log.compactIfDue()) return;
    const { floor } = this.#log.compactions;
    for (const progress of this.#progress.values()) {
      const { isMatched, sentOffset, tombstonesBelow } = progress;
      if (!isMatched || sentOffset >= floor || tombstonesBelow >= floor) continue;
      progress.isMatched = false;
      progress.lacksBeginning = true;
      this.#repair(progress);
    }
  }

  /** Who was to be sent what is gone now starts anew at the log start. */
  #resetPassed(): void {
    for (const progress of this.#progress.values()) {
      if (!progress.isMatched || progress.sentOffset >= this.#log.startOffset) continue;
      progress.isMatched = false;
      this.#resetToStart(progress);
    }
  }

  tick(nowMs: MonotonicMs): void {
    this.#nowMs = nowMs;
    for (const progress of this.#progress.values()) progress.tick(this.#log.writtenEnd, nowMs);
    this.#askProducers();
    this.#propose();
  }

  result(proposalId: number, error: BrokerError | null): void {
    this.#changes.result(proposalId, error, this.#nowMs);
    this.#advance();
    this.#propose();
  }

  drain(): void {
    this.#isDraining = true;
  }

  /** The stop is taken back. A hand-over that metadata named goes on. */
  resume(): void {
    this.#isDraining = false;
  }

  setLagLimit(lagMsMax: number): void {
    this.#changes.setLagLimit(lagMsMax);
  }

  /** Leadership is over. Nothing that waits may be acknowledged. */
  resign(error: BrokerError): void {
    const { leaderEpoch } = this.#assignment;
    const message = `Cannot append to ${this.#key}: broker ${this.#self} stopped leading epoch ${leaderEpoch}`;
    this.#appends.abandon(error, new BrokerError('LEADER_UNKNOWN', message, { leaderEpoch }));
  }

  /** The stream of the follower closed: its progress is gone (rule 14). */
  followerGone(follower: BrokerId): void {
    const progress = this.#progress.get(follower);
    progress?.forget(progress.brokerEpoch);
  }

  pushWindow(follower: BrokerId): PushWindow | null {
    return (
      this.#progress.get(follower)?.pushWindow(this.#assignment.leaderEpoch, this.#log) ?? null
    );
  }

  pushed(follower: BrokerId, upTo: Offset, highWaterMark: Offset): void {
    const progress = this.#progress.get(follower);
    if (progress === undefined || !progress.isMatched) return;
    assert(
      upTo >= progress.sentOffset && upTo <= this.#log.endOffset,
      `pushed up to ${upTo}, must be ${progress.sentOffset} to ${this.#log.endOffset}`,
    );
    progress.pushed(upTo, highWaterMark, this.#log.startOffset);
  }

  certificate(member: BrokerId): BrokerEpoch | null {
    const progress = this.#progress.get(member);
    if (progress === undefined || !progress.isMatched || this.#replica(member)?.fenced !== false)
      return null;
    const isCaughtUp =
      progress.endOffset >= this.#log.highWaterMark && progress.endOffset > this.#epochStart;
    return isCaughtUp ? progress.brokerEpoch : null;
  }

  drainedFor(): BrokerId | null {
    const { endOffset, highWaterMark } = this.#log;
    if (this.#handingTo === NO_BROKER || highWaterMark < endOffset) return null;
    const hasAll =
      this.#acknowledgedEnd(this.#handingTo) === endOffset &&
      this.certificate(this.#handingTo) !== null;
    return hasAll ? this.#handingTo : null;
  }

  lagMs(member: BrokerId): number {
    const progress = this.#progress.get(member);
    if (progress === undefined || this.hasLost(progress)) return Infinity;
    return progress.lagMs(this.#nowMs);
  }

  isLossy(member: BrokerId): boolean {
    const progress = this.#progress.get(member);
    return progress !== undefined && this.hasLost(progress);
  }

  /**
   * Where every member of S had to acknowledge HW, a member whose log matches only below it has
   * lost what it acknowledged: it is lossy, whatever class it registered with
   * (docs/rules.md#restart-classes). So is one whose log has lost its beginning.
   */
  hasLost(progress: Progress): boolean {
    const { syncSet, quorum } = this.#assignment;
    if (!syncSet.includes(progress.follower)) return false;
    return (
      progress.lacksBeginning ||
      (progress.isMatched &&
        quorum === syncSet.length &&
        progress.endOffset < this.#log.highWaterMark)
    );
  }

  /** Why the batch may not be appended; null if it may. Nothing of a refused batch stays. */
  #refusal(input: AppendInput): BrokerError | null {
    const { header } = input;
    const { leaderEpoch, batchBytesMax } = this.#assignment;
    const where = `Cannot append to ${this.#key} in epoch ${leaderEpoch}`;
    const standing = this.#standing(where);
    if (standing !== null) return standing;
    return batchFault(input, batchBytesMax, where) ?? this.#fencedFault(header);
  }

  /** Why nothing may be appended now, whatever it is; null: it may. */
  #standing(where: string): BrokerError | null {
    const { leaderEpoch, minInSyncReplicas } = this.#assignment;
    if (this.#isDraining)
      return new BrokerError(
        'BROKER_NOT_READY',
        `${where}: the leader, broker ${this.#self}, is stopping`,
      );
    if (this.#handingTo !== NO_BROKER)
      return new BrokerError(
        'LEADER_UNKNOWN',
        `${where}: leadership is being handed to broker ${this.#handingTo}`,
        { leaderEpoch },
      );
    if (this.#trustedCount < minInSyncReplicas) {
      // For every ack level (rule 8): what is not committed stays bounded.
      return new BrokerError(
        'NOT_ENOUGH_REPLICAS',
        `${where}: ${this.#trustedCount} members of the sync set are unfenced and trusted, minInSyncReplicas is ${minInSyncReplicas}`,
      );
    }
    if (this.#appends.isFull)
      return new BrokerError(
        'OVERLOADED',
        `${where}: ${this.#appends.count} appends are pending, the most allowed`,
      );
    return null;
  }

  #fencedFault({ producerId, producerEpoch }: BatchHeader): BrokerError | null {
    const fault =
      producerId === 0 ? null : (this.#producerFault?.(producerId, producerEpoch) ?? null);
    if (fault === null) return null;
    const { leaderEpoch } = this.#assignment;
    return new BrokerError(fault.code, fault.message, { leaderEpoch }, fault);
  }

  /**
   * The follower's log starts above what its own retention and this one's reached, or holds what
   * this one has dropped the tombstones of: no tail makes it complete.
   */
  #lacksBeginning(position: Position): boolean {
    const { start, lastEpoch } = position;
    const isCut =
      start !== undefined && start.offset > Math.max(start.retiredTo, this.#log.startOffset);
    return isCut || (lastEpoch > 0 && this.#isBelowFloor(position));
  }

  #isBelowFloor({ start, endOffset }: Position): boolean {
    const { floor } = this.#log.compactions;
    return endOffset < floor && (start?.tombstonesBelow ?? 0) < floor;
  }

  /**
   * A log without its beginning is dropped and copied anew, once it is not counted on any more:
   * then no election can take it for a whole one.
   */
  #repair(progress: Progress): void {
    const { follower } = progress;
    const { syncSet, suspects } = this.#assignment;
    if (!syncSet.includes(follower) || suspects.includes(follower)) this.#resetToStart(progress);
    else this.#propose();
  }

  /** Not while tombstones go from this log: part of the copy would be from before. */
  #resetToStart(progress: Progress): void {
    const { startOffset, epochs, compactions } = this.#log;
    progress.awaitsReset = !compactions.isAtFloor;
    if (progress.awaitsReset) return;
    const to = progress.follower;
    const { leaderEpoch } = this.#assignment;
    const { startEpoch } = epochs;
    const { floor } = compactions;
    const below = floor > 0 ? { tombstonesBelow: floor } : {};
    this.#output.message({ kind: 'reset-to', to, leaderEpoch, startOffset, startEpoch, ...below });
  }

  /**
   * Is the stated (last epoch, end) a prefix of this log? If not, tells the follower how far the
   * two can agree (rule 2), or where to start when this log begins above its end.
   */
  #judge(position: Position, progress: Progress): boolean {
    const { from: to, lastEpoch, endOffset, start } = position;
    const { startOffset, epochs } = this.#log;
    const { leaderEpoch } = this.#assignment;
    const isEmpty = lastEpoch === 0;
    if (isEmpty && this.#isBelowFloor(position)) {
      this.#resetToStart(progress);
      return false;
    }
    // Of the batch before its end, which an empty log does not hold any more.
    const stated = isEmpty ? (start?.epoch ?? 0) : lastEpoch;
    if (endOffset <= startOffset) {
      const isSame = stated > 0 && epochs.startEpoch > 0 ? stated === epochs.startEpoch : isEmpty;
      if (endOffset === startOffset && isSame) return true;
      this.#resetToStart(progress);
      return false;
    }
    if (stated === 0 && endOffset <= this.#log.writtenEnd) return true;
    const agreed = this.#log.endOf(stated);
    if (agreed.epoch === stated && endOffset <= agreed.endOffset) return true;
    // Epoch 0 here: everything from the log start on differs, whatever its epoch.
    const epoch = agreed.epoch === 0 ? stated : agreed.epoch;
    this.#output.message({ kind: 'diverged', to, leaderEpoch, epoch, endOffset: agreed.endOffset });
    return false;
  }

  /** Rules 6, 7, 8 and 12 in one place. */
  #advance(): void {
    const { quorum, minInSyncReplicas } = this.#assignment;
    if (quorum < minInSyncReplicas) return;
    // Never past what is written here, whatever others say they hold (rule 9).
    const end = Math.min(committedEnd(this.#changes.rules, this.#endOf), this.#log.writtenEnd);
    const { startOffset } = this.#log;
    if (end <= this.#epochStart || !this.#log.raiseHighWaterMark(end)) return;
    // A trim was committed.
    if (this.#log.startOffset > startOffset) this.#resetPassed();
    this.#appends.committed(end);
  }

  #acknowledgedEnd(member: BrokerId): Offset {
    if (member === this.#self) return this.#log.writtenEnd;
    const progress = this.#progress.get(member);
    return progress !== undefined && progress.isMatched ? progress.endOffset : UNKNOWN_END;
  }

  /**
   * Appends wait from here on, so it begins only with a successor that is caught up, and no other
   * change ahead of it.
   */
  #beginHandOver(): void {
    const { successor } = this.#assignment;
    const isReady =
      successor !== NO_BROKER &&
      this.#changes.isIdle &&
      this.certificate(successor) !== null &&
      this.#replica(successor)?.stopping === false;
    if (isReady) this.#handingTo = successor;
  }

  #askProducers(): void {
    if (this.#log.producers.mustLearn) this.#output.askProducers();
  }

  #propose(): void {
    if (this.#handingTo === NO_BROKER) this.#beginHandOver();
    const proposal = this.#changes.propose(this, this.#nowMs);
    if (proposal !== null) this.#output.propose(proposal);
  }

  #replica(member: BrokerId): ReplicaInfo | undefined {
    return this.#assignment.replicas.find(({ brokerId }) => brokerId === member);
  }
}
