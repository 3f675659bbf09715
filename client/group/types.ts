/** What a member of a group takes and gives back. */
import type { AnyTopic } from '../codecs.ts';
import type {
  ConsumedRecord,
  LossPolicy,
  ParallelContext,
  Position,
  ResetPolicy,
  UndecodablePolicy,
} from '../consumer/types.ts';
import type { TidemarkError } from '../errors.ts';

/** How partitions are spread over the members of a group. */
export type Assignor = 'balanced' | 'rack-aware' | 'range';

/** A partition that the member has. */
export interface AssignedPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  /** Of the group when the member was given it: with another epoch it was given anew. */
  readonly epoch: number;
  /** Where the group stood then: offset of the next record; 0 where that is not known. */
  readonly offset: number;
  /** Leader epoch of the record before it; 0: not known. */
  readonly leaderEpoch: number;
}

/** Where to go on in a partition: `leaderEpoch` 0, the default, takes the offset at its word. */
export type GroupPosition = Omit<Position, 'leaderEpoch' | 'topic'> & {
  readonly topic: string;
  readonly leaderEpoch?: number;
};

/** Names partitions. */
export interface GroupPartitionName {
  readonly topic: string;
  /** Default: all of the topic that the member has. */
  readonly partitions?: readonly number[];
}

/** What is called as partitions come and go. */
export interface GroupHooks {
  /**
   * Before anything of these is read. Positions that it gives take the place of the cursors: for
   * programs that keep positions beside what they write. One that rejects ends the member.
   */
  readonly onAssigned?: (
    partitions: readonly AssignedPartition[],
  ) => void | readonly GroupPosition[] | Promise<void | readonly GroupPosition[]>;
  /**
   * Before these go to others: nothing of them is read any more, their handlers have ended, and
   * what was handled is committed behind it. It is waited for, but not longer than the partitions
   * may take: see `releaseMs`.
   */
  readonly onRevoked?: (partitions: readonly AssignedPartition[]) => unknown;
  /**
   * This one cannot be read: its topic was made again, the program may not read it any more, or
   * where the group stands in it cannot be known. It stays the member's, the others are read, and
   * it is begun by `seek`, here or of the group. Absent: only `state` tells.
   */
  readonly onFailed?: (partition: AssignedPartition, error: TidemarkError) => unknown;
  /**
   * These are somebody else's already: the process slept, or was cut off. Nothing can be committed
   * any more; what was under way is handled again.
   */
  readonly onLost?: (partitions: readonly AssignedPartition[]) => unknown;
}

/** Settings of a member. */
export interface GroupOptions<T extends string | AnyTopic = string> extends GroupHooks {
  /**
   * Topics to read, each by its name or with codecs, 1 to 100. A name may be the beginning of
   * names, `orders-*`; topics to come are waited for.
   */
  readonly topics: readonly T[];
  /**
   * Name of the place that outlives the process, such as the pod's. Of two processes with one name
   * the newer holds it, and the older ends with FENCED. Default: none.
   */
  readonly instanceId?: string;
  /**
   * How long the place is kept when the process is away, so that a restart moves nothing, 0 to
   * 3,600,000 ms; only with `instanceId`. Default 0.
   */
  readonly returnMs?: number;
  /** Where the process runs: read near it, and assigned by it (`rack-aware`). Default: unknown. */
  readonly rack?: string;
  /** How partitions are spread. Default: as the group has it, `balanced` where it is new. */
  readonly assignor?: Assignor;
  /**
   * How long the process may be silent before others get its partitions, 6,000 to 1,800,000 ms.
   * Default 30,000.
   */
  readonly sessionMs?: number;
  /** What is left of it once its connection broke, 0 to `sessionMs`. Default 3,000. */
  readonly graceMs?: number;
  /**
   * How long a partition may take to be let go: handlers that run, `onRevoked` and the last commit,
   * 1,000 to 600,000 ms. Handlers that take longer are told by their signal; what they had begun is
   * handled again by others. Default 30,000.
   */
  readonly releaseMs?: number;
  /** Where a topic is begun of which the group has no cursor. Default `earliest`. */
  readonly from?: 'earliest' | 'latest';
  /** How often cursors are committed, 10 to 60,000 ms. Default 1,000. */
  readonly commitMs?: number;
  /** For people, in lists of members. Default: the program and its process id. */
  readonly client?: string;
  /** As of a consumer. */
  readonly onReset?: ResetPolicy;
  /** As of a consumer. */
  readonly onUndecodable?: UndecodablePolicy;
  /** As of a consumer. */
  readonly onLoss?: LossPolicy;
  /** As of a consumer: for each broker and topic, 64 KiB to 1 GiB. */
  readonly bufferBytesMax?: number;
}

/** How `GroupConsumer.run` goes about it. */
export interface RunOptions {
  /** Most handlers that run at a time, 1 to 10,000. Default 1. */
  readonly concurrency?: number;
  /**
   * What keeps its order. Default `key`: records of a partition with the same key, one after the
   * other; a record without a key waits for nobody. `partition`: all records of a partition.
   * `none`: nothing.
   */
  readonly order?: 'key' | 'partition' | 'none';
  /**
   * Most records from the oldest that is not handled to the newest that was read, `concurrency` to
   * 1,000,000. Then reading waits. Default: 16 for each of `concurrency`.
   */
  readonly recordsMax?: number;
}

/** What handles one record. Its signal says that the record will be handled by others. */
export type RecordHandler<Key, Value, Loss> = (
  record: ConsumedRecord<Key, Value> | Loss,
  context: ParallelContext,
) => unknown;
