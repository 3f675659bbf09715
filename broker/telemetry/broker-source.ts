/**
 * What metrics and health ask of a broker: a part of the runtime's report, stated here because
 * telemetry imports nobody.
 */

export type Phase = 'unformatted' | 'joining' | 'recovering' | 'serving' | 'stopping' | 'failed';

/** One replica, as far as metrics look at it. Offsets in records. */
export interface ReplicaSample {
  readonly topicId: string;
  readonly partition: number;
  readonly stopped: string | null;
  readonly sizeBytes: number;
  readonly compaction: { readonly phase: string; readonly dirtyBytes: number };
  readonly status: {
    readonly leader: number;
    readonly leaderEpoch: number;
    readonly partitionEpoch: number;
    readonly highWaterMark: number;
    readonly writtenEnd: number;
    readonly belowMin: boolean;
    readonly isUnderReplicated: boolean;
  };
}

/** The metadata quorum as this broker sees it. */
export interface QuorumSample {
  readonly role: string;
  readonly term: number;
  readonly commitIndex: number;
}

/** What passes of compaction came to since the broker started. */
export interface CompactionTotals {
  readonly passes: number;
  readonly failures: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly segmentsMerged: number;
}

export interface BrokerSample {
  readonly phase: Phase;
  readonly restartClass: string;
  readonly replicas: readonly ReplicaSample[];
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly diskFault: string | null;
  readonly flushAgeMs: number;
  readonly stuckWriteMs: number;
  readonly raft: QuorumSample | null;
  /** Null: the broker follows the metadata. */
  readonly metadataFault: string | null;
  readonly clockSkewMs: number | null;
  /** Null: the clock is believed. */
  readonly clockDoubt: string | null;
  readonly compactions: CompactionTotals;
}

/** One partition as metadata has it. Broker ids. */
export interface PartitionSample {
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly syncSet: readonly number[];
  readonly suspects: readonly number[];
  readonly adding: readonly number[];
}

/** Committed brokers, and partitions by topic id, and the reports of possible loss. */
export interface MetadataSample {
  readonly featureLevel: number;
  readonly losses: readonly unknown[];
  readonly brokers: ReadonlyMap<number, { readonly fenced: boolean }>;
  readonly topics: ReadonlyMap<
    string,
    {
      readonly name: string;
      readonly partitions: readonly PartitionSample[];
    }
  >;
}

/** The broker. The runtime's `BrokerApi` is one. */
export interface BrokerSource {
  readonly brokerId: number;
  phase(): Phase;
  report(): BrokerSample;
  image(): MetadataSample;
}

/** What clients cost. */
export interface CostSource {
  readonly budget: {
    readonly bytes: number;
    readonly streams: number;
    readonly limits: { readonly bytes: number };
    /** @param listener name of the listener */
    connections(listener: string): number;
  };
  /** Names of all listeners. */
  readonly listeners: readonly string[];
  readonly pressure: {
    totals(): readonly { readonly what: string; readonly reason: string; readonly count: number }[];
  };
  readonly quotas: {
    totals(): readonly {
      readonly quota: string;
      readonly delays: number;
      readonly delayedMs: number;
      readonly refusals: number;
    }[];
  };
  /** Between producers. */
  readonly shares: {
    totals(): {
      readonly active: number;
      readonly heldBack: number;
      readonly underWayBytes: number;
      readonly windowBytes: number;
      readonly holds: number;
    };
  };
}
