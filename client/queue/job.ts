/** A record of a queue, as programs have it: until it is settled, or its lease is over. */
import type { RecordHeader } from '../../wire/records/record-set.ts';
import type { ConsumedRecord } from '../consumer/types.ts';
import { TidemarkError } from '../errors.ts';
import type { Settlement } from './holder/types.ts';
import { checkReason, checkRelease, type ReleaseOptions } from './job-options.ts';
import type { LeasedRecord } from './queue-stream.ts';
import { leaseLost, nameOf } from './session.ts';

/** Who says to the queue what becomes of a record. */
export interface JobKeeper {
  leftMs(lease: LeasedRecord): number;
  watch(lease: LeasedRecord, onLost: (error: TidemarkError) => void): void;
  settle(lease: LeasedRecord, settlement: Settlement): Promise<void>;
  extend(lease: LeasedRecord): Promise<void>;
}

/** What a job is made of. */
export interface JobParts<Key, Value> {
  readonly keeper: JobKeeper;
  readonly lease: LeasedRecord;
  readonly key: Key | undefined;
  readonly value: Value | null;
  readonly onLost: (job: QueueJob<Key, Value>, error: TidemarkError) => void;
}

const SAID: Readonly<Record<Settlement['kind'], string>> = {
  accept: 'accepted',
  release: 'released',
  reject: 'rejected',
};

/**
 * One record that this member has for the time of a lease. Settle it once, by {@link accept},
 * {@link release} or {@link reject}: each resolves once the queue has committed that, and rejects
 * with LEASE_LOST where the lease was over before, so that nothing was settled; with
 * INVALID_ARGUMENT where the record is settled already; with TIMED_OUT after 30 seconds, its
 * `effect` then says whether it may be so all the same. Any other error leaves the record with the
 * member.
 */
export class QueueJob<Key = Uint8Array, Value = Uint8Array> implements ConsumedRecord<Key, Value> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly timestampMs: number;
  readonly key: Key | undefined;
  /** Null: a tombstone. */
  readonly value: Value | null;
  readonly headers: readonly RecordHeader[];
  /** Which delivery of the record it is, from 1. */
  readonly delivery: number;
  readonly #keeper: JobKeeper;
  readonly #lease: LeasedRecord;
  #settlement: Settlement['kind'] | undefined;
  #lost: TidemarkError | undefined;
  #abort: AbortController | undefined;

  /** Made by a {@link QueueConsumer}. */
  constructor({ keeper, lease, key, value, onLost }: JobParts<Key, Value>) {
    const { topic, partition, offset, leaderEpoch, delivery, record } = lease;
    this.topic = topic;
    this.partition = partition;
    this.offset = offset;
    this.leaderEpoch = leaderEpoch;
    this.delivery = delivery;
    this.timestampMs = record.timestampMs;
    this.headers = record.headers;
    this.key = key;
    this.value = value;
    this.#keeper = keeper;
    this.#lease = lease;
    keeper.watch(lease, (error) => {
      this.#lost = error;
      this.#abort?.abort(error);
      onLost(this, error);
    });
  }

  /** How long the lease goes on, in milliseconds, by the clock of this process; 0: it is over. */
  get leaseLeftMs(): number {
    return this.#keeper.leftMs(this.#lease);
  }

  /** It was not settled in time: others handle it, or will. */
  get isLost(): boolean {
    if (this.#lost !== undefined) return true;
    return this.#settlement === undefined && this.leaseLeftMs === 0;
  }

  /** It was said what becomes of it; the answer may be on its way. */
  get isSettled(): boolean {
    return this.#settlement !== undefined;
  }

  /** Aborted when the record is lost, also by leaving; LEASE_LOST is its reason. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#lost !== undefined) this.#abort.abort(this.#lost);
    }
    return this.#abort.signal;
  }

  /** It is handled, and never delivered again. */
  async accept(): Promise<void> {
    await this.#settle({ kind: 'accept' });
  }

  /** It goes back, to be delivered again, to whomever. */
  async release(options: ReleaseOptions = {}): Promise<void> {
    checkRelease(`release ${nameOf(this.#lease)}`, options);
    await this.#settle({ kind: 'release', delayMs: options.delayMs ?? 0 });
  }

  /**
   * It can never be handled: it goes to the dead-letter topic, with the reason, of at most 256
   * characters. Rejects with INVALID_ARGUMENT where the queue has no such topic.
   */
  async reject(reason = ''): Promise<void> {
    checkReason(`reject ${nameOf(this.#lease)}`, reason);
    await this.#settle({ kind: 'reject', reason });
  }

  /** Its lease begins anew. Resolves once that is committed; rejects as settling does. */
  async extend(): Promise<void> {
    this.#refuseSettled('extend');
    await this.#keeper.extend(this.#lease);
  }

  async #settle(settlement: Settlement): Promise<void> {
    const { kind } = settlement;
    this.#refuseSettled(kind);
    this.#settlement = kind;
    try {
      await this.#keeper.settle(this.#lease, settlement);
    } catch (error) {
      // As long as it is the member's, something else may be said.
      this.#settlement = undefined;
      throw error;
    }
  }

  /** Throws where nothing can be said any more. */
  #refuseSettled(doing: string): void {
    if (this.#settlement !== undefined)
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Cannot ${doing} ${nameOf(this.#lease)}: it is ${SAID[this.#settlement]} already`,
      );
    if (this.#lost !== undefined) throw this.#lost;
    if (this.leaseLeftMs === 0) throw leaseLost(this.#lease);
  }
}
