/** What a consumer takes and gives back. */
import type { RecordHeader } from '../../wire/records/record-set.ts';
import type { AnyTopic, TypedTopic } from '../codecs.ts';
import type { TidemarkError } from '../errors.ts';
import type { LossRange } from '../losses.ts';

/**
 * Where reading starts. `latest`: only records committed after the call. A timestamp: the first
 * record at or after it.
 */
export type StartFrom =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  /** Milliseconds since 1970-01-01 UTC. */
  | { readonly timestampMs: number };

/**
 * A place to resume from. The epoch makes it safe: a log that was cut behind a reader's back is
 * noticed (rule 21). So does the topic's id: a topic that was deleted and made again is another.
 */
export interface Position {
  /** Default: the topic that is read, where that is one. */
  readonly topic?: string | undefined;
  /** Absent: the position is taken at its word. */
  readonly topicId?: string | undefined;
  readonly partition: number;
  /** Next offset to read. */
  readonly offset: number;
  /** Leader epoch of the record before it; 0: not known. */
  readonly leaderEpoch: number;
}

/**
 * A position that a consumer gives, which says what it is of: a cursor can be committed from it.
 */
export interface ConsumerPosition extends Position {
  /** The one that was read. */
  readonly topic: string;
  /** Of the topic that was read under this name. */
  readonly topicId: string;
}

/**
 * What to do where the position is gone: retired, or cut off by an unclean election. `fail` throws.
 */
export type ResetPolicy = 'fail' | 'earliest' | 'latest';

/** What to do with a batch or a record that cannot be decoded. */
export type UndecodablePolicy = 'throw' | 'skip';

/** What to do where an unclean election may have lost records. */
export type LossPolicy = 'throw' | 'yield';

/** What to do where tombstones are gone that a reader had yet to come to. */
export type DeletionPolicy = 'throw' | 'pass';

/** What is handed out besides records and batches, by policy. */
export type LossOf<P extends LossPolicy> = 'yield' extends P ? LossRange : never;

/** One topic, or several, each by its name or with codecs. */
type Topics<T extends string | AnyTopic> =
  | { readonly topic: T; readonly topics?: undefined }
  | { readonly topics: readonly T[]; readonly topic?: undefined };

/** Settings of a consumer beside what it reads. */
export interface ReadOptions {
  /** Default: all, those added later included. */
  readonly partitions?: readonly number[] | undefined;
  /** Default `earliest`. */
  readonly from?: StartFrom;
  /**
   * Reads for this group, alone: begins at its cursors, and commits what was handled; `from` says
   * where a partition without a cursor begins. Not together with `positions`. A record is handled
   * once the next one is asked for, or its handler of `parallel` is done: who begins again misses
   * none, and may meet some again. Cursors that cannot be fetched are never taken for none.
   */
  readonly group?: string | undefined;
  /** How often cursors are committed, 10 to 60,000 ms. Default 1,000. */
  readonly commitMs?: number | undefined;
  /** Resume exactly here; partitions without a position start at `from`. */
  readonly positions?: readonly Position[];
  /** False: stop at what was committed when reading began. Default true. */
  readonly follow?: boolean;
  /** Default `fail`: throws OFFSET_OUT_OF_RANGE or POSITION_DIVERGED. */
  readonly onReset?: ResetPolicy;
  /**
   * Default `throw`: UNDECODABLE, which names topic, partition, offset and the offset behind it,
   * once everything before it was handed out. `skip` goes on behind it.
   */
  readonly onUndecodable?: UndecodablePolicy;
  /**
   * Where reading comes across an unclean election, also one that happened while nobody read, and
   * where one cut the position off. Default `throw`: RECORDS_MAY_BE_LOST, once everything before it
   * was handed out; the position stays before it. `yield` hands out a `LossRange` in its place,
   * once, and goes on. A topic without `uncleanElection` has none.
   */
  readonly onLoss?: LossPolicy;
  /**
   * Where tombstones of a compacted topic went before they were read, so that keys which were read
   * before may be deleted by now: a reader that was behind, or away, for longer than the topic's
   * `tombstoneRetentionMs`. Default `throw`: DELETIONS_MISSED. `pass` goes on.
   */
  readonly onDeletionsMissed?: DeletionPolicy;
  /**
   * Read from an in-sync replica in this rack where there is one, up to what that replica knows to
   * be committed; else from the leader. Positions only move forward, whichever replica is read.
   * Default: the leaders.
   */
  readonly rack?: string | undefined;
  /**
   * Most bytes held for a caller who does not read, for each broker and topic, 64 KiB to 1 GiB.
   * Default 8 MiB. One batch may exceed it.
   */
  readonly bufferBytesMax?: number;
}

/** Settings of a consumer. */
export type ConsumerOptions<T extends string | AnyTopic = string> = Topics<T> & ReadOptions;

/* eslint-disable @typescript-eslint/no-explicit-any -- Inputs are contravariant. */
/** What the keys of a topic are read as. */
export type KeyOf<T> = T extends TypedTopic<any, infer Key, any, unknown> ? Key : Uint8Array;

/** What the values of a topic are read as. */
export type ValueOf<T> = T extends TypedTopic<any, unknown, any, infer Value> ? Value : Uint8Array;
/* eslint-enable @typescript-eslint/no-explicit-any */

/** A record of a batch. Bytes are views of the batch: copy what outlives it. */
export interface BatchRecord<Key = Uint8Array, Value = Uint8Array> {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Key | undefined;
  /** Null: a tombstone. */
  readonly value: Value | null;
  readonly headers: readonly RecordHeader[];
}

/** Records of one batch, in order. */
export interface RecordBatch<Key = Uint8Array, Value = Uint8Array> {
  readonly topic: string;
  readonly partition: number;
  /** Epoch of the leader that appended it. */
  readonly leaderEpoch: number;
  /** At least one. */
  readonly records: readonly BatchRecord<Key, Value>[];
  /** End of what was committed when it was sent. */
  readonly highWaterMark: number;
}

/** One record, with the place it was read from. */
export interface ConsumedRecord<Key = Uint8Array, Value = Uint8Array>
  extends BatchRecord<Key, Value> {
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
}

/** How `Consumer.parallel` goes about it. */
export interface ParallelOptions {
  /**
   * What keeps its order. Default `key`: records of a partition with the same bytes as key are
   * handled one after the other; a record without a key waits for nobody. `partition`: all records
   * of a partition.
   */
  readonly by?: 'key' | 'partition';
  /** Most handlers that run at a time, 1 to 10,000. Default 64. */
  readonly max?: number;
  /**
   * Most records from the oldest that is not handled to the newest that was read, over all
   * partitions, `max` to 1,000,000. Then reading waits. Default: 16 for each of `max`.
   */
  readonly recordsMax?: number;
}

/** What a handler is told beside its record. */
export interface ParallelContext {
  /** Aborted once handlers are to end: one failed, or by the caller's signal, or by `close`. */
  readonly signal: AbortSignal;
}

/** How the reading of a partition stands. */
export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  /** Next offset to be handed out. */
  readonly offset: number;
  /** End of what is committed, as far as it was heard; undefined: not yet. */
  readonly end: number | undefined;
  /** Offsets from the next one to the end. */
  readonly lag: number | undefined;
  /**
   * `waiting`: there is no replica to read at the moment. `done`: at the end, without `follow`.
   * `failed`: it is not read, as `error` says; only of members of a group.
   */
  readonly state: 'reading' | 'caught-up' | 'waiting' | 'done' | 'failed';
  readonly error?: TidemarkError;
  /** Broker that is read. */
  readonly brokerId: number | undefined;
}
