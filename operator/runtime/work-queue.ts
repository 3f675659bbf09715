/**
 * Keys that need a pass. A key is here at most once however often it is added, is handed to one
 * worker at a time, and comes back afterwards if it was added meanwhile. What a key means is not
 * known here; it carries no data, since a pass looks at the present state only.
 */
import type { Random } from '../kube/backoff.ts';
import { TokenBucket } from '../kube/backoff.ts';
import type { Clock } from '../../base/clock.ts';

/** `urgent` overtakes: what is being deleted should not wait behind a resync of everything. */
export type Priority = 'urgent' | 'normal';

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Keys that wait, and apart from them keys that are delayed. Above it, adding is refused. */
  readonly keysMax: number;
  /** Longest pause between attempts that fail. Default 2 minutes. */
  readonly retryMsMax?: number;
}

export interface WorkItem {
  readonly key: string;
  readonly waitedMs: number;
}

const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 120_000;
/** Retries of all keys together: a fault that hits everything must not turn into a storm. */
const RETRIES_PER_SECOND = 10;
const RETRIES_BURST = 100;

interface Waiting {
  priority: Priority;
  readonly sinceMs: number;
}

interface Delayed {
  readonly dueMs: number;
  readonly cancel: () => void;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #keysMax: number;
  readonly #retryMsMax: number;
  readonly #bucket: TokenBucket;
  /** Needs a pass: queued, or to be queued when the present pass ends. */
  readonly #dirty = new Map<string, Waiting>();
  readonly #processing = new Set<string>();
  readonly #queued: Record<Priority, Set<string>> = { urgent: new Set(), normal: new Set() };
  readonly #delayed = new Map<string, Delayed>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((item: WorkItem | undefined) => void)[] = [];
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#keysMax = options.keysMax;
    this.#retryMsMax = options.retryMsMax ?? RETRY_MS_MAX;
    this.#bucket = new TokenBucket(RETRIES_PER_SECOND, RETRIES_BURST, options.clock.monotonicMs());
  }

  /** Keys that wait for a worker. */
  get depth(): number {
    return this.#queued.urgent.size + this.#queued.normal.size;
  }

  /** Keys whose last pass failed. */
  get retrying(): number {
    return this.#failures.size;
  }

  /** Its last pass failed, and the next one is due by itself. */
  isRetrying(key: string): boolean {
    return this.#failures.has(key);
  }

  /** False where the queue is full: the caller must come back with everything later. */
  add(key: string, priority: Priority = 'normal'): boolean {
    if (this.#closed) return true;
    const waiting = this.#dirty.get(key);
    if (waiting !== undefined) {
      if (priority === 'urgent') this.#raise(key, waiting);
      return true;
    }
    if (this.#dirty.size >= this.#keysMax) return false;
    this.#dirty.set(key, { priority, sinceMs: this.#clock.monotonicMs() });
    if (!this.#processing.has(key)) this.#enqueue(key, priority);
    return true;
  }

  /**
   * Adds in `delayMs` at the latest. A pass that comes sooner cancels it, since that pass decides
   * anew. False where too many wait.
   */
  addAfter(key: string, delayMs: number): boolean {
    if (this.#closed) return true;
    if (delayMs <= 0) return this.add(key);
    const dueMs = this.#clock.monotonicMs() + delayMs;
    const known = this.#delayed.get(key);
    if (known !== undefined && known.dueMs <= dueMs) return true;
    if (known === undefined && this.#delayed.size >= this.#keysMax) return false;
    known?.cancel();
    const cancel = this.#clock.after(delayMs, () => {
      this.#delayed.delete(key);
      // A full queue keeps it for later instead of losing it.
      if (!this.add(key)) this.addAfter(key, RETRY_MS_MAX);
    });
    this.#delayed.set(key, { dueMs, cancel });
    return true;
  }

  /**
   * After a failed pass: adds after twice the last pause (with jitter), at least `atLeastMs`, and
   * when the common bucket has room. Returns the delay in milliseconds.
   */
  retry(key: string, atLeastMs = 0): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const doubledMs = Math.min(this.#retryMsMax, RETRY_MS_MIN * 2 ** failures);
    const jitteredMs = doubledMs * (0.5 + this.#random() / 2);
    const delayMs = Math.max(
      jitteredMs,
      atLeastMs,
      this.#bucket.reserveMs(this.#clock.monotonicMs()),
    );
    this.addAfter(key, delayMs);
    return delayMs;
  }

  /** After a pass that failed in part: adds in `delayMs`, and counts among {@link retrying}. */
  fail(key: string, delayMs: number): void {
    if (!this.#failures.has(key)) this.#failures.set(key, 0);
    this.addAfter(key, delayMs);
  }

  /** After a good pass: the next failure waits little. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key, when there is one; undefined once closed. The taker calls {@link done}. */
  take(): Promise<WorkItem | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const item = this.#shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The pass is over. */
  done(key: string): void {
    this.#processing.delete(key);
    const waiting = this.#dirty.get(key);
    if (waiting !== undefined && !this.#closed) this.#enqueue(key, waiting.priority);
  }

  /** Nothing is handed out any more, nothing taken on. */
  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    for (const take of this.#takers.splice(0)) take(undefined);
  }

  #raise(key: string, waiting: Waiting): void {
    waiting.priority = 'urgent';
    if (this.#queued.normal.delete(key)) this.#queued.urgent.add(key);
  }

  #enqueue(key: string, priority: Priority): void {
    this.#queued[priority].add(key);
    if (this.#takers.length === 0) return;
    this.#takers.shift()?.(this.#shift());
  }

  #shift(): WorkItem | undefined {
    const from = this.#queued.urgent.size > 0 ? this.#queued.urgent : this.#queued.normal;
    const [key] = from;
    if (key === undefined) return undefined;
    from.delete(key);
    const sinceMs = this.#dirty.get(key)?.sinceMs ?? this.#clock.monotonicMs();
    this.#dirty.delete(key);
    this.#processing.add(key);
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
    return { key, waitedMs: this.#clock.monotonicMs() - sinceMs };
  }
}
