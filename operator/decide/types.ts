/**
 * What one pass sees, and what it decides. Pure data. Whatever could not be learned is null, never
 * a default: a decision that needs it is then refused (docs/rules.md#careful-operator: unknown,
 * ambiguous or stale input means no).
 */
import type { AccessRule } from '../../base/access.ts';
import type { ListenerAddress } from '../../base/listeners.ts';
import type { GateName, KubeEventReason } from './events.ts';
import type { TlsView } from './tls-views.ts';
import type {
  Cleanup,
  DepartedTopic,
  Disruption,
  ListenerStatus,
  LogAccess,
  LogAccessStatus,
  LogCluster,
  LogClusterStatus,
  LogTopic,
  LogTopicStatus,
  ObjectMeta,
  TlsPhase,
} from '../api/types.ts';

/**
 * One snapshot. Objects of the API server come from caches that show all own writes; brokers were
 * asked while it was taken.
 */
export interface Observation {
  /** With defaults; to be used only where `faults` is empty. */
  readonly cluster: LogCluster;
  /** What is wrong with the spec, one message each. */
  readonly faults: readonly string[];
  /** Of the cluster that the brokers are to be: see identity.ts. */
  readonly clusterId: string;
  /** That new pods are to have. */
  readonly template: TemplateView;
  readonly workload: WorkloadView | null;
  readonly services: { readonly isBrokersCurrent: boolean; readonly isClientsCurrent: boolean };
  /** Null: the spec has none, and nothing is left of any. */
  readonly listeners: ListenersView | null;
  /** Holds what would be applied, or none is made here. */
  readonly isPolicyCurrent: boolean;
  readonly budget: BudgetView | null;
  /** What the Secrets of its certificates hold; null: it needs none. */
  readonly tls: TlsView | null;
  readonly tlsPhases: TlsPhases;
  /** Objects under our names without our controller reference: they are not touched. */
  readonly foreign: readonly ForeignView[];
  /** Objects that others keep otherwise than we apply them. */
  readonly mutated: readonly { readonly object: string; readonly fields: readonly string[] }[];
  /** By broker id. */
  readonly pods: readonly PodView[];
  readonly claims: readonly ClaimView[];
  /** One of each pod, by broker id. */
  readonly answers: readonly BrokerAnswer[];
  /** As the controller has it; null where none was reached. */
  readonly metadata: MetadataView | null;
  /** What the controller says of stopping sets of brokers. */
  readonly verdicts: readonly Verdict[];
  /** Moves that would balance the cluster; null where nobody asked. */
  readonly rebalance: readonly Move[] | null;
  readonly logTopics: readonly LogTopicView[];
  /** Topics whose LogTopics were seen to go, and that may not stand in the status yet. */
  readonly departed: readonly DepartedTopic[];
}

/** What listeners for clients need beside the pods. */
export interface ListenersView {
  /** Names of Services that are not as they would be applied, or not there. */
  readonly outdated: readonly string[];
  /** Services of listeners or brokers that are gone from the spec. */
  readonly leftovers: readonly { readonly name: string; readonly uid: string }[];
  /** Brokers find the addresses that are known now. */
  readonly areAddressesCurrent: boolean;
  readonly statuses: readonly ListenerStatus[];
}

export interface TemplateView {
  readonly hash: string;
  readonly image: string;
}

export interface WorkloadView {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly replicas: number;
  /** Holds what would be applied for its present number of replicas and its present template. */
  readonly isCurrent: boolean;
  /** Hash of the template that it gives to new pods. */
  readonly templateHash: string;
  /** Its controller has seen it as it is. */
  readonly isObserved: boolean;
}

/** How far brokers are from plaintext among each other to TLS. */
export interface TlsPhases {
  /** That new pods get now. */
  readonly given: TlsPhase;
  /** That of the template which is planned: the same, or a step beside it. */
  readonly planned: TlsPhase;
}

export interface ForeignView {
  readonly kind: string;
  readonly name: string;
  /** It belongs to a LogCluster of this name that was deleted, and goes with it. */
  readonly isLeaving: boolean;
}

export interface BudgetView {
  readonly maxUnavailable: number;
  readonly isCurrent: boolean;
}

export interface PodView {
  readonly brokerId: number;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly isReady: boolean;
  readonly isTerminating: boolean;
  /** Null: not scheduled. */
  readonly node: string | null;
  readonly templateHash: string;
  /** What its broker takes from others, and how it dials them. */
  readonly tlsPhase: TlsPhase;
  /**
   * Why its container does not run, where waiting does not help by itself: `ImagePullBackOff: …`,
   * `Unschedulable: …`.
   */
  readonly stuck: string | null;
  /** For how long its node has been seen cordoned; null: it is not, or nodes are not read. */
  readonly cordonedForMs: number | null;
}

export interface ClaimView {
  readonly brokerId: number;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Cluster whose records its volume holds, as its broker once said; null: no broker has yet. */
  readonly clusterId: string | null;
  /** Bytes asked for. */
  readonly requestedBytes: number;
  /** Bytes it has; null until bound. */
  readonly capacityBytes: number | null;
  readonly isTerminating: boolean;
  /**
   * Why the API server would not let it ask for what the spec wants; null where it would, or was
   * not asked.
   */
  readonly growthRefusal: string | null;
  /** Why a resize does not go on; null where none is under way or all is well. */
  readonly resizeFault: string | null;
  /** Name of its volume; null until bound. */
  readonly volume: string | null;
  /** It has the labels and annotations of the spec, or applying them does not help now. */
  readonly isLabelled: boolean;
  /** Host name of the only node that has its volume; null where there is none, or not known. */
  readonly node: string | null;
  /**
   * Since when, and how often, uncached looks have found no such node; null where one is there, or
   * nobody looked.
   */
  readonly missing: { readonly forMs: number; readonly sightings: number } | null;
}

export type RestartClass = 'unknown' | 'new' | 'clean' | 'warm' | 'lossy';

export interface BrokerAnswer {
  readonly brokerId: number;
  /** Null where it answered; else why it did not, in words. */
  readonly fault: string | null;
  /** Empty: its directory is unformatted. Null: no answer. */
  readonly clusterId: string | null;
  /** Controller that it knows of; null where it knows none. */
  readonly controller: number | null;
  readonly brokerEpoch: number;
  readonly version: string;
  /** That its options say; null: no answer, or a build that knows no steps to TLS. */
  readonly tlsPhase: TlsPhase | null;
  /** Bytes free, less the reserve; null where not told. */
  readonly freeBytes: number | null;
  readonly replicas: readonly ReplicaView[];
}

export interface ReplicaView {
  readonly topic: string;
  readonly partition: number;
  readonly isLeading: boolean;
  /** That it knows. */
  readonly leaderEpoch: number;
  readonly logEnd: number;
  readonly highWaterMark: number;
  /** On average; 0 while empty. */
  readonly bytesPerRecord: number;
  /** Where it leads. */
  readonly followers: readonly FollowerView[];
  /** Why it is stopped; empty where it is not. */
  readonly stopped: string;
}

export interface FollowerView {
  readonly brokerId: number;
  readonly lagRecords: number;
  /** Since it was last caught up. */
  readonly lagMs: number;
  readonly isInSync: boolean;
}

export interface MetadataView {
  readonly clusterId: string;
  readonly controller: number;
  readonly brokers: readonly RegisteredBroker[];
  readonly topics: readonly TopicView[];
  readonly losses: readonly LossView[];
  /** Bytes per second that one broker may push to replicas that move; -1: no limit. */
  readonly moveBytesPerSecond: number;
  /** Null: the cluster's feature level knows of none, nor of stops that are taken back. */
  readonly settings: SettingsView | null;
  /** Every broker keeps to what topics say of compaction, and of retention by number of records. */
  readonly hasCompaction: boolean;
  /** Brokers know of each topic whether its minimum follows their default, and see to it. */
  readonly hasFollowing: boolean;
}

/** Settings of the cluster that follow the spec. */
export interface SettingsView {
  /** Texts by flag. */
  readonly brokerOptions: Readonly<Record<string, string>>;
  readonly topicDefaults: TopicDefaultsView;
}

/** What topics have whose creator states nothing; absent: the brokers decide. */
export type TopicDefaultsView = Partial<
  Pick<TopicView, 'replicationFactor'> & Pick<TopicConfigView, 'minInSyncReplicas' | 'commitMode'>
>;

/** What is absent stays; an empty text takes an option back. */
export interface SettingsChange {
  readonly brokerOptions: Readonly<Record<string, string>>;
  readonly topicDefaults?: TopicDefaultsView;
}

export interface RegisteredBroker {
  readonly brokerId: number;
  /** Empty: unknown. */
  readonly rack: string;
  readonly brokerEpoch: number;
  readonly directoryId: string;
  readonly restartClass: RestartClass;
  readonly isFenced: boolean;
  readonly isStopping: boolean;
  readonly isVoter: boolean;
  readonly isCordoned: boolean;
  /** Addresses that it tells clients of its listeners; absent: none. */
  readonly listeners?: readonly ListenerAddress[];
}

export interface LossView {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly fromOffset: number;
  readonly atMs: number;
}

export interface TopicView {
  readonly name: string;
  readonly topicId: string;
  readonly replicationFactor: number;
  readonly config: TopicConfigView;
  /** Nobody chose its minimum: the brokers give it their default. */
  readonly followsMin: boolean;
  readonly partitions: readonly PartitionView[];
}

export interface TopicConfigView {
  readonly minInSyncReplicas: number;
  readonly commitMode: 'InSync' | 'Quorum';
  /** -1: for ever, unbounded. */
  readonly retentionMs: number;
  readonly retentionBytes: number;
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly batchBytesMax: number;
  readonly uncleanElection: boolean;
  /** Absent, as all below, where brokers do not tell. */
  readonly cleanup?: Cleanup;
  readonly retentionRecords?: number;
  readonly tombstoneRetentionMs?: number;
  readonly compactionDirtyPercent?: number;
  readonly compactionLagMinMs?: number;
  readonly compactionLagMaxMs?: number;
}

export interface PartitionView {
  readonly partition: number;
  /** Preferred leader first. */
  readonly replicas: readonly number[];
  readonly syncSet: readonly number[];
  readonly leader: number | null;
  readonly leaderEpoch: number;
  readonly suspects: readonly number[];
  /** Part of `replicas`: on their way in. */
  readonly adding: readonly number[];
  /** Part of `replicas`: on their way out. */
  readonly removing: readonly number[];
}

/** What stopping these brokers together would do. */
export interface Verdict {
  /** Ascending. */
  readonly brokerIds: readonly number[];
  readonly isSafe: boolean;
  readonly takesQuorum: boolean;
  readonly reason: string;
  readonly partitions: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly stopsWrites: boolean;
    readonly takesLastCopy: boolean;
    readonly reason: string;
  }[];
}

export interface Move {
  readonly topic: string;
  readonly partition: number;
  readonly replicas: readonly number[];
}

export interface LogAccessView {
  readonly resource: LogAccess;
  readonly faults: readonly string[];
}

export interface LogTopicView {
  readonly resource: LogTopic;
  readonly faults: readonly string[];
}

/**
 * Configs of a topic to be made or changed; absent ones take the broker's default, or stay as they
 * are.
 */
export type TopicChange = {
  readonly [Field in keyof TopicConfigView]?: TopicConfigView[Field] | undefined;
};

/** One small step. Each is safe to repeat, and the operator may die before or after any of them. */
export type Action =
  | { readonly kind: 'apply-brokers-service' }
  | { readonly kind: 'apply-clients-service' }
  | { readonly kind: 'apply-network-policy' }
  | { readonly kind: 'apply-listener-service'; readonly name: string }
  | { readonly kind: 'delete-service'; readonly name: string; readonly uid: string }
  | { readonly kind: 'apply-addresses' }
  /** `resourceVersion` of the workload that was looked at; null where there was none. */
  | {
      readonly kind: 'apply-workload';
      readonly replicas: number;
      /** New pods are to have the template that is planned; absent: the one that they have now. */
      readonly hasNewTemplate?: true;
      readonly resourceVersion: string | null;
    }
  /** `resourceVersion` of the Secret that was looked at; null where there was none. */
  | {
      readonly kind: 'apply-authority';
      readonly change: AuthorityChange;
      readonly atMs: number;
      readonly resourceVersion: string | null;
    }
  | {
      readonly kind: 'apply-certificates';
      /** That they name. */
      readonly clusterId: string;
      /** Anew; null: the operator's. */
      readonly issue: readonly (number | null)[];
      /** Of those that are there. */
      readonly keep: readonly (number | null)[];
      readonly atMs: number;
      readonly resourceVersion: string | null;
    }
  /** Of cert-manager. */
  | {
      readonly kind: 'apply-certificate';
      readonly brokerId: number | null;
      readonly clusterId: string;
    }
  /** The Secret of certificates, from those that an issuer has signed. */
  | {
      readonly kind: 'apply-issued';
      /** From their own Secrets; null: the operator's. */
      readonly take: readonly (number | null)[];
      /** Of those that are there. */
      readonly keep: readonly (number | null)[];
      /** Ids of authorities. */
      readonly trust: readonly string[];
      readonly atMs: number;
      readonly resourceVersion: string | null;
    }
  | { readonly kind: 'apply-trust'; readonly resourceVersion: string | null }
  | { readonly kind: 'apply-budget'; readonly maxUnavailable: number }
  | { readonly kind: 'bootstrap'; readonly brokerId: number; readonly clusterId: string }
  | { readonly kind: 'check-safe'; readonly brokerIds: readonly number[] }
  /** Of this registration, and of none that came after it. */
  | {
      readonly kind: 'prepare-stop';
      readonly brokerId: number;
      readonly brokerEpoch: number;
    }
  | {
      readonly kind: 'delete-pod';
      readonly brokerId: number;
      readonly name: string;
      readonly uid: string;
    }
  | { readonly kind: 'delete-claim'; readonly name: string; readonly uid: string }
  /** The volume outlives its claim. */
  | { readonly kind: 'keep-volume'; readonly name: string }
  | { readonly kind: 'grow-claim'; readonly name: string; readonly size: string }
  | { readonly kind: 'mark-claim'; readonly name: string; readonly clusterId: string }
  /** Gives it the labels and annotations of the spec. */
  | { readonly kind: 'label-claim'; readonly name: string; readonly uid: string }
  | { readonly kind: 'decommission'; readonly brokerId: number }
  /** Asks once more, and ends the pass unless the broker holds nothing. */
  | { readonly kind: 'confirm-empty'; readonly brokerId: number }
  | { readonly kind: 'recommission'; readonly brokerId: number }
  | { readonly kind: 'cancel-stop'; readonly brokerId: number }
  | { readonly kind: 'set-settings'; readonly change: SettingsChange }
  | { readonly kind: 'remove-broker'; readonly brokerId: number }
  | { readonly kind: 'reassign'; readonly move: Move }
  | { readonly kind: 'limit-moves'; readonly moveBytesPerSecond: number }
  | {
      readonly kind: 'create-topic';
      readonly name: string;
      readonly partitions: number;
      readonly replicationFactor: number;
      readonly change: TopicChange;
    }
  /** 0 leaves partitions or factor as they are. */
  | {
      readonly kind: 'alter-topic';
      readonly name: string;
      readonly partitions: number;
      readonly replicationFactor: number;
      readonly change: TopicChange;
    }
  | { readonly kind: 'delete-topic'; readonly name: string }
  | {
      readonly kind: 'set-topic-finalizer';
      readonly name: string;
      readonly resourceVersion: string;
      readonly finalizers: readonly string[];
    }
  | { readonly kind: 'write-topic-status'; readonly name: string; readonly status: LogTopicStatus }
  /** For LogAccess resources: what a person granted is not touched. */
  | { readonly kind: 'grant-access'; readonly rule: AccessRule }
  | { readonly kind: 'revoke-access'; readonly rule: AccessRule }
  | {
      readonly kind: 'write-access-status';
      readonly of: ObjectMeta;
      readonly status: LogAccessStatus;
    }
  | { readonly kind: 'write-status'; readonly status: LogClusterStatus };

/**
 * - make: the first one;
 * - succeed: another one beside it, which is trusted and does not sign yet;
 * - replace: the same, where the one of before is lost;
 * - promote: the next one signs, that of before is trusted still;
 * - retire: those of before are trusted no more;
 * - keep: those that signed and are not known are of before.
 */
export type AuthorityChange = 'make' | 'succeed' | 'replace' | 'promote' | 'retire' | 'keep';

export interface EventNote {
  readonly reason: KubeEventReason | GateName;
  readonly note: string;
  /** Pod that took part. */
  readonly brokerId?: number;
}

/** Actions in their order: the first that fails ends this part, and no other. */
export interface Part {
  readonly actions: readonly Action[];
  /** Told once all were carried out. */
  readonly events: readonly EventNote[];
}

export interface Plan {
  /** Independent of each other, most urgent first. */
  readonly parts: readonly Part[];
  /** The one disruption: last, and only where the objects it relies on were applied. */
  readonly disruption: Part;
  /** Told whatever comes of the parts. */
  readonly events: readonly EventNote[];
  /** To be written whatever comes of the parts; null: as it is. */
  readonly status: LogClusterStatus | null;
  readonly outcome: Outcome;
  /** Gate that refuses what is wanted most; null: none does. */
  readonly blockedBy: GateName | null;
  readonly requeueAfterMs: number;
}

/** What the pass came to. */
export interface Outcome {
  readonly clusterId: string | undefined;
  readonly disruption: Disruption | null;
  readonly doing: string | null;
  readonly waitingFor: string | null;
  /** In the order of their weight. */
  readonly refusals: readonly Refusal[];
  /** Phase that brokers are to have next. */
  readonly tlsPhase: TlsPhase;
  readonly minInSyncReplicas: number | undefined;
  readonly minInSyncReplicasPending: readonly number[];
}

/** Why something that is wanted is not done now. */
export interface Refusal {
  /** Name of the gate: a condition's reason. */
  readonly gate: GateName;
  readonly message: string;
}
