/**
 * What consensus decides: the records of the metadata log and the image they add up to. Values
 * only; `apply.ts` folds records into an image, `controller/` decides which records to propose. A
 * record is JSON in the log, so a person can read it.
 */
import type { AccessPlace, AccessRule } from '../../base/access.ts';
import type { QueueSettings } from '../../base/queues.ts';
import type { Quota } from '../../base/quotas.ts';
import type { HostPort } from '../../base/host-port.ts';
import type { ListenerAddress } from '../../base/listeners.ts';
import type {
  BrokerEpoch,
  BrokerId,
  DirectoryId,
  LeaderEpoch,
  Offset,
  PartitionEpoch,
  TopicId,
} from '../../base/units.ts';

/**
 * What the last stop left of a broker's partition data (docs/rules.md#restart-classes). `new`: an
 * empty directory. `clean`: orderly stop. `warm`: the process died and the page cache survived.
 * `lossy`: everything else.
 */
export type RestartClass = 'new' | 'clean' | 'warm' | 'lossy';

/** `in-sync`: q = |S|. `quorum`: q starts as a majority (docs/rules.md#sync-set-and-q). */
export type CommitMode = 'in-sync' | 'quorum';

/**
 * What becomes of old records. `delete`: retention retires whole segments. `compact`: the last
 * record of every key stays, and retention takes nothing. `both`: both.
 */
export type Cleanup = 'delete' | 'compact' | 'both';

/** Configs of a topic. Every one is live. */
export interface TopicConfig {
  /** Fewest trusted, unfenced members of S that let an append in, 1 to the replication factor. */
  readonly minInSyncReplicas: number;
  readonly commitMode: CommitMode;
  /** Age past which the leader retires sealed segments; -1 keeps for ever. */
  readonly retentionMs: number;
  /** Bytes of one replica past which the leader retires sealed segments; -1 means no bound. */
  readonly retentionBytes: number;
  /**
   * Offsets below the high-water mark that stay at least: the leader retires sealed segments behind
   * which there are as many. -1 means no bound.
   */
  readonly retentionRecords: number;
  /** Size at which a segment is sealed. */
  readonly segmentBytes: number;
  /** Age at which a segment is sealed, so that retention by time can retire it. */
  readonly segmentMs: number;
  /** Largest batch frame accepted. */
  readonly batchBytesMax: number;
  /**
   * May a leader be elected without a trusted member of S, with a published range of possible loss
   * (rule 18, P11)?
   */
  readonly uncleanElection: boolean;
  readonly cleanup: Cleanup;
  /** How long a tombstone stays at least once its key's older records are gone (rule K4). */
  readonly tombstoneRetentionMs: number;
  /** Share of the bytes that no pass has seen, 1 to 100, from which a pass is worth its cost. */
  readonly compactionDirtyPercent: number;
  /** How old a record is at least when compaction may take it. */
  readonly compactionLagMinMs: number;
  /** Age of the oldest record that no pass has seen, at which one is due; -1 means none. */
  readonly compactionLagMaxMs: number;
}

/** A broker as metadata knows it. */
export interface BrokerState {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  readonly directoryId: DirectoryId;
  /** Address that clients dial. */
  readonly host: string;
  readonly port: number;
  /** Address that brokers dial; absent: the same. See {@link internalAddress}. */
  readonly internal?: HostPort;
  /**
   * Addresses of its named listeners, as it said last, in order of names; absent: none. Outlive
   * registrations: a broker that returns says what is new.
   */
  readonly listeners?: readonly ListenerAddress[];
  /** Empty when unknown. */
  readonly rack: string;
  readonly restartClass: RestartClass;
  /** Fenced brokers neither lead nor count. Every registration starts fenced (rule 17). */
  readonly fenced: boolean;
  /** In an orderly stop: leads nothing more and is not added to sync sets (KIP-841). */
  readonly stopping: boolean;
  /**
   * Being decommissioned: holds what it holds, is given nothing new, and its replicas move away.
   * Outlives registrations.
   */
  readonly cordoned: boolean;
  /**
   * Greatest broker epoch that was ever unfenced with this directory: what a clean or warm start
   * must name, or a later one.
   */
  readonly unfencedEpoch: BrokerEpoch;
  /** Highest feature level this build can run. */
  readonly featureLevelMax: number;
  /** Start that registered; absent where a build or a feature level before knew of none. */
  readonly start?: ProcessStart;
}

/** One start of a broker's process, as it names itself (rule 17). */
export interface ProcessStart {
  /** Nobody else's. */
  readonly id: string;
  /** Among the starts of one directory it rises with each; it goes back with the disk. */
  readonly number: number;
}

/**
 * A replica whose broker said that it cannot lead the partition. It neither counts nor is elected
 * until the broker says otherwise or registers anew.
 */
export interface UnableReplica {
  readonly brokerId: BrokerId;
  /** Short and stable, as `stopped` or `disk-full`. */
  readonly reason: string;
}

/** One partition. S is `syncSet`, q is `quorum` (docs/rules.md#sync-set-and-q). */
export interface PartitionState {
  readonly partition: number;
  /** Assignment in preference order: the first one is the preferred leader. */
  readonly replicas: readonly BrokerId[];
  readonly syncSet: readonly BrokerId[];
  readonly quorum: number;
  /** NO_BROKER while none is elected. */
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  /** Members of S whose log is not evidence until the leader certifies them (P7, P8). */
  readonly suspects: readonly BrokerId[];
  /**
   * Last epoch that was elected uncleanly, 0 for never: only under it may a replica truncate below
   * its own HW.
   */
  readonly uncleanEpoch: LeaderEpoch;
  /**
   * Replicas that a reassignment brings (rule 19): part of `replicas`, and last in it. Empty when
   * none is under way.
   */
  readonly adding: readonly BrokerId[];
  /**
   * Replicas that leave once every one of `adding` is in S: part of `replicas`. Both empty: no
   * reassignment is under way.
   */
  readonly removing: readonly BrokerId[];
  /**
   * What `replicas` becomes at the end of the reassignment, preferred leader first. Absent while
   * none is under way.
   */
  readonly target?: readonly BrokerId[];
  /**
   * Broker that leadership is about to be handed to: the leader drains first, then asks for it
   * (rule 22). NO_BROKER when nothing is handed over.
   */
  readonly successor: BrokerId;
  /** Replicas that cannot lead, by their own word: members of S or not. */
  readonly cannotLead: readonly UnableReplica[];
}

/** A topic. Partitions stand at the index of their number. */
export interface TopicState {
  readonly topicId: TopicId;
  readonly name: string;
  readonly replicationFactor: number;
  readonly config: TopicConfig;
  /**
   * Nobody chose its minInSyncReplicas: the controller gives it the default of the cluster, now and
   * whenever that changes. Absent: it was chosen, or it is older than feature level 16 and nobody
   * knows.
   */
  readonly followsMin?: true;
  readonly partitions: readonly PartitionState[];
}

/**
 * Something that may be lost, exactly (P11). Offsets from `fromOffset` on, of all epochs below
 * `leaderEpoch`, open upwards.
 */
export interface LossReport {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: LeaderEpoch;
  readonly leader: BrokerId;
  readonly fromOffset: Offset;
  readonly atMs: number;
}

/** Settings of the cluster. Every one is live. */
export interface ClusterSettings {
  /**
   * Bytes per second that one broker may push to replicas that a reassignment adds; -1 means no
   * limit.
   */
  readonly moveBytesPerSecond: number;
  /** Live options of brokers, as texts by flag: over what each broker was started with. */
  readonly brokerOptions: Readonly<Record<string, string>>;
  readonly topicDefaults: TopicDefaults;
}

/**
 * What a topic has whose creator states nothing; what is absent here, the brokers' own table
 * decides.
 */
export interface TopicDefaults
  extends Partial<Pick<TopicConfig, 'minInSyncReplicas' | 'commitMode'>> {
  readonly replicationFactor?: number;
}

/** A named producer: the newest epoch of a name fences the older ones. */
export interface NamedProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** What is kept of a name. */
export interface ProducerName extends NamedProducer {
  /** Principal that took it last; empty: nobody was asked, or before level 10. */
  readonly owner: string;
  /** `MetadataImage.hours` when it was taken last. */
  readonly hour: number;
}

/** What is kept of all names that were forgotten. */
export interface ForgottenNames {
  /** Greatest id that one of them had; 0: there were none. */
  readonly idMax: number;
  /** Greatest epoch that one of them had. */
  readonly epochMax: number;
}

/** A queue: the records of one topic, handed out one by one. */
export interface QueueDefinition {
  /** A uuid. A queue that was deleted and made again has another. */
  readonly queueId: string;
  readonly name: string;
  readonly topicId: TopicId;
  readonly config: QueueSettings;
  /** It begins behind what was committed when it was made; else at the log start. */
  readonly isFromLatest: boolean;
  /** How many partitions its topic had: those added later begin at their first record. */
  readonly partitionsAtFirst: number;
}

/**
 * One change of metadata. A raft entry holds a JSON list of these; the list takes effect as one.
 */
export type MetadataRecord =
  | { readonly kind: 'cluster'; readonly clusterId: string; readonly featureLevel: number }
  | {
      readonly kind: 'broker-registered';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
      readonly directoryId: DirectoryId;
      readonly host: string;
      readonly port: number;
      readonly internal?: HostPort;
      readonly rack: string;
      readonly restartClass: RestartClass;
      readonly featureLevelMax: number;
      readonly start?: ProcessStart;
    }
  | {
      readonly kind: 'broker-fenced';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
    }
  | {
      readonly kind: 'broker-unfenced';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
    }
  | {
      readonly kind: 'broker-stopping';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
    }
  /** The orderly stop is taken back. */
  | {
      readonly kind: 'broker-staying';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
    }
  /** Where its named listeners are dialled from now on; whoever it does not name is not. */
  | {
      readonly kind: 'broker-listeners';
      readonly brokerId: BrokerId;
      readonly brokerEpoch: BrokerEpoch;
      readonly listeners: readonly ListenerAddress[];
    }
  | { readonly kind: 'broker-cordoned'; readonly brokerId: BrokerId; readonly cordoned: boolean }
  | { readonly kind: 'broker-removed'; readonly brokerId: BrokerId }
  | { readonly kind: 'settings-changed'; readonly settings: ClusterSettings }
  /**
   * The topic aims at another number of replicas from here on; reassignments bring its partitions
   * there.
   */
  | {
      readonly kind: 'replication-factor-changed';
      readonly topicId: TopicId;
      readonly replicationFactor: number;
    }
  | { readonly kind: 'topic-created'; readonly topic: TopicState }
  | {
      readonly kind: 'topic-altered';
      readonly topicId: TopicId;
      readonly config: TopicConfig;
      /** As in {@link TopicState}, from here on. */
      readonly followsMin?: true;
    }
  | {
      readonly kind: 'partitions-added';
      readonly topicId: TopicId;
      readonly partitions: readonly PartitionState[];
    }
  | { readonly kind: 'topic-deleted'; readonly topicId: TopicId }
  | {
      readonly kind: 'partition-changed';
      readonly topicId: TopicId;
      readonly state: PartitionState;
    }
  | { readonly kind: 'producer-ids'; readonly nextProducerId: number }
  | ({ readonly kind: 'producer-named'; readonly name: string } & ProducerName)
  /** The name has no producer from here on: whoever holds it is shut out. */
  | { readonly kind: 'producer-forgotten'; readonly name: string }
  /** So many hours were counted by controllers, one after the other. */
  | { readonly kind: 'hours-counted'; readonly hours: number }
  | { readonly kind: 'loss-reported'; readonly loss: LossReport }
  /** The rule of its place from here on. */
  | { readonly kind: 'access-granted'; readonly rule: AccessRule }
  | { readonly kind: 'access-revoked'; readonly place: AccessPlace }
  /** All limits of its principal from here on. */
  | { readonly kind: 'quota-set'; readonly quota: Quota }
  | { readonly kind: 'quota-deleted'; readonly principal: string }
  | { readonly kind: 'queue-created'; readonly queue: QueueDefinition }
  /** All of its settings from here on. */
  | { readonly kind: 'queue-changed'; readonly queueId: string; readonly config: QueueSettings }
  | { readonly kind: 'queue-deleted'; readonly queueId: string }
  | { readonly kind: 'feature-level'; readonly featureLevel: number };

/**
 * Everything that is decided, as of `index` of the metadata log. Treat as frozen: `apply` returns a
 * new one, sharing what is unchanged.
 */
export interface MetadataImage {
  readonly clusterId: string;
  readonly featureLevel: number;
  readonly settings: ClusterSettings;
  /** Index and term of the last entry folded in. */
  readonly index: number;
  readonly term: number;
  readonly brokers: ReadonlyMap<BrokerId, BrokerState>;
  /** Greatest broker epoch ever given. */
  readonly lastBrokerEpoch: BrokerEpoch;
  readonly topics: ReadonlyMap<TopicId, TopicState>;
  readonly topicIdsByName: ReadonlyMap<string, TopicId>;
  readonly nextProducerId: number;
  readonly namedProducers: ReadonlyMap<string, ProducerName>;
  readonly forgottenNames: ForgottenNames;
  /** Hours that controllers have counted, of their own monotonic clocks: never too many. */
  readonly hours: number;
  /** Rules of access by `placeKey`, at most `ACCESS_RULES_MAX`. */
  readonly access: ReadonlyMap<string, AccessRule>;
  /** By principal, at most `QUOTAS_MAX`. */
  readonly quotas: ReadonlyMap<string, Quota>;
  /** By id, at most `QUEUES_MAX`; each one's topic is there. */
  readonly queues: ReadonlyMap<string, QueueDefinition>;
  readonly queueIdsByName: ReadonlyMap<string, string>;
  /** The newest reports, at most `LOSS_REPORTS_MAX`. */
  readonly losses: readonly LossReport[];
  /**
   * Directories of brokers that were removed, newest last, at most `REMOVED_DIRECTORIES_MAX`: none
   * of them may come back with what it holds.
   */
  readonly removedDirectories: readonly DirectoryId[];
  /**
   * Directories whose broker registered with another one since, newest last, at most as many: a
   * request of theirs is late, or the disk was put back (P12).
   */
  readonly replacedDirectories: readonly DirectoryId[];
}
