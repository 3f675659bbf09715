/**
 * The plain Append call: spreads records over partitions and answers for each of them. What waits
 * is bounded; the call ends by its deadline, whatever the leaders do.
 */
import { APPEND_BYTES_MAX, APPEND_RECORDS_MAX, TIMESTAMP_AHEAD_MS_MAX } from '../../base/limits.ts';
import type {
  AppendRecord,
  AppendRequest,
  AppendResponse,
  AppendResult as AppendResultMessage,
} from '../../proto/gen/tidemark/v1/log.ts';
import { partitionForKey } from '../../wire/batch/key-hash.ts';
import { errorToMessage } from '../../wire/grpc/errors.ts';
import { recordBytes, type RecordInput } from '../../wire/records/record-set.ts';
import { BrokerError } from '../../base/errors.ts';
import { NO_BROKER, type Offset, partitionKey, type PartitionKey } from '../../base/units.ts';
import type { FairShares } from '../access/fair-shares.ts';
import { isCompacted } from '../runtime/metadata-rules.ts';
import type { TopicState } from '../metadata/types.ts';
import type { AckLevel } from '../replication/types.ts';
import { refuse, topicNameField } from '../messages/fields.ts';
import type { Clock } from '../../base/clock.ts';
import type { ReportDefect } from '../messages/handlers.ts';
import type { Cluster } from './cluster.ts';
import { InternalProducer } from './internal-producer.ts';
import {
  BATCH_BYTES_TARGET,
  BATCH_RECORDS_MAX,
  FRAME_OVERHEAD_BYTES,
  PartitionWriter,
  type PendingRecord,
  type WriterParts,
} from './partition-writer.ts';
import { expectedEndField } from './expected-end.ts';
import { ProduceForwarder } from './produce-forwarder.ts';
import { ackLevelField } from './produce-session.ts';

/**
 * Time after the deadline in which writers, who know more, may still say what became of a record.
 * Part of the reserve that `remainingMs` keeps.
 */
const SETTLE_MS = 20;
/** Bytes of records that all calls may have waiting. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;

interface Slot {
  readonly index: number;
  readonly pending: PendingRecord;
}

export class Appender {
  readonly #parts: WriterParts;
  readonly #writers = new Map<PartitionKey, PartitionWriter>();
  #waitingBytes = 0;
  #nextSpread = 0;

  constructor(cluster: Cluster, shares: FairShares, report: ReportDefect) {
    this.#parts = {
      cluster,
      producer: new InternalProducer(cluster.broker),
      shares,
      flow: shares.join(null),
      forwarder: new ProduceForwarder(cluster),
      report,
    };
  }

  /**
   * Resolves with one result for each record, by the deadline. Throws INVALID_ARGUMENT,
   * UNKNOWN_TOPIC or OVERLOADED when nothing was taken.
   */
  append(
    request: AppendRequest,
    { deadlineMs, principal }: { readonly deadlineMs: number; readonly principal: string },
  ): Promise<AppendResponse> {
    const topic = this.#parts.cluster.topic(topicNameField('topic', request.topic));
    const ack = ackLevelField('acks', request.acks);
    checkCount(request.records.length);
    const { broker } = this.#parts.cluster;
    const expectedEnd = expectedEndField(request.condition, ack, broker);
    const records = toRecords(request.records, broker.clusterWallMs());
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    checkBytes(bytes);
    if (this.#waitingBytes + bytes > WAITING_BYTES_MAX) {
      throw new BrokerError(
        'OVERLOADED',
        `${this.#waitingBytes} bytes of records wait, must stay within ${WAITING_BYTES_MAX}; nothing was appended`,
      );
    }
    if (expectedEnd !== undefined) checkTogether(topic, request.records, bytes);
    const partitions = this.#choosePartitions(topic, request.records);
    const other = partitions.findIndex((partition) => partition !== partitions[0]);
    if (expectedEnd !== undefined && other > 0)
      refuse(
        `partition of records[${other}]`,
        partitions[other] ?? 0,
        `${partitions[0]}, that of records[0], with expected_end`,
      );
    this.#waitingBytes += bytes;
    const terms = { ack, expectedEnd, principal };
    return this.#write(topic, partitions, records, terms, deadlineMs).finally(() => {
      this.#waitingBytes -= bytes;
    });
  }

  get #clock(): Clock {
    return this.#parts.cluster.clock;
  }

  close(): void {
    this.#parts.forwarder.close();
  }

  #write(
    topic: TopicState,
    partitions: readonly number[],
    records: readonly RecordInput[],
    terms: Pick<PendingRecord, 'ack' | 'expectedEnd' | 'principal'>,
    deadlineMs: number,
  ): Promise<AppendResponse> {
    return new Promise((resolve) => {
      const results: (AppendResultMessage | undefined)[] = records.map(() => undefined);
      let open = records.length;
      const settle = (index: number, fate: { readonly offset: Offset } | BrokerError): void => {
        if (results[index] !== undefined) return;
        results[index] = toResult(partitions[index] ?? 0, fate, terms.ack);
        open -= 1;
        if (open > 0) return;
        cancelTimer();
        resolve({ results: results as AppendResultMessage[] });
      };
      const untilMs = this.#clock.monotonicMs() + deadlineMs;
      const slots = records.map(
        (record, index): Slot => ({
          index,
          pending: { record, ...terms, deadlineMs: untilMs, settle: (fate) => settle(index, fate) },
        }),
      );
      const groups = Map.groupBy(slots, ({ index }) => partitions[index] ?? 0);
      const cancelTimer = this.#clock.after(deadlineMs + SETTLE_MS, () => {
        for (const partition of groups.keys()) this.#writer(topic, partition).dropExpired();
        const unknown = new BrokerError(
          'OUTCOME_UNKNOWN',
          'The deadline passed while the append was in flight',
        );
        for (const { index } of slots) settle(index, unknown);
      });
      for (const [partition, group] of groups) this.#take(topic, partition, group);
    });
  }

  /**
   * Refuses what the leader would refuse with its whole batch, other callers' records included, and
   * hands the rest to the partition's writer.
   */
  #take(topic: TopicState, partition: number, slots: readonly Slot[]): void {
    const limits = {
      topic,
      bytesMax: topic.config.batchBytesMax - FRAME_OVERHEAD_BYTES,
      timestampMsMax: this.#parts.cluster.broker.clusterWallMs() + TIMESTAMP_AHEAD_MS_MAX,
    };
    const faults = slots.map(({ index, pending }) => recordFault(index, pending.record, limits));
    const isTogether = slots[0]?.pending.expectedEnd !== undefined;
    const firstFault = isTogether ? (faults.find((fault) => fault !== null) ?? null) : null;
    const fitting = slots.filter(({ pending }, at) => {
      const fault = faults[at] ?? firstFault;
      if (fault !== null) pending.settle(fault);
      return fault === null;
    });
    if (fitting.length > 0)
      this.#writer(topic, partition).append(fitting.map(({ pending }) => pending));
  }

  #writer(topic: TopicState, partition: number): PartitionWriter {
    const key = partitionKey(topic.topicId, partition);
    let writer = this.#writers.get(key);
    if (writer === undefined) {
      this.#forgetDeleted();
      writer = new PartitionWriter(this.#parts, topic.topicId, partition);
      this.#writers.set(key, writer);
    }
    return writer;
  }

  /**
   * Writers are kept for their sequences, so there are as many as partitions; those of deleted
   * topics go.
   */
  #forgetDeleted(): void {
    const { topics } = this.#parts.cluster.image();
    for (const [key, writer] of this.#writers) {
      if (writer.isIdle && !topics.has(key.slice(0, key.indexOf('/')))) this.#writers.delete(key);
    }
  }

  /**
   * By the record's own word, by its key, or, for all of a call that have neither, one partition in
   * turn that has a leader: one batch instead of many.
   */
  #choosePartitions(topic: TopicState, records: readonly AppendRecord[]): number[] {
    const led = topic.partitions.filter(({ leader }) => leader !== NO_BROKER);
    const choices = led.length > 0 ? led : topic.partitions;
    const spread = choices[this.#nextSpread % choices.length]?.partition ?? 0;
    if (records.some(({ partition, key }) => partition === undefined && key === undefined))
      this.#nextSpread += 1;
    return records.map(({ partition, key }) => {
      if (partition !== undefined) return this.#parts.cluster.partition(topic, partition).partition;
      return key === undefined ? spread : partitionForKey(key, topic.partitions.length);
    });
  }
}

/**
 * Why no leader would take the record, or none should: without a key it would stay in a compacted
 * topic for ever. Null: it may be taken.
 */
function recordFault(
  index: number,
  record: RecordInput,
  limits: {
    readonly topic: TopicState;
    readonly bytesMax: number;
    readonly timestampMsMax: number;
  },
): BrokerError | null {
  const { name, config } = limits.topic;
  if (record.key === undefined && isCompacted(config)) {
    return new BrokerError(
      'INVALID_ARGUMENT',
      `Record ${index} has no key, must have one: topic "${name}" is compacted, which keeps the last record of each key`,
    );
  }
  const bytes = recordBytes(record);
  if (bytes > limits.bytesMax) {
    return new BrokerError(
      'BATCH_TOO_LARGE',
      `Record ${index} has ${bytes} bytes, must have ${limits.bytesMax} or fewer`,
    );
  }
  if (record.timestampMs > limits.timestampMsMax) {
    return new BrokerError(
      'TIMESTAMP_IN_FUTURE',
      `Record ${index} has timestampMs ${record.timestampMs}, must be ${limits.timestampMsMax} or less`,
    );
  }
  return null;
}

function checkCount(count: number): void {
  if (count < 1 || count > APPEND_RECORDS_MAX)
    refuse('records', count, `1 to ${APPEND_RECORDS_MAX} records`);
}

function checkBytes(bytes: number): void {
  if (bytes > APPEND_BYTES_MAX)
    throw new BrokerError(
      'BATCH_TOO_LARGE',
      `Cannot append: records have ${bytes} bytes, must have ${APPEND_BYTES_MAX} or fewer`,
    );
}

/** What must be so of records that are to be one batch of one partition. */
function checkTogether(topic: TopicState, records: readonly AppendRecord[], bytes: number): void {
  const loose = records.findIndex(
    ({ partition, key }) => partition === undefined && key === undefined,
  );
  if (loose >= 0)
    refuse(`partition of records[${loose}]`, 'absent', 'stated, or a key, with expected_end');
  if (records.length > BATCH_RECORDS_MAX)
    refuse('records', records.length, `1 to ${BATCH_RECORDS_MAX} records with expected_end`);
  const bytesMax = Math.min(BATCH_BYTES_TARGET, topic.config.batchBytesMax) - FRAME_OVERHEAD_BYTES;
  if (bytes > bytesMax)
    throw new BrokerError(
      'BATCH_TOO_LARGE',
      `Cannot append at an expected end: records have ${bytes} bytes, must have ${bytesMax} or fewer, those of one batch`,
    );
}

function toRecords(records: readonly AppendRecord[], nowMs: number): RecordInput[] {
  return records.map(({ key, value, tombstone, headers, timestampMs }, index) => {
    if (tombstone && value.length > 0)
      refuse(`records[${index}].value length`, value.length, '0 in a tombstone');
    return {
      key,
      value: tombstone ? null : value,
      headers,
      timestampMs: timestampMs === 0 ? nowMs : timestampMs,
    };
  });
}

function toResult(
  partition: number,
  fate: { readonly offset: Offset } | BrokerError,
  ack: AckLevel,
): AppendResultMessage {
  if (fate instanceof BrokerError)
    return { partition, offset: undefined, error: errorToMessage(fate) };
  return { partition, offset: ack === 'none' ? undefined : fate.offset, error: undefined };
}
