/**
 * Follower of one leader in one epoch: states its position, makes its log agree with the leader's, then copies. A new epoch gets a new
 * object, which computes its position afresh (KAFKA-13266). Sources: KIP-101, KIP-279, KIP-320, KIP-392.
 */
import type { BatchHeader } from '../../proto/batch/frame.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionKey,
} from '../base/units.ts';
import type { ReplicaLog } from './log.ts';
import type { OutputBuilder } from './output.ts';
import type { PartitionInput, Position } from './types.ts';

/** A position that was not answered is stated again after this long: the leader may not have known this incarnation yet. */
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
 * `settling`: writes of an earlier role, or a truncation, are on their way to the disk; nothing is stated, since the log may still change.
 * `stated`: waits for the leader's judgement. `matched`: this log is a prefix of the leader's.
 */
type Phase = 'settling' | 'stated' | 'matched';

type FramesInput = Extract<PartitionInput, { kind: 'frames' }>;
type DivergedInput = Extract<PartitionInput, { kind: 'diverged' }>;

export class Follower {
  readonly #options: FollowerOptions;
  readonly #log: ReplicaLog;
  readonly #output: OutputBuilder;
  /** Last epoch that was elected uncleanly, 0 for never. */
  #uncleanEpoch: LeaderEpoch;
  #phase: Phase = 'settling';
  #leaderHighWaterMark: Offset = 0;
  #leaderLogStart: Offset = 0;
  #statedMs: MonotonicMs;

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

  /** Metadata of this same epoch has changed: the leader may take a position now that it had to ignore. */
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
      lastEpoch: this.#log.writtenEpoch,
      endOffset: this.#log.writtenEnd,
      syncedOffset: this.#log.syncedOffset,
    };
  }

  /** Frames of this epoch prove that the leader matched the position stated; after that the log stays a prefix of the leader's. */
  frames(input: FramesInput): void {
    if (this.#phase === 'settling') return;
    const { headers } = input;
    const first = this.#firstNew(headers);
    if (first < 0) return;
    const fault = frameFault(headers, first, this.#log, this.#options.leaderEpoch);
    if (fault !== null) {
      this.#output.stop(
        `${this.#options.key}: leader ${input.from} of epoch ${input.leaderEpoch} pushed a frame that cannot follow: ${fault}`,
      );
      return;
    }
    this.#phase = 'matched';
    if (first < headers.length) this.#log.replicate(headers, first);
    this.#leaderHighWaterMark = Math.max(this.#leaderHighWaterMark, input.highWaterMark);
    this.#leaderLogStart = Math.max(this.#leaderLogStart, input.logStartOffset);
    this.#follow();
  }

  /** Rule 2: cut to the smaller of both sides, then state again, until equal. */
  diverged(input: DivergedInput): void {
    // Once matched, a judgement of an earlier position says nothing.
    if (this.#phase !== 'stated') return;
    const toOffset = Math.min(input.endOffset, this.#log.endOf(input.epoch).endOffset);
    if (toOffset >= this.#log.endOffset) return;
    this.#cut(toOffset);
  }

  /** The leader retired what would continue this log; all of it was committed. That may happen to a matched follower on a new stream, too. */
  resetTo(startOffset: Offset, nowMs: MonotonicMs): void {
    if (this.#phase === 'settling' || startOffset < this.#log.endOffset) return;
    // Said again: frames from the new start on are on their way, and must not be missed for a second reset.
    if (startOffset === this.#log.endOffset && this.#log.epochs.lastEpoch === 0) return;
    if (this.#log.isSettled) this.#log.reset(startOffset);
    this.#settle(nowMs);
  }

  written(nowMs: MonotonicMs): void {
    if (this.#phase === 'settling') {
      this.#settle(nowMs);
    } else if (this.#phase === 'matched') {
      this.#follow();
      this.#state(nowMs);
    }
  }

  tick(nowMs: MonotonicMs): void {
    if (this.#phase === 'stated' && nowMs - this.#statedMs >= RESTATE_MS) this.#state(nowMs);
  }

  /** States the position as soon as the log stands still. */
  #settle(nowMs: MonotonicMs): void {
    this.#phase = this.#log.isSettled ? 'stated' : 'settling';
    if (this.#phase === 'stated') this.#state(nowMs);
  }

  #state(nowMs: MonotonicMs): void {
    this.#statedMs = nowMs;
    const position = this.position();
    if (position !== null) this.#output.position({ to: this.#options.leader, position });
  }

  /** Rule 6: min(leader's HW, own written end). The log start follows the leader's. */
  #follow(): void {
    this.#log.raiseHighWaterMark(Math.min(this.#leaderHighWaterMark, this.#log.writtenEnd));
    this.#log.retire(Math.min(this.#leaderLogStart, this.#log.highWaterMark));
  }

  /** Below its own HW a replica cuts only if an unclean election came after the last batch that it knows to be committed. */
  #cut(toOffset: Offset): void {
    const { highWaterMark } = this.#log;
    const committedEpoch = this.#log.epochs.epochOf(highWaterMark - 1);
    if (toOffset < highWaterMark && this.#uncleanEpoch <= committedEpoch) {
      const { key, leader, leaderEpoch } = this.#options;
      this.#output.stop(
        `${key}: leader ${leader} of epoch ${leaderEpoch} agrees with this log up to ${toOffset} only, below its high-water mark ${highWaterMark} ` +
          `of epoch ${committedEpoch}; the last unclean epoch is ${this.#uncleanEpoch}`,
      );
      return;
    }
    this.#log.truncate(toOffset);
    this.#phase = 'settling';
  }

  /**
   * Index of the first frame that this log does not hold, or the number of frames; -1: there is a gap. Frames are sent again when a stream
   * was opened again while they were being written.
   */
  #firstNew(headers: readonly BatchHeader[]): number {
    const { endOffset } = this.#log;
    let first = 0;
    while (first < headers.length && (headers[first] as BatchHeader).baseOffset < endOffset)
      first += 1;
    const next = headers[first];
    return next === undefined || next.baseOffset === endOffset ? first : -1;
  }
}

/** Why these frames cannot stand at the end of the log, or null. Offsets are contiguous but for compaction, epochs never fall. */
function frameFault(
  headers: readonly BatchHeader[],
  first: number,
  log: ReplicaLog,
  leaderEpoch: LeaderEpoch,
): string | null {
  let epoch = log.epochs.lastEpoch;
  let end = log.endOffset;
  for (let index = first; index < headers.length; index += 1) {
    const header = headers[index] as BatchHeader;
    if (header.baseOffset !== end) return `base offset ${header.baseOffset}, must be ${end}`;
    if (header.leaderEpoch < epoch || header.leaderEpoch > leaderEpoch)
      return `epoch ${header.leaderEpoch}, must be ${epoch} to ${leaderEpoch}`;
    epoch = header.leaderEpoch;
    end = header.baseOffset + header.lastOffsetDelta + 1;
  }
  return null;
}
