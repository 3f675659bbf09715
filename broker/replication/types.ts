/**
 * Inputs and outputs of one partition's core. The core sees numbers and batch headers, never payloads: bytes go from the network to the
 * log and back around it. Sources: KIP-101, KIP-279, KIP-320, KIP-497, KIP-903, KIP-966 and logs.md sections 2 to 4.
 */
import type { BatchHeader } from '../../proto/batch/frame.ts';
import type { BrokerError } from '../base/errors.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionEpoch,
  WallMs,
} from '../base/units.ts';

/** First offset of an epoch, in a log. Sorted by both. */
export interface EpochStart {
  readonly epoch: LeaderEpoch;
  readonly startOffset: Offset;
}

/** What recovery found on disk. */
export interface LogState {
  readonly startOffset: Offset;
  readonly endOffset: Offset;
  /** Epochs of the batches at or above the log start. */
  readonly epochs: readonly EpochStart[];
  /** min(checkpoint, end). */
  readonly highWaterMark: Offset;
  /** Everything below has passed fdatasync. */
  readonly syncedOffset: Offset;
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
  /** Broker that the leader is to drain for, then hand over to (rule 22); NO_BROKER when there is none. */
  readonly successor: BrokerId;
  /** Members of S that a reassignment takes out once q can spare them: q is raised by one for each (rule 19). Absent: none. */
  readonly leaving?: readonly BrokerId[];
}

/** What a follower states: its fetch position, which is its acknowledgement (rules 5, 6, 13, 14). */
export interface Position {
  readonly from: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly leaderEpoch: LeaderEpoch;
  /** Epoch of the follower's last batch, 0 for an empty log. */
  readonly lastEpoch: LeaderEpoch;
  readonly endOffset: Offset;
  readonly syncedOffset: Offset;
}

/** Acknowledgement asked for by a producer. */
export type AckLevel = 'none' | 'leader' | 'all';

export type PartitionInput =
  | { readonly kind: 'assign'; readonly assignment: Assignment }
  /** One whole, CRC-checked batch from a client. */
  | {
      readonly kind: 'append';
      readonly requestId: number;
      readonly ack: AckLevel;
      readonly header: BatchHeader;
      readonly wallMs: WallMs;
    }
  /** All writes up to `writeId` passed write(2) in full. */
  | { readonly kind: 'written'; readonly writeId: number }
  /** fdatasync has covered everything below. */
  | { readonly kind: 'synced'; readonly offset: Offset }
  /** A write or sync failed: resign and serve nothing more. */
  | { readonly kind: 'failed' }
  | { readonly kind: 'position'; readonly position: Position }
  /** Frames pushed by the leader; checked and split by the runtime; contiguous from `headers[0].baseOffset`. May be empty: a HW push. */
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
  /** The leader's log starts above our end: drop everything and start there (still below or at its HW). */
  | {
      readonly kind: 'reset-to';
      readonly from: BrokerId;
      readonly leaderEpoch: LeaderEpoch;
      readonly startOffset: Offset;
    }
  | {
      readonly kind: 'sync-set-result';
      readonly proposalId: number;
      readonly error: BrokerError | null;
    }
  /** Leader only: retention wants to drop everything below `offset`. */
  | { readonly kind: 'retire'; readonly offset: Offset }
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
  /** Leader: append an epoch-start control batch. */
  | {
      readonly kind: 'epoch-start';
      readonly writeId: number;
      readonly baseOffset: Offset;
      readonly leaderEpoch: LeaderEpoch;
    }
  /** Follower: append frames `first` to `last` (exclusive) of the `frames` input in hand. */
  | {
      readonly kind: 'replicate';
      readonly writeId: number;
      readonly first: number;
      readonly last: number;
      readonly endOffset: Offset;
    }
  /** Cut the log to end at `toOffset`; lowers the recovery point, synced. `keepAside`: below our HW, under an unclean epoch. */
  | {
      readonly kind: 'truncate';
      readonly writeId: number;
      readonly toOffset: Offset;
      readonly keepAside: boolean;
    }
  /** Drop everything; the log is empty and starts at `startOffset`. */
  | { readonly kind: 'reset'; readonly writeId: number; readonly startOffset: Offset }
  /** Raise the log start (journalled before files go). */
  | { readonly kind: 'retire'; readonly writeId: number; readonly startOffset: Offset };

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
    /** The member has lost what it acknowledged, and cannot be spared: it stays in S as a suspect. */
    | { readonly op: 'distrust'; readonly member: BrokerId }
    /** Drained: the successor may lead. */
    | { readonly op: 'hand-over'; readonly successor: BrokerId };
}

export interface PartitionOutput {
  readonly writes: readonly LogWrite[];
  readonly replies: readonly { readonly requestId: number; readonly result: AppendResult }[];
  readonly messages: readonly FollowerMessage[];
  /** As a follower: state this position to the leader, if not null. */
  readonly position: { readonly to: BrokerId; readonly position: Position } | null;
  /** Ask the controller for this change, if not null. At most one is in flight (rule 11). */
  readonly proposal: SyncSetProposal | null;
  /** HW or readable end moved, or the leader changed: wake readers and pushers. */
  readonly isChanged: boolean;
  /** The replica must stop and say why: it would have to truncate below its HW without an unclean epoch. */
  readonly stopped: string | null;
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
