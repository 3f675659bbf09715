/**
 * One Produce stream: batches in, results out. Order within a partition is the order of arrival; a
 * batch that fails does so alone. Memory is bounded beside a producer that never waits (the window,
 * then OVERLOADED) and beside one that never reads (its stream is read no further). Beside other
 * producers a batch waits while those before it are the stream's fair share; the stream is read no
 * further meanwhile, and its producer is told of a smaller window (docs/rules.md#fair-shares).
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
import type { FairShares, Flow } from '../access/fair-shares.ts';
import type { AckLevel, AppendResult } from '../replication/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { integerField, refuse, topicIdField } from '../messages/fields.ts';
import type { Cancel } from '../../base/clock.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import { heldOf, overloaded } from '../messages/held.ts';
import { principalOf } from '../messages/principal.ts';
import { expectedEndField } from './expected-end.ts';
import type { Traffic } from './traffic.ts';

/** Batches without an answer, whatever their size. */
const BATCHES_IN_FLIGHT_MAX = 16_384;
/** Pause between changes of what a producer is told, and the least change that is told. */
const TELL_MS = 100;
const TOLD_CHANGE = 1.25;
/** Of a window: five of a partition may be under way, and must fill the share. */
const BATCHES_PER_WINDOW = 8;

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

export interface SessionParts {
  readonly broker: BrokerApi;
  readonly traffic: Traffic;
  readonly shares: FairShares;
  readonly report: ReportDefect;
}

/** A batch that was taken in, and is not answered yet. */
interface Taken {
  readonly batch: ProduceBatch;
  readonly ack: AckLevel;
  readonly arrivedMs: number;
}

export class ProduceSession {
  readonly #call: ProduceCall;
  readonly #parts: SessionParts;
  readonly #flow: Flow;
  #results: ProduceResult[] = [];
  readonly #windowBytes: number;
  #toldBytes: number;
  #tellAtMs = Number.NEGATIVE_INFINITY;
  /** Something waited here since the last look at what it is told. */
  #didWait = false;
  /** What was under way of its share, summed over so many moments. */
  #use = 0;
  #looks = 0;
  /** Batches whose turn has not come. While there are any the stream is read no further. */
  readonly #waiting: Taken[] = [];
  #cancelWait: Cancel = () => {};
  #isHeld = false;
  #bytesInFlight = 0;
  #batchesInFlight = 0;
  #isScheduled = false;
  #isFull = false;
  #isHalfClosed = false;
  #isClosed = false;

  constructor(call: ProduceCall, parts: SessionParts) {
    this.#call = call;
    this.#parts = parts;
    const principal = principalOf(call);
    this.#flow = parts.shares.join(principal === '' ? null : principal);
    this.#windowBytes = parts.broker.produceWindowBytes;
    this.#toldBytes = this.#windowBytes;
    call.sendMetadata(new Metadata());
    call.write({ results: [], windowBytes: this.#windowBytes, batchBytes: 0 });
    call.on('data', (request: ProduceRequest) => this.#take(request));
    call.on('end', () => {
      this.#isHalfClosed = true;
      this.#schedule();
    });
    call.on('drain', () => {
      this.#isFull = false;
      if (!this.#isHeld) call.resume();
      this.#schedule();
    });
    call.on('error', () => this.#close());
    call.on('cancelled', () => this.#close());
  }

  get #nowMs(): number {
    return this.#parts.broker.clock.monotonicMs();
  }

  #take({ acks, batches }: ProduceRequest): void {
    // Behind its end nothing would ever give back what is counted for it.
    if (this.#isClosed) return;
    const ack = ackLevelField('acks', acks);
    for (const batch of batches) this.#admit(batch, ack);
    this.#startWaiting();
  }

  #admit(batch: ProduceBatch, ack: AckLevel): void {
    const { batchId, frame } = batch;
    const bytes = frame.length;
    // A frame larger than the whole window passes alone, else it could never pass.
    const isOverWindow = this.#bytesInFlight > 0 && this.#bytesInFlight + bytes > this.#windowBytes;
    if (isOverWindow || this.#batchesInFlight >= BATCHES_IN_FLIGHT_MAX) {
      const message = `${this.#batchesInFlight} batches of ${this.#bytesInFlight} bytes are unanswered, must stay within ${BATCHES_IN_FLIGHT_MAX} batches and ${this.#windowBytes} bytes`;
      this.#answer(failure(batchId, new BrokerError('OVERLOADED', message)));
      return;
    }
    if (!heldOf(this.#call).tryAdd(bytes)) {
      const error = overloaded(`${this.#bytesInFlight} bytes are unanswered on this stream`);
      this.#answer(failure(batchId, error));
      return;
    }
    this.#bytesInFlight += bytes;
    this.#batchesInFlight += 1;
    this.#waiting.push({ batch, ack, arrivedMs: this.#nowMs });
  }

  /** Those whose turn has come; the others wait for answers, or for the clock. */
  #startWaiting(): void {
    if (this.#isClosed) return;
    const { shares, broker } = this.#parts;
    let started = 0;
    for (const taken of this.#waiting) {
      if (!shares.mayStart(this.#nowMs, this.#flow, taken.batch.frame.length)) break;
      started += 1;
      this.#append(taken);
    }
    this.#waiting.splice(0, started);
    this.#cancelWait();
    this.#tellWindow();
    const wasHeld = this.#isHeld;
    this.#isHeld = this.#waiting.length > 0;
    if (wasHeld && !this.#isHeld && !this.#isFull) this.#call.resume();
    if (!this.#isHeld) return;
    if (!wasHeld) this.#call.pause();
    this.#cancelWait = broker.clock.after(shares.waitMs(this.#nowMs, this.#flow), () => {
      this.#startWaiting();
    });
  }

  #append({ batch, ack, arrivedMs }: Taken): void {
    const { broker, traffic, shares, report } = this.#parts;
    const { batchId, frame, condition } = batch;
    const bytes = frame.length;
    const share = shares.start(this.#nowMs, this.#flow, bytes);
    let topicId: TopicId | null = null;
    const done = (result: AppendResult): void => {
      const nowMs = this.#nowMs;
      heldOf(this.#call).add(-bytes);
      this.#bytesInFlight -= bytes;
      this.#batchesInFlight -= 1;
      shares.answered(nowMs, this.#flow, share);
      traffic.appended(bytes, nowMs - arrivedMs, result.ok ? null : result.error.code, topicId);
      this.#answer(toResult(batchId, result));
    };
    try {
      topicId = topicIdField('topic_id', batch.topicId);
      const partition = integerField('partition', batch.partition, 0, PARTITIONS_PER_TOPIC_MAX - 1);
      const expectedEnd = expectedEndField(condition, ack, broker);
      broker.append(topicId, partition, frame, { ack, expectedEnd }, done);
    } catch (error) {
      done({ ok: false, error: expected(error, report) });
    }
  }

  /**
   * What waits here waited better at the producer, which then sends smaller batches as well. The
   * window falls while something waits here, at once where batches are larger than the share, and
   * grows while the share is not used, as beside a long way: it is twice the share at least. Late
   * batches are within the window, and not within the share.
   */
  #tellWindow(): void {
    const { shares } = this.#parts;
    const nowMs = this.#nowMs;
    const shareBytes = shares.windowBytes(nowMs, this.#flow);
    const { bytes, lateBytes } = this.#flow;
    const waitingBytes = this.#bytesInFlight - bytes - lateBytes;
    this.#didWait ||= waitingBytes > 0;
    this.#use += bytes / shareBytes;
    this.#looks += 1;
    if (this.#isClosed || this.#isFull || nowMs < this.#tellAtMs) return;
    const use = this.#use / this.#looks;
    const leastBytes = Math.min(2 * shareBytes + lateBytes, this.#windowBytes);
    let windowBytes = Math.max(this.#toldBytes, leastBytes);
    if (this.#didWait && use > 1) windowBytes = leastBytes;
    else if (this.#didWait && use > 0.5) windowBytes = Math.max(leastBytes, windowBytes / 2);
    else if (!this.#didWait && use < 0.25)
      windowBytes = Math.min(windowBytes * 2, this.#windowBytes);
    this.#tellAtMs = nowMs + TELL_MS;
    this.#didWait = waitingBytes > 0;
    this.#use = 0;
    this.#looks = 0;
    this.#tell(Math.round(windowBytes), shares.isWanting(nowMs, this.#flow));
  }

  #tell(windowBytes: number, isWanting: boolean): void {
    const isFarther = windowBytes > this.#toldBytes * TOLD_CHANGE;
    const isNearer = windowBytes * TOLD_CHANGE < this.#toldBytes;
    const isWhole = windowBytes === this.#windowBytes && this.#toldBytes < windowBytes;
    if (!isFarther && !isWhole && !(isNearer && isWanting)) return;
    this.#toldBytes = windowBytes;
    const batchBytes = Math.round(windowBytes / BATCHES_PER_WINDOW);
    this.#call.write({ results: [], windowBytes, batchBytes });
  }

  #answer(result: ProduceResult): void {
    if (this.#isClosed) return;
    this.#results.push(result);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed || this.#isFull) return;
    this.#isScheduled = true;
    this.#parts.broker.clock.soon(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    this.#startWaiting();
    if (this.#isClosed || this.#isFull) return;
    if (this.#results.length > 0) {
      const results = this.#results;
      this.#results = [];
      if (!this.#call.write({ results, windowBytes: 0, batchBytes: 0 })) {
        this.#isFull = true;
        this.#call.pause();
      }
    }
    if (this.#isHalfClosed && this.#batchesInFlight === 0) {
      this.#close();
      this.#call.end();
    }
  }

  /** Who is gone learns nothing of what waits: it is not appended. */
  #close(): void {
    this.#isClosed = true;
    this.#results = [];
    this.#cancelWait();
    for (const { batch } of this.#waiting.splice(0)) heldOf(this.#call).add(-batch.frame.length);
    this.#parts.shares.leave(this.#flow);
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
