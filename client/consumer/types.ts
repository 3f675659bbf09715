/** What a consumer takes and gives back. */
import type { DecodedRecord } from '../../proto/records/record-set.ts';

/** Where reading starts. `latest`: only records committed after the call. A timestamp: the first batch that holds one at or after it. */
export type StartFrom =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  /** Milliseconds since 1970-01-01 UTC. */
  | { readonly timestampMs: number };

/** A place to resume from. The epoch makes it safe: a log that was cut behind a reader's back is noticed (rule 21 of logs.md). */
export interface Position {
  readonly partition: number;
  /** Next offset to read. */
  readonly offset: number;
  /** Leader epoch of the record before it; 0: not known. */
  readonly leaderEpoch: number;
}

/** What to do where the position is gone: retired, or cut off by an unclean election. `fail` throws. */
export type ResetPolicy = 'fail' | 'earliest' | 'latest';

/** Settings of a consumer. */
export interface ConsumerOptions {
  readonly topic: string;
  /** Default: all, those added later included. */
  readonly partitions?: readonly number[] | undefined;
  /** Default `earliest`. */
  readonly from?: StartFrom;
  /** Resume exactly here; partitions without a position start at `from`. */
  readonly positions?: readonly Position[];
  /** False: stop at what was committed when reading began. Default true. */
  readonly follow?: boolean;
  /** Default `fail`: throws OFFSET_OUT_OF_RANGE or POSITION_DIVERGED. */
  readonly onReset?: ResetPolicy;
  /**
   * Read from an in-sync replica in this rack where there is one, up to what that replica knows to be committed; else from the leader. Positions only move
   * forward, whichever replica is read. Default: the leaders.
   */
  readonly rack?: string | undefined;
  /** Most bytes held for a caller who does not read, for each broker, 64 KiB to 1 GiB. Default 8 MiB. One batch may exceed it. */
  readonly bufferBytesMax?: number;
}

/** Records of one batch, in order. Their arrays are views: copy what outlives the batch. */
export interface RecordBatch {
  readonly topic: string;
  readonly partition: number;
  /** Epoch of the leader that appended it. */
  readonly leaderEpoch: number;
  /** At least one. */
  readonly records: readonly DecodedRecord[];
  /** End of what was committed when it was sent. */
  readonly highWaterMark: number;
}

/** One record, with the place it was read from. */
export interface ConsumedRecord extends DecodedRecord {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
}
