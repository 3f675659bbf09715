/** What a producer takes and gives back. */
import type { RecordHeader } from '../../proto/records/record-set.ts';
import type { TidemarkError } from '../errors.ts';

/** How far a record must have come before it is acknowledged: accepted, written by the leader, or committed. */
export type Acks = 'none' | 'leader' | 'all';

/** Compression of a batch; one that it does not shrink goes out plain. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** A record to append. Its arrays must not change until it is delivered. */
export interface ProducerRecord {
  readonly topic: string;
  /** Absent and empty are different keys: an absent key is spread over partitions. */
  readonly key?: Uint8Array | undefined;
  readonly value: Uint8Array;
  readonly headers?: readonly RecordHeader[] | undefined;
  /** Milliseconds since 1970-01-01 UTC; default: now. */
  readonly timestampMs?: number | undefined;
  /** Default: by the hash of the key, or, without a key, the partition that is being filled. */
  readonly partition?: number | undefined;
  /** Handed back in the delivery report; never sent. */
  readonly context?: unknown;
}

/** Where a record went. */
export interface RecordMetadata {
  readonly partition: number;
  /** -1 when it is not known: with acks `none`, or for a batch that was appended long ago. */
  readonly offset: number;
  readonly timestampMs: number;
}

/** The fate of one batch: all of it, or, with `error`, none of it (OUTCOME_UNKNOWN: nobody knows). */
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
  /** Whether a retry can never append twice. Default true. Without it one batch per partition is in flight. */
  readonly idempotent?: boolean;
  /** How long the first record of an idle partition waits for company, 0 to 60,000. Default 0: a batch forms while another is in flight. */
  readonly lingerMs?: number;
  /** A batch this large does not wait for the one in flight, 1 to `batchBytesMax`. Default 128 KiB. */
  readonly batchBytes?: number;
  /** Largest batch frame, header included, 1 KiB to 8 MiB less 1 KiB; must not exceed the topic's `batchBytesMax`. Default 1 MiB. */
  readonly batchBytesMax?: number;
  /** Most bytes of records that wait or are in flight; past it `enqueue` and `send` refuse. Default 32 MiB. Memory is about twice this. */
  readonly bufferBytesMax?: number;
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
