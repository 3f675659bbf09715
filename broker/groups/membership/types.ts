/**
 * What goes into and comes out of the core that keeps the members of groups
 * (docs/rules.md#groups). One core serves the groups of one partition of `__groups`, for one
 * leadership of it: a *coordinator*. It is pure; whoever drives it owes it this:
 *
 * - `epoch` is the leader epoch of the coordinator's partition. A core serves one epoch and is then
 *   dropped; the next one begins from the fold of what is committed.
 * - A batch of records is appended as one, in that epoch, and never a second time. Then comes
 *   `committed`, or `lost` with the reason. Until then there is no other batch.
 * - What leaves (`replies`, `messages`) leaves at once: the core has kept back what had to wait for
 *   a commit. All of it is of committed state.
 * - `proxy` of an input is the broker that the input came from, as the transport knows it, never as
 *   the message says. All else is judged here.
 * - Topics are at least as of the entry of metadata by which this leadership began: no coordinator
 *   before went by later ones.
 * - `tick` comes every {@link TICK_MS} or so, with the monotonic clock.
 * - Groups that nobody uses are deleted by whoever drives it: here they have no age.
 *
 * **A member and its proxy.** A member is a process with an id of its own making. It *attaches*
 * through any broker, its *proxy*, by `join`, and is answered with the number of the attachment; a
 * `join` with a higher `attempt` attaches it elsewhere, and what comes of older attachments counts
 * no more. The proxy says every third of a session which of its members are alive (`heartbeat`),
 * each with the epoch of the last view that it *has applied*. Once two thirds of a session have
 * passed since it *sent* the last heartbeat that was answered, it delivers nothing more to that
 * member. A proxy that stops in order tells its members to attach elsewhere, and says nothing here.
 *
 * **A view** is what a member shall read: partitions with the epoch in which each was given to it,
 * and those that it shall let go. Views of a member have rising epochs; an older one is ignored.
 * To apply a view is: read nothing that is not in `assigned`, commit what was processed of that,
 * and begin with what is new, or has another epoch than before, at its cursor. Only then its epoch
 * is stated, which is what lets others have what was let go.
 *
 * **Cursors** are written by others, who ask `commitVerdict` first. The first cursor of a partition
 * is written before its first delivery, by whoever sees it in a view.
 */
import type { BrokerError } from '../../../base/errors.ts';
import type { BrokerId, MonotonicMs, TopicId } from '../../../base/units.ts';

/** Pause between ticks, ms. Of one that is twice as long what is beyond counts for no session. */
export const TICK_MS = 1_000;

/** How partitions are spread over members. */
export type AssignorName = 'balanced' | 'rack-aware' | 'range';
/** Every assignor. */
export const ASSIGNOR_NAMES: readonly AssignorName[] = ['balanced', 'rack-aware', 'range'];

/** What a name stands for; the two never share one. Queues have no members here. */
export type GroupType = 'group' | 'queue';
/** Every type of group. */
export const GROUP_TYPES: readonly GroupType[] = ['group', 'queue'];

/** A topic as metadata has it; internal ones are left out by whoever tells. */
export interface GroupTopic {
  readonly topicId: TopicId;
  /** 1 or more. */
  readonly partitions: number;
  /**
   * By partition: racks where it is read cheaply. May be empty or short. A change alone moves
   * nothing, so leaders may come and go.
   */
  readonly racks: readonly (readonly string[])[];
}

/** A member that wants to read, or to go on. */
export interface JoinRequest {
  readonly kind: 'join';
  readonly group: string;
  /** Random UUID of the process: 36 characters, lower case. Made anew after it was fenced. */
  readonly memberId: string;
  /**
   * Rises with each `join` of the process, from 1. The same one again is answered as before; a
   * lower one arrived late and is refused.
   */
  readonly attempt: number;
  /** Name of the place, such as the pod's, that outlives the process; '' if it has none. */
  readonly instanceId: string;
  /** '' if not known. */
  readonly rack: string;
  /** For people: program and host. May be ''. */
  readonly client: string;
  /** Names of topics, or beginnings such as `orders-*`; topics to come are waited for. */
  readonly topics: readonly string[];
  /** '' takes the group's; a new group's is `balanced`. Another is taken only without members. */
  readonly assignor: AssignorName | '';
  readonly sessionMs: number;
  /** What is left of the session once a living proxy says that the stream broke. */
  readonly graceMs: number;
  /** How long the place is kept when the session is over; 0 without an instance id. */
  readonly returnMs: number;
  /** Of the last view that the process applied; 0 in a new process. */
  readonly epoch: number;
  /** Id that the process had until it was fenced, '' if it was not: see `replaced`. */
  readonly formerId: string;
}

/** A member that goes in order: it has stopped reading, and committed. */
export interface LeaveRequest {
  readonly kind: 'leave';
  readonly group: string;
  readonly memberId: string;
  readonly attachment: number;
  /** Its place is kept for `returnMs`: for a restart. Only with an instance id. */
  readonly isReturning: boolean;
}

/** Somebody uses the group without members: it is made where it is not, and kept. */
export interface TouchRequest {
  readonly kind: 'touch';
  readonly group: string;
  readonly type: GroupType;
}

/** Removes a group that has no members. */
export interface DeleteRequest {
  readonly kind: 'delete';
  readonly group: string;
  readonly type: GroupType;
}

/**
 * Somebody moves cursors. Whoever holds one of these partitions is given it anew, so that its
 * commits of before are refused. At most 2,000 partitions at a time.
 */
export interface SeekRequest {
  readonly kind: 'seek';
  readonly group: string;
  readonly partitions: readonly { readonly topicId: TopicId; readonly partition: number }[];
  /** The cursors: appended in the same batch, as they are. */
  readonly riders: readonly StoredRecord[];
}

export type GroupRequest = JoinRequest | LeaveRequest | TouchRequest | DeleteRequest | SeekRequest;

/** One member in a heartbeat of its proxy. */
export interface MemberSign {
  readonly group: string;
  readonly memberId: string;
  readonly attachment: number;
  /** Of the last view that it has applied. */
  readonly epoch: number;
}

export type MembershipInput =
  | { readonly kind: 'tick'; readonly nowMs: MonotonicMs }
  /** Whether the controller hears this broker. Before the first of these it does not. */
  | { readonly kind: 'heard'; readonly isHeard: boolean }
  /**
   * All topics, by name, as of an entry of the metadata log: when one came, went or grew, since
   * every group is looked at then. Older ones than the last are ignored.
   */
  | {
      readonly kind: 'topics';
      readonly metadataIndex: number;
      readonly topics: ReadonlyMap<string, GroupTopic>;
    }
  | {
      readonly kind: 'request';
      readonly requestId: number;
      readonly proxy: BrokerId;
      readonly request: GroupRequest;
    }
  | {
      readonly kind: 'heartbeat';
      readonly requestId: number;
      readonly proxy: BrokerId;
      readonly members: readonly MemberSign[];
    }
  /** The stream of a member broke, and its proxy lives. */
  | {
      readonly kind: 'detached';
      readonly proxy: BrokerId;
      readonly group: string;
      readonly memberId: string;
      readonly attachment: number;
    }
  | { readonly kind: 'committed'; readonly epoch: number; readonly batchId: number }
  /**
   * The batch was not committed. Where its fate is unknown (`effect` of the error), this core does
   * nothing more: only the log can tell, and another core reads it.
   */
  | {
      readonly kind: 'lost';
      readonly epoch: number;
      readonly batchId: number;
      readonly error: BrokerError;
    };

/** A record of `__groups` as it is stored: JSON texts. A null value deletes. */
export interface StoredRecord {
  readonly key: string;
  readonly value: string | null;
}

/** Records that belong together. */
export interface MembershipBatch {
  readonly epoch: number;
  readonly batchId: number;
  readonly records: readonly StoredRecord[];
  /** Groups that end with it: a tombstone for each of their cursors goes into the same batch. */
  readonly removedGroups: readonly string[];
}

/** A partition that a member reads. */
export interface AssignedPartition {
  readonly topicId: TopicId;
  readonly partition: number;
  /** Of the group when it was given to the member. Commits state this one or a later one. */
  readonly epoch: number;
}

/** What a member shall read. */
export interface MemberView {
  readonly epoch: number;
  readonly assigned: readonly AssignedPartition[];
  /** To be let go: still the member's until it has stated the epoch. */
  readonly revoked: readonly AssignedPartition[];
}

/**
 * Why an attachment is over. `attached-elsewhere`: this member, by another proxy. `replaced`:
 * another process has its instance id, and this one must not come back by itself. `expired`, and
 * `unknown` where nobody remembers why: join again under a new id.
 */
export type FenceReason = 'attached-elsewhere' | 'replaced' | 'expired' | 'left' | 'unknown';

/** For one member, by the proxy that it is or was attached to. */
export type MemberMessage =
  | {
      readonly kind: 'view';
      readonly proxy: BrokerId;
      readonly group: string;
      readonly memberId: string;
      readonly attachment: number;
      readonly view: MemberView;
    }
  | {
      readonly kind: 'fenced';
      readonly proxy: BrokerId;
      readonly group: string;
      readonly memberId: string;
      readonly attachment: number;
      readonly reason: FenceReason;
    };

export type GroupReply =
  | { readonly kind: 'joined'; readonly attachment: number; readonly view: MemberView }
  /**
   * It was fenced, and another process has its place by now: of the two that one is the newer, so
   * this one must not come back by itself. It is no member.
   */
  | { readonly kind: 'replaced' }
  /** Left, or was no member any more. */
  | { readonly kind: 'left' }
  | { readonly kind: 'touched' }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'sought' }
  /**
   * The coordinator lives. What members of it missed comes as messages beside it. Those that are
   * refused are members no more, or not by that attachment: it renews nothing of theirs.
   */
  | { readonly kind: 'heartbeat'; readonly refused: readonly RefusedSign[] };

/** A sign of life that does not count. */
export interface RefusedSign {
  /** Its place in the heartbeat. */
  readonly at: number;
  readonly reason: FenceReason;
}

export interface MembershipOutput {
  /** To be appended, or null. */
  readonly batch: MembershipBatch | null;
  readonly replies: readonly {
    readonly requestId: number;
    readonly reply: GroupReply | BrokerError;
  }[];
  readonly messages: readonly MemberMessage[];
}

/** Options of the core. */
export interface MembershipOptions {
  /** Leader epoch of the partition that the groups are kept in, 1 or more. */
  readonly epoch: number;
  /** Session of brokers, ms. That of a member is at least twice as long. */
  readonly brokerSessionMs: number;
  /** From which on a batch is full; one request may add some. 1 or more, 500 in a broker. */
  readonly batchRecordsMax: number;
  readonly nowMs: MonotonicMs;
}
