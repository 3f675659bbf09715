/** An idempotent producer: a few batches in flight, sent again in order until each is resolved. */
import type { BrokerError } from '../../../base/errors.ts';
import type { Random } from '../../../base/random.ts';
import type { AckLevel, AppendResult } from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * Span from the oldest unresolved batch: the leader's window (PRODUCER_WINDOW_BATCHES) must reach
 * back to it.
 */
const SPAN_MAX = 4;
const TIMEOUT_MS = 400;
const RETRY_MS = 20;
const TRIES_MAX = 60;

export interface ClientWorld {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly brokers: number;
  nextId(): number;
  /** Sends to a broker; `answer` may never be called. */
  send(
    broker: number,
    ack: AckLevel,
    header: BatchHeader,
    answer: (result: AppendResult) => void,
  ): void;
  /** A batch of level all was refused for good. */
  refused(error: BrokerError): void;
}

interface Item {
  readonly header: BatchHeader;
  attempt: number;
  isSent: boolean;
  /** Everything before it was acknowledged when this attempt was sent. */
  wasFirst: boolean;
  isResolved: boolean;
}

export class ModelClient {
  readonly #world: ClientWorld;
  readonly #ack: AckLevel;
  #producerId: number;
  #sequence = 0;
  #items: Item[] = [];
  #target = 0;
  /**
   * Greatest leader epoch that has taken a batch: a refusal of an older one comes from a leader
   * that was replaced.
   */
  #leaderEpoch = 0;
  #isClosed = false;
  resolved = 0;

  constructor(world: ClientWorld, ack: AckLevel) {
    this.#world = world;
    this.#ack = ack;
    this.#producerId = world.nextId();
  }

  get outstanding(): number {
    return this.#items.filter((item) => !item.isResolved).length;
  }

  /** No new batches; what is outstanding goes on. */
  close(): void {
    this.#isClosed = true;
  }

  pump(): void {
    const { random } = this.#world;
    if (!this.#isClosed && this.#items.length < SPAN_MAX && random.chance(0.5)) this.#add();
    for (const item of this.#items) {
      if (!item.isSent && !item.isResolved) this.#send(item);
    }
  }

  #add(): void {
    const recordCount = 1 + this.#world.random.below(3);
    const header: BatchHeader = {
      baseOffset: 0,
      leaderEpoch: 0,
      length: 100,
      leaderCrc: 0,
      crc: this.#world.nextId(),
      codec: 0,
      isControl: false,
      isSparse: false,
      lastOffsetDelta: recordCount - 1,
      recordCount,
      baseSequence: this.#sequence,
      baseTimestampMs: 0,
      maxTimestampMs: 0,
      producerId: this.#producerId,
      producerEpoch: 0,
    };
    this.#sequence += recordCount;
    this.#items.push({ header, attempt: 0, isSent: false, wasFirst: false, isResolved: false });
  }

  #send(item: Item): void {
    item.isSent = true;
    item.attempt += 1;
    item.wasFirst = item === this.#items[0];
    const { attempt } = item;
    this.#world.send(this.#target, this.#ack, item.header, (result) => {
      if (item.attempt === attempt) this.#answer(item, attempt, result);
    });
    this.#world.scheduler.after(TIMEOUT_MS, () => {
      if (item.attempt !== attempt || !item.isSent || item.isResolved) return;
      item.isSent = false;
      this.#target = this.#world.random.below(this.#world.brokers);
    });
  }

  #answer(item: Item, attempt: number, result: AppendResult): void {
    if (item.isResolved || !this.#items.includes(item)) return;
    if (result.ok) {
      this.#leaderEpoch = Math.max(this.#leaderEpoch, result.leaderEpoch);
      item.isResolved = true;
      while (this.#items[0]?.isResolved === true) this.#items.shift();
      this.resolved += 1;
      return;
    }
    const { error } = result;
    this.#world.scheduler.after(RETRY_MS, () => {
      if (item.attempt === attempt) item.isSent = false;
    });
    if (error.retry === 'refresh') {
      this.#target = error.details.leader ?? this.#world.random.below(this.#world.brokers);
    }
    // A gap closes when the batch before it has been sent again; what was only leader-acknowledged
    // may be gone for good.
    const isOutdated = (error.details.leaderEpoch ?? Infinity) < this.#leaderEpoch;
    if (isOutdated) this.#target = this.#world.random.below(this.#world.brokers);
    // A leader may have judged this attempt while the batch before it was still on its way,
    // whatever was acknowledged since.
    const isCertain = !isOutdated && item.wasFirst;
    const isFatal =
      error.retry === 'no' &&
      (error.code === 'UNKNOWN_PRODUCER'
        ? isCertain
        : error.code === 'OUT_OF_ORDER_SEQUENCE'
          ? isCertain && item.attempt > TRIES_MAX
          : !isOutdated);
    if (isFatal) this.#startOver(error);
  }

  #startOver(error: BrokerError): void {
    if (this.#ack === 'all') this.#world.refused(error);
    this.resolved += this.#items.length;
    this.#items = [];
    this.#producerId = this.#world.nextId();
    this.#sequence = 0;
  }
}
