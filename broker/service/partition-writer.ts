/**
 * Writes the records of plain Append calls to one partition, as an idempotent producer with one batch in flight: what arrives meanwhile becomes the next
 * batch, so that many small calls cost few batches, and a retried batch is never overtaken. Follows the leader until the records' deadline.
 */
import { crc32 } from 'node:zlib';

import { nextSequence } from '../../proto/batch/frame.ts';
import { encodeBatch } from '../../proto/records/batch.ts';
import { recordBytes, type RecordInput } from '../../proto/records/record-set.ts';
import { BrokerError, type ErrorCode } from '../base/errors.ts';
import type { Offset, TopicId } from '../base/units.ts';
import type { AckLevel, AppendResult } from '../replication/types.ts';
import { expected, type ReportDefect } from '../wire/handlers.ts';
import { Backoff, type Cluster, imageChangeOr, isRetriable } from './cluster.ts';
import type { InternalProducer, ProducerIdentity } from './internal-producer.ts';
import type { ProduceForwarder } from './produce-forwarder.ts';

/** Records and bytes of one batch; the topic's own limit may be lower. */
const BATCH_RECORDS_MAX = 10_000;
const BATCH_BYTES_TARGET = 1024 * 1024;
/** Header of a batch, and a reserve. */
const FRAME_OVERHEAD_BYTES = 128;

/** Refusals that prove that the batch was not appended by that attempt. After any other failed attempt it may have been. */
const CERTAIN: ReadonlySet<ErrorCode> = new Set([
  'NOT_ENOUGH_REPLICAS',
  'OVERLOADED',
  'DISK_FULL',
  'LEADER_UNKNOWN',
  'UNKNOWN_BROKER',
]);
/** The log and we disagree about sequences: with a new id they begin again. */
const SEQUENCE_LOST: ReadonlySet<ErrorCode> = new Set([
  'UNKNOWN_PRODUCER',
  'OUT_OF_ORDER_SEQUENCE',
  'DUPLICATE_SEQUENCE',
  'PRODUCER_FENCED',
]);

/** A record on its way, and who waits for it. */
export interface PendingRecord {
  readonly record: RecordInput;
  readonly ack: AckLevel;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  /** Called once. */
  readonly settle: (fate: { readonly offset: Offset } | BrokerError) => void;
}

export interface WriterParts {
  readonly cluster: Cluster;
  readonly producer: InternalProducer;
  readonly forwarder: ProduceForwarder;
  readonly report: ReportDefect;
}

export class PartitionWriter {
  readonly #parts: WriterParts;
  readonly #topicId: TopicId;
  readonly #partition: number;
  #queue: PendingRecord[] = [];
  #identity: ProducerIdentity | null = null;
  #nextSequence = 0;
  #isRunning = false;

  constructor(parts: WriterParts, topicId: TopicId, partition: number) {
    this.#parts = parts;
    this.#topicId = topicId;
    this.#partition = partition;
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return !this.#isRunning && this.#queue.length === 0;
  }

  append(records: readonly PendingRecord[]): void {
    for (const record of records) this.#queue.push(record);
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Calls of the same turn of the loop share a batch.
    setImmediate(() => void this.#run());
  }

  /** Refuses what waited beyond its deadline and was never sent. */
  dropExpired(): void {
    const nowMs = performance.now();
    const expired = this.#queue.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    if (expired.length === 0) return;
    this.#queue = this.#queue.filter(({ deadlineMs }) => deadlineMs > nowMs);
    this.#refuse(
      expired,
      new BrokerError(
        'BROKER_NOT_READY',
        `Partition ${this.#partition} took nothing before the deadline; the record was not appended`,
      ),
    );
  }

  async #run(): Promise<void> {
    for (;;) {
      this.dropExpired();
      const batch = this.#takeBatch();
      if (batch.length === 0) break;
      try {
        await this.#writeBatch(batch);
      } catch (error) {
        const fate = expected(error, this.#parts.report);
        for (const { settle } of batch) settle(fate);
      }
    }
    this.#isRunning = false;
  }

  /** The next run of records that share an acknowledgement level and fit one frame. */
  #takeBatch(): PendingRecord[] {
    const topic = this.#parts.cluster.image().topics.get(this.#topicId);
    const bytesMax =
      Math.min(BATCH_BYTES_TARGET, topic?.config.batchBytesMax ?? BATCH_BYTES_TARGET) -
      FRAME_OVERHEAD_BYTES;
    const ack = this.#queue[0]?.ack;
    let bytes = 0;
    let count = 0;
    for (const pending of this.#queue) {
      bytes += recordBytes(pending.record);
      if (pending.ack !== ack || count === BATCH_RECORDS_MAX || (count > 0 && bytes > bytesMax))
        break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #writeBatch(batch: readonly PendingRecord[]): Promise<void> {
    const deadlineMs = batch.reduce((latest, record) => Math.max(latest, record.deadlineMs), 0);
    const backoff = new Backoff();
    let attempt = await this.#prepare(batch, deadlineMs, backoff);
    let isUncertain = false;
    for (;;) {
      const result = await this.#tryOnce(attempt.frame, batch, deadlineMs);
      if (result === 'deadline') {
        this.#giveUp(
          batch,
          attempt.identity,
          new BrokerError('BROKER_NOT_READY', 'the deadline passed while the batch was in flight'),
        );
        return;
      }
      if (result.ok) {
        this.#settle(batch, result.baseOffset);
        return;
      }
      const { error } = result;
      const isLost = !isUncertain && SEQUENCE_LOST.has(error.code);
      if (isLost) this.#parts.producer.abandon(attempt.identity);
      else if (isRetriable(error)) isUncertain ||= !CERTAIN.has(error.code);
      if (performance.now() >= deadlineMs || !(isLost || isRetriable(error))) {
        if (isUncertain) this.#giveUp(batch, attempt.identity, error);
        else this.#refuse(batch, error);
        return;
      }
      if (isLost) attempt = await this.#prepare(batch, deadlineMs, backoff);
      await this.#pause(backoff, deadlineMs);
    }
  }

  /** Until metadata changes, or the next try is due. */
  #pause(backoff: Backoff, deadlineMs: number): Promise<void> {
    return imageChangeOr(
      this.#parts.cluster.broker,
      Math.min(backoff.nextMs(), Math.max(1, deadlineMs - performance.now())),
    );
  }

  /** The batch as a frame under the present id; waits for an id within the deadline. Nothing was sent while this fails. */
  async #prepare(
    batch: readonly PendingRecord[],
    deadlineMs: number,
    backoff: Backoff,
  ): Promise<{ readonly frame: Uint8Array; readonly identity: ProducerIdentity }> {
    const { producer } = this.#parts;
    for (;;) {
      try {
        const identity = await producer.identity();
        if (this.#identity !== identity) this.#nextSequence = 0;
        this.#identity = identity;
        const sequence = { ...identity, baseSequence: this.#nextSequence };
        const records = batch.map(({ record }) => record);
        return { identity, frame: encodeBatch(records, { codec: 0, producer: sequence }, crc32) };
      } catch (error) {
        if (
          !(error instanceof BrokerError) ||
          !isRetriable(error) ||
          performance.now() >= deadlineMs
        )
          throw error;
        await this.#pause(backoff, deadlineMs);
      }
    }
  }

  /** Hands the frame to the present leader. */
  #tryOnce(
    frame: Uint8Array,
    batch: readonly PendingRecord[],
    deadlineMs: number,
  ): Promise<AppendResult | 'deadline'> {
    const { cluster, forwarder, report } = this.#parts;
    const ack = batch[0]?.ack ?? 'all';
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => resolve('deadline'),
        Math.max(1, deadlineMs - performance.now()),
      );
      const done = (result: AppendResult): void => {
        clearTimeout(timer);
        resolve(result);
      };
      try {
        const leader = cluster.leader(this.#topicId, this.#partition);
        // The log keeps and stamps what it is given, and we may need the frame again.
        if (cluster.isSelf(leader))
          cluster.broker.append(this.#topicId, this.#partition, frame.slice(), ack, done);
        else
          forwarder.send(
            leader,
            { topicId: this.#topicId, partition: this.#partition, frame, ack },
            done,
          );
      } catch (error) {
        done({ ok: false, error: expected(error, report) });
      }
    });
  }

  #settle(batch: readonly PendingRecord[], baseOffset: Offset): void {
    this.#nextSequence = nextSequence(this.#nextSequence, batch.length);
    batch.forEach(({ settle }, index) => settle({ offset: baseOffset + index }));
  }

  /** Nothing was appended, so the sequence is not used up. */
  #refuse(batch: readonly PendingRecord[], error: BrokerError): void {
    for (const { settle } of batch) settle(error);
  }

  #giveUp(batch: readonly PendingRecord[], identity: ProducerIdentity, cause: BrokerError): void {
    this.#parts.producer.abandon(identity);
    const error = new BrokerError(
      'OUTCOME_UNKNOWN',
      `Append to partition ${this.#partition} may or may not have happened: ${cause.message}`,
      {},
      cause,
    );
    for (const { settle } of batch) settle(error);
  }
}
