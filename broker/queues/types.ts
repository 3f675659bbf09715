/**
 * What goes into and comes out of the core of a queue (docs/rules.md#queues). One core serves one
 * partition of one topic for one queue, for one leadership of the partition of `__queues` that
 * keeps its state: it is its *owner*. It is pure; whoever drives it owes it this:
 *
 * - `epoch` is the leader epoch of that partition of `__queues`. A core serves one epoch and is
 *   then dropped; the next begins from the fold of what is committed.
 * - A batch is appended as one, in that epoch, and never a second time; batches of several cores
 *   may share a frame. Then comes `committed`, or `lost` with the reason. Until then there is no
 *   other batch of this core.
 * - What leaves (`replies`) leaves at once: the core has kept back what had to wait for a commit.
 * - `tick` comes every {@link TICK_MS} or so. `wallMs` is the broker's trusted clock, or null.
 *
 * **Data** is read from the partition's leader as any reader does it, below the high-water mark,
 * one read at a time. `wanted` says from where. A read states `position`, the highest place that
 * this core knows and the epoch of the record before it (0: not known); where the leader's log does
 * not hold that, `diverged` says what it has instead, and nothing of a read that was begun before
 * comes after it. `data` tells of all records of a range, so what is missing in it is gone.
 * `log-start` comes when the log begins later. The driver keeps the bytes of what is leased, or
 * reads them again; of records that are not there any more it says `missing`.
 *
 * **Members** ask for records, and acknowledge them, through any broker; who a caller is was judged
 * before. An `ask` is answered once, when there is a record. One that nobody waits for any more is
 * cancelled; one whose member wants nothing more is withdrawn. `member-gone` says that a member
 * left, or that its session is over.
 *
 * **Dead letters.** There is one `task` at a time, and each is answered once, by its number:
 *
 * - `locate`: choose a partition of the dead-letter topic, and state its high-water mark, and the
 *   epoch of what stands before it.
 * - `append`: append letters to it, acknowledged by all, each with the header that names queue,
 *   topic id, partition, offset and epoch of its record, in **one frame that expects
 *   `end`**, offset and epoch, so that the target refuses it if anything stands there, or another
 *   epoch before it.
 *   The answer names those that are in the frame; it may have fewer, for their bytes. Of records
 *   that cannot be read any more, being gone, the answer is `missing`.
 * - `search`: read the target from `from`, offset and epoch, to its high-water mark for those
 *   headers.
 */
import type { BrokerError } from '../../base/errors.ts';
import type { QueueConfig } from '../../base/queues.ts';
import type { LeaderEpoch, MonotonicMs, Offset, TopicId, WallMs } from '../../base/units.ts';

/** Pause between ticks, ms. Of a longer one, what is beyond twice of it counts for no lease. */
export const TICK_MS = 250;

export type { QueueConfig };

/** One record of the partition, as far as the core needs it. */
export interface QueueRecord {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  /** 53 bits of a hash of its key; null: it has none, and no order. Two keys may share one. */
  readonly keyHash: number | null;
  /** Key, value and headers. */
  readonly bytes: number;
}

/** What becomes of a lease. */
export type Verdict =
  | { readonly kind: 'accept' }
  /** To be delivered again, not before `delayMs` have passed. */
  | { readonly kind: 'release'; readonly delayMs: number }
  /** To the dead-letter topic, with the reason. */
  | { readonly kind: 'reject'; readonly reason: string }
  /** The lease begins anew. */
  | { readonly kind: 'extend' }
  /**
   * Nobody ever had the record by this lease: its delivery does not count. Of each lease it is said
   * once, by whoever was to hand the record on, or the same number could be given to two.
   */
  | { readonly kind: 'unsent' };

/** It names a lease: the record by offset and epoch, and the number of its delivery. */
export interface Acknowledgement {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  /** From 1. */
  readonly delivery: number;
  readonly verdict: Verdict;
}

/**
 * `done`: as asked. `settled`: the record, or this lease, was settled before, by a repetition of
 * this or by another; nothing changed. A BrokerError is a refusal; LEASE_LOST is for certain.
 */
export type Outcome = 'done' | 'settled' | BrokerError;

/** A record that a member has now. */
export interface Delivery {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  /** How often it was delivered, this time included. Too low by memory leases that were lost. */
  readonly delivery: number;
}

/** Where a dead letter goes. */
export interface LetterTarget {
  readonly topicId: TopicId;
  readonly partition: number;
  /** Its high-water mark before any letter for it was appended. */
  readonly from: Offset;
  /** Of what stands before it; 0: nothing does. An election may have cut the target since. */
  readonly epoch: LeaderEpoch;
}

/** A place in a target: offset, and epoch of what stands before it. */
export type LetterPosition = Pick<LetterTarget, 'from' | 'epoch'>;

/** Why a record died: a member rejected it, or it was delivered too often. */
export type DeathCause = 'rejected' | 'deliveries';

export interface Letter {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  readonly deliveries: number;
  readonly cause: DeathCause;
  /** The member's words; may be ''. */
  readonly reason: string;
}

export type LetterTask =
  | { readonly kind: 'locate'; readonly taskId: number }
  | {
      readonly kind: 'append';
      readonly taskId: number;
      readonly target: LetterTarget;
      readonly end: LetterPosition;
      readonly letters: readonly Letter[];
    }
  | {
      readonly kind: 'search';
      readonly taskId: number;
      readonly target: LetterTarget;
      readonly from: LetterPosition;
      readonly letters: readonly Letter[];
    };

export type LetterResult =
  | { readonly kind: 'located'; readonly target: LetterTarget }
  /** They are committed in the target. */
  | { readonly kind: 'appended'; readonly offsets: readonly Offset[] }
  /** Their bytes are gone from the source, and nothing was appended. */
  | { readonly kind: 'missing'; readonly offsets: readonly Offset[] }
  /** Those found, and the mark up to which was read. */
  | {
      readonly kind: 'searched';
      readonly offsets: readonly Offset[];
      readonly end: LetterPosition;
    }
  /** Something stands at the end that was expected, or above. Searched for at once. */
  | { readonly kind: 'taken' }
  /** It failed, or nobody knows. Tried again after a while. */
  | { readonly kind: 'failed' }
  /** The target does not hold the position from which it was to be searched: it was cut. */
  | { readonly kind: 'cut' }
  /** The target exists no more. */
  | { readonly kind: 'target-gone' };

export type QueueInput =
  | { readonly kind: 'tick'; readonly nowMs: MonotonicMs; readonly wallMs: WallMs | null }
  /** Whether the controller hears this broker. Before the first of these it does not. */
  | { readonly kind: 'heard'; readonly isHeard: boolean }
  | { readonly kind: 'config'; readonly config: QueueConfig }
  /** Where the queue begins, if it has not begun: the epoch is of the record before, 0 unknown. */
  | { readonly kind: 'begin'; readonly offset: Offset; readonly epoch: LeaderEpoch }
  | { readonly kind: 'log-start'; readonly offset: Offset }
  /** To be read again, and not in the log any more. Whoever had them leased has not. */
  | { readonly kind: 'missing'; readonly records: readonly Pick<QueueRecord, 'offset' | 'epoch'>[] }
  | {
      readonly kind: 'data';
      readonly from: Offset;
      /** Behind the last offset that was looked at. */
      readonly to: Offset;
      /** Of what stands before `to`, which need not be a record of a client. */
      readonly epoch: LeaderEpoch;
      readonly records: readonly QueueRecord[];
      /** Others that are said to be there, and hold nothing that anybody can read. Default 0. */
      readonly unreadable?: number;
    }
  /**
   * The leader's log holds no such position: of the epochs up to that of the position, `epoch` is
   * the last that it has, and ends at `offset`. For a log that ends below: its end, and epoch.
   */
  | { readonly kind: 'diverged'; readonly offset: Offset; readonly epoch: LeaderEpoch }
  | {
      readonly kind: 'ask';
      readonly requestId: number;
      readonly memberId: string;
      /** At most so many, 1 or more. */
      readonly records: number;
      /** At most so many, but for one record that is larger. */
      readonly bytes: number;
    }
  | { readonly kind: 'cancel'; readonly requestId: number }
  /** Nothing more is wanted: answered with none, unless records are under way for it. */
  | { readonly kind: 'withdraw'; readonly requestId: number }
  | {
      readonly kind: 'acknowledge';
      readonly requestId: number;
      readonly memberId: string;
      readonly acknowledgements: readonly Acknowledgement[];
    }
  | { readonly kind: 'member-gone'; readonly memberId: string }
  /** The key that the parked record of this offset holds goes on. */
  | { readonly kind: 'free-key'; readonly requestId: number; readonly offset: Offset }
  | { readonly kind: 'letter'; readonly taskId: number; readonly result: LetterResult }
  /** The log before is to be trimmed: the next batch has all there is. */
  | { readonly kind: 'snapshot' }
  | { readonly kind: 'committed'; readonly epoch: number; readonly batchId: number }
  | {
      readonly kind: 'lost';
      readonly epoch: number;
      readonly batchId: number;
      readonly error: BrokerError;
    };

/** A record of `__queues` as it is stored: JSON texts. A null value deletes. */
export interface StoredRecord {
  readonly key: string;
  readonly value: string | null;
}

/** Records that belong together. */
export interface QueueBatch {
  readonly epoch: number;
  readonly batchId: number;
  readonly records: readonly StoredRecord[];
}

export type QueueReply =
  | { readonly kind: 'records'; readonly deliveries: readonly Delivery[] }
  /** One for each acknowledgement, in their order. */
  | { readonly kind: 'acknowledged'; readonly outcomes: readonly Outcome[] }
  | { readonly kind: 'key-freed' };

/** For logs, events and metrics. */
export type QueueFact =
  /** Retention or a trim took records that nobody had accepted. */
  | { readonly kind: 'retired'; readonly records: number }
  /** Compaction took them. */
  | { readonly kind: 'superseded'; readonly records: number }
  /** Their batch cannot be decoded by anybody. */
  | { readonly kind: 'unreadable'; readonly records: number }
  /** The log was cut at `offset`: what was known above is forgotten, `open` records with it. */
  | { readonly kind: 'diverged'; readonly offset: Offset; readonly open: number }
  | { readonly kind: 'died'; readonly offset: Offset; readonly cause: DeathCause }
  | { readonly kind: 'dead-lettered'; readonly offset: Offset };

export interface QueueOutput {
  /** To be appended, or null. */
  readonly batch: QueueBatch | null;
  readonly replies: readonly {
    readonly requestId: number;
    readonly reply: QueueReply | BrokerError;
  }[];
  readonly task: LetterTask | null;
  readonly facts: readonly QueueFact[];
}

/** Whose state a core keeps. */
export interface QueuePlace {
  readonly queue: string;
  readonly topicId: TopicId;
  readonly partition: number;
}
