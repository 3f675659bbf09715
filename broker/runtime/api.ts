/**
 * What the runtime offers to `service` and `telemetry`: one broker, seen from inside its process.
 * Everything that can fail throws or rejects with a BrokerError, but for {@link BrokerApi.append}.
 */
import type { BrokerError } from '../../base/errors.ts';
import type {
  BrokerId,
  LeaderEpoch,
  Offset,
  PartitionKey,
  TopicId,
  WallMs,
} from '../../base/units.ts';
import type { FairShares } from '../access/fair-shares.ts';
import type { Rights } from '../access/rules.ts';
import type { CursorBeginning, CursorCommit, CursorSeek } from '../groups/cursors.ts';
import type { Cursor, GroupCursors } from '../groups/fold.ts';
import type {
  GroupReply,
  GroupRequest,
  MemberMessage,
  MemberSign,
  RefusedSign,
} from '../groups/membership/types.ts';
import type { GroupDescription } from '../groups/membership/views.ts';
import type { ClockDoubt } from '../metadata/clock-trust.ts';
import type { Decision, ControllerRequest } from '../metadata/controller-types.ts';
import type { RebalancePlan } from '../metadata/rebalance.ts';
import type { DisruptionVerdict, StopVeto } from '../metadata/safety.ts';
import type { SpreadFault } from '../metadata/spread.ts';
import type { MetadataImage, QueueDefinition, RestartClass } from '../metadata/types.ts';
import type { QueueDescription } from '../queues/describe.ts';
import type { Position as QueuePosition } from '../queues/progress.ts';
import type {
  Acknowledgement as QueueAcknowledgement,
  Delivery as QueueDelivery,
  LetterResult,
  LetterTask,
  Outcome as QueueOutcome,
  QueueInput,
  QueuePlace,
} from '../queues/types.ts';
import type { Present } from '../metadata/explain.ts';
import type { RaftStatus } from '../raft/types.ts';
import type { CompactionStatus } from '../replication/compactions.ts';
import type { AppendResult, AppendTerms } from '../replication/types.ts';
import type { PartitionStatus } from '../replication/partition.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import type { SeenDecision } from './controller/decision-log.ts';
import type { CrossedLoss, ReaderWay } from './partitions/crossed-losses.ts';
import type { CompactionTotals } from './partitions/compactor.ts';
import type { CompactionProgress } from './partitions/replica-compaction.ts';
import type { LogRead, NodeInfo } from './ports.ts';

/** Where the broker is in its life. `serving`: registered, unfenced, and its metadata is fresh. */
export type BrokerPhase =
  | 'unformatted'
  | 'joining'
  | 'recovering'
  | 'serving'
  | 'stopping'
  | 'failed';

/** Marks of one replica, read as one snapshot (rule 9). */
export interface ReplicaMarks {
  readonly isLeader: boolean;
  readonly leader: BrokerId;
  readonly leaderEpoch: number;
  readonly logStart: Offset;
  readonly highWaterMark: Offset;
  /** Null: not known until the epoch start is committed (rule 7). */
  readonly latest: Offset | null;
  /** The log start; null while a trim that is not committed may raise it. */
  readonly earliest: Offset | null;
}

/** A decision, and the name of its topic. */
export interface NamedDecision extends SeenDecision {
  readonly topic: string;
}

/** A read, with the marks of the same moment. */
export interface ReplicaRead extends LogRead {
  readonly marks: ReplicaMarks;
  readonly deletions: DeletionMarks;
}

/**
 * What a reader of a compacted log must know to miss no deletion: who has read records of a log
 * that was compacted to X goes on from any log that holds the tombstones at and above X.
 */
export interface DeletionMarks {
  /** Below it a key had one record at most before anything was read. */
  readonly compactedTo: Offset;
  /** Below it tombstones may be gone since everything was read. */
  readonly tombstonesBelow: Offset;
}

/** One replica of this broker, as `DescribeBroker` and the metrics tell it. */
export interface ReplicaReport {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly status: PartitionStatus;
  readonly sizeBytes: number;
  /** Why the replica is stopped, or null. */
  readonly stopped: string | null;
  readonly compaction: CompactionReport;
}

/** How far a replica is compacted, and what there is to compact. */
export interface CompactionReport extends CompactionStatus, CompactionProgress {
  /** Bytes of its log below the high-water mark that no order was given for; 0 of other topics. */
  readonly dirtyBytes: number;
  /** Bytes of its log that an order was given for. */
  readonly cleanBytes: number;
  /** Of its log; 0 of other topics. */
  readonly segments: number;
}

/** This broker's own state. */
export interface BrokerReport {
  readonly phase: BrokerPhase;
  readonly restartClass: RestartClass;
  readonly restartReason: string;
  readonly replicas: readonly ReplicaReport[];
  readonly freeBytes: number;
  /** Of the data volume. */
  readonly totalBytes: number;
  /** Why no records are taken for want of space, in words; null while they are. */
  readonly diskFault: string | null;
  readonly flushAgeMs: number;
  readonly stuckWriteMs: number;
  readonly uptimeMs: number;
  readonly raft: RaftStatus | null;
  /** Why this broker does not follow the metadata any further, in words; null while it does. */
  readonly metadataFault: string | null;
  /**
   * How far this broker's clock is ahead of the median of all brokers' clocks; null while not
   * known.
   */
  readonly clockSkewMs: number | null;
  /** Why the clock is not believed, and retention by time waits; null: it is, and does not. */
  readonly clockDoubt: ClockDoubt | null;
  /** What passes of compaction came to since the broker started. */
  readonly compactions: CompactionTotals;
  /** Options in force. */
  readonly options: readonly OptionReport[];
}

/** An option, its value in force, and where that comes from. */
export interface OptionReport {
  /** Flag. */
  readonly name: string;
  readonly value: string;
  readonly source: 'default' | 'environment' | 'flag' | 'cluster';
  readonly isLive: boolean;
}

/** How a partition stands, and how it came to that. */
export interface Explanation extends Present {
  readonly decisions: readonly SeenDecision[];
  /** Index of the first entry of metadata that this broker has seen since it started. */
  readonly rememberedFrom: number;
}

/** How far one position is behind, by what the leader knows. */
export interface PositionLag {
  /** Of the committed data. */
  readonly endOffset: Offset;
  /** From the position to that end; 0 where it lies beyond. */
  readonly records: number;
  /** Since when a record at the position or above is committed; 0: there is none. */
  readonly ageMs: number;
  /** It is longer than that. */
  readonly isLeast: boolean;
  readonly leaderEpoch: LeaderEpoch;
  readonly logStart: Offset;
  /** Of the record before the position; 0: there is none, or nobody knows. */
  readonly epochBefore: LeaderEpoch;
}

/** Which member commits. */
export interface CommittingMember {
  readonly memberId: string;
  readonly attachment: number;
  /** In the order of the commits: epoch of each partition by which it was read. */
  readonly epochs: readonly number[];
}

/**
 * Groups that this broker coordinates. Everything throws, or rejects with, NOT_LEADER where another
 * broker does, and BROKER_NOT_READY while this one is not sure of what is committed.
 */
export interface GroupsApi {
  /** The group as it is committed; undefined: there is none. */
  view(group: string): GroupCursors | undefined;
  /**
   * Each of one group, judged by itself; resolves once all that were not refused are committed.
   * Rejects with what became of all of them.
   */
  commit(
    commits: readonly CursorCommit[],
    member: CommittingMember | null,
  ): Promise<readonly (Cursor | BrokerError)[]>;
  /** The same for seeks. */
  seek(seeks: readonly CursorSeek[]): Promise<readonly (Cursor | BrokerError)[]>;
  /**
   * Makes a cursor for each of these partitions that has none; in their order. All of one batch, so
   * that of a topic either none was begun or all were.
   */
  begin(
    group: string,
    beginnings: readonly CursorBeginning[],
  ): Promise<readonly (Cursor | BrokerError)[]>;
  /** Members of a group, as committed; null: it never had any. */
  describe(group: string): GroupDescription | null;
  /** What a member asks, through its proxy. Rejects with the refusal. */
  ask(proxy: BrokerId, request: GroupRequest): Promise<GroupReply>;
  /**
   * These members live, of groups of one partition of `__groups`. Resolves with those that are none
   * any more; what else they have missed is told as messages beside the answer.
   */
  heartbeat(
    proxy: BrokerId,
    partition: number,
    signs: readonly MemberSign[],
  ): Promise<readonly RefusedSign[]>;
  /** The stream of a member broke, and its proxy lives. */
  detached(proxy: BrokerId, member: Omit<MemberSign, 'epoch'>): void;
  /** Calls back with what coordinators here tell members, by their proxies. */
  onMessages(listener: (messages: readonly MemberMessage[]) => void): Cancel;
  /** Forgets a group without members; resolves with how many cursors it had. */
  remove(group: string): Promise<number>;
  /** Somebody uses the group, so that it is kept. */
  use(group: string): Promise<void>;
  /** All groups of one partition of `__groups`. */
  coordinatedIn(partition: number): ReadonlyMap<string, GroupCursors>;
  /** Of all partitions that this broker answers for now. */
  coordinated(): ReadonlyMap<string, GroupCursors>;
  /** Of a partition that this broker leads; else as {@link BrokerApi.marks} refuses. */
  lagOf(topicId: TopicId, partition: number, offset: Offset): PositionLag;
}

/** How a partition of a queue stands. */
export interface OwnedReport extends QueueDescription {
  /** That it begins, and where, is committed. */
  readonly hasBegun: boolean;
  /** The first record that is not settled. */
  readonly floor: Offset;
  /** The first few that hold their keys. */
  readonly parkedOffsets: readonly Offset[];
}

/** A partition of a queue that this broker owns: `broker/queues/types.ts` says what it answers. */
export interface OwnedQueue {
  readonly definition: QueueDefinition;
  readonly place: QueuePlace;
  /** `done` resolves with none where it was withdrawn, and never once it is cancelled. */
  ask(
    memberId: string,
    records: number,
    bytes: number,
  ): {
    readonly done: Promise<readonly QueueDelivery[]>;
    readonly withdraw: () => void;
    readonly cancel: () => void;
  };
  /** In the order of the acknowledgements. */
  settle(
    memberId: string,
    acknowledgements: readonly QueueAcknowledgement[],
  ): Promise<readonly QueueOutcome[]>;
  memberGone(memberId: string): void;
  /** The log holds these no more: they were to be read for whom they were leased to. */
  missing(records: readonly Pick<QueueDelivery, 'offset' | 'epoch'>[]): void;
  /** Rejects with INVALID_ARGUMENT where no record is parked there. */
  freeKey(offset: Offset): Promise<void>;
  report(): OwnedReport;
}

/** What an owner learns of its partition. */
export type QueueNews = Extract<QueueInput, { readonly kind: 'data' | 'diverged' | 'log-start' }>;

/** Reads one partition for its owner. */
export interface QueueReading {
  /** Null: nothing for now, or the queue has not begun. Called after each step. */
  want(
    wanted: { readonly offset: Offset; readonly records: number } | null,
    position: QueuePosition | null,
  ): void;
  close(): void;
}

/** What owners need of other partitions; none of it ever rejects. */
export interface QueueWorld {
  read(place: QueuePlace, take: (news: QueueNews) => void): QueueReading;
  bury(queue: QueueDefinition, place: QueuePlace, task: LetterTask): Promise<LetterResult>;
  /** End of what is committed, and the epoch before it; null: not known now. */
  end(topicId: TopicId, partition: number): Promise<QueuePosition | null>;
}

/** Partitions of queues that this broker owns. */
export interface QueuesApi {
  /** From now on they are served. */
  serve(world: QueueWorld): void;
  /** Throws UNKNOWN_QUEUE, UNKNOWN_PARTITION, NOT_LEADER or BROKER_NOT_READY. */
  owned(queueId: string, partition: number): OwnedQueue;
  all(): Iterable<OwnedQueue>;
}

export interface BrokerApi {
  readonly brokerId: BrokerId;
  /** Time as this broker has it: whoever answers its calls waits by it. */
  readonly clock: Clock;
  /** The wall clock, set right by what is known of the other brokers': for records' timestamps. */
  clusterWallMs(): WallMs;
  phase(): BrokerPhase;
  /**
   * Whether what its metadata lacks does not exist: it serves, or did when its orderly stop began.
   * Before that its metadata may be as old as its last stop, or empty.
   */
  isInformed(): boolean;
  nodeInfo(): NodeInfo;
  /** Committed metadata as this broker has it. */
  image(): MetadataImage;
  /** What a principal may do, by the rules as this broker has them. */
  rightsOf(principal: string): Rights;
  /** Patterns of principals that may do everything, by this broker's options. */
  readonly administrators: readonly string[];
  report(): BrokerReport;
  /** Largest bytes of frames in flight on one produce stream before OVERLOADED. */
  readonly produceWindowBytes: number;
  /** What producers have under way here. */
  readonly shares: FairShares;

  /** Throws BROKER_NOT_READY before this broker belongs to a cluster. */
  groups(): GroupsApi;
  /** The same. */
  queues(): QueuesApi;

  /** Forms the cluster with this broker as its first voter. */
  bootstrap(clusterId: string): Promise<{ readonly directoryId: string }>;
  /** Asks the controller, wherever it is; retries NOT_CONTROLLER within the deadline. */
  decide(request: ControllerRequest, deadlineMs: number): Promise<Decision>;

  /**
   * Appends one whole frame as its producer made it, if this broker leads the partition: checks
   * format and CRC, stamps it in place. `done` is called exactly once, perhaps before this returns,
   * with every refusal too: nothing is thrown. The frame's memory belongs to the log from here on.
   */
  append(
    topicId: TopicId,
    partition: number,
    frame: Uint8Array,
    terms: AppendTerms,
    done: (result: AppendResult) => void,
  ): void;
  /**
   * Throws REFUSED while some leader may not know what an append expects of the end of the log, and
   * would append in any case.
   */
  requireExpectedEnds(): void;
  /**
   * Makes the log begin at `offset`, or where its batch does, if this broker leads the partition.
   * Resolves with the log start once that is committed, so that it holds whoever leads. May be
   * repeated. Rejects with REFUSED while some broker could not read it.
   */
  trim(topicId: TopicId, partition: number, offset: Offset): Promise<Offset>;
  /**
   * Committed frames from `offset` on, at most `bytesMax` but at least one when there is one.
   * `epoch`: leader epoch of the record before `offset`, 0 when not known; where the log disagrees:
   * POSITION_DIVERGED (rule 21). Answers at once from memory where it can.
   */
  read(
    topicId: TopicId,
    partition: number,
    position: {
      readonly offset: Offset;
      readonly epoch: number;
      readonly bytesMax: number;
      readonly allowFollower: boolean;
      /**
       * With `allowFollower`: only while this replica is a trusted member of S that the controller
       * hears, else NOT_LEADER.
       */
      readonly inSyncOnly?: boolean;
    },
  ): ReplicaRead | Promise<ReplicaRead>;
  /**
   * Loss reports of the partition that a reader comes across on its way, oldest first (P11). A
   * replica that serves an epoch knows all reports up to it, but for those that metadata dropped.
   */
  crossedLosses(topicId: TopicId, partition: number, way: ReaderWay): readonly CrossedLoss[];
  /**
   * Calls back, at most once per turn of the loop, whenever the replica's marks, role or existence
   * changed.
   */
  watch(topicId: TopicId, partition: number, callback: () => void): Cancel;
  marks(topicId: TopicId, partition: number): ReplicaMarks;
  /**
   * Where the first committed batch of records begins that ends above `fromOffset` and holds this
   * time or a later one, as its header says; null: none does.
   */
  offsetForTimestamp(
    topicId: TopicId,
    partition: number,
    timestampMs: number,
    fromOffset: Offset,
  ): Promise<Offset | null>;

  /** Calls back when the image changed, at most once per turn of the loop. */
  watchImage(callback: () => void): Cancel;
  /** Pure verdict on stopping these brokers together, from committed metadata. */
  checkDisruption(brokerIds: readonly BrokerId[]): DisruptionVerdict;
  /** Why this broker should not stop yet, from committed metadata; null where it may. */
  stopVeto(): StopVeto | null;
  /**
   * The moves that would balance the cluster, from committed metadata. `sizes`: bytes of one
   * replica; partitions that are absent count as empty.
   */
  planRebalance(sizes: ReadonlyMap<PartitionKey, number>): RebalancePlan;
  /** How a partition stands, and what this broker has seen decided about it, oldest first. */
  explain(topicId: TopicId, partition: number): Explanation;
  /** This broker leads the metadata quorum, as far as it knows. */
  isController(): boolean;
  /** What it has seen decided in later entries of the metadata log, of topics that there are. */
  decisionsAfter(index: number): readonly NamedDecision[];
  /** Partitions whose replicas share a rack, and why, from committed metadata. */
  spreadFaults(): readonly SpreadFault[];
  /**
   * Begins to drain leadership; resolves with the number of partitions that nobody else can lead.
   */
  prepareStop(): Promise<{ readonly leadersLeft: number; readonly reason: string }>;
  /** Takes that back. Rejects once the process is on its way out. */
  cancelStop(): Promise<void>;
}
