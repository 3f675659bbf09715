/**
 * One life of a queue's member: from joining it to leaving it. Turns what is leased into jobs, and
 * ends in order.
 */
import type { AnyTopic } from '../codecs.ts';
import type { Connections } from '../connections.ts';
import { tellSkipped, unreadable } from '../consumer/undecodable.ts';
import type { TidemarkError } from '../errors.ts';
import { fromCall } from '../errors.ts';
import { QUEUE_REASON_LENGTH_MAX } from '../../base/limits.ts';
import { QueueJob } from './job.ts';
import type { LeasedRecord } from './queue-stream.ts';
import type { Session } from './session.ts';
import type { QueueOptions } from './types.ts';

/** What was said of records last is waited for so long before the member leaves. */
const LAST_ANSWERS_MS = 5_000;

/** How jobs are made. */
export interface RunSettings {
  readonly codecs: AnyTopic | undefined;
  readonly isRejecting: boolean;
  readonly onLost: QueueOptions['onLost'];
}

/** A job, and the lease that it stands for. */
interface Taken<Key, Value> {
  readonly job: QueueJob<Key, Value>;
  readonly lease: LeasedRecord;
}

interface Decoded<Key, Value> {
  readonly key: Key | undefined;
  readonly value: Value | null;
}

export class QueueRun<Key, Value> {
  readonly #connections: Connections;
  readonly #session: Session;
  readonly #settings: RunSettings;
  #running = 0;
  #isEnding = false;
  #failure: TidemarkError | undefined;
  /** What a program's function threw, as it is. */
  #thrown: { readonly error: unknown } | undefined;
  #finishing: Promise<void> | undefined;
  #releaseMs = 0;
  readonly #finished = Promise.withResolvers<void>();

  constructor(connections: Connections, session: Session, settings: RunSettings) {
    this.#connections = connections;
    this.#session = session;
    this.#settings = settings;
  }

  get memberId(): string {
    return this.#session.memberId;
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** Handlers that run. */
  get running(): number {
    return this.#running;
  }

  /** @param releaseMs how long handlers may take in the end */
  start(releaseMs: number): void {
    this.#releaseMs = releaseMs;
    this.#session.start();
  }

  // Jobs

  /** The next one; its lease is extended by itself. Undefined: the member ends. Throws why. */
  async next(): Promise<Taken<Key, Value> | undefined> {
    while (!this.#isEnding) {
      this.throwFailure();
      const lease = this.#session.next();
      if (lease === undefined) {
        if (this.#session.isOver) return undefined;
        await this.#session.news();
        continue;
      }
      const found = await this.#decoded(lease);
      // It ended while that was decoded: handlers that run may take long yet.
      if (found !== undefined && this.#isEnding) this.#session.putBack(lease);
      if (found === undefined || this.#isEnding || this.#session.leftMs(lease) === 0) continue;
      const job = this.#made(lease, found);
      const { topic, partition } = lease;
      this.#connections.tracing?.received(topic, partition, [job]);
      return { job, lease };
    }
    return undefined;
  }

  /** Its lease is extended by itself no more. */
  letGo(lease: LeasedRecord): void {
    this.#session.keep(lease, false);
  }

  news(): Promise<void> {
    return this.#session.news();
  }

  began(): void {
    this.#running += 1;
  }

  ended(): void {
    this.#running -= 1;
    this.#session.rouse();
  }

  /** The member ends with what a function of the program threw. */
  readonly fail = (error: unknown): void => {
    this.#thrown ??= { error };
    this.#session.rouse();
  };

  /** Why it ended, where that is not the program's wish. */
  throwFailure(): void {
    if (this.#thrown !== undefined) throw this.#thrown.error;
    const failure = this.#failure ?? this.#session.failure;
    if (failure !== undefined) throw failure;
  }

  /** Undefined: it cannot be decoded. */
  async #decoded(lease: LeasedRecord): Promise<Decoded<Key, Value> | undefined> {
    const { key, value, tombstone } = lease.record;
    const { codecs } = this.#settings;
    // Without codecs, keys and values are the bytes that were read: Key and Value are Uint8Array.
    if (codecs === undefined)
      return { key, value: tombstone ? null : value } as Decoded<never, never>;
    try {
      return {
        key: key === undefined ? undefined : ((await codecs.key.decode(key)) as Key),
        value: tombstone ? null : ((await codecs.value.decode(value)) as Value),
      };
    } catch (cause) {
      const { topic, partition, offset } = lease;
      const place = { topic, partition, offset, nextOffset: offset + 1 };
      const error = unreadable(place, 'the record', cause);
      if (!this.#settings.isRejecting) {
        this.#failure ??= error;
        return undefined;
      }
      tellSkipped(error);
      this.#reject(lease, error);
      return undefined;
    }
  }

  #made(lease: LeasedRecord, found: Decoded<Key, Value>): QueueJob<Key, Value> {
    return new QueueJob<Key, Value>({
      ...{ keeper: this.#session, lease, ...found },
      onLost: (job, error) => void this.#tellLost(job, error).catch(this.fail),
    });
  }

  async #tellLost(job: QueueJob<Key, Value>, error: TidemarkError): Promise<void> {
    await this.#settings.onLost?.(job, error);
  }

  #reject(lease: LeasedRecord, { message }: TidemarkError): void {
    const reason = message.slice(0, QUEUE_REASON_LENGTH_MAX).toWellFormed();
    this.#session.settle(lease, { kind: 'reject', reason }).catch((cause: unknown) => {
      const error = fromCall(cause, 'the cluster');
      // It is delivered again, unless no queue takes the rejection.
      if (error.retry !== 'no' || error.code === 'LEASE_LOST') return;
      this.#failure ??= error;
      this.#session.rouse();
    });
  }

  // The end

  /** Takes no more, lets handlers end, and leaves; within a bound. */
  finish(): Promise<void> {
    this.#finishing ??= this.#finish();
    return this.#finishing;
  }

  /** Resolves once {@link finish} has, whoever asked for it. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  async #finish(): Promise<void> {
    this.#isEnding = true;
    const { clock } = this.#connections;
    const untilMs = clock.monotonicMs() + this.#releaseMs;
    try {
      this.#session.stop();
      this.#session.rouse();
      while (this.#running > 0 && clock.monotonicMs() < untilMs)
        await this.#session.newsWithin(untilMs - clock.monotonicMs());
      await this.#session.settled(LAST_ANSWERS_MS);
      await this.#session.leave();
    } finally {
      this.#finished.resolve();
    }
  }
}
