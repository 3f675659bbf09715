/**
 * Drives the core of one member of a queue: opens its streams at whichever broker answers, hands it
 * what they bring and what time it is, and keeps the promises that were given for each record.
 */
import type { Cancel } from '../../base/clock.ts';
import { ACKNOWLEDGEMENTS_PER_CALL_MAX } from '../../base/limits.ts';
import type { Cluster } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { TidemarkError } from '../errors.ts';
import { News } from '../news.ts';
import { Proxies } from '../proxies.ts';
import { newUuid } from '../uuid.ts';
import { Holder } from './holder/holder.ts';
import type { Credit, HolderAction, Result, Settlement } from './holder/types.ts';
import {
  type Input,
  type Introduction,
  type LeasedRecord,
  openOf,
  QueueStream,
} from './queue-stream.ts';

/** A process that no broker lets in for so long, from its start on, gives up. */
const JOIN_TIMEOUT_MS = 30_000;

type Action = HolderAction<LeasedRecord, TidemarkError>;

/** What was promised for one record. */
interface Promised {
  settlement?: PromiseWithResolvers<void>;
  extension?: PromiseWithResolvers<void>;
  onLost?: (error: TidemarkError) => void;
}

export class Session {
  readonly #connections: Connections;
  readonly #proxies: Proxies;
  readonly #introduction: Introduction;
  readonly #holder: Holder<LeasedRecord, TidemarkError>;
  readonly #streams = new Map<number, QueueStream>();
  /** Not handed out yet, in the order in which they came. */
  readonly #waiting = new Set<LeasedRecord>();
  readonly #promised = new Map<LeasedRecord, Promised>();
  readonly #news = new News();
  #cancelWake: Cancel | undefined;
  #cancelJoinTimeout: Cancel | undefined;
  #hasJoined = false;
  #isFlushDue = false;
  #lastError: TidemarkError | undefined;
  #failure: TidemarkError | undefined;

  /** @param most records, and bytes, that the member has at a time */
  constructor(
    connections: Connections,
    cluster: Cluster,
    introduction: Introduction,
    most: Credit,
  ) {
    this.#connections = connections;
    this.#proxies = new Proxies(connections, cluster);
    this.#introduction = introduction;
    this.#holder = new Holder({
      newMemberId: () => newUuid(() => connections.random()),
      backoffMs: (attempt) => connections.backoffMs(attempt),
      graceMs: introduction.graceMs,
      recordsMax: most.records,
      bytesMax: most.bytes,
      partsMax: ACKNOWLEDGEMENTS_PER_CALL_MAX,
    });
  }

  get memberId(): string {
    return this.#holder.memberId;
  }

  get isOver(): boolean {
    return this.#holder.isOver;
  }

  /** Why it is over, where that is not the program's wish. */
  get failure(): TidemarkError | undefined {
    return this.#failure;
  }

  start(): void {
    // It was closed before it could begin.
    if (this.isOver) return;
    this.#cancelJoinTimeout = this.#connections.clock.after(JOIN_TIMEOUT_MS, () => {
      if (!this.#hasJoined) this.#giveUp();
    });
    this.#step({ kind: 'start' });
  }

  /** Resolves when something has come, or is settled, or is over. */
  news(): Promise<void> {
    return this.#news.next();
  }

  rouse(): void {
    this.#news.rouse();
  }

  // Records

  /** The next record; undefined: none is here. */
  next(): LeasedRecord | undefined {
    for (const lease of this.#waiting) {
      const isOver = this.leftMs(lease) === 0;
      if (!isOver && !this.#holder.mayBegin(this.#nowMs(), lease)) continue;
      this.#waiting.delete(lease);
      if (!isOver) return lease;
    }
    return undefined;
  }

  /** How long the record is the member's, by the own clock; 0: it is not. */
  leftMs(lease: LeasedRecord): number {
    return this.#holder.leftMs(this.#nowMs(), lease);
  }

  /** Its lease is extended by itself, or not. */
  keep(lease: LeasedRecord, isKept: boolean): void {
    this.#step({ kind: 'keep', lease, isKept });
  }

  /** Called once, if its lease is over before it is settled. */
  watch(lease: LeasedRecord, onLost: (error: TidemarkError) => void): void {
    this.#promisedOf(lease).onLost = onLost;
  }

  /** Resolves once it is committed. One at a time. */
  settle(lease: LeasedRecord, settlement: Settlement): Promise<void> {
    const { promise } = (this.#promisedOf(lease).settlement = Promise.withResolvers<void>());
    this.#step({ kind: 'settle', lease, settlement });
    this.#flushSoon();
    return promise;
  }

  /** It is with nobody here, and is wanted no more. */
  putBack(...leases: readonly LeasedRecord[]): void {
    const settlement: Settlement = { kind: 'release', delayMs: 0 };
    for (const lease of leases) this.#step({ kind: 'settle', lease, settlement });
    this.#step({ kind: 'flush' });
  }

  /** Resolves once the lease has begun anew. */
  extend(lease: LeasedRecord): Promise<void> {
    const promised = this.#promisedOf(lease);
    promised.extension ??= Promise.withResolvers<void>();
    const { promise } = promised.extension;
    this.#step({ kind: 'extend', lease });
    this.#flushSoon();
    return promise;
  }

  // The end

  /** Takes nothing more; what waits here goes back at once. */
  stop(): void {
    this.#step({ kind: 'stop' });
    this.putBack(...this.#waiting);
    this.#waiting.clear();
  }

  /** Waits until all that was said is answered, but not longer than that. */
  async settled(timeoutMs: number): Promise<void> {
    const untilMs = this.#nowMs() + timeoutMs;
    while (!this.isOver && !this.#holder.isSettled) {
      const leftMs = untilMs - this.#nowMs();
      if (leftMs <= 0) return;
      await this.newsWithin(leftMs);
    }
  }

  /** Resolves once it is out, or nobody answers. What is not settled goes to others. */
  async leave(): Promise<void> {
    this.#step({ kind: 'leave' });
    while (!this.isOver) await this.#news.next();
  }

  async newsWithin(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#connections.clock.after(timeoutMs, resolve);
    await Promise.race([this.#news.next(), promise]);
    cancel();
  }

  // The core

  #nowMs(): number {
    return this.#connections.clock.monotonicMs();
  }

  #step(input: Input): void {
    const nowMs = this.#nowMs();
    const actions = this.#holder.step(nowMs, input);
    for (const action of actions) this.#carryOut(action);
    if (input.kind === 'joined') this.#hasJoined = true;
    this.#setWake(nowMs);
    if (actions.length > 0) this.#news.rouse();
  }

  /** What was said in one turn travels together. */
  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#connections.clock.soon(() => {
      this.#isFlushDue = false;
      this.#step({ kind: 'flush' });
    });
  }

  #setWake(nowMs: number): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    const { wakeAtMs } = this.#holder;
    if (wakeAtMs === Number.POSITIVE_INFINITY) return;
    // A timer may fire a millisecond before the clock says so.
    const delayMs = Math.max(1, Math.ceil(wakeAtMs - nowMs) + 1);
    this.#cancelWake = this.#connections.clock.after(delayMs, () => this.#step({ kind: 'tick' }));
  }

  #carryOut(action: Action): void {
    switch (action.kind) {
      case 'open':
        this.#open(action);
        return;
      case 'close':
        this.#streams.get(action.attempt)?.close();
        this.#streams.delete(action.attempt);
        return;
      case 'received':
        for (const lease of action.leases) this.#waiting.add(lease);
        return;
      case 'acknowledge':
        this.#streams.get(action.attempt)?.acknowledge(action.acknowledgeId, action.parts);
        return;
      case 'credit':
        this.#streams.get(action.attempt)?.credit(action.credit);
        return;
      case 'settled':
        this.#settled(action.lease, action.result);
        return;
      case 'extended':
        this.#extended(action.lease, action.result);
        return;
      case 'lost':
        this.#lost(action);
        return;
      case 'leave':
        this.#streams.get(action.attempt)?.leave();
        return;
      case 'over':
        this.#cancelJoinTimeout?.();
        if (action.reason === 'refused') this.#failure = this.#lastError;
    }
  }

  #open(action: Action & { kind: 'open' }): void {
    const { attempt } = action;
    const address = this.#proxies.choose();
    const open = openOf(this.#introduction, action);
    try {
      const stream = new QueueStream(this.#connections, open, address, {
        onInput: (input) => this.#step(input),
        onEnded: (ended, error) => this.#ended(ended, error),
      });
      this.#streams.set(attempt, stream);
    } catch (cause) {
      // The client is closed: the core hears of it once it has finished its step.
      this.#connections.clock.soon(() => this.#ended(attempt, cause as TidemarkError));
    }
  }

  #ended(attempt: number, error: TidemarkError): void {
    const address = this.#streams.get(attempt)?.address ?? '';
    this.#streams.delete(attempt);
    this.#lastError = error;
    this.#step({ kind: 'ended', attempt, end: this.#proxies.ended(address, error) });
  }

  #giveUp(): void {
    this.#lastError ??= new TidemarkError(
      'TIMED_OUT',
      `Cannot take from queue "${this.#introduction.queue}": no broker answered within ${JOIN_TIMEOUT_MS} ms`,
      'same',
    );
    this.#step({ kind: 'refused' });
  }

  // What was promised

  #promisedOf(lease: LeasedRecord): Promised {
    const found = this.#promised.get(lease);
    if (found !== undefined) return found;
    const promised: Promised = {};
    this.#promised.set(lease, promised);
    return promised;
  }

  #settled(lease: LeasedRecord, result: Result<TidemarkError>): void {
    const promised = this.#promised.get(lease);
    const { settlement, extension } = promised ?? {};
    delete promised?.settlement;
    const error = errorOf(lease, result);
    if (error !== undefined) {
      settlement?.reject(error);
      return;
    }
    this.#promised.delete(lease);
    extension?.resolve();
    settlement?.resolve();
  }

  #extended(lease: LeasedRecord, result: Result<TidemarkError>): void {
    const promised = this.#promised.get(lease);
    const { extension } = promised ?? {};
    delete promised?.extension;
    const error = errorOf(lease, result);
    if (error === undefined) extension?.resolve();
    else extension?.reject(error);
  }

  #lost({ lease, refusal, isSent }: Action & { kind: 'lost' }): void {
    this.#waiting.delete(lease);
    const { settlement, extension, onLost } = this.#promised.get(lease) ?? {};
    this.#promised.delete(lease);
    const error = refusal ?? leaseLost(lease);
    extension?.reject(error);
    settlement?.reject(isSent ? unanswered(lease, LOST_FIRST, isSent) : error);
    onLost?.(error);
  }
}

function errorOf(lease: LeasedRecord, result: Result<TidemarkError>): TidemarkError | undefined {
  if (result.kind === 'done') return undefined;
  if (result.kind === 'refused') return result.refusal;
  return unanswered(lease, result.refusal ?? UNANSWERED, result.isSent);
}

const UNANSWERED = 'no broker answered in time';
const LOST_FIRST = 'its lease was over before a broker answered';

function unanswered(
  lease: LeasedRecord,
  cause: TidemarkError | string,
  isSent: boolean,
): TidemarkError {
  const [reason, error] = typeof cause === 'string' ? [cause, undefined] : [cause.message, cause];
  return new TidemarkError(
    'TIMED_OUT',
    `Cannot settle ${nameOf(lease)}: ${reason}`,
    'same',
    { effect: isSent ? 'unknown' : 'none' },
    error,
  );
}

/** For messages. */
export function nameOf({ topic, partition, offset }: LeasedRecord): string {
  return `record ${topic}/${partition} offset ${offset}`;
}

/** Without asking a broker. */
export function leaseLost(lease: LeasedRecord): TidemarkError {
  return new TidemarkError(
    'LEASE_LOST',
    `The lease of delivery ${lease.delivery} of ${nameOf(lease)} is over: it is delivered again`,
  );
}
