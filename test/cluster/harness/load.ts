/**
 * Continuous appends through the client library, several producers with keys, and a reader that
 * follows them; every answer is written down.
 */
import {
  type Acks,
  type Consumer,
  type LossRange,
  type Tidemark,
  TidemarkError,
} from '../../../client/index.ts';
import { reasonOf } from '../../../base/reason.ts';
import { type Append, type StoredRecord, valueOf } from './history.ts';

/** How much is appended, and how. */
export interface LoadOptions {
  readonly topic: string;
  readonly acks?: Acks;
  readonly producers?: number;
  /** Keys of each producer; no two producers share one. */
  readonly keys?: number;
  /** Records of each producer every ten milliseconds. */
  readonly recordsPerTick?: number;
  /** Length of each value; default: short, and different from value to value. */
  readonly valueBytes?: number;
  readonly isIdempotent?: boolean;
  readonly deliveryTimeoutMs?: number;
  /** Rack of the reader that follows; default: it reads the leaders. */
  readonly rack?: string;
  /** Distinguishes the producers of a second load on the same topic. */
  readonly name?: string;
}

/** What happened. */
export interface LoadReport {
  readonly appends: readonly Append[];
  /** What the reader that followed was given, in order. */
  readonly consumed: readonly StoredRecord[];
  /** Longest time that one partition went without an acknowledgement. */
  readonly longestGapMs: number;
  /** Batches that the library sent again: its callers do not see them. */
  readonly retries: number;
}

/** As many records may be unanswered per producer; more are not sent until some are. */
const OUTSTANDING_MAX = 400;
const TICK_MS = 10;

export class Load {
  readonly appends: Append[] = [];
  readonly #consumed: StoredRecord[] = [];
  readonly #clients: Tidemark[] = [];
  readonly #acknowledged = new Map<number, number>();
  /** By partition, one past the last offset acknowledged, and read. */
  readonly #ackedUpTo = new Map<number, number>();
  readonly #readUpTo = new Map<number, number>();
  readonly #lastAckMs = new Map<number, number>();
  readonly #pending = new Set<Promise<void>>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #retries: (() => number)[] = [];
  #consumer: Consumer<Uint8Array, Uint8Array, LossRange> | undefined;
  #following: Promise<void> | undefined;
  #readFailure: unknown;
  #longestGapMs = 0;

  constructor(connect: () => Tidemark, options: LoadOptions) {
    const producers = options.producers ?? 3;
    for (let index = 0; index < producers; index += 1)
      this.#produce(connect(), `${options.name ?? 'p'}${index}`, options);
    const reader = connect();
    this.#clients.push(reader);
    const { topic, rack = '' } = options;
    this.#consumer = reader.consumer({ topic, rack, from: 'earliest', onLoss: 'yield' });
    this.#following = this.#follow(this.#consumer);
  }

  /** Acknowledged records of each partition. */
  get acknowledged(): ReadonlyMap<number, number> {
    return this.#acknowledged;
  }

  /** What the reader that follows was given so far, in order. */
  get consumed(): readonly StoredRecord[] {
    return this.#consumed;
  }

  /** Next offset of the reader in each partition that it has read from. */
  get readUpTo(): ReadonlyMap<number, number> {
    return this.#readUpTo;
  }

  /** One past the last acknowledged offset of each partition. */
  get acknowledgedUpTo(): ReadonlyMap<number, number> {
    return this.#ackedUpTo;
  }

  /** Throws where the reader has failed: whoever waits for it would wait in vain. */
  checkReader(): void {
    if (this.#readFailure !== undefined)
      throw new Error(
        `the reader that followed the appends failed: ${reasonOf(this.#readFailure)}`,
        {
          cause: this.#readFailure,
        },
      );
  }

  /** Whether the reader was given everything that was acknowledged so far. Throws as it failed. */
  get isReadUp(): boolean {
    this.checkReader();
    return [...this.#ackedUpTo].every(
      ([partition, end]) => (this.#readUpTo.get(partition) ?? 0) >= end,
    );
  }

  /** Appends that ended otherwise than acknowledged. */
  get failed(): Append[] {
    return this.appends.filter(
      ({ outcome }) =>
        outcome.kind === 'refused' || (outcome.kind === 'unknown' && outcome.reason !== 'pending'),
    );
  }

  /** No more appends are begun. */
  pause(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** No more appends are begun; resolves when all have their answer. */
  async drain(): Promise<void> {
    this.pause();
    await Promise.all(this.#pending);
  }

  /** Ends the load: waits for the answer of every append. */
  async stop(): Promise<LoadReport> {
    await this.drain();
    const retries = this.#retries.reduce((sum, count) => sum + count(), 0);
    await this.#consumer?.close();
    await this.#following;
    await Promise.all(this.#clients.map((client) => client.close()));
    this.checkReader();
    const { appends } = this;
    return { appends, consumed: this.#consumed, longestGapMs: this.#longestGapMs, retries };
  }

  #produce(client: Tidemark, name: string, options: LoadOptions): void {
    this.#clients.push(client);
    const {
      topic,
      acks = 'all',
      keys = 8,
      recordsPerTick = 3,
      deliveryTimeoutMs = 60_000,
    } = options;
    const producer = client.producer({
      acks,
      deliveryTimeoutMs,
      idempotent: options.isIdempotent ?? true,
    });
    this.#retries.push(() => producer.counters().retries);
    let counter = 0;
    let outstanding = 0;
    const send = (): void => {
      const append: Append = {
        producer: name,
        counter,
        key: `${name}-${counter % keys}`,
        ...(options.valueBytes === undefined ? {} : { bytes: options.valueBytes }),
        outcome: { kind: 'unknown', reason: 'pending' },
      };
      counter += 1;
      outstanding += 1;
      this.appends.push(append);
      const sent = producer
        .send({ topic, key: Buffer.from(append.key), value: valueOf(append) })
        .then(
          ({ partition, offset }) => this.#acknowledge(append, partition, offset),
          (error: unknown) => fail(append, error),
        )
        .finally(() => {
          outstanding -= 1;
          this.#pending.delete(sent);
        });
      this.#pending.add(sent);
    };
    const tick = (): void => {
      for (let index = 0; index < recordsPerTick && outstanding < OUTSTANDING_MAX; index += 1)
        send();
    };
    this.#timers.push(setInterval(tick, TICK_MS));
  }

  #acknowledge(append: Append, partition: number, offset: number): void {
    // -1: it is not known where it went, as with acks `none`.
    append.outcome =
      offset < 0
        ? { kind: 'unknown', reason: 'no offset' }
        : { kind: 'acknowledged', partition, offset };
    this.#ackedUpTo.set(partition, Math.max(this.#ackedUpTo.get(partition) ?? 0, offset + 1));
    const nowMs = performance.now();
    const before = this.#lastAckMs.get(partition) ?? nowMs;
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - before);
    this.#lastAckMs.set(partition, nowMs);
    this.#acknowledged.set(partition, (this.#acknowledged.get(partition) ?? 0) + 1);
  }

  async #follow(consumer: Consumer<Uint8Array, Uint8Array, LossRange>): Promise<void> {
    try {
      for await (const batch of consumer) {
        if ('kind' in batch) continue;
        const { partition, records } = batch;
        for (const { offset, key, value } of records) {
          this.#readUpTo.set(partition, offset + 1);
          this.#consumed.push({
            partition,
            offset,
            key: key === undefined ? undefined : Buffer.from(key),
            value: Buffer.from(value ?? ''),
          });
        }
      }
    } catch (error) {
      this.#readFailure = error;
    }
  }
}

/**
 * A definite refusal says that nothing was appended; OUTCOME_UNKNOWN and a lost connection say
 * nothing.
 */
function fail(append: Append, error: unknown): void {
  const isDefinite =
    error instanceof TidemarkError && !['OUTCOME_UNKNOWN', 'CLOSED'].includes(error.code);
  append.outcome = isDefinite
    ? { kind: 'refused', code: error.code }
    : { kind: 'unknown', reason: String(error) };
}
