/**
 * Inputs and outputs of one partition's core. The core sees numbers and batch headers, never
 * payloads: bytes go from the network to the log and back around it. Sources: KIP-101, KIP-279,
 * KIP-320, KIP-497, KIP-903, KIP-966 and docs/rules.md.
 */
import type { CompactionMark } from '../../wire/batch/control.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';
import type { CompactionOrder } from '../../base/compaction-order.ts';
import type { BrokerError } from '../../base/errors.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionEpoch,
  WallMs,
} from '../../base/units.ts';
import type { ProducersGiven } from './producers.ts';

/** First offset of an epoch, in a log. Sorted by both. */
export interface EpochStart {
  readonly epoch: LeaderEpoch;
  readonly startOffset: Offset;
}

/** A control batch, and what it states. */
export interface ControlMark {
  readonly baseOffset: Offset;
  /** End of the data below it; undefined: its leader was of a build that does not say. */
  readonly dataEnd: Offset | undefined;
  /** Of a trim: where the log is to begin. */
  readonly trimTo?: Offset | undefined;
  /** Of a compaction that is ordered. */
  readonly compaction?: CompactionMark | undefined;
}

/** Where a log starts, as its replica tells others. */
export interface LogStart {
  readonly offset: Offset;
  /** Epoch of the batch before it, which is gone; 0: there was none, or nobody knows it. */
  readonly epoch: LeaderEpoch;
  /**
   * What retention is known to have reached, at or below `offset`. Below it: the log has lost its
   * beginning.
   */
  readonly retiredTo: Offset;
  /**
   * D of the log that it is a copy of, as of the begin of the copy, or of its own last compaction:
   * tombstones below it may be missing, together with what they deleted (rule K6). Absent: 0.
   */
  readonly tombstonesBelow?: Offset;
}

/** What recovery found on disk. */
export interface LogState {
  readonly startOffset: Offset;
  /** Epoch of the batch before the start, as journalled; absent: 0, unknown. */
  readonly startEpoch?: LeaderEpoch;
  /**
   * What retention reached, as journalled, at or below the start; absent: the start. See
   * {@link LogStart}.
   */
  readonly retiredTo?: Offset;
  readonly endOffset: Offset;
  /** Epochs of the batches at or above the log start. */
  readonly epochs: readonly EpochStart[];
  /** Control batches that recovery has read, in the order of the log; absent: none. */
  readonly controls?: readonly ControlMark[];
  /** min(checkpoint, end). */
  readonly highWaterMark: Offset;
  /** Everything below has passed fdatasync. */
  readonly syncedOffset: Offset;
  /** See {@link LogStart}. */
  readonly tombstonesBelow?: Offset;
  /** The largest order to compact it that was begun, as journalled (K10); absent: none. */
  readonly compacted?: CompactionOrder;
}

/** A member of the assignment as metadata sees it now. */
export interface ReplicaInfo {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly fenced: boolean;
  readonly stopping: boolean;
}

/** The partition's row of the metadata image, with what the core needs of brokers and topic. */
export interface Assignment {
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  readonly replicas: readonly ReplicaInfo[];
  readonly syncSet: readonly BrokerId[];
  readonly quorum: number;
  readonly suspects: readonly BrokerId[];
  readonly uncleanEpoch: LeaderEpoch;
  readonly minInSyncReplicas: number;
  readonly commitMode: 'in-sync' | 'quorum';
  readonly batchBytesMax: number;
  /**
   * Broker that the leader is to drain for, then hand over to (rule 22); NO_BROKER when there is
   * none.
   */
  readonly successor: BrokerId;
  /**
   * Members of S that a reassignment takes out once q can spare them: q is raised by one for each
   * (rule 19). Absent: none.
   */
  readonly leaving?: readonly BrokerId[];
  /** Its topic is compacted. Absent: it is not. */
  readonly isCompacted?: boolean;
}

/**
 * What a follower states: its fetch position, which is its acknowledgement (rules 5, 6, 13, 14).
 */
export interface Position {
  readonly from: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly leaderEpoch: LeaderEpoch;
  /** Epoch of the follower's last batch, 0 for an empty log. */
  readonly lastEpoch: LeaderEpoch;
  readonly endOffset: Offset;
  readonly syncedOffset: Offset;
  /** Absent: a build that does not say. */
  readonly start?: LogStart;
  /** What was pushed from `endOffset` on is lost, and to be pushed again. */
  readonly resend?: boolean;
}

/** Acknowledgement asked for by a producer. */
export type AckLevel = 'none' | 'leader' | 'all';

/** The end of the log that an append was decided by. */
export interface ExpectedEnd {
  /** No data may stand at or above it. */
  readonly offset: Offset;
  /** Epoch of the record before it; 0: not stated. */
  readonly leaderEpoch: LeaderEpoch;
  /** The leader's own broker appends the batch, and never again: it needs no producer. */
  readonly isTriedOnce?: boolean;
}

/** How a client wants a batch appended. */
export interface AppendTerms {
  readonly ack: AckLevel;
  /** Append only if the log ends there. Absent: in any case. */
  readonly expectedEnd?: ExpectedEnd | undefined;
}

export type PartitionInput =
  | { readonly kind: 'assign'; readonly assignment: Assignment }
  /** One whole, CRC-checked batch from a client. */
  | {
      readonly kind: 'append';
      readonly requestId: number;
      readonly ack: AckLevel;
      readonly header: BatchHeader;
      readonly wallMs: WallMs;
      readonly expectedEnd?: ExpectedEnd | undefined;
    }
  /**
   * Somebody wants the log to begin at `offset`, or at its start where that lies above: where a
   * batch begins, or HW.
   */
  | { readonly kind: 'trim'; readonly requestId: number; readonly offset: Offset }
  /**
   * Leader only: records of one key may go, and its log be compacted up to `upTo`. Said while the
   * clock can be trusted; `tombstonesKeptMs` is how long a tombstone stays at least.
   */
  | {
      readonly kind: 'compact';
      readonly upTo: Offset;
      readonly wallMs: WallMs;
      readonly tombstonesKeptMs: number;
    }
  /** The compaction that this replica was told to carry out is done, and synced. */
  | { readonly kind: 'compacted'; readonly order: CompactionOrder }
  /** All writes up to `writeId` passed write(2) in full. */
  | {
      readonly kind: 'written';
      readonly writeId: number;
      /** Of a cut: where the log ends now, which is a batch boundary at or below what was asked. */
      readonly endOffset?: Offset;
    }
  /** fdatasync has covered everything below. */
  | { readonly kind: 'synced'; readonly offset: Offset }
  /** A write or sync failed: resign and serve nothing more. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'position'; readonly position: Position }
  /**
   * Frames pushed by the leader; checked and split by the runtime; contiguous from
   * `headers[0].baseOffset`. May be empty: a HW push.
   */
  | {
      readonly kind: 'frames';
      readonly from: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly highWaterMark: Offset;
      readonly logStartOffset: Offset;
      readonly headers: readonly BatchHeader[];
    }
  /** The leader says: our logs agree up to the end of `epoch` at most (rule 2). */
  | {
      readonly kind: 'diverged';
      readonly from: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly epoch: LeaderEpoch;
      readonly endOffset: Offset;
    }
  /**
   * The leader's log starts above our end, or ours has lost its beginning: drop everything and
   * start there (still below or at its HW).
   */
  | {
      readonly kind: 'reset-to';
      readonly from: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly startOffset: Offset;
      /** Epoch of the batch before; absent: a build that does not say. */
      readonly startEpoch?: LeaderEpoch;
      /** D of the leader's log, if this log lacks tombstones for it (rule K6); absent: 0. */
      readonly tombstonesBelow?: Offset;
    }
  | {
      readonly kind: 'sync-set-result';
      /** Both as proposed: a later leadership of this replica numbers its proposals anew. */
      readonly leaderEpoch: LeaderEpoch;
      readonly proposalId: number;
      readonly error: BrokerError | null;
    }
  /** Leader only: retention wants to drop everything below `offset`. */
  | { readonly kind: 'retire'; readonly offset: Offset }
  /** The answer to `asksProducers`, asked for since `leaderEpoch` began to be led. */
  | {
      readonly kind: 'producers-given';
      readonly leaderEpoch: LeaderEpoch;
      readonly given: ProducersGiven;
    }
  | { readonly kind: 'tick'; readonly nowMs: MonotonicMs }
  /** PrepareStop or an I/O error: refuse new appends, keep serving what is in flight. */
  | { readonly kind: 'drain' }
  /** The stop is taken back: appends are taken again. */
  | { readonly kind: 'resume' }
  /** Rule 15: another time after which a member that is not caught up leaves S. */
  | { readonly kind: 'lag-limit'; readonly lagMsMax: number };

/** Change of the local log, in the order of `writeId`. */
export type LogWrite =
  /** Leader: stamp the frame of `requestId` with these and append it. */
  | {
      readonly kind: 'append';
      readonly writeId: number;
      readonly requestId: number;
      readonly baseOffset: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  /** Leader: append a control batch, which opens its epoch, trims, or orders a compaction. */
  | {
      readonly kind: 'control';
      readonly writeId: number;
      readonly baseOffset: Offset;
      readonly leaderEpoch: LeaderEpoch;
      /** End of the data below it. */
      readonly dataEnd: Offset;
      /** Of a trim: where the log is to begin. */
      readonly trimTo?: Offset;
      readonly compaction?: CompactionMark;
    }
  /** Follower: append frames `first` to `last` (exclusive) of the `frames` input in hand. */
  | {
      readonly kind: 'replicate';
      readonly writeId: number;
      readonly first: number;
      readonly last: number;
      readonly endOffset: Offset;
    }
  /**
   * Cut the log to end at `toOffset`, or, inside a batch, where that begins; lowers the recovery
   * point, synced. `keepAside`: below our HW, under an unclean epoch.
   */
  | {
      readonly kind: 'truncate';
      readonly writeId: number;
      readonly toOffset: Offset;
      readonly keepAside: boolean;
    }
  /**
   * Drop everything; the log is empty at `start`, which is journalled. `keepAside`: under an
   * unclean epoch, which may have taken what is dropped from every other log.
   */
  | {
      readonly kind: 'reset';
      readonly writeId: number;
      readonly start: LogStart;
      readonly keepAside: boolean;
    }
  /**
   * Retention reached `startOffset`: raise the log start (journalled before files go, with the
   * epoch of the batch before). `keepAside`: no retention did, an unclean election chose a log that
   * starts there; nothing may be said of producers by what stood below.
   */
  | {
      readonly kind: 'retire';
      readonly writeId: number;
      readonly startOffset: Offset;
      readonly startEpoch: LeaderEpoch;
      readonly keepAside: boolean;
    };

export type AppendResult =
  | {
      readonly ok: true;
      readonly baseOffset: Offset;
      readonly lastOffset: Offset;
      readonly leaderEpoch: LeaderEpoch;
      readonly isDuplicate: boolean;
    }
  | { readonly ok: false; readonly error: BrokerError };

/** Leader to follower, beside the frames themselves. */
export type FollowerMessage =
  | {
      readonly kind: 'diverged';
      readonly to: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly epoch: LeaderEpoch;
      readonly endOffset: Offset;
    }
  | {
      readonly kind: 'reset-to';
      readonly to: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly startOffset: Offset;
      readonly startEpoch?: LeaderEpoch;
      readonly tombstonesBelow?: Offset;
    };

export interface SyncSetProposal {
  readonly proposalId: number;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  readonly change:
    | { readonly op: 'add'; readonly member: BrokerId; readonly memberEpoch: BrokerEpoch }
    | { readonly op: 'remove'; readonly member: BrokerId }
    | { readonly op: 'trust'; readonly member: BrokerId; readonly memberEpoch: BrokerEpoch }
    | { readonly op: 'raise'; readonly quorum: number }
    /**
     * The member has lost what it acknowledged, and cannot be spared: it stays in S as a suspect.
     */
    | { readonly op: 'distrust'; readonly member: BrokerId }
    /** Drained: the successor may lead. */
    | { readonly op: 'hand-over'; readonly successor: BrokerId };
}

export interface PartitionOutput {
  readonly writes: readonly LogWrite[];
  readonly replies: readonly { readonly requestId: number; readonly result: AppendResult }[];
  readonly messages: readonly FollowerMessage[];
  /**
   * Carry this compaction out beside everything else, and say `compacted`; null: nothing new. A
   * newer one takes the place of one that is under way. A cut of the log ends it: it is asked for
   * again once the log matches a leader's. So does a reset, after which nothing of it is left.
   */
  readonly compaction: CompactionOrder | null;
  /** As a follower: state this position to the leader, if not null. */
  readonly position: { readonly to: BrokerId; readonly position: Position } | null;
  /** Ask the controller for this change, if not null. At most one is in flight (rule 11). */
  readonly proposal: SyncSetProposal | null;
  /** HW or readable end moved, or the leader changed: wake readers and pushers. */
  readonly isChanged: boolean;
  /**
   * The replica must stop and say why: it would have to truncate below its HW without an unclean
   * epoch.
   */
  readonly stopped: string | null;
  /**
   * A peer said what cannot be: it was not acted on, and the stream to that peer must be closed
   * with the reason. Null: nothing of the kind.
   */
  readonly refused: { readonly peer: BrokerId; readonly reason: string } | null;
  /**
   * Leader: the table does not know who wrote below the log start. Answer with `producers-given`;
   * said again at each tick until then.
   */
  readonly asksProducers: boolean;
  /** An unclean truncation cut below what the producer table can undo: replay the headers. */
  readonly rebuildProducers: boolean;
}

/** What the leader may push to one follower now, from the in-memory tail or the disk. */
export interface PushWindow {
  readonly leaderEpoch: LeaderEpoch;
  /** Next offset to send. */
  readonly from: Offset;
  /** Exclusive: end of what passed the local write(2). */
  readonly upTo: Offset;
  readonly highWaterMark: Offset;
  readonly logStartOffset: Offset;
}
