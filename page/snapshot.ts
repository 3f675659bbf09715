/**
 * What the page is told of a cluster, as JSON, once a second: made by `client/cli/page/snapshot.ts`
 * from the same look that `tidemark cluster describe` takes. No imports: both sides read it.
 */

/** One look. */
export interface Snapshot {
  /** Milliseconds since 1970-01-01 UTC, by the clock of the program that serves the page. */
  readonly atMs: number;
  readonly level: 'ok' | 'degraded' | 'failing';
  /** The sentence of `tidemark cluster health`, or why nobody answers. */
  readonly sentence: string;
  /** Null where nobody answered. */
  readonly cluster: ClusterSeen | null;
  /** The brokers' processes, where the page is that of `npm start`; else null. */
  readonly processes: readonly ProcessSeen[] | null;
  /** The LogCluster, where the page was told to read it; else null. */
  readonly logCluster: LogClusterSeen | null;
  /** Groups as of some seconds ago; null before they were looked at. */
  readonly groups: GroupsSeen | null;
}

/** What a broker that answered said. */
export interface ClusterSeen {
  readonly clusterId: string;
  /** Null while none is known. */
  readonly controller: number | null;
  readonly answeredBy: number;
  readonly brokers: readonly BrokerSeen[];
  readonly partitions: readonly PartitionSeen[];
  readonly moves: readonly MoveSeen[];
  /** Sentences, newest last. */
  readonly losses: readonly string[];
}

/** One broker. */
export interface BrokerSeen {
  readonly brokerId: number;
  readonly address: string;
  readonly rack: string;
  readonly state: BrokerState;
  readonly voter: boolean;
  readonly brokerEpoch: number;
  /** Null where it does not tell. */
  readonly appends: AppendsSeen | null;
}

/** How long appends took at a broker since its start, as DescribeBroker counts them. */
export interface AppendsSeen {
  /** Upper ends of the classes, ascending. */
  readonly boundsUs: readonly number[];
  /** Batches of each class, and last of what took longer than all bounds. */
  readonly counts: readonly number[];
}

/** As `tidemark cluster health` names them. */
export type BrokerState = 'up' | 'silent' | 'fenced' | 'stopping' | 'disk full';

/** One partition. */
export interface PartitionSeen {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly leader: number | null;
  readonly leaderEpoch: number;
  readonly minInSync: number;
  readonly syncSet: readonly number[];
  readonly suspects: readonly number[];
  /** Why it takes no appends; empty: it does. */
  readonly refusal: string;
  /** What is wrong, most severe first; empty: nothing. */
  readonly faults: readonly string[];
  /** In the order of metadata, the preferred leader first. */
  readonly replicas: readonly ReplicaSeen[];
}

/** One replica. */
export interface ReplicaSeen {
  readonly brokerId: number;
  readonly adding: boolean;
  /** What its own broker says; null where that is silent. */
  readonly log: LogSeen | null;
}

/** The log of a replica: offsets, and the leader epoch that it knows. */
export interface LogSeen {
  readonly start: number;
  readonly end: number;
  readonly committed: number;
  readonly leaderEpoch: number;
  readonly sizeBytes: number;
  /** Why it is stopped; empty when it is not. */
  readonly stopped: string;
}

/** One partition on the move. */
export interface MoveSeen {
  readonly topic: string;
  readonly partition: number;
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  /** Null where it cannot be told. */
  readonly bytesLeft: number | null;
  readonly etaMs: number | null;
  /** Why it does not come nearer; empty: it does, or nobody knows. */
  readonly stalled: string;
}

/** The process of a broker on this machine. */
export interface ProcessSeen {
  readonly brokerId: number;
  readonly state: 'running' | 'paused' | 'stopping' | 'down';
  readonly pid: number | null;
}

/** Groups that read, by name. */
export interface GroupsSeen {
  readonly groups: readonly GroupSeen[];
  /** Groups that are not shown. */
  readonly more: number;
  /** Why they cannot be told; empty: they can. */
  readonly fault: string;
}

/** One group. */
export interface GroupSeen {
  readonly group: string;
  readonly topics: readonly LagSeen[];
  /** Why nothing of it can be told; empty: it can. */
  readonly fault: string;
}

/** How far a group is behind in a topic. */
export interface LagSeen {
  readonly topic: string;
  /** Offsets, of all partitions that are known. */
  readonly records: number;
  /** How long ago the oldest of them was committed; 0: there is none. */
  readonly ageMs: number;
  /** It is longer ago than the leader remembers. */
  readonly isLeast: boolean;
  /** Partitions of which nobody tells. */
  readonly unknown: number;
}

/** What Kubernetes says of a LogCluster. */
export interface LogClusterSeen {
  readonly name: string;
  readonly namespace: string;
  /** Why it cannot be read; empty: it was. */
  readonly fault: string;
  readonly conditions: readonly ConditionSeen[];
  /** What the operator does now, and what that waits for; empty: nothing. */
  readonly step: string;
  readonly waitingFor: string;
  /** What the cluster survives as it stands; empty: nobody said. */
  readonly durability: string;
}

/** A condition of a LogCluster. */
export interface ConditionSeen {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly since: string;
}

/** What a page may do, as whom, and how a command reaches the same cluster. */
export interface About {
  /** Names this page to its server: shown with every action, told to no other site. */
  readonly visit: string;
  /** Whose rights it has, as a clause: `it has the rights of your token`. */
  readonly as: string;
  readonly allow: Allowed;
  /** `host:port,...` */
  readonly servers: string;
  /** A command finds these servers by itself. */
  readonly isDefault: boolean;
  /** Files; empty: none. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null;
  /** A token is shown to brokers; of a file where it is one's, else empty. */
  readonly token: { readonly file: string } | null;
  /** Of `npm start`; empty: the one that `tidemark local` takes by itself. */
  readonly dataDir: string;
}

/** What a page may do besides looking at metadata. */
export interface Allowed {
  /** Show records. */
  readonly read: boolean;
  readonly append: boolean;
  /** Kill, pause, stop and start brokers. */
  readonly processes: boolean;
}

/** What a person does to a broker's process. */
export type ProcessDeed = 'kill' | 'pause' | 'stop' | 'start';

/** What a page asks for. */
export type Action =
  | {
      readonly kind: 'append';
      readonly topic: string;
      readonly partition: number;
      /** Null: none. */
      readonly key: string | null;
      readonly value: string;
    }
  | { readonly kind: 'process'; readonly brokerId: number; readonly deed: ProcessDeed };

/** What became of it, in words. */
export interface ActionAnswer {
  readonly ok: boolean;
  readonly message: string;
}

/** The newest committed records of a partition. */
export interface TailSeen {
  /** In order of offsets. */
  readonly records: readonly RecordSeen[];
  /** Where the next look begins. */
  readonly next: number;
  /** Offsets between `from` and the first record shown, which were passed over. */
  readonly skipped: number;
}

/** Why they cannot be read now. */
export interface TailFault {
  readonly fault: string;
}

/** One record; text is UTF-8, cut. */
export interface RecordSeen {
  readonly offset: number;
  readonly timestampMs: number;
  /** Null: none. */
  readonly key: string | null;
  /** Null: a tombstone. */
  readonly value: string | null;
  readonly valueBytes: number;
  readonly headers: number;
}
