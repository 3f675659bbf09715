/**
 * Reads for one member: decoded records of the partitions that it has, from wherever their leaders
 * are, within its credit. Partitions take turns, and come and go while it reads. Each is resumed by
 * offset and epoch (rule 21), and what cannot be read is told for its partition alone. Memory is
 * bounded by the credit of its feeds, and one batch of each partition that is being decoded.
 */
import { crc32 } from 'node:zlib';

import type { ConsumeRecord, ConsumeRecords } from '../../../proto/gen/tidemark/v1/consume.ts';
import type { CrossedLoss } from '../../../proto/gen/tidemark/v1/losses.ts';
import {
  endOffsetOf,
  frameBaseOffset,
  frameLastOffset,
  frameLength,
} from '../../../wire/batch/frame.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { openBatch, type OpenedBatch } from '../../../wire/records/batch.ts';
import { recordBytes } from '../../../wire/records/record-set.ts';
import type { Cancel } from '../../../base/clock.ts';
import { BrokerError, type ErrorCode } from '../../../base/errors.ts';
import {
  type BrokerId,
  type LeaderEpoch,
  type Offset,
  partitionKey,
  type PartitionKey,
  type TopicId,
} from '../../../base/units.ts';
import { topicIdBytes, topicIdField } from '../../messages/fields.ts';
import type { Held } from '../../messages/held.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import { Backoff, type Cluster, isRetriable } from '../cluster.ts';
import { type FedPartition, Feeds } from '../feeds.ts';
import { recordFields } from '../frames.ts';
import type { Traffic } from '../traffic.ts';

/** Credit of one feed: bytes of frames that may wait for the member, of each broker read from. */
const FEED_CREDIT_BYTES = 1024 * 1024;
/** Bytes of records after which a message is sent. */
const MESSAGE_BYTES_TARGET = 128 * 1024;
/** Records of one message. */
const MESSAGE_RECORDS_MAX = 2_000;
/**
 * This broker, or a leader, may not have heard of the topic yet. Of one that is gone the group
 * takes the partitions away.
 */
const MAYBE_UNHEARD: readonly ErrorCode[] = ['UNKNOWN_TOPIC', 'UNKNOWN_PARTITION'];

/** A partition that the member has, and where it begins. */
export interface DeliveredPartition {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  /** In the view. */
  readonly epoch: number;
  readonly offset: Offset;
  readonly leaderEpoch: LeaderEpoch;
}

export interface DeliveryPorts {
  readonly cluster: Cluster;
  readonly principal: string;
  readonly traffic: Traffic;
  readonly report: ReportDefect;
  readonly held: Held;
  /** Whether anything may be delivered at this moment. */
  readonly mayDeliver: () => boolean;
  /** False: nothing more until {@link Delivery.wake}. */
  readonly send: (records: ConsumeRecords) => boolean;
  /** It is read no more until it is given anew. */
  readonly failed: (key: PartitionKey, error: BrokerError) => void;
}

interface Chunk {
  readonly source: BrokerId;
  readonly bytes: Uint8Array;
  /** What its frames come across. */
  readonly losses: readonly CrossedLoss[];
}

interface Reading extends DeliveredPartition {
  readonly key: PartitionKey;
  /** Next to be sent. */
  offset: Offset;
  leaderEpoch: LeaderEpoch;
  /** Behind what was received. */
  receivedTo: Offset;
  /** Behind the last record that was sent; null: none was. */
  sentTo: Offset | null;
  /** Losses of epochs up to this one were told, or are with the next record. */
  toldEpoch: LeaderEpoch;
  losses: CrossedLoss[];
  chunks: Chunk[];
  sending: (OpenedBatch & { readonly source: BrokerId }) | null;
  source: BrokerId | null;
  backoff: Backoff;
  cancelRetry: Cancel | null;
  isPaused: boolean;
}

export class Delivery {
  readonly #ports: DeliveryPorts;
  readonly #readings = new Map<PartitionKey, Reading>();
  readonly #feeds: Feeds;
  readonly #cancelWatch: Cancel;
  /** Those that have something to send, in turn. */
  readonly #ready = new Set<Reading>();
  #creditBytes: number;
  #isFull = false;
  #isScheduled = false;
  #isClosed = false;

  constructor(creditBytes: number, ports: DeliveryPorts) {
    this.#ports = ports;
    this.#creditBytes = creditBytes;
    this.#feeds = new Feeds(ports, FEED_CREDIT_BYTES, {
      onPartition: (brokerId, part) => {
        this.#fed(brokerId, part);
      },
      onClosed: (brokerId, error) => {
        for (const reading of this.#readings.values())
          if (reading.source === brokerId) this.#failed(reading, error);
      },
    });
    this.#cancelWatch = ports.cluster.broker.watchImage(() => {
      for (const reading of this.#readings.values())
        if (reading.source === null && reading.cancelRetry !== null) this.#assign(reading);
    });
  }

  get creditBytes(): number {
    return this.#creditBytes;
  }

  /** Begins to read it, anew where it was read already. */
  begin(partition: DeliveredPartition): void {
    const key = partitionKey(partition.topicId, partition.partition);
    const isPaused = this.#readings.get(key)?.isPaused ?? false;
    this.drop(key);
    const reading: Reading = {
      ...partition,
      ...{ key, receivedTo: partition.offset, sentTo: null, chunks: [], sending: null },
      ...{ source: null, backoff: new Backoff(), cancelRetry: null, isPaused },
      ...{ toldEpoch: partition.leaderEpoch, losses: [] },
    };
    this.#readings.set(key, reading);
    this.#assign(reading);
  }

  /** Nothing more of it is delivered. */
  drop(key: PartitionKey): void {
    const reading = this.#readings.get(key);
    if (reading === undefined) return;
    this.#stop(reading);
    this.#readings.delete(key);
  }

  pause(key: PartitionKey): void {
    const reading = this.#readings.get(key);
    if (reading === undefined || reading.isPaused) return;
    reading.isPaused = true;
    this.#stop(reading);
  }

  resume(key: PartitionKey): void {
    const reading = this.#readings.get(key);
    if (reading?.isPaused !== true) return;
    reading.isPaused = false;
    this.#assign(reading);
  }

  /** Behind the last record that was delivered; null: none was, in this epoch. */
  sentTo(key: PartitionKey): Offset | null {
    return this.#readings.get(key)?.sentTo ?? null;
  }

  addCredit(bytes: number): void {
    this.#creditBytes += bytes;
    this.#schedule();
  }

  /** The member takes more, or may be delivered to again. */
  wake(): void {
    this.#isFull = false;
    this.#schedule();
  }

  close(): void {
    if (this.#isClosed) return;
    for (const key of [...this.#readings.keys()]) this.drop(key);
    this.#isClosed = true;
    this.#cancelWatch();
    this.#feeds.close();
  }

  /** Subscribes at the present leader. */
  #assign(reading: Reading): void {
    reading.cancelRetry?.();
    reading.cancelRetry = null;
    if (this.#isClosed || reading.isPaused || this.#readings.get(reading.key) !== reading) return;
    const { cluster, report } = this.#ports;
    const { topicId, partition, offset, leaderEpoch } = reading;
    try {
      reading.source = cluster.leader(topicId, partition);
      this.#feeds.subscribe(reading.source, { topicId, partition, offset, leaderEpoch });
    } catch (error) {
      this.#failed(reading, expected(error, report));
    }
  }

  #fed(brokerId: BrokerId, part: FedPartition): void {
    if (this.#isClosed) return;
    const { topicId: bytes, partition, frames, losses, error } = part;
    const key = partitionKey(topicIdField('topic_id', bytes), partition);
    const reading = this.#readings.get(key);
    const isOf = reading?.source === brokerId;
    if (isOf && error !== undefined) this.#failed(reading, errorFromMessage(error));
    try {
      for (const chunk of frames)
        if (isOf) this.#receive(reading, { source: brokerId, bytes: chunk, losses });
        else this.#feeds.returnCredit(brokerId, chunk.length);
    } catch (thrown) {
      // What is no frame ends the reading of its partition, never more.
      if (reading !== undefined) this.#failed(reading, expected(thrown, this.#ports.report));
    }
  }

  /**
   * What does not go on where reading is, is of an earlier subscription to the same broker, and was
   * under way when that ended.
   */
  #receive(reading: Reading, chunk: Chunk): void {
    const { bytes, source } = chunk;
    const endOffset = lastOffsetOf(bytes) + 1;
    if (frameBaseOffset(bytes, 0) > reading.receivedTo || endOffset <= reading.receivedTo) {
      this.#feeds.returnCredit(source, bytes.length);
      return;
    }
    reading.receivedTo = endOffset;
    reading.chunks.push(chunk);
    this.#ports.held.add(bytes.length);
    this.#ready.add(reading);
    this.#schedule();
  }

  /** Nothing of it comes or waits any more. */
  #stop(reading: Reading): void {
    reading.cancelRetry?.();
    reading.cancelRetry = null;
    const { source, topicId, partition } = reading;
    reading.source = null;
    if (source !== null) this.#feeds.unsubscribe(source, topicId, partition);
    this.#forget(reading);
  }

  /** What was received and not sent is fetched again. */
  #forget(reading: Reading): void {
    this.#ready.delete(reading);
    const { chunks, sending } = reading;
    reading.chunks = [];
    reading.sending = null;
    reading.receivedTo = reading.offset;
    if (sending !== null) this.#consumed(sending.source, sending.header.length);
    for (const { source, bytes } of chunks) this.#consumed(source, bytes.length);
  }

  /** Tries again at whoever leads then, unless it would never help. */
  #failed(reading: Reading, error: BrokerError): void {
    if (!isRetriable(error) && !MAYBE_UNHEARD.includes(error.code)) {
      this.drop(reading.key);
      this.#ports.failed(reading.key, error);
      return;
    }
    reading.source = null;
    this.#forget(reading);
    reading.cancelRetry ??= this.#ports.cluster.clock.after(reading.backoff.nextMs(), () => {
      reading.cancelRetry = null;
      this.#assign(reading);
    });
  }

  #consumed(source: BrokerId, bytes: number): void {
    this.#ports.held.add(-bytes);
    this.#feeds.returnCredit(source, bytes);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    this.#ports.cluster.clock.soon(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#pump();
    });
  }

  /** Sends one message of the next partition, then lets others have the loop. */
  #pump(): void {
    const { mayDeliver, report, send } = this.#ports;
    const [reading] = this.#ready;
    if (reading === undefined || this.#isFull || this.#creditBytes <= 0 || !mayDeliver()) return;
    this.#ready.delete(reading);
    const { topic, partition, epoch, topicId } = reading;
    const records: ConsumeRecord[] = [];
    let bytes = 0;
    let fault: BrokerError | null = null;
    try {
      bytes = this.#gather(reading, records);
    } catch (error) {
      fault = undecodable(reading, expected(error, report));
    }
    if (records.length > 0) {
      this.#creditBytes -= bytes;
      reading.sentTo = (records.at(-1)?.offset ?? -1) + 1;
      const [nextOffset, nextLeaderEpoch] = [reading.offset, reading.leaderEpoch];
      const { losses } = reading;
      reading.losses = [];
      const what = { topic, topicId: topicIdBytes(topicId), partition, epoch, records, bytes };
      this.#isFull = !send({ ...what, nextOffset, nextLeaderEpoch, losses });
    }
    // What cannot be decoded withholds nothing before it.
    if (fault !== null) this.#failed(reading, fault);
    else if (reading.sending !== null || reading.chunks.length > 0) this.#ready.add(reading);
    this.#schedule();
  }

  /** Fills a message. Returns the bytes of its records. */
  #gather(reading: Reading, records: ConsumeRecord[]): number {
    let bytes = 0;
    const most = Math.min(MESSAGE_BYTES_TARGET, this.#creditBytes);
    while (bytes < most && records.length < MESSAGE_RECORDS_MAX) {
      reading.sending ??= this.#open(reading);
      const { sending } = reading;
      if (sending === null) break;
      const { leaderEpoch } = sending.header;
      const record = sending.records?.next() ?? null;
      if (record === null) {
        reading.sending = null;
        this.#consumed(sending.source, sending.header.length);
        const endOffset = endOffsetOf(sending.header);
        if (endOffset > reading.offset) Object.assign(reading, { offset: endOffset, leaderEpoch });
        reading.backoff = new Backoff();
        continue;
      }
      const { offset } = record;
      if (offset < reading.offset) continue;
      records.push({ ...recordFields(record, leaderEpoch), delivery: 0 });
      bytes += recordBytes(record);
      Object.assign(reading, { offset: offset + 1, leaderEpoch });
    }
    return bytes;
  }

  #open(reading: Reading): Reading['sending'] {
    const [chunk] = reading.chunks;
    if (chunk === undefined) return null;
    const batch = openBatch(chunk.bytes, 0, crc32);
    const length = frameLength(chunk.bytes, 0);
    if (chunk.bytes.length === length) reading.chunks.shift();
    else reading.chunks[0] = { ...chunk, bytes: chunk.bytes.subarray(length) };
    const { leaderEpoch } = batch.header;
    const crossed = chunk.losses.filter(({ report }) => {
      const epoch = report?.leaderEpoch ?? 0;
      return epoch > reading.toldEpoch && epoch <= leaderEpoch;
    });
    reading.losses.push(...crossed);
    reading.toldEpoch = Math.max(reading.toldEpoch, leaderEpoch);
    return { ...batch, source: chunk.source };
  }
}

function lastOffsetOf(bytes: Uint8Array): Offset {
  let at = 0;
  for (let length = 0; ; at += length) {
    length = frameLength(bytes, at);
    if (length === 0) throw new BrokerError('DATA_CORRUPT', `Frame at byte ${at} has no length`);
    if (at + length >= bytes.length) return frameLastOffset(bytes, at);
  }
}

function undecodable({ topic, partition, offset }: Reading, error: BrokerError): BrokerError {
  return new BrokerError(
    'UNDECODABLE',
    `Cannot decode the batch at ${topic}/${partition} offset ${offset}: ${error.message}`,
    {},
    error,
  );
}
