/**
 * One member of a queue, as its own process sees it: which stream it is attached by, which records
 * it has and until when, what was said of each and is not answered yet. `step(nowMs, input)` is
 * synchronous and total; it knows neither streams nor records. What it keeps to
 * (docs/rules.md#queues):
 *
 * - A lease that is over by the own clock is lost: nothing is said of its record any more.
 * - What was said is said again until there is an answer, by whichever stream is attached. The same
 *   acknowledgement twice is one.
 * - Leases outlive streams. A new stream is told what is free then, so credit counts once.
 * - A stream whose broker stops is heard for a while beside the new one: what it brings is leased.
 * - A member that was fenced comes back as another one, which has nothing.
 */
import { Leases } from './leases.ts';
import type {
  FenceReason,
  HolderAction,
  HolderInput,
  HolderOptions,
  Lease,
  MonotonicMs,
  StreamEnd,
} from './types.ts';

/** A stream that does not answer for so long is given up for one at another broker. */
export const JOIN_WAIT_MS = 5_000;
/** A member that leaves waits so long for an answer; its leases end by themselves otherwise. */
export const LEAVE_WAIT_MS = 3_000;
/** What is on its way by a stream that was replaced is waited for so long. */
export const DRAIN_MS = 1_000;

interface Opening {
  readonly attempt: number;
  readonly sinceMs: MonotonicMs;
}

export class Holder<L extends Lease, Refusal = never> {
  readonly #options: HolderOptions;
  readonly #leases: Leases<L, Refusal>;
  readonly #actions: HolderAction<L, Refusal>[] = [];
  #memberId: string;
  #attempt = 0;
  #attached: number | null = null;
  /** When the last stream broke; null: one is attached, or none was. */
  #brokeMs: MonotonicMs | null = null;
  #opening: Opening | null = null;
  /** Streams that were replaced, and until when they are heard. */
  readonly #draining = new Map<number, MonotonicMs>();
  #retryAtMs: MonotonicMs | null = null;
  #failures = 0;
  #isStopping = false;
  #leaveByMs: MonotonicMs | null = null;
  #isOver = false;

  constructor(options: HolderOptions) {
    this.#options = options;
    this.#memberId = options.newMemberId();
    this.#leases = new Leases(options, this.#actions);
  }

  get memberId(): string {
    return this.#memberId;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Nothing that was said of a record waits for an answer. */
  get isSettled(): boolean {
    return this.#leases.isSettled;
  }

  /** How long the record is the member's, in milliseconds; 0: it is not. */
  leftMs(nowMs: MonotonicMs, lease: L): number {
    return this.#leases.leftMs(nowMs, lease);
  }

  /**
   * Whether handling it may begin. No stream for the grace: its broker may have handed it to others
   * since, and until it is asked for nobody knows.
   */
  mayBegin(nowMs: MonotonicMs, lease: L): boolean {
    return !this.#isGraceOver(nowMs) && !this.#leases.isDoubtful(lease);
  }

  /** When `tick` is due, at the latest; infinite: only when something else happens. */
  get wakeAtMs(): MonotonicMs {
    if (this.#isOver) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#leases.lookAtMs,
      this.#retryAtMs ?? Number.POSITIVE_INFINITY,
      this.#opening === null ? Number.POSITIVE_INFINITY : this.#opening.sinceMs + JOIN_WAIT_MS,
      this.#leaveByMs ?? Number.POSITIVE_INFINITY,
      ...this.#draining.values(),
    );
  }

  step(nowMs: MonotonicMs, input: HolderInput<L, Refusal>): readonly HolderAction<L, Refusal>[] {
    if (!this.#isOver) this.#take(nowMs, input);
    return this.#actions.splice(0);
  }

  #take(nowMs: MonotonicMs, input: HolderInput<L, Refusal>): void {
    switch (input.kind) {
      case 'start':
        if (this.#attempt === 0) this.#open(nowMs);
        return;
      case 'tick':
        this.#tick(nowMs);
        return;
      case 'joined':
        this.#joined(nowMs, input.attempt, input.leaseMs);
        return;
      case 'records':
        this.#records(nowMs, input.attempt, input.leases);
        return;
      case 'acknowledged':
        this.#leases.answered(nowMs, input.acknowledgeId, input.outcomes);
        this.#grant();
        return;
      case 'reattach':
        if (this.#attached !== input.attempt || this.#leaveByMs !== null) return;
        if (this.#opening === null) this.#open(nowMs);
        return;
      case 'fenced':
        this.#fenced(nowMs, input.attempt, input.reason);
        return;
      case 'ended':
        this.#ended(nowMs, input.attempt, input.end);
        return;
      case 'settle':
        this.#leases.settle(nowMs, input.lease, input.settlement);
        return;
      case 'extend':
        this.#leases.extend(nowMs, input.lease);
        return;
      case 'keep':
        this.#leases.keep(input.lease, input.isKept);
        return;
      case 'flush':
        this.#flush(nowMs);
        return;
      case 'stop':
        this.#isStopping = true;
        return;
      case 'leave':
        this.#leave(nowMs);
        return;
      case 'refused':
        this.#end('refused');
    }
  }

  // Records

  #records(nowMs: MonotonicMs, attempt: number, leases: readonly L[]): void {
    if (!this.#hears(attempt) || this.#leaveByMs !== null) return;
    const fresh = this.#leases.take(nowMs, attempt, leases);
    if (this.#isStopping)
      for (const lease of fresh) this.#leases.settle(nowMs, lease, { kind: 'release', delayMs: 0 });
    else if (fresh.length > 0) this.#actions.push({ kind: 'received', leases: fresh });
    if (this.#isStopping) this.#flush(nowMs);
    // Of what came again nothing is kept.
    this.#grant();
  }

  #flush(nowMs: MonotonicMs): void {
    if (this.#attached === null || this.#leaveByMs !== null) return;
    this.#leases.flush(nowMs, this.#attached);
    this.#grant();
  }

  #grant(): void {
    if (this.#attached !== null && !this.#isStopping) this.#leases.grant(this.#attached);
  }

  #hears(attempt: number): boolean {
    return this.#attached === attempt || this.#draining.has(attempt);
  }

  // Streams

  #open(nowMs: MonotonicMs): void {
    this.#attempt += 1;
    this.#retryAtMs = null;
    const attempt = this.#attempt;
    this.#opening = { attempt, sinceMs: nowMs };
    const credit = this.#leases.opened(attempt);
    this.#actions.push({ kind: 'open', attempt, memberId: this.#memberId, credit });
  }

  #tick(nowMs: MonotonicMs): void {
    if (this.#leaveByMs !== null) {
      if (nowMs >= this.#leaveByMs) this.#end('left');
      return;
    }
    for (const [attempt, untilMs] of this.#draining) if (nowMs >= untilMs) this.#close(attempt);
    this.#leases.look(nowMs);
    this.#flush(nowMs);
    if (this.#opening !== null && nowMs >= this.#opening.sinceMs + JOIN_WAIT_MS) {
      this.#close(this.#opening.attempt);
      this.#opening = null;
      this.#retry(nowMs);
    }
    if (this.#opening !== null) return;
    if (this.#retryAtMs !== null) {
      if (nowMs >= this.#retryAtMs) this.#open(nowMs);
      return;
    }
    if (this.#attached !== null && this.#leases.isOverdue(nowMs)) this.#open(nowMs);
  }

  #isGraceOver(nowMs: MonotonicMs): boolean {
    return this.#brokeMs !== null && nowMs >= this.#brokeMs + this.#options.graceMs;
  }

  #broke(nowMs: MonotonicMs): void {
    this.#attached = null;
    this.#brokeMs = nowMs;
  }

  #joined(nowMs: MonotonicMs, attempt: number, leaseMs: number): void {
    // Said again: the queue's leases last another time from now on.
    if (this.#attached === attempt) this.#leases.leaseMs = leaseMs;
    if (this.#opening?.attempt !== attempt) return;
    this.#opening = null;
    this.#failures = 0;
    if (this.#attached !== null) this.#draining.set(this.#attached, nowMs + DRAIN_MS);
    this.#attached = attempt;
    this.#leases.leaseMs = leaseMs;
    this.#leases.resend();
    if (this.#isGraceOver(nowMs)) this.#leases.doubt(nowMs);
    this.#brokeMs = null;
    this.#flush(nowMs);
  }

  #retry(nowMs: MonotonicMs): void {
    this.#retryAtMs = nowMs + this.#options.backoffMs(this.#failures);
    this.#failures += 1;
  }

  #ended(nowMs: MonotonicMs, attempt: number, end: StreamEnd): void {
    this.#leases.cut(attempt);
    if (this.#draining.delete(attempt)) return;
    if (this.#opening?.attempt === attempt) this.#opening = null;
    else if (this.#attached === attempt) this.#broke(nowMs);
    else return;
    if (this.#leaveByMs !== null) this.#end('left');
    else if (end === 'refused') this.#end('refused');
    else if (end === 'fenced') this.#beginAsAnother(nowMs);
    else if (this.#opening === null) this.#retry(nowMs);
  }

  #fenced(nowMs: MonotonicMs, attempt: number, reason: FenceReason): void {
    const isOpening = this.#opening?.attempt === attempt;
    if (this.#draining.has(attempt)) this.#close(attempt);
    else if (!isOpening && this.#attached !== attempt) return;
    else if (reason === 'attached-elsewhere') {
      this.#close(attempt);
      // The stream that is being opened has its place already; else nobody knows who has.
      if (!isOpening && this.#opening !== null) this.#broke(nowMs);
      else this.#ended(nowMs, attempt, 'broken');
    } else if (this.#leaveByMs !== null) this.#end('left');
    else this.#beginAsAnother(nowMs);
  }

  /** It has nothing any more, and joins under another id. */
  #beginAsAnother(nowMs: MonotonicMs): void {
    this.#leases.loseAll();
    this.#closeAll();
    this.#memberId = this.#options.newMemberId();
    this.#retry(nowMs);
  }

  #leave(nowMs: MonotonicMs): void {
    if (this.#leaveByMs !== null) return;
    this.#leases.loseAll();
    if (this.#attached === null) {
      this.#end('left');
      return;
    }
    if (this.#opening !== null) this.#close(this.#opening.attempt);
    this.#opening = null;
    this.#retryAtMs = null;
    for (const attempt of this.#draining.keys()) this.#close(attempt);
    this.#leaveByMs = nowMs + LEAVE_WAIT_MS;
    this.#actions.push({ kind: 'leave', attempt: this.#attached });
  }

  #end(reason: 'left' | 'refused'): void {
    this.#leases.loseAll();
    this.#closeAll();
    this.#isOver = true;
    this.#actions.push({ kind: 'over', reason });
  }

  #close(attempt: number): void {
    this.#draining.delete(attempt);
    this.#leases.cut(attempt);
    this.#actions.push({ kind: 'close', attempt });
  }

  #closeAll(): void {
    for (const attempt of this.#draining.keys()) this.#close(attempt);
    if (this.#attached !== null) this.#close(this.#attached);
    if (this.#opening !== null) this.#close(this.#opening.attempt);
    this.#attached = null;
    this.#opening = null;
    this.#retryAtMs = null;
  }
}
