/**
 * Inputs and outputs of the controller core: the broker that leads the metadata quorum runs one. It
 * answers requests by proposing records; an answer is given only once its records are committed.
 */
import type { AccessOperation, AccessPlace, AccessRule } from '../../base/access.ts';
import type { QueueSettings } from '../../base/queues.ts';
import type { Quota } from '../../base/quotas.ts';
import type { Fact } from '../../base/events.ts';
import type { BrokerError } from '../../base/errors.ts';
import type { HostPort } from '../../base/host-port.ts';
import type { ListenerAddress } from '../../base/listeners.ts';
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  Offset,
  PartitionEpoch,
  TopicId,
  WallMs,
} from '../../base/units.ts';
import type {
  MetadataImage,
  MetadataRecord,
  ProcessStart,
  RestartClass,
  TopicConfig,
  TopicDefaults,
  NamedProducer,
} from './types.ts';
import type { VoterId } from './voters.ts';

/** A broker says who it is (rule 17, P7). */
export interface RegisterRequest {
  readonly kind: 'register';
  readonly clusterId: string;
  readonly brokerId: BrokerId;
  readonly directoryId: string;
  /** Broker epoch in the session file of this start; 0 when there is none. */
  readonly sessionEpoch: BrokerEpoch;
  readonly restartClass: RestartClass;
  /** Where clients dial it. */
  readonly host: string;
  readonly port: number;
  /** Where brokers dial it; absent: the same. */
  readonly internal?: HostPort;
  readonly rack: string;
  readonly featureLevelMax: number;
  /**
   * Start of the process that asks: its request may be repeated, and may arrive long after it.
   * Absent: a build that does not say.
   */
  readonly start?: ProcessStart;
}

/** What a broker says of one of its replicas, where metadata says otherwise. */
export interface AbilityStatement {
  readonly topicId: TopicId;
  readonly partition: number;
  /** Why the replica cannot lead; empty: it can. */
  readonly reason: string;
}

/** Sent every `heartbeatMs` by a registered broker. Asking for nothing still proves life. */
export interface HeartbeatRequest {
  readonly kind: 'heartbeat';
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** The broker has applied its own registration and synced the epoch into its session file. */
  readonly wantsUnfence: boolean;
  /**
   * An orderly stop has begun, and what is led here has drained (rule 22): move leaders away, then
   * allow it.
   */
  readonly wantsStop: boolean;
  /** An I/O error happened: distrust this broker's partition data at once. */
  readonly lossy: boolean;
  /** The broker's clock; absent: not stated. */
  readonly wallMs?: WallMs;
  /**
   * The orderly stop is over but for closing files: fence the broker now, so that no partition
   * waits for its acknowledgements until its silence is noticed.
   */
  readonly leaves?: boolean;
  /** The orderly stop is taken back, or never was: this broker may lead again. */
  readonly stays?: boolean;
  /**
   * Metadata that the broker has applied, and judges appends by; absent: its build does not say.
   */
  readonly metadataIndex?: number;
  /**
   * An orderly stop has begun, and what is led here still drains: give this broker nothing more to
   * lead.
   */
  readonly drains?: boolean;
  /**
   * Replicas of which metadata says something else than this broker. Absent: a build that does not
   * say, or nothing to say.
   */
  readonly abilities?: readonly AbilityStatement[];
  /**
   * Addresses of the broker's named listeners, all of them. Absent: a build that has none, or
   * metadata says the same.
   */
  readonly listeners?: readonly ListenerAddress[];
}

/** A change of (S, q) that a leader asks for. Compare-and-set on both epochs. */
export interface SyncSetChange {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  /**
   * `add`: certified, caught up; carries the broker epoch the follower's position named. `remove`:
   * lags. `trust`: a suspect was certified. `raise`: q + 1.
   */
  readonly change:
    | { readonly op: 'add'; readonly member: BrokerId; readonly memberEpoch: BrokerEpoch }
    | { readonly op: 'remove'; readonly member: BrokerId }
    | { readonly op: 'trust'; readonly member: BrokerId; readonly memberEpoch: BrokerEpoch }
    | { readonly op: 'raise'; readonly quorum: number }
    /**
     * The member's log has lost what it acknowledged: no evidence until it is certified again (P7,
     * P8). It leaves S where it can be spared.
     */
    | { readonly op: 'distrust'; readonly member: BrokerId }
    /** The leader has drained for the successor that metadata named: let it lead. */
    | { readonly op: 'hand-over'; readonly successor: BrokerId };
}

/** A leader asks for a change of (S, q) (rules 11 to 13). */
export interface AlterSyncSetRequest extends SyncSetChange {
  readonly kind: 'alter-sync-set';
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
}

/**
 * The same for many partitions, each judged alone (as AlterPartition of KIP-497): of a broker that
 * comes back, every leader has something to ask for in the same second.
 */
export interface AlterSyncSetsRequest {
  readonly kind: 'alter-sync-sets';
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** From 1 to {@link SYNC_SET_CHANGES_MAX}. */
  readonly changes: readonly SyncSetChange[];
}

/** What the sender of a request went by: what has changed since makes the request late. */
export interface Judged {
  /** Of the sender's metadata. */
  readonly metadataIndex: number;
  /** The topic that the name in the request stood for; empty: none. */
  readonly topicId: TopicId;
  /** Of the partition in the request; 0: none. */
  readonly leaderEpoch: LeaderEpoch;
}

/** On whose behalf a broker asks. */
interface OnBehalf {
  /**
   * By the name that a listener which authenticates knows the caller by. Absent: nobody was asked
   * for a name.
   */
  readonly principal?: string;
}

/** A request that a person makes, or a tool. */
interface Asked extends OnBehalf {
  /** Absent: a build that does not say. */
  readonly judged?: Judged;
}

export interface CreateTopicRequest extends Asked {
  readonly kind: 'create-topic';
  readonly topicId: TopicId;
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Absent settings take the broker's defaults; minInSyncReplicas follows that of the cluster. */
  readonly config: Partial<TopicConfig>;
  /** Explicit replica lists per partition; empty lets placement choose. */
  readonly assignments: readonly (readonly BrokerId[])[];
  readonly validateOnly: boolean;
}

export interface AlterTopicRequest extends Asked {
  readonly kind: 'alter-topic';
  readonly name: string;
  /** Absent ones stay. minInSyncReplicas may be `MIN_OF_CLUSTER`. */
  readonly config: Partial<TopicConfig>;
  /** New, larger partition count; 0 leaves it. */
  readonly partitions: number;
  /**
   * New replication factor; 0 leaves it. Replicas are placed, caught up and swapped like in a
   * reassignment.
   */
  readonly replicationFactor: number;
  /**
   * How long a raised minInSyncReplicas may wait for sync sets to satisfy it; 0: refuse at once.
   */
  readonly waitMs: number;
}

export interface DeleteTopicRequest extends Asked {
  readonly kind: 'delete-topic';
  readonly name: string;
}

/**
 * A broker needs a topic of the cluster's own. It is made if it is not there yet, whoever asked
 * first: nothing of the request but its name counts.
 */
export interface MakeInternalTopicRequest {
  readonly kind: 'make-internal-topic';
  /** That it will have, if it is made. */
  readonly topicId: TopicId;
  readonly name: string;
}

export interface InitProducerRequest extends OnBehalf {
  readonly kind: 'init-producer';
  /** Empty: an anonymous id, epoch 0. */
  readonly name: string;
  /**
   * Granted only while the name has this; null: while it is not known. So an attempt that arrives
   * late, after somebody else has taken the name, changes nothing. Absent: whatever it has.
   */
  readonly expected?: NamedProducer | null;
}

/**
 * Move leadership: to `target`, or to the preferred replica when NO_BROKER. `unclean` needs the
 * topic's consent and every replica given up by name.
 */
export interface ElectLeaderRequest extends Asked {
  readonly kind: 'elect-leader';
  readonly topic: string;
  readonly partition: number;
  readonly target: BrokerId;
  readonly unclean: boolean;
  /** Last-known members that a person has declared gone for ever. */
  readonly givenUp: readonly BrokerId[];
}

/**
 * Move replicas of one partition (rule 19: grow, catch up, shrink). An empty list cancels what is
 * under way and goes back.
 */
export interface ReassignRequest extends Asked {
  readonly kind: 'reassign';
  readonly topic: string;
  readonly partition: number;
  /** Target, preferred leader first. */
  readonly replicas: readonly BrokerId[];
}

/** Cordon a broker and move everything away from it; or take that back. */
export interface DecommissionRequest extends Asked {
  readonly kind: 'decommission';
  readonly brokerId: BrokerId;
  readonly isCancelled: boolean;
}

/**
 * Forget a broker. Refused while it is unfenced, holds a replica whose partition would be left
 * below min elsewhere, or votes.
 */
export interface RemoveBrokerRequest extends Asked {
  readonly kind: 'remove-broker';
  readonly brokerId: BrokerId;
}

/** Absent settings stay as they are; so does what is absent within them. */
export interface SettingsChange {
  readonly moveBytesPerSecond?: number;
  /** By flag; an empty text takes a setting back. */
  readonly brokerOptions?: Readonly<Record<string, string>>;
  /** A number of 0 takes a default back. */
  readonly topicDefaults?: TopicDefaults;
}

export interface SetSettingsRequest extends Asked {
  readonly kind: 'set-settings';
  readonly settings: SettingsChange;
}

/** Lets a principal do something beside what it may do there already. */
export interface GrantAccessRequest extends Asked {
  readonly kind: 'grant-access';
  readonly rule: AccessRule;
  /** For LogAccess resources: what is new of it is noted as given by them. */
  readonly isGiven?: boolean;
}

/** Takes operations of the rule of this place back; none named: all. */
export interface RevokeAccessRequest extends Asked {
  readonly kind: 'revoke-access';
  readonly place: AccessPlace;
  readonly operations: readonly AccessOperation[];
  /** Only what LogAccess resources gave. */
  readonly isGiven?: boolean;
}

/** Limits that are absent stay as they are. */
export interface SetQuotaRequest extends Asked {
  readonly kind: 'set-quota';
  readonly quota: Quota;
}

/** Takes all limits of a principal away. */
export interface DeleteQuotaRequest extends Asked {
  readonly kind: 'delete-quota';
  readonly quotaOf: string;
}

/** What is absent has its default. Done already where the queue is there under this id. */
export interface CreateQueueRequest extends Asked {
  readonly kind: 'create-queue';
  readonly queueId: string;
  readonly name: string;
  readonly topic: string;
  readonly config: Partial<QueueSettings>;
  /** Begins behind what is committed by then; else at the log start. */
  readonly isFromLatest: boolean;
}

/** What is absent stays as it is. */
export interface AlterQueueRequest extends Asked {
  readonly kind: 'alter-queue';
  readonly name: string;
  readonly config: Partial<QueueSettings>;
}

export interface DeleteQueueRequest extends Asked {
  readonly kind: 'delete-queue';
  readonly name: string;
}

/** Requests that carry {@link Judged}. */
export type AskedRequest =
  | CreateTopicRequest
  | AlterTopicRequest
  | DeleteTopicRequest
  | ElectLeaderRequest
  | ReassignRequest
  | DecommissionRequest
  | RemoveBrokerRequest
  | SetSettingsRequest
  | GrantAccessRequest
  | RevokeAccessRequest
  | SetQuotaRequest
  | DeleteQuotaRequest
  | CreateQueueRequest
  | AlterQueueRequest
  | DeleteQueueRequest;

export type ControllerRequest =
  | RegisterRequest
  | HeartbeatRequest
  | AlterSyncSetRequest
  | AlterSyncSetsRequest
  | InitProducerRequest
  | MakeInternalTopicRequest
  | AskedRequest;

/** An answer as it leaves the controller's broker. */
export type Decision = ControllerReply & {
  /**
   * A broker whose metadata has come so far shows what was decided. Absent: a build that does not
   * say.
   */
  readonly metadataIndex?: number;
};

/** Answers, by kind of request. */
export type ControllerReply =
  | {
      readonly kind: 'register';
      readonly brokerEpoch: BrokerEpoch;
      readonly restartClass: RestartClass;
    }
  | {
      readonly kind: 'heartbeat';
      readonly fenced: boolean;
      readonly mayStop: boolean;
      readonly leadersLeft: number;
      readonly clockSkewMs?: number;
    }
  | { readonly kind: 'alter-sync-set'; readonly partitionEpoch: PartitionEpoch }
  /** One outcome for each change: the new partition epoch, or why it was refused. */
  | {
      readonly kind: 'alter-sync-sets';
      readonly outcomes: readonly (PartitionEpoch | BrokerError)[];
    }
  | { readonly kind: 'create-topic'; readonly topicId: TopicId }
  | { readonly kind: 'alter-topic' }
  | { readonly kind: 'delete-topic' }
  | { readonly kind: 'make-internal-topic' }
  | { readonly kind: 'init-producer'; readonly producerId: number; readonly producerEpoch: number }
  | { readonly kind: 'reassign' }
  /** Replicas still to be moved away. */
  | { readonly kind: 'decommission'; readonly replicasLeft: number }
  | { readonly kind: 'remove-broker' }
  | { readonly kind: 'set-settings' }
  | { readonly kind: 'grant-access' }
  | { readonly kind: 'revoke-access' }
  | { readonly kind: 'set-quota' }
  | { readonly kind: 'delete-quota' }
  | { readonly kind: 'create-queue' }
  | { readonly kind: 'alter-queue' }
  | { readonly kind: 'delete-queue' }
  | { readonly kind: 'elect-leader'; readonly leader: BrokerId; readonly leaderEpoch: LeaderEpoch };

export type ControllerInput =
  | { readonly kind: 'tick'; readonly nowMs: MonotonicMs; readonly wallMs: WallMs }
  | { readonly kind: 'request'; readonly requestId: number; readonly request: ControllerRequest }
  /**
   * The proposal is committed and folded into the image that the runtime holds, which is of this
   * index.
   */
  | { readonly kind: 'committed'; readonly proposalId: number; readonly index: number }
  /** Who votes in the metadata quorum. Until it was told, the controller removes no broker. */
  | { readonly kind: 'voters'; readonly voters: readonly VoterId[] }
  /** A broker's connection was reset: probe it now instead of waiting for its session. */
  | { readonly kind: 'disconnected'; readonly brokerId: BrokerId }
  /** Result of a probe: `refused` means nothing listens there, so the process is dead. */
  | {
      readonly kind: 'probed';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
      readonly result: 'alive' | 'refused' | 'silent';
    }
  /**
   * Answer to an inspection: the (last epoch, end) of one replica's log. `null`: it did not answer.
   * `brokerEpoch` is that of the inspection: an answer that a dead incarnation gave says nothing
   * about the disk of the present one.
   */
  | {
      readonly kind: 'inspected';
      readonly topicId: TopicId;
      readonly partition: number;
      readonly leaderEpoch: LeaderEpoch;
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
      /**
       * `highWaterMark`: what the replica knows to be committed; absent means nothing. Bounds a
       * loss report where the end cannot.
       */
      readonly log: {
        readonly lastEpoch: LeaderEpoch;
        readonly endOffset: Offset;
        readonly highWaterMark?: Offset;
        /** Where the log starts; absent: a build that does not say. See `LogEnd`. */
        readonly start?: {
          readonly offset: Offset;
          readonly epoch: LeaderEpoch;
          readonly retiredTo: Offset;
        };
      } | null;
    };

export interface ControllerOutput {
  /** Propose these to raft, in order. */
  readonly proposals: readonly {
    readonly proposalId: number;
    readonly records: readonly MetadataRecord[];
  }[];
  readonly replies: readonly {
    readonly requestId: number;
    readonly reply: ControllerReply | BrokerError;
  }[];
  /** Dial these brokers and report `probed`. */
  readonly probes: readonly {
    readonly brokerId: BrokerId;
    readonly brokerEpoch: BrokerEpoch;
    readonly host: string;
    readonly port: number;
  }[];
  /**
   * Seal and read these replicas' logs, then report `inspected` (quorum mode and unclean
   * elections).
   */
  readonly inspections: readonly {
    readonly topicId: TopicId;
    readonly partition: number;
    readonly leaderEpoch: LeaderEpoch;
    readonly brokerId: BrokerId;
    readonly brokerEpoch: BrokerEpoch;
  }[];
  /** Facts for the log. */
  readonly facts: readonly Fact[];
}

export interface ControllerOptions {
  readonly seed: number;
  readonly self: BrokerId;
  /** Silence after which a broker is fenced. */
  readonly sessionTimeoutMs: number;
  /** Pause between probes of one broker that is not heard. */
  readonly probeIntervalMs: number;
  readonly defaults: TopicConfig;
  /** Bounds. */
  readonly requestsPendingMax: number;
  readonly partitionsMax: number;
  readonly image: MetadataImage;
  readonly nowMs: MonotonicMs;
}
