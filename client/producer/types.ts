/** What a producer takes and gives back. */
import type { CallControl } from '../abort.ts';
import type { TypedTopic } from '../codecs.ts';
import type { TidemarkError } from '../errors.ts';
import type { Bytes, HeaderInput } from '../values.ts';

/**
 * How far a record must have come before it is acknowledged: accepted, written by the leader, or
 * committed.
 */
export type Acks = 'none' | 'leader' | 'all';

/** Compression of a batch; one that it does not shrink goes out plain. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** What records have beside their topic, key and value. */
interface RecordFields {
  readonly headers?: readonly HeaderInput[] | undefined;
  /** Milliseconds since 1970-01-01 UTC; default: now. */
  readonly timestampMs?: number | undefined;
  /** Default: by the hash of the key, or, without a key, the partition that is being filled. */
  readonly partition?: number | undefined;
  /** Handed back in the delivery report; never sent. */
  readonly context?: unknown;
}

/** A record to append. Bytes are copied when it is handed in. */
export interface ProducerRecord extends RecordFields {
  readonly topic: string;
  /** Absent and empty are different keys: an absent key is spread over partitions. */
  readonly key?: Bytes | undefined;
  /** Null: a tombstone, which has no value, not even an empty one. */
  readonly value: Bytes | null;
}

/** A record of a topic with codecs, which say what its key and its value are. */
export interface TypedRecord<Key, Value> extends RecordFields {
  readonly topic: TypedTopic<Key, unknown, Value, unknown>;
  readonly key?: NoInfer<Key> | undefined;
  /** Null: a tombstone, whatever the codec. */
  readonly value: NoInfer<Value> | null;
}

/** Where a record went. */
export interface RecordMetadata {
  readonly partition: number;
  /** -1 when it is not known: with acks `none`, or for a batch that was appended long ago. */
  readonly offset: number;
  readonly timestampMs: number;
}

/** When `append` appends: only if the partition ends as the program believes. */
export interface AppendOptions extends CallControl {
  /**
   * No record may stand at or above this offset. 0: nothing was ever appended. The offset behind
   * the last record that was read is right, and so is the partition's latest offset, whatever
   * elections lie between.
   */
  readonly ifOffset: number;
  /**
   * Leader epoch of the record before it, which positions tell: refuses with POSITION_DIVERGED
   * where an unclean election has put another record there. Default: not compared.
   */
  readonly ifLeaderEpoch?: number | undefined;
}

/** Where records went that were appended together: one after the other, without gaps. */
export interface AppendedBatch {
  readonly partition: number;
  /** Of the first record. */
  readonly baseOffset: number;
  /** Behind the last record: what the next append expects, if nobody else appends. */
  readonly nextOffset: number;
}

/**
 * The fate of one batch: all of it, or, with `error`, none of it (OUTCOME_UNKNOWN: nobody knows).
 */
export interface DeliveryReport {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the first record; the others follow without gaps. -1 when it is not known. */
  readonly baseOffset: number;
  /** `context` of each record, in order. */
  readonly contexts: readonly unknown[];
  readonly recordCount: number;
  /** Bytes of keys, values and headers with their framing, before compression. */
  readonly bytes: number;
  /** Times that the batch was sent. */
  readonly attempts: number;
  readonly error: TidemarkError | undefined;
}

/** Settings of a producer. Every default is for the promise first, speed second. */
export interface ProducerOptions {
  /** Default `all`. */
  readonly acks?: Acks;
  /** Default `none`. */
  readonly compression?: Compression;
  /**
   * Whether a retry can never append twice. Default true. Without it one batch per partition is in
   * flight.
   */
  readonly idempotent?: boolean;
  /**
   * How long the first record of an idle partition waits for company, 0 to 60,000. Default 0: a
   * batch forms while another is in flight.
   */
  readonly lingerMs?: number;
  /**
   * A batch this large does not wait for the one in flight, 1 to `batchBytesMax`. Default 128 KiB.
   */
  readonly batchBytes?: number;
  /**
   * Largest batch frame, header included, 1 KiB to 8 MiB less 1 KiB; must not exceed the topic's
   * `batchBytesMax`. Default 1 MiB.
   */
  readonly batchBytesMax?: number;
  /**
   * Most bytes of records that wait or are in flight; past it `send` waits and `enqueue` refuses.
   * Default 32 MiB. Memory is about twice this.
   */
  readonly bufferBytesMax?: number;
  /** What `send` does where there is no room. Default `wait`; `fail` rejects with BUFFER_FULL. */
  readonly whenFull?: 'wait' | 'fail';
  /** A record not delivered within this fails, 1,000 to 3,600,000. Default 120,000. */
  readonly deliveryTimeoutMs?: number;
  /** Called for every batch when its fate is known. Must not throw. */
  readonly onDelivery?: (report: DeliveryReport) => void;
}

/** Settings with every default in place. */
export type ProducerSettings = Required<Omit<ProducerOptions, 'onDelivery'>> &
  Pick<ProducerOptions, 'onDelivery'>;

/** What has happened since the producer was made. */
export interface ProducerCounters {
  readonly recordsDelivered: number;
  readonly recordsFailed: number;
  readonly batchesDelivered: number;
  /** Batches sent again. */
  readonly retries: number;
  /** Bytes of records that wait or are in flight. */
  readonly bufferedBytes: number;
}
