/**
 * What goes into and comes out of the core of a queue's member (`holder.ts`): what its streams
 * bring, what the program says of its records, and what the shell is to do. The other side is
 * `broker/queues/types.ts`.
 */
import type { MonotonicMs, TopicId } from '../../../base/units.ts';
import type { FenceReason, StreamEnd } from '../../group/member/types.ts';

/** A record, in one time of being leased: with another delivery or epoch it is another one. */
export interface Lease {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  /** From 1. */
  readonly delivery: number;
  /** What it took of the credit. */
  readonly bytes: number;
}

/** What ends a lease in order. */
export type Settlement =
  | { readonly kind: 'accept' }
  | { readonly kind: 'release'; readonly delayMs: number }
  | { readonly kind: 'reject'; readonly reason: string };

export type Verdict = Settlement | { readonly kind: 'extend' };

/** One record of an acknowledgement. */
export interface Part<L extends Lease> {
  readonly lease: L;
  readonly verdict: Verdict;
}

/** What a broker answers to one part. */
export type Outcome<Refusal> =
  /** It is so, and committed. */
  | { readonly kind: 'done' }
  /** The lease is over, and nothing was settled. */
  | { readonly kind: 'lost'; readonly refusal: Refusal }
  /** It was not done, or nobody knows: to be asked again, not before so many milliseconds. */
  | { readonly kind: 'again'; readonly refusal: Refusal; readonly afterMs: number }
  /** It was not done, and asking again does not help. The lease goes on. */
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** What became of a verdict. Without one the lease was lost. */
export type Result<Refusal> =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** No answer in time. `isSent`: it may be so all the same. */
  | { readonly kind: 'timed-out'; readonly refusal: Refusal | null; readonly isSent: boolean };

/** What a broker may send. */
export interface Credit {
  readonly records: number;
  readonly bytes: number;
}

/** Streams are named by the attempt that opened them. */
export type HolderInput<L extends Lease, Refusal> =
  | { readonly kind: 'start' }
  /** Time has come: see `wakeAtMs`. */
  | { readonly kind: 'tick' }
  /** Comes again where leases last another time from then on. */
  | { readonly kind: 'joined'; readonly attempt: number; readonly leaseMs: number }
  | { readonly kind: 'records'; readonly attempt: number; readonly leases: readonly L[] }
  | {
      readonly kind: 'acknowledged';
      readonly acknowledgeId: number;
      readonly outcomes: readonly Outcome<Refusal>[];
    }
  | { readonly kind: 'reattach'; readonly attempt: number }
  | { readonly kind: 'fenced'; readonly attempt: number; readonly reason: FenceReason }
  | { readonly kind: 'ended'; readonly attempt: number; readonly end: StreamEnd }
  /** What the program says of a record. It is sent with the next `flush`. */
  | { readonly kind: 'settle'; readonly lease: L; readonly settlement: Settlement }
  | { readonly kind: 'extend'; readonly lease: L }
  /** Whether the lease is to be extended until it is settled. True of what is received. */
  | { readonly kind: 'keep'; readonly lease: L; readonly isKept: boolean }
  /** What was said since the last one travels together. */
  | { readonly kind: 'flush' }
  /** Nothing more is taken: what comes yet is released. */
  | { readonly kind: 'stop' }
  /** What is not settled goes to others. */
  | { readonly kind: 'leave' }
  /** The process gives up. */
  | { readonly kind: 'refused' };

/** What the shell is to do, in this order. */
export type HolderAction<L extends Lease, Refusal> =
  | {
      readonly kind: 'open';
      readonly attempt: number;
      readonly memberId: string;
      readonly credit: Credit;
    }
  | { readonly kind: 'close'; readonly attempt: number }
  /** To be handed out, in order. */
  | { readonly kind: 'received'; readonly leases: readonly L[] }
  | {
      readonly kind: 'acknowledge';
      readonly attempt: number;
      readonly acknowledgeId: number;
      readonly parts: readonly Part<L>[];
    }
  | { readonly kind: 'credit'; readonly attempt: number; readonly credit: Credit }
  | { readonly kind: 'settled'; readonly lease: L; readonly result: Result<Refusal> }
  | { readonly kind: 'extended'; readonly lease: L; readonly result: Result<Refusal> }
  /**
   * It is over and was not settled. `refusal` null: by the own clock, or the member is over; then
   * `isSent` says that a settlement was sent, which may count all the same.
   */
  | {
      readonly kind: 'lost';
      readonly lease: L;
      readonly refusal: Refusal | null;
      readonly isSent: boolean;
    }
  | { readonly kind: 'leave'; readonly attempt: number }
  /** Nothing comes any more. */
  | { readonly kind: 'over'; readonly reason: 'left' | 'refused' };

/** What the core needs beside inputs. */
export interface HolderOptions {
  /** Random UUID of 36 characters in lower case, another one each time. */
  readonly newMemberId: () => string;
  /** Pause before try 0, 1 and so on, in milliseconds. */
  readonly backoffMs: (attempt: number) => number;
  /** How long leases go on after a stream broke whose broker lives. */
  readonly graceMs: number;
  /** Records that may be leased at a time. */
  readonly recordsMax: number;
  /** Bytes of them. One record may exceed it. */
  readonly bytesMax: number;
  /** Parts of one acknowledgement, at most. */
  readonly partsMax: number;
}

export type { FenceReason, MonotonicMs, StreamEnd };
