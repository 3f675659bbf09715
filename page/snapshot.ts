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
