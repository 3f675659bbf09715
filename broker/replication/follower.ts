/**
 * Follower of one leader in one epoch: states its position, makes its log agree with the leader's,
 * then copies. A new epoch gets a new object, which computes its position afresh (KAFKA-13266).
 * Sources: KIP-101, KIP-279, KIP-320, KIP-392.
 */
import type { BatchHeader } from '../../wire/batch/frame.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionKey,
} from '../../base/units.ts';
import type { ReplicaLog } from './log.ts';
import type { OutputBuilder } from './output.ts';
import { boundFault, frameFault, markFault } from './peer-faults.ts';
import type { LogStart, PartitionInput, Position } from './types.ts';

/**
 * A position that was not answered is stated again after this long: the leader may not have known
 * this incarnation yet.
 */
const RESTATE_MS = 1_000;

export interface FollowerOptions {
  readonly self: BrokerId;
  readonly selfEpoch: BrokerEpoch;
  readonly key: PartitionKey;
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly nowMs: MonotonicMs;
}

/**
 * `settling`: writes of an earlier role, or a truncation, are on their way to the disk; nothing is
 * stated, since the log may still change. `stated`: waits for the leader's judgement. `matched`:
 * this log is a prefix of the leader's.
 */
type Phase = 'settling' | 'stated' | 'matched';

type FramesInput = Extract<PartitionInput, { kind: 'frames' }>;
type DivergedInput = Extract<PartitionInput, { kind: 'diverged' }>;
type ResetInput = Extract<PartitionInput, { kind: 'reset-to' }>;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #log: ReplicaLog;
  readonly #output: OutputBuilder;
  /** Last epoch that was elected uncleanly, 0 for never. */
  #uncleanEpoch: LeaderEpoch;
  #phase: Phase = 'settling';
  /**
   * The log starts anew there once it stands still. Frames that come meanwhile are dropped; an
   * empty log is judged anew, so they come again.
   */
  #resetTo: LogStart | null = null;
  /** Its bytes are kept aside, whatever was elected. */
  #isResetKept = false;
  #leaderHighWaterMark: Offset = 0;
  #leaderLogStart: Offset = 0;
  #statedMs: MonotonicMs;
  #statedSynced: Offset = 0;

  constructor(
    options: FollowerOptions,
    uncleanEpoch: LeaderEpoch,
    log: ReplicaLog,
    output: OutputBuilder,
  ) {
    this.#options = options;
    this.#uncleanEpoch = uncleanEpoch;
    this.#log = log;
    this.#output = output;
    this.#statedMs = options.nowMs;
    this.#settle(options.nowMs);
  }

  get isMatched(): boolean {
    return this.#phase === 'matched';
  }

  /**
   * Metadata of this same epoch has changed: the leader may take a position now that it had to
   * ignore.
   */
  assign(uncleanEpoch: LeaderEpoch, nowMs: MonotonicMs): void {
    this.#uncleanEpoch = uncleanEpoch;
    if (this.#phase === 'stated') this.#state(nowMs);
  }

  /** What may be stated to the leader now; null while the log is settling. */
  position(): Position | null {
    if (this.#phase === 'settling') return null;
    const { self, selfEpoch, leaderEpoch } = this.#options;
    return {
      from: self,
      brokerEpoch: selfEpoch,
      leaderEpoch,
      lastEpoch: this.#log.epochs.isEmpty ? 0 : this.#log.writtenEpoch,
      endOffset: this.#log.writtenEnd,
      syncedOffset: this.#log.syncedOffset,
      start: this.#log.start,
    };
  }

  /**
   * Frames of this epoch prove that the leader matched the position stated; after that the log
   * stays a prefix of the leader's.
   */
  frames(input: FramesInput): void {
    if (this.#phase === 'settling') return;
    const { headers, highWaterMark, logStartOffset } = input;
    const first = this.#firstNew(headers);
    const fault =
      markFault(highWaterMark, logStartOffset) ??
      frameFault(headers, first, this.#log, this.#options.leaderEpoch);
    if (fault !== null) {
      this.#refuse(`frames of epoch ${input.leaderEpoch}: ${fault}`);
      return;
    }
    // What this log holds below the leader's start as both meet, no retention of this leader took.
    const keepAside = this.#phase !== 'matched' && this.#mayHoldWhatIsLost;
    this.#phase = 'matched';
    if (first < headers.length) this.#log.replicate(headers, first);
    this.#leaderHighWaterMark = Math.max(this.#leaderHighWaterMark, highWaterMark);
    this.#leaderLogStart = Math.max(this.#leaderLogStart, logStartOffset);
    this.#follow(keepAside);
  }

  /** Rule 2: cut to the smaller of both sides, then state again, until equal. */
  diverged({ epoch, endOffset }: DivergedInput): void {
    // Once matched, a judgement of an earlier position says nothing.
    if (this.#phase !== 'stated') return;
    const fault = boundFault(endOffset, epoch, this.#options.leaderEpoch);
    if (fault !== null) {
      this.#refuse(`a divergence: ${fault}`);
      return;
    }
    const { epochs } = this.#log;
    const toOffset = Math.min(endOffset, this.#log.endOf(epoch).endOffset);
    // The leader names an epoch that this log holds, or else the one that was stated.
    const epochBefore = epoch < epochs.lastEpoch ? epoch : 0;
    if (toOffset < this.#log.endOffset) {
      this.#cut(toOffset, epochBefore);
    } else if (epochs.isEmpty && epochBefore > 0) {
      // Nothing is here to be cut, but what was once below is of another epoch in the leader's log.
      this.#log.reset({ ...this.#log.start, epoch: epochBefore }, false);
      this.#phase = 'settling';
    }
  }

  /**
   * The leader retired what would continue this log; all of it was committed. That may happen to a
   * matched follower, too. Below its end a log starts anew only if it has lost its beginning, or
   * holds what the leader has dropped the tombstones of: then nobody counts it, and it is copied
   * from there.
   */
  resetTo(
    { startOffset, startEpoch = 0, tombstonesBelow = 0 }: ResetInput,
    nowMs: MonotonicMs,
  ): void {
    if (this.#phase === 'settling') return;
    const fault =
      boundFault(startOffset, startEpoch, this.#options.leaderEpoch) ??
      boundFault(tombstonesBelow, 0, 0);
    if (fault !== null) {
      this.#refuse(`a reset: ${fault}`);
      return;
    }
    const { endOffset, epochs, compactions } = this.#log;
    // What the leader has dropped for good, this log still has in part (rule K6).
    const lacksTombstones =
      endOffset < tombstonesBelow && compactions.tombstonesBelow < tombstonesBelow;
    const lacksBeginning = this.#log.lacksBeginning || lacksTombstones;
    if (startOffset < endOffset && !lacksBeginning) return;
    // Said again: frames from the new start on are on their way, and must not be missed for a
    // second reset.
    const isThere = startOffset === endOffset && epochs.isEmpty && !lacksBeginning;
    if (isThere && (startEpoch === 0 || startEpoch === epochs.startEpoch)) return;
    const start = { offset: startOffset, epoch: startEpoch, retiredTo: startOffset };
    this.#resetTo = { ...start, tombstonesBelow };
    this.#isResetKept = lacksTombstones;
    this.#settle(nowMs);
  }

  written(nowMs: MonotonicMs): void {
    if (this.#phase === 'settling') {
      this.#settle(nowMs);
    } else if (this.#phase === 'matched') {
      this.#follow(false);
      this.#state(nowMs);
    }
  }

  /**
   * What a leader may have compacted is what it knows to be synced (rule K3), and where nothing
   * more is appended no acknowledgement would tell it.
   */
  synced(nowMs: MonotonicMs): void {
    const { syncedOffset, writtenEnd } = this.#log;
    const isNews = syncedOffset === writtenEnd && syncedOffset > this.#statedSynced;
    if (this.#phase === 'matched' && isNews) this.#state(nowMs);
  }

  tick(nowMs: MonotonicMs): void {
    if (this.#phase === 'stated' && nowMs - this.#statedMs >= RESTATE_MS) this.#state(nowMs);
  }

  /** States the position as soon as the log stands still. */
  #settle(nowMs: MonotonicMs): void {
    if (this.#resetTo !== null && this.#log.isSettled) {
      this.#log.reset(this.#resetTo, this.#isResetKept || this.#mayHoldWhatIsLost);
      this.#resetTo = null;
    }
    this.#phase = this.#log.isSettled ? 'stated' : 'settling';
    if (this.#phase === 'stated') this.#state(nowMs);
  }

  #state(nowMs: MonotonicMs): void {
    this.#statedMs = nowMs;
    const position = this.position();
    if (position === null) return;
    this.#statedSynced = position.syncedOffset;
    this.#output.position({ to: this.#options.leader, position });
  }

  /**
   * Rule 6: min(leader's HW, own written end). The log start follows the leader's once this log has
   * come so far: what cannot be true takes nothing.
   */
  #follow(keepAside: boolean): void {
    this.#log.raiseHighWaterMark(Math.min(this.#leaderHighWaterMark, this.#log.writtenEnd));
    this.#log.retire(this.#leaderLogStart, keepAside);
  }

  /**
   * An unclean election came after the last batch that this replica knows to be committed: the
   * chosen log may start above what retention reached, or end below what was acknowledged (rule 3).
   */
  get #mayHoldWhatIsLost(): boolean {
    return this.#uncleanEpoch > this.#committedEpoch;
  }

  get #committedEpoch(): LeaderEpoch {
    return this.#log.epochs.epochBefore(this.#log.highWaterMark);
  }

  /**
   * Below its own HW a replica cuts only if an unclean election came after the last batch that it
   * knows to be committed.
   */
  #cut(toOffset: Offset, epochBefore: LeaderEpoch): void {
    const { highWaterMark } = this.#log;
    const committedEpoch = this.#committedEpoch;
    if (toOffset < highWaterMark && !this.#mayHoldWhatIsLost) {
      const { key, leader, leaderEpoch } = this.#options;
      this.#output.stop(
        `${key}: leader ${leader} of epoch ${leaderEpoch} agrees with this log up to ${toOffset} only, below its high-water mark ${highWaterMark} ` +
          `of epoch ${committedEpoch}; the last unclean epoch is ${this.#uncleanEpoch}`,
      );
      return;
    }
    this.#log.truncate(toOffset, epochBefore);
    this.#phase = 'settling';
  }

  #refuse(fault: string): void {
    const { key, leader } = this.#options;
    this.#output.refusePeer(leader, `${key}: leader ${leader} sent ${fault}`);
  }

  /**
   * Index of the first frame that this log does not hold, or the number of frames. Frames are sent
   * again when a stream was opened again while they were being written.
   */
  #firstNew(headers: readonly BatchHeader[]): number {
    const { endOffset } = this.#log;
    let first = 0;
    while (first < headers.length && (headers[first] as BatchHeader).baseOffset < endOffset)
      first += 1;
    return first;
  }
}
