/**
 * Runs passes: takes keys from the queue, calls `reconcile`, and comes back as its outcome asks.
 * One pass at a time for a key, several keys at once, a deadline for each. What a pass does is not
 * known here.
 */
import { jittered, type Random } from '../kube/backoff.ts';
import type { Clock } from '../../base/clock.ts';
import { KubeError } from '../kube/kube-error.ts';
import { type Priority, WorkQueue } from './work-queue.ts';

export interface PassResult {
  /** Come back after this long even if nothing changes. */
  readonly requeueAfterMs?: number;
  /** A part of the pass failed: counts as a failure, and comes back as `requeueAfterMs` asks. */
  readonly hasFailed?: boolean;
  /** What the key stands for is gone: drop all that is kept for it. */
  readonly isGone?: boolean;
}

/** Retrying cannot help until somebody changes something, and that change adds the key again. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

export type PassOutcome =
  | 'success'
  | 'requeue'
  | 'gone'
  | 'transient-error'
  | 'terminal-error'
  | 'deadline';

/** All times in milliseconds of the injected clock, except `wallMs`. */
export interface PassObserver {
  passStarted(key: string, wallMs: number): void;
  passEnded(key: string, outcome: PassOutcome, durationMs: number, wallMs: number): void;
  taken(waitedMs: number): void;
  retried(): void;
}

export interface ReconcilerOptions {
  /**
   * Ends early when `signal` aborts: deadline, lost leadership. Rejections are retried, except a
   * {@link TerminalError}.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<PassResult>;
  /** Every key there is: on a schedule, and when the queue had to refuse some. */
  readonly allKeys: () => Iterable<string>;
  /** Resolves when the caches are filled: no pass begins before. */
  readonly ready: () => Promise<unknown>;
  readonly clock: Clock;
  readonly random: Random;
  readonly onError: (key: string, error: unknown) => void;
  readonly observer?: PassObserver;
  readonly limits?: Partial<ReconcilerLimits>;
}

export interface ReconcilerLimits {
  readonly workers: number;
  readonly passMsMax: number;
  /** Everything is looked at again this often, give or take a fifth. */
  readonly resyncMs: number;
  readonly keysMax: number;
  /** Longest pause between passes of one key that fail. */
  readonly retryMsMax: number;
}

const LIMITS: ReconcilerLimits = {
  workers: 4,
  passMsMax: 120_000,
  resyncMs: 600_000,
  keysMax: 10_000,
  retryMsMax: 120_000,
};
const RESYNC_SHARE = 0.2;
/** A pass that goes on for this many deadlines ignores its signal: only a new process helps. */
const STUCK_DEADLINES = 3;

interface Pass {
  readonly abort: AbortController;
  readonly startedMs: number;
  isOverdue: boolean;
}

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #limits: ReconcilerLimits;
  readonly #queue: WorkQueue;
  readonly #passes = new Map<string, Pass>();
  #workers: Promise<unknown> | undefined;
  #cancelResync: () => void = () => undefined;
  /** The queue was full for a key: a sweep over all is due. */
  #hasRefused = false;
  /**
   * What a sweep has still to add. A queue that is full makes it pause, not begin anew: else the
   * last keys would never have their turn.
   */
  #sweep: string[] = [];
  #isStopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    const { clock, random } = options;
    const { keysMax, retryMsMax } = this.#limits;
    this.#queue = new WorkQueue({ clock, random, keysMax, retryMsMax });
  }

  /** Keys that wait for a worker, and those whose last pass failed. */
  get depth(): { readonly queued: number; readonly retrying: number } {
    return { queued: this.#queue.depth, retrying: this.#queue.retrying };
  }

  /** Asks for a pass. Also before {@link start}: keys gather, passes wait. */
  enqueue(key: string, priority: Priority = 'normal'): void {
    if (!this.#queue.add(key, priority)) this.#hasRefused = true;
  }

  /** The same, except where a pass of it failed: that is repeated in its own time. */
  nudge(key: string): void {
    if (!this.#queue.isRetrying(key)) this.enqueue(key);
  }

  /** Starts once. */
  start(): void {
    this.#workers ??= this.#run();
  }

  /** Begins no more passes and resolves when those under way have ended; each has its deadline. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#queue.close();
    this.#cancelResync();
    await this.#workers;
  }

  /** Tells all passes under way to end at once: leadership is lost. */
  abort(why: string): void {
    this.#isStopped = true;
    this.#queue.close();
    this.#cancelResync();
    for (const { abort } of this.#passes.values()) abort.abort(new Error(why));
  }

  /** A pass has outlived its deadline by far: the process is to be restarted. */
  isStuck(): boolean {
    const sinceMs = this.#options.clock.monotonicMs() - STUCK_DEADLINES * this.#limits.passMsMax;
    return [...this.#passes.values()].some(({ startedMs }) => startedMs < sinceMs);
  }

  async #run(): Promise<void> {
    // Not interruptible: a stop before the caches are filled has no pass to wait for.
    const closed = this.#whenStopped();
    await Promise.race([this.#options.ready(), closed.promise]);
    closed.end();
    if (this.#isStopped) return;
    this.#scheduleResync();
    await Promise.all(Array.from({ length: this.#limits.workers }, () => this.#work()));
  }

  #whenStopped(): { readonly promise: Promise<void>; end: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#cancelResync = resolve;
    return { promise, end: resolve };
  }

  #scheduleResync(): void {
    const { clock, random } = this.#options;
    const delayMs = jittered(this.#limits.resyncMs, RESYNC_SHARE, random);
    this.#cancelResync = clock.after(delayMs, () => {
      this.#resync();
      this.#scheduleResync();
    });
  }

  #resync(): void {
    this.#hasRefused = false;
    this.#sweep = [...this.#options.allKeys()];
    this.#goOnSweeping();
  }

  #goOnSweeping(): void {
    const refused = this.#sweep.findIndex((key) => !this.#queue.add(key));
    this.#sweep = refused < 0 ? [] : this.#sweep.slice(refused);
  }

  async #work(): Promise<void> {
    for (let item = await this.#queue.take(); item !== undefined; item = await this.#queue.take()) {
      this.#options.observer?.taken(item.waitedMs);
      await this.#pass(item.key);
      this.#queue.done(item.key);
      if (this.#queue.depth >= this.#limits.keysMax / 2) continue;
      if (this.#sweep.length > 0) this.#goOnSweeping();
      else if (this.#hasRefused) this.#resync();
    }
  }

  async #pass(key: string): Promise<void> {
    const { clock, observer, onError } = this.#options;
    const pass: Pass = {
      abort: new AbortController(),
      startedMs: clock.monotonicMs(),
      isOverdue: false,
    };
    const cancelDeadline = clock.after(this.#limits.passMsMax, () => {
      pass.isOverdue = true;
      pass.abort.abort(new Error(`pass of ${key} took longer than ${this.#limits.passMsMax} ms`));
    });
    this.#passes.set(key, pass);
    observer?.passStarted(key, clock.wallMs());
    let outcome: PassOutcome;
    try {
      outcome = this.#succeed(key, await this.#options.reconcile(key, pass.abort.signal));
    } catch (error) {
      onError(key, pass.isOverdue ? pass.abort.signal.reason : error);
      outcome = this.#fail(key, error, pass);
    }
    cancelDeadline();
    this.#passes.delete(key);
    observer?.passEnded(key, outcome, clock.monotonicMs() - pass.startedMs, clock.wallMs());
  }

  #succeed(key: string, { requeueAfterMs, isGone = false, hasFailed }: PassResult): PassOutcome {
    if (hasFailed === true) {
      this.#queue.fail(key, requeueAfterMs ?? 0);
      return 'transient-error';
    }
    this.#queue.forget(key);
    if (isGone) return 'gone';
    if (requeueAfterMs === undefined) return 'success';
    if (!this.#queue.addAfter(key, requeueAfterMs)) this.#hasRefused = true;
    return 'requeue';
  }

  #fail(key: string, error: unknown, pass: Pass): PassOutcome {
    if (error instanceof TerminalError) {
      this.#queue.forget(key);
      return 'terminal-error';
    }
    this.#options.observer?.retried();
    this.#queue.retry(key, error instanceof KubeError ? error.retryAfterMs : 0);
    return pass.isOverdue ? 'deadline' : 'transient-error';
  }
}
