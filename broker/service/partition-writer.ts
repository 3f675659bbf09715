/**
 * Writes the records of plain Append calls to one partition, as an idempotent producer with one
 * batch in flight: what arrives meanwhile becomes the next batch, so that many small calls cost few
 * batches, and a retried batch is never overtaken. Follows the leader until the records' deadline.
 *
 * A sequence is free for the next batch only where every try of this one ended with an error whose
 * effect is `none`. Else the partition gives up the id with the batch (rule 20).
 *
 * Records of a call that expects an end of the log are a batch of their own.
 */
import { crc32 } from 'node:zlib';

import { nextSequence } from '../../wire/batch/frame.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import {
  RECORD_CRC_BYTES_MAX,
  recordBytes,
  type RecordInput,
} from '../../wire/records/record-set.ts';
import { BrokerError, isSequenceFault } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { Offset, TopicId } from '../../base/units.ts';
import { isCompacted } from '../runtime/metadata-rules.ts';
import type { TopicConfig } from '../metadata/types.ts';
import type { FairShares, Flow } from '../access/fair-shares.ts';
import type { AckLevel, AppendResult, ExpectedEnd } from '../replication/types.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import { Backoff, type Cluster, imageChangeOr, isRetriable } from './cluster.ts';
import type { ProducerIdentity } from './init-producer.ts';
import type { InternalProducer } from './internal-producer.ts';
import type { ProduceForwarder } from './produce-forwarder.ts';

/** Records and bytes of one batch; the topic's own limit may be lower. */
export const BATCH_RECORDS_MAX = 10_000;
export const BATCH_BYTES_TARGET = 1024 * 1024;
/** Header of a batch, and a reserve. */
export const FRAME_OVERHEAD_BYTES = 128;

/** A record on its way, and who waits for it. */
export interface PendingRecord {
  readonly record: RecordInput;
  readonly ack: AckLevel;
  /** For whom; absent or empty: nobody was asked for a name. A batch is of one principal. */
  readonly principal?: string;
  /**
   * The records of one call share it, and those of no other: they are one batch, which the call is
   * refused if it is too large for.
   */
  readonly expectedEnd?: ExpectedEnd | undefined;
  /** On the monotonic clock. */
  readonly deadlineMs: number;
  /** Called once. */
  readonly settle: (fate: { readonly offset: Offset } | BrokerError) => void;
}

export interface WriterParts {
  readonly cluster: Cluster;
  readonly producer: InternalProducer;
  readonly forwarder: ProduceForwarder;
  readonly shares: FairShares;
  /** Of all plain appends: one batch of each partition at a time, which waits for no share. */
  readonly flow: Flow;
  readonly report: ReportDefect;
}

export class PartitionWriter {
  readonly #parts: WriterParts;
  readonly #topicId: TopicId;
  readonly #partition: number;
  #queue: PendingRecord[] = [];
  /** Null: before the next batch, an id is taken that differs from the one given up. */
  #identity: ProducerIdentity | null = null;
  #givenUp: ProducerIdentity | null = null;
  #nextSequence = 0;
  #isRunning = false;

  constructor(parts: WriterParts, topicId: TopicId, partition: number) {
    this.#parts = parts;
    this.#topicId = topicId;
    this.#partition = partition;
  }

  get #clock(): Clock {
    return this.#parts.cluster.clock;
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
    this.#clock.soon(() => void this.#run());
  }

  /** Refuses what waited beyond its deadline and was never sent. */
  dropExpired(): void {
    const nowMs = this.#clock.monotonicMs();
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
        // Wherever a defect struck, the batch may have left.
        if (!(error instanceof BrokerError)) this.#dropIdentity();
        const fate = expected(error, this.#parts.report);
        for (const { settle } of batch) settle(fate);
      }
    }
    this.#isRunning = false;
  }

  /**
   * The next run of records that share an acknowledgement level and fit one frame, or of those that
   * expect the same end.
   */
  #takeBatch(): PendingRecord[] {
    const bytesMax = Math.min(BATCH_BYTES_TARGET, this.#batchBytesMax) - FRAME_OVERHEAD_BYTES;
    const { ack, expectedEnd, principal } = this.#queue[0] ?? {};
    // Those that expect the same end are never parted, and were judged by what they have alone.
    const hasRoomForCrc = this.#isCompacted && expectedEnd === undefined;
    const crcBytes = hasRoomForCrc ? RECORD_CRC_BYTES_MAX : 0;
    let bytes = 0;
    let count = 0;
    for (const pending of this.#queue) {
      if (pending.ack !== ack || pending.expectedEnd !== expectedEnd) break;
      if (pending.principal !== principal) break;
      bytes += recordBytes(pending.record) + crcBytes;
      if (count === BATCH_RECORDS_MAX || (count > 0 && bytes > bytesMax)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #writeBatch(batch: readonly PendingRecord[]): Promise<void> {
    const deadlineMs = batch.reduce((latest, record) => Math.max(latest, record.deadlineMs), 0);
    const backoff = new Backoff();
    let frame = await this.#prepare(batch, deadlineMs, backoff);
    let isUncertain = false;
    for (;;) {
      const result = await this.#tryOnce(frame, batch, deadlineMs);
      if (result === 'deadline') {
        const error = new BrokerError(
          'OUTCOME_UNKNOWN',
          'the deadline passed while it was in flight',
        );
        this.#giveUp(batch, error);
        return;
      }
      if (result.ok) {
        this.#settle(batch, result.baseOffset);
        return;
      }
      const { error } = result;
      if (error.code === 'OFFSET_TAKEN') {
        this.#lose(batch, error, isUncertain);
        return;
      }
      // Whoever asks for too much is told so: others wait behind it.
      if (error.code === 'OFFSET_NOT_AVAILABLE' && !isUncertain) {
        this.#refuse(batch, error);
        return;
      }
      isUncertain ||= error.effect === 'unknown';
      const isLost = !isUncertain && isSequenceFault(error.code);
      if (isLost) this.#dropIdentity();
      if (this.#clock.monotonicMs() >= deadlineMs || !(isLost || isRetriable(error))) {
        if (isUncertain) this.#giveUp(batch, error);
        else this.#refuse(batch, error);
        return;
      }
      if (isLost) frame = await this.#prepare(batch, deadlineMs, backoff);
      await this.#pause(backoff, deadlineMs);
    }
  }

  /** Until metadata changes, or the next try is due. */
  #pause(backoff: Backoff, deadlineMs: number): Promise<void> {
    return imageChangeOr(
      this.#parts.cluster.broker,
      Math.min(backoff.nextMs(), Math.max(1, deadlineMs - this.#clock.monotonicMs())),
    );
  }

  /**
   * The batch as a frame under the present id; waits for an id within the deadline. Nothing was
   * sent while this fails.
   */
  async #prepare(
    batch: readonly PendingRecord[],
    deadlineMs: number,
    backoff: Backoff,
  ): Promise<Uint8Array> {
    const identity = await this.#takeIdentity(deadlineMs, backoff);
    const producer = { ...identity, baseSequence: this.#nextSequence };
    const records = batch.map(({ record }) => record);
    return encodeBatch(records, { codec: 0, producer, recordCrc: this.#hasCrc(records) }, crc32);
  }

  get #config(): TopicConfig | undefined {
    return this.#parts.cluster.image().topics.get(this.#topicId)?.config;
  }

  get #batchBytesMax(): number {
    return this.#config?.batchBytesMax ?? BATCH_BYTES_TARGET;
  }

  get #isCompacted(): boolean {
    return this.#config !== undefined && isCompacted(this.#config);
  }

  /**
   * Whether each record gets a checksum of its own, which outlives its batch: on a compacted topic,
   * unless the batch is full to the last bytes without them.
   */
  #hasCrc(records: readonly RecordInput[]): boolean {
    if (!this.#isCompacted) return false;
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    const crcBytes = records.length * RECORD_CRC_BYTES_MAX;
    return bytes + crcBytes <= this.#batchBytesMax - FRAME_OVERHEAD_BYTES;
  }

  /** Throws a certain error: whatever became of the request for an id, no record was sent. */
  async #takeIdentity(deadlineMs: number, backoff: Backoff): Promise<ProducerIdentity> {
    while (this.#identity === null) {
      try {
        this.#identity = await this.#parts.producer.identity(this.#givenUp);
        this.#nextSequence = 0;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        const isPassing = isRetriable(error) || error.effect === 'unknown';
        if (!isPassing || this.#clock.monotonicMs() >= deadlineMs) {
          throw new BrokerError(
            'BROKER_NOT_READY',
            `No producer id was given, so nothing was appended: ${error.message}`,
            {},
            error,
          );
        }
        await this.#pause(backoff, deadlineMs);
      }
    }
    return this.#identity;
  }

  /** Hands the frame to the present leader. */
  #tryOnce(
    frame: Uint8Array,
    batch: readonly PendingRecord[],
    deadlineMs: number,
  ): Promise<AppendResult | 'deadline'> {
    const { cluster, forwarder, shares, flow, report } = this.#parts;
    const { ack = 'all', expectedEnd, principal = '' } = batch[0] ?? {};
    const terms = { ack, expectedEnd };
    return new Promise((resolve) => {
      const cancelTimer = this.#clock.after(
        Math.max(1, deadlineMs - this.#clock.monotonicMs()),
        () => resolve('deadline'),
      );
      const done = (result: AppendResult): void => {
        cancelTimer();
        resolve(result);
      };
      try {
        const leader = cluster.leader(this.#topicId, this.#partition);
        // The log keeps and stamps what it is given, and we may need the frame again.
        if (cluster.isSelf(leader)) {
          const share = shares.start(this.#clock.monotonicMs(), flow, frame.length);
          cluster.broker.append(this.#topicId, this.#partition, frame.slice(), terms, (result) => {
            shares.answered(this.#clock.monotonicMs(), flow, share);
            done(result);
          });
        } else
          forwarder.send(
            leader,
            { topicId: this.#topicId, partition: this.#partition, frame, terms, principal },
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

  /**
   * Something else is committed at or above the end that was expected. It would not be, had an
   * earlier try of this batch come before it; and none will come behind it. So this is certain.
   */
  #lose(batch: readonly PendingRecord[], error: BrokerError, isUncertain: boolean): void {
    const { holder } = error.details;
    const isOwn =
      holder !== undefined &&
      holder.producerId === this.#identity?.producerId &&
      holder.producerEpoch === this.#identity.producerEpoch &&
      holder.baseSequence === this.#nextSequence;
    if (isOwn) {
      this.#settle(batch, holder.baseOffset);
      return;
    }
    // A late try is refused wherever it arrives, but for a leader that nobody follows any more.
    if (isUncertain) this.#dropIdentity();
    this.#refuse(batch, error);
  }

  /**
   * A try may have put the batch into the log, or may do so yet: its sequence is never used again.
   */
  #giveUp(batch: readonly PendingRecord[], cause: BrokerError): void {
    this.#dropIdentity();
    const error = new BrokerError(
      'OUTCOME_UNKNOWN',
      `Append to partition ${this.#partition} may or may not have happened: ${cause.message}`,
      {},
      cause,
    );
    for (const { settle } of batch) settle(error);
  }

  #dropIdentity(): void {
    this.#givenUp = this.#identity ?? this.#givenUp;
    this.#identity = null;
  }
}
