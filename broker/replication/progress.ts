/**
 * What a leader knows of one follower, in its epoch. It belongs to one incarnation on one stream
 * and is replaced with either, never maximised (rule 14). Source: KIP-903; the caught-up time is
 * that of Kafka's `replica.lag.time.max.ms`.
 */
import type { BrokerEpoch, BrokerId, MonotonicMs, Offset } from '../../base/units.ts';
import { UNKNOWN_END } from './high-water.ts';
import type { PushWindow } from './types.ts';
import type { ReplicaLog } from './log.ts';

/** Fields are written by the leader alone. */
export class Progress {
  readonly follower: BrokerId;
  brokerEpoch: BrokerEpoch;
  /**
   * The leader has found the stated (last epoch, end) in its own log: from here on the position
   * acknowledges (rule 6).
   */
  isMatched = false;
  /**
   * Its log starts above what retention reached, or lacks tombstones: nothing of it counts until it
   * has been copied anew.
   */
  lacksBeginning = false;
  /** It is to start anew, once the leader's log is fit to be copied. */
  awaitsReset = false;
  /** Acknowledged end, while matched. */
  endOffset: Offset = 0;
  syncedOffset: Offset = 0;
  /** As stated with that position: see LogStart. */
  tombstonesBelow: Offset = 0;
  /** Next offset to push. */
  sentOffset: Offset = 0;
  /** HW and log start as pushed last; -1: never. */
  #toldHighWaterMark: Offset = -1;
  #toldLogStart: Offset = -1;
  #caughtUpMs: MonotonicMs;
  #positionMs: MonotonicMs;
  /** End of the leader's written log when the last position came. */
  #leaderEndAtPosition: Offset = Infinity;

  constructor(follower: BrokerId, brokerEpoch: BrokerEpoch, nowMs: MonotonicMs) {
    this.follower = follower;
    this.brokerEpoch = brokerEpoch;
    this.#caughtUpMs = nowMs;
    this.#positionMs = nowMs;
  }

  /**
   * Another incarnation or stream: nothing that was acknowledged counts. How long it has not been
   * caught up does.
   */
  forget(brokerEpoch: BrokerEpoch): void {
    this.brokerEpoch = brokerEpoch;
    this.isMatched = false;
    this.lacksBeginning = false;
    this.awaitsReset = false;
    this.#toldHighWaterMark = -1;
    this.#toldLogStart = -1;
    this.#leaderEndAtPosition = Infinity;
  }

  /** What it has synced of this leader's log, as far as it has said. */
  get syncedEnd(): Offset {
    return this.isMatched ? this.syncedOffset : UNKNOWN_END;
  }

  /** A position that acknowledges `endOffset` has come. */
  acknowledge(endOffset: Offset, leaderEnd: Offset, nowMs: MonotonicMs): void {
    this.endOffset = endOffset;
    // Under steady load a follower never reaches the present end; it keeps up if it reaches the end
    // of one position ago.
    if (endOffset >= leaderEnd) this.#caughtUpMs = nowMs;
    else if (endOffset >= this.#leaderEndAtPosition)
      this.#caughtUpMs = Math.max(this.#caughtUpMs, this.#positionMs);
    this.#leaderEndAtPosition = leaderEnd;
    this.#positionMs = nowMs;
  }

  /** Time passes: an idle follower that has everything is caught up without a new position. */
  tick(leaderEnd: Offset, nowMs: MonotonicMs): void {
    if (this.isMatched && this.endOffset >= leaderEnd) this.#caughtUpMs = nowMs;
  }

  /** Time since it was caught up (rule 15). */
  lagMs(nowMs: MonotonicMs): number {
    return nowMs - this.#caughtUpMs;
  }

  /**
   * What it has not been told; null for nothing. One snapshot of HW, log start and bytes (rule 9).
   */
  pushWindow(leaderEpoch: number, log: ReplicaLog): PushWindow | null {
    if (!this.isMatched) return null;
    const hasNews =
      this.sentOffset < log.writtenEnd ||
      this.#toldHighWaterMark < log.highWaterMark ||
      this.#toldLogStart < log.startOffset;
    if (!hasNews) return null;
    return {
      leaderEpoch,
      from: this.sentOffset,
      // A new leader may have matched a follower beyond what it has itself written as a follower.
      upTo: Math.max(log.writtenEnd, this.sentOffset),
      highWaterMark: log.highWaterMark,
      logStartOffset: log.startOffset,
    };
  }

  pushed(upTo: Offset, highWaterMark: Offset, logStart: Offset): void {
    this.sentOffset = upTo;
    this.#toldHighWaterMark = highWaterMark;
    this.#toldLogStart = logStart;
  }
}
