/**
 * Types of the metadata consensus core: what goes in, what comes out, what storage keeps and what
 * voters say to each other. Pure: knows nothing of clocks, sockets or files. Time is the number of
 * `tick` inputs; `network` translates the messages.
 *
 * Sources: Ongaro, "Consensus: Bridging Theory and Practice" (2014), cited as "thesis" with its
 * section; KIP-853 for the identity of a voter; docs/rules.md#metadata-quorum.
 */
import type { BrokerId, DirectoryId } from '../../base/units.ts';

/**
 * Identity of a replica of the metadata log. A replaced disk has another directory id, so it is
 * another peer (P12).
 */
export interface Peer {
  readonly brokerId: BrokerId;
  readonly directoryId: DirectoryId;
}

/** A {@link Peer} as text, for maps and sets: `<brokerId>/<directoryId>`. */
export type PeerKey = string;

/**
 * One entry of the log. Indexes start at 1 and are contiguous; terms never fall. `data`: what the
 * application proposed. `voters`: a JSON list of {@link Peer}, in force from the moment it is
 * appended (thesis 4.1). `barrier`: the empty entry with which a new leader begins its term, so
 * that it can commit what it inherited (thesis 3.6.2).
 */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: 'data' | 'voters' | 'barrier';
  readonly data: string;
}

/**
 * The application's image with every entry up to and including `index` applied, and the voters in
 * force there.
 */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly voters: readonly Peer[];
  readonly data: string;
}

/** What must never be forgotten between two answers (thesis figure 3.1). */
export interface HardState {
  readonly term: number;
  readonly vote: Peer | null;
}

/**
 * What storage gives at start. `entries` are contiguous and begin right after `snapshot`, or at 1
 * without one.
 */
export interface Durable {
  readonly hardState: HardState;
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
}

/**
 * On every message. `term`: the sender's present term. `incarnation`: the sender's own; it rises
 * with each start and is on its disk before anything is sent. `toIncarnation`: the last one the
 * sender knows of the receiver, 0 when it knows none.
 */
export interface MessageHeader {
  readonly term: number;
  readonly incarnation: number;
  readonly toIncarnation: number;
}

/**
 * Asks whether a vote in `campaignTerm` would be granted; changes no state of the receiver (thesis
 * 9.6).
 */
export interface PreVote {
  readonly kind: 'pre-vote';
  readonly campaignTerm: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
}
/**
 * `leader`: whom the receiver follows, so that a voter which missed its own removal finds the group
 * again.
 */
export interface PreVoteReply {
  readonly kind: 'pre-vote-reply';
  readonly campaignTerm: number;
  readonly isGranted: boolean;
  readonly leader: Peer | null;
}
/**
 * Asks for a vote in the header's term. `isTransfer`: the leader itself wants it, so a live leader
 * is no ground to refuse (thesis 3.10).
 */
export interface Vote {
  readonly kind: 'vote';
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly isTransfer: boolean;
}
export interface VoteReply {
  readonly kind: 'vote-reply';
  readonly isGranted: boolean;
}
/**
 * Entries after (`prevIndex`, `prevTerm`); none in a heartbeat. `round`: number of the leader's
 * heartbeat round, echoed by the reply; 0 on a mere commit notice, which is answered only when it
 * is rejected.
 */
export interface Append {
  readonly kind: 'append';
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly entries: readonly Entry[];
  readonly commitIndex: number;
  readonly round: number;
}
/** The receiver's log equals the leader's up to `matchIndex`, and is durable up to there. */
export interface AppendAccepted {
  readonly kind: 'append-accepted';
  readonly matchIndex: number;
  readonly round: number;
}
/**
 * The receiver holds no (`rejectedIndex`, prevTerm). `hintIndex` is its last entry at or below it
 * whose term is not above prevTerm, and `hintTerm` that entry's term: the leader skips a whole term
 * per round trip. `lastIndex`: end of the receiver's log.
 */
export interface AppendRejected {
  readonly kind: 'append-rejected';
  readonly rejectedIndex: number;
  readonly hintIndex: number;
  readonly hintTerm: number;
  readonly lastIndex: number;
  readonly round: number;
}
/**
 * Part of a snapshot. `offset` and `total` count UTF-16 units of its data; `chunk` is at most 1 MiB
 * in UTF-8 and splits no character.
 */
export interface InstallSnapshot {
  readonly kind: 'snapshot';
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly voters: readonly Peer[];
  readonly offset: number;
  readonly total: number;
  readonly chunk: string;
}
/**
 * The receiver has the first `received` units. The last chunk is answered by `append-accepted` once
 * the snapshot is durable.
 */
export interface SnapshotReply {
  readonly kind: 'snapshot-reply';
  readonly snapshotIndex: number;
  readonly received: number;
}
/** The leader asks the receiver to campaign at once, without a pre-vote. */
export interface TimeoutNow {
  readonly kind: 'timeout-now';
}
/**
 * Sent by whoever has no leader: a non-voter asks to be replicated to, a voter asks whom the
 * receiver follows.
 */
export interface Follow {
  readonly kind: 'follow';
  readonly lastIndex: number;
  readonly lastTerm: number;
}
export interface FollowReply {
  readonly kind: 'follow-reply';
  readonly leader: Peer | null;
}

export type MessageBody =
  | PreVote
  | PreVoteReply
  | Vote
  | VoteReply
  | Append
  | AppendAccepted
  | AppendRejected
  | InstallSnapshot
  | SnapshotReply
  | TimeoutNow
  | Follow
  | FollowReply;

/** Everything replicas say to each other. */
export type RaftMessage = MessageHeader & MessageBody;

export interface Envelope {
  readonly to: Peer;
  readonly message: RaftMessage;
}

export type RaftInput =
  /** A fixed period passed: 10 ms in production. */
  | { readonly kind: 'tick' }
  /** `to`: whom the sender addressed. A message for another directory than ours is ignored. */
  | {
      readonly kind: 'message';
      readonly from: Peer;
      readonly to: Peer;
      readonly message: RaftMessage;
    }
  /** Answered in `proposals` under the same id: ok once committed. */
  | { readonly kind: 'propose'; readonly id: number; readonly data: string }
  /**
   * A linearizable read (thesis 6.4): answered in `reads`; the application may answer once it has
   * applied that index.
   */
  | { readonly kind: 'read'; readonly id: number }
  /** Every write up to this id is durable. */
  | { readonly kind: 'persisted'; readonly writeId: number }
  /** The whole new set of voters: at most one added or one removed. Answered in `proposals`. */
  | { readonly kind: 'change-voters'; readonly id: number; readonly voters: readonly Peer[] }
  /**
   * Hand leadership to the voter of this broker. Ignored by others than the leader; given up after
   * a shortest election timeout.
   */
  | { readonly kind: 'transfer'; readonly to: BrokerId }
  /**
   * The application's image at `index`, which it has applied. Ignored when not above the present
   * snapshot.
   */
  | { readonly kind: 'compact'; readonly index: number; readonly data: string }
  /** The last incarnations that committed metadata knows. Replaces what an earlier one said. */
  | { readonly kind: 'incarnations'; readonly known: ReadonlyMap<PeerKey, number> }
  /** This replica's own incarnation rose, and is on its disk. Never falls. */
  | { readonly kind: 'own-incarnation'; readonly incarnation: number }
  /** Give up leadership, if it is held: the application above cannot go on in this term. */
  | { readonly kind: 'resign' }
  /**
   * Whether the application can act on what is committed; at first it can. While it cannot, this
   * replica neither leads nor stands for leader; it votes and stores as before.
   */
  | { readonly kind: 'eligible'; readonly isEligible: boolean }
  /** Whom to ask for the leader, besides the voters. Replaces the earlier list. */
  | { readonly kind: 'seeds'; readonly peers: readonly Peer[] }
  /** The connection to a peer was reset. */
  | { readonly kind: 'peer-unreachable'; readonly peer: Peer };

/**
 * To be carried out in order; ids rise by one. `append`: `entries[0]` has index `firstIndex`;
 * whatever storage holds from there on is replaced. `snapshot`: entries up to its index go;
 * `keepSuffix` false: every other entry goes too, in the same atomic step.
 */
export type RaftWrite =
  | { readonly id: number; readonly kind: 'hard-state'; readonly hardState: HardState }
  | {
      readonly id: number;
      readonly kind: 'append';
      readonly firstIndex: number;
      readonly entries: readonly Entry[];
    }
  | {
      readonly id: number;
      readonly kind: 'snapshot';
      readonly snapshot: Snapshot;
      readonly keepSuffix: boolean;
    };

/**
 * `NOT_LEADER`, `BUSY` and `REFUSED`: nothing was appended. `OUTCOME_UNKNOWN`: it was, and
 * leadership was lost before it committed.
 */
export type RequestResult =
  | { readonly ok: true; readonly index: number }
  | {
      readonly ok: false;
      readonly code: 'NOT_LEADER' | 'BUSY' | 'REFUSED' | 'OUTCOME_UNKNOWN';
      readonly message: string;
      readonly leader: Peer | null;
    };

export interface RequestReply {
  readonly id: number;
  readonly result: RequestResult;
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader' | 'learner';

/** How far one replica is, as its leader sees it. */
export interface ProgressStatus {
  readonly peer: Peer;
  readonly isVoter: boolean;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly matchIndex: number;
  readonly nextIndex: number;
  /** Ticks since it last answered. */
  readonly silenceTicks: number;
}

export interface RaftStatus {
  readonly role: Role;
  readonly term: number;
  readonly leader: Peer | null;
  readonly commitIndex: number;
  readonly lastIndex: number;
  readonly durableIndex: number;
  readonly snapshotIndex: number;
  /** The voters in force: those of the last `voters` entry in the log, committed or not. */
  readonly voters: readonly Peer[];
  /** No change of voters is in flight. */
  readonly areVotersCommitted: boolean;
  /**
   * This leader has committed an entry of its own term: it knows what is committed and may change
   * voters.
   */
  readonly isLeaderReady: boolean;
  /** Bytes of entries after the snapshot: compact when it passes your limit. */
  readonly logBytes: number;
  /** Of the leader only; empty elsewhere. */
  readonly progress: readonly ProgressStatus[];
}

/**
 * What one step decided. Carry out `writes` in order; `send` needs no write; `sendAfter` must wait
 * for theirs.
 */
export interface RaftOutput {
  readonly writes: readonly RaftWrite[];
  readonly send: readonly Envelope[];
  readonly sendAfter: readonly { readonly writeId: number; readonly envelope: Envelope }[];
  /** The application's new image; apply it before `committed`. */
  readonly restore: Snapshot | null;
  /** Newly committed entries of every kind, in order, without gaps. */
  readonly committed: readonly Entry[];
  readonly proposals: readonly RequestReply[];
  readonly reads: readonly RequestReply[];
  readonly status: RaftStatus;
  /** Why the message of this step was refused, in words; null when it was not. */
  readonly refused: string | null;
  /**
   * Set for good once a message proved that this disk was rolled back: the reason. The core is
   * silent from then on.
   */
  readonly deposed: string | null;
}

/**
 * Counts of ticks, bytes and entries, and what the application can read. Only the first three have
 * no default.
 */
export interface RaftOptions {
  readonly self: Peer;
  /** Of this start: 1 or greater, above that of every earlier start of the directory. */
  readonly incarnation: number;
  readonly seed: number;
  /** A follower campaigns when its leader was silent for a random time in this range. */
  readonly electionTicksMin?: number;
  readonly electionTicksMax?: number;
  readonly heartbeatTicks?: number;
  /** A leader that has not heard from a majority for this long steps down. */
  readonly checkQuorumTicks?: number;
  /** Entries of one append message, and one snapshot chunk. A larger proposal is refused. */
  readonly appendBytesMax?: number;
  readonly inflightAppendsMax?: number;
  /** Proposals, and likewise reads, that may wait. */
  readonly proposalsPendingMax?: number;
  /** Non-voters that a leader replicates to. */
  readonly learnersMax?: number;
  /** Entries before the snapshot that stay in memory for followers slightly behind. */
  readonly tailEntriesMax?: number;
  /** A voter may be added only when its log ends at most this far below the commit index. */
  readonly promotionLagEntriesMax?: number;
  /**
   * Why the application cannot read the data of an entry; null when it can. Asked before one is
   * written.
   */
  readonly entryFault?: (data: string) => string | null;
  /** The same of the image of a snapshot. */
  readonly imageFault?: (snapshot: Snapshot) => string | null;
  /** For an empty disk only: behave as if it held `bootstrap(bootstrapVoters)`. */
  readonly bootstrapVoters?: readonly Peer[] | null;
}
