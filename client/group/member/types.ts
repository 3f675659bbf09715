/**
 * What goes into and comes out of the core of a member (`member.ts`): what its streams bring, what
 * its shell has done, and what it is to do. The other side is `broker/groups/membership/types.ts`.
 */
import type { MonotonicMs, PartitionKey, TopicId } from '../../../base/units.ts';

/** A place in a partition. */
export interface Place {
  /** Of the next record. */
  readonly offset: number;
  /** Leader epoch of the record before it; 0: not known. */
  readonly leaderEpoch: number;
}

/** A partition, in one time of being held: with another epoch it is another one. */
export interface HeldPartition {
  readonly key: PartitionKey;
  readonly topic: string;
  readonly topicId: TopicId;
  readonly partition: number;
  /** Of the group when it was given to the member. */
  readonly epoch: number;
}

/** A partition of a view. */
export interface ViewedPartition<Refusal> extends HeldPartition {
  /** Where it begins; absent: the broker takes it for one that the member has. */
  readonly cursor: Place | undefined;
  /** Why it cannot be read. */
  readonly error: Refusal | undefined;
}

/** What the member shall read: all of it. */
export interface View<Refusal> {
  readonly epoch: number;
  readonly assigned: readonly ViewedPartition<Refusal>[];
  /** How long the partitions that it lets go may take, at most, in milliseconds. */
  readonly leftMs: number;
}

/** Why a member is over, as its broker says. */
export type FenceReason =
  | 'attached-elsewhere'
  | 'replaced'
  | 'expired'
  | 'left'
  | 'too-slow'
  | 'unknown';

/** How a stream ended: `refused` never helps, `fenced`: the member is over, `broken`: try again. */
export type StreamEnd = 'broken' | 'fenced' | 'refused';

/** Streams are named by the attempt that opened them. */
export type MemberInput<Refusal> =
  | { readonly kind: 'start' }
  /** Time has come: see `wakeAtMs`. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'joined'; readonly attempt: number; readonly sessionMs: number }
  | { readonly kind: 'view'; readonly attempt: number; readonly view: View<Refusal> }
  | { readonly kind: 'lease'; readonly attempt: number; readonly leftMs: number }
  | { readonly kind: 'reattach'; readonly attempt: number }
  | { readonly kind: 'fenced'; readonly attempt: number; readonly reason: FenceReason }
  | { readonly kind: 'ended'; readonly attempt: number; readonly end: StreamEnd }
  /** What was to be let go is: nothing of it is handled any more, and what was is committed. */
  | { readonly kind: 'released'; readonly epoch: number }
  /** Nothing is read any more, and what was handled is committed. */
  | { readonly kind: 'leave' }
  /** The process gives up. */
  | { readonly kind: 'refused' };

/** What the shell is to do, in this order. */
export type MemberAction<Refusal> =
  /** Open a stream, and state the epoch. */
  | {
      readonly kind: 'open';
      readonly attempt: number;
      readonly memberId: string;
      readonly epoch: number;
      /** Under which it was fenced last; '': it was not. */
      readonly formerId: string;
    }
  | { readonly kind: 'close'; readonly attempt: number }
  /** Begin with these. */
  | { readonly kind: 'assign'; readonly partitions: readonly ViewedPartition<Refusal>[] }
  /**
   * Read nothing more of these, let what is under way end, commit what was handled, and answer
   * `released`: all within so many milliseconds.
   */
  | {
      readonly kind: 'revoke';
      readonly epoch: number;
      readonly partitions: readonly HeldPartition[];
      readonly leftMs: number;
    }
  /** Say on the stream that the view is applied. */
  | { readonly kind: 'applied'; readonly attempt: number; readonly epoch: number }
  /** They are somebody else's: nothing of them may be handled or committed any more. */
  | { readonly kind: 'lost'; readonly partitions: readonly HeldPartition[] }
  | { readonly kind: 'leave'; readonly attempt: number }
  /** Nothing comes any more. `replaced`: another process has its instance id. */
  | { readonly kind: 'over'; readonly reason: 'left' | 'replaced' | 'refused' };

/** What the core needs beside inputs. */
export interface MemberOptions {
  /** Random UUID of 36 characters in lower case, another one each time. */
  readonly newMemberId: () => string;
  /** Pause before try 0, 1 and so on, in milliseconds. */
  readonly backoffMs: (attempt: number) => number;
  /** What is left of the session once a living broker sees the stream break. */
  readonly graceMs: number;
}

export type { MonotonicMs, PartitionKey };
