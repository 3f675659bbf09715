/**
 * One Produce stream: batches in, results out. Order within a partition is the order of arrival; a
 * batch that fails does so alone. Memory is bounded beside a producer that never waits (the window,
 * then OVERLOADED) and beside one that never reads (its stream is read no further).
 */
import { PARTITIONS_PER_TOPIC_MAX } from '../../base/limits.ts';
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';

import {
  AckLevel as AckLevelValue,
  type ProduceBatch,
  type ProduceRequest,
  type ProduceResponse,
  type ProduceResult,
} from '../../proto/gen/tidemark/v1/log.ts';
import { errorToMessage } from '../../wire/grpc/errors.ts';
import { BrokerError } from '../../base/errors.ts';
import type { TopicId } from '../../base/units.ts';
import type { AckLevel, AppendResult } from '../replication/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { integerField, refuse, topicIdField } from '../messages/fields.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import { heldOf, overloaded } from '../messages/held.ts';
import { expectedEndField } from './expected-end.ts';
import type { Traffic } from './traffic.ts';

/** Batches without an answer, whatever their size. */
const BATCHES_IN_FLIGHT_MAX = 16_384;

const ACKS: Partial<Record<AckLevelValue, AckLevel>> = {
  [AckLevelValue.ACK_LEVEL_UNSPECIFIED]: 'all',
  [AckLevelValue.ACK_LEVEL_NONE]: 'none',
  [AckLevelValue.ACK_LEVEL_LEADER]: 'leader',
  [AckLevelValue.ACK_LEVEL_ALL]: 'all',
};

/** The acknowledgement that an enum names. */
export function ackLevelField(field: string, value: AckLevelValue): AckLevel {
  return ACKS[value] ?? refuse(field, value, 'ACK_LEVEL_NONE, ACK_LEVEL_LEADER or ACK_LEVEL_ALL');
}

export type ProduceCall = ServerDuplexStream<ProduceRequest, ProduceResponse>;

export class ProduceSession {
  readonly #call: ProduceCall;
  readonly #broker: BrokerApi;
  readonly #traffic: Traffic;
  readonly #report: ReportDefect;
  #results: ProduceResult[] = [];
  readonly #windowBytes: number;
  #bytesInFlight = 0;
  #batchesInFlight = 0;
  #isScheduled = false;
  #isFull = false;
  #isHalfClosed = false;
  #isClosed = false;

  constructor(call: ProduceCall, broker: BrokerApi, traffic: Traffic, report: ReportDefect) {
    this.#call = call;
    this.#broker = broker;
    this.#traffic = traffic;
    this.#report = report;
    this.#windowBytes = broker.produceWindowBytes;
    call.sendMetadata(new Metadata());
    call.write({ results: [], windowBytes: this.#windowBytes });
    call.on('data', (request: ProduceRequest) => this.#take(request));
    call.on('end', () => {
      this.#isHalfClosed = true;
      this.#schedule();
    });
    call.on('drain', () => {
      this.#isFull = false;
      call.resume();
      this.#schedule();
    });
    call.on('error', () => this.#close());
    call.on('cancelled', () => this.#close());
  }

  #take({ acks, batches }: ProduceRequest): void {
    const ack = ackLevelField('acks', acks);
    for (const batch of batches) this.#append(batch, ack);
  }

  #append(batch: ProduceBatch, ack: AckLevel): void {
    const { batchId, frame, condition } = batch;
    const bytes = frame.length;
    // A frame larger than the whole window passes alone, else it could never pass.
    const isOverWindow = this.#bytesInFlight > 0 && this.#bytesInFlight + bytes > this.#windowBytes;
    if (isOverWindow || this.#batchesInFlight >= BATCHES_IN_FLIGHT_MAX) {
      const message = `${this.#batchesInFlight} batches of ${this.#bytesInFlight} bytes are unanswered, must stay within ${BATCHES_IN_FLIGHT_MAX} batches and ${this.#windowBytes} bytes`;
      this.#answer(failure(batchId, new BrokerError('OVERLOADED', message)));
      return;
    }
    const held = heldOf(this.#call);
    if (!held.tryAdd(bytes)) {
      const error = overloaded(`${this.#bytesInFlight} bytes are unanswered on this stream`);
      this.#answer(failure(batchId, error));
      return;
    }
    const startedMs = this.#broker.clock.monotonicMs();
    this.#bytesInFlight += bytes;
    this.#batchesInFlight += 1;
    let topicId: TopicId | null = null;
    const done = (result: AppendResult): void => {
      held.add(-bytes);
      this.#bytesInFlight -= bytes;
      this.#batchesInFlight -= 1;
      this.#traffic.appended(
        bytes,
        this.#broker.clock.monotonicMs() - startedMs,
        result.ok ? null : result.error.code,
        topicId,
      );
      this.#answer(toResult(batchId, result));
    };
    try {
      topicId = topicIdField('topic_id', batch.topicId);
      const partition = integerField('partition', batch.partition, 0, PARTITIONS_PER_TOPIC_MAX - 1);
      const expectedEnd = expectedEndField(condition, ack, this.#broker);
      this.#broker.append(topicId, partition, frame, { ack, expectedEnd }, done);
    } catch (error) {
      done({ ok: false, error: expected(error, this.#report) });
    }
  }

  #answer(result: ProduceResult): void {
    if (this.#isClosed) return;
    this.#results.push(result);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed || this.#isFull) return;
    this.#isScheduled = true;
    this.#broker.clock.soon(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isClosed || this.#isFull) return;
    if (this.#results.length > 0) {
      const results = this.#results;
      this.#results = [];
      if (!this.#call.write({ results, windowBytes: 0 })) {
        this.#isFull = true;
        this.#call.pause();
      }
    }
    if (this.#isHalfClosed && this.#batchesInFlight === 0) {
      this.#isClosed = true;
      this.#call.end();
    }
  }

  #close(): void {
    this.#isClosed = true;
    this.#results = [];
  }
}

function toResult(batchId: number, result: AppendResult): ProduceResult {
  if (!result.ok) return failure(batchId, result.error);
  const { baseOffset, leaderEpoch, isDuplicate } = result;
  return { batchId, baseOffset, leaderEpoch, duplicate: isDuplicate, error: undefined };
}

function failure(batchId: number, error: BrokerError): ProduceResult {
  return { batchId, baseOffset: 0, leaderEpoch: 0, duplicate: false, error: errorToMessage(error) };
}
