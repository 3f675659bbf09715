/**
 * Drives the core of one member: opens its streams at whichever broker answers, hands it what they
 * bring and what time it is, and commits by whichever stream is attached. It knows no records.
 */
import type { Cancel } from '../../base/clock.ts';
import { CURSORS_PER_CALL_MAX } from '../../base/limits.ts';
import type { ConsumeOpen } from '../../proto/gen/tidemark/v1/consume.ts';
import type { Cluster } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { TidemarkError } from '../errors.ts';
import { News } from '../news.ts';
import { Proxies } from '../proxies.ts';
import { newUuid } from '../uuid.ts';
import { ConsumeStream } from './consume-stream.ts';
import { type Commit, type CommitOutcome, Ledger } from './member/ledger.ts';
import { Member } from './member/member.ts';
import type { HeldPartition, MemberAction, MemberInput, ViewedPartition } from './member/types.ts';

/** A process that no broker lets in for so long, from its start on, gives up. */
const JOIN_TIMEOUT_MS = 30_000;

/** What the member states of itself; the rest of `open` is the core's. */
export type Introduction = Omit<ConsumeOpen, 'memberId' | 'attempt' | 'epoch' | 'formerMemberId'>;

/** Who carries out what the member is told. */
export interface SessionEvents {
  readonly onAssign: (partitions: readonly ViewedPartition<TidemarkError>[]) => void;
  /** To be answered by {@link Session.released}. */
  readonly onRevoke: (epoch: number, partitions: readonly HeldPartition[], leftMs: number) => void;
  readonly onLost: (partitions: readonly HeldPartition[]) => void;
  /** Records may be handed out again, perhaps. */
  readonly onLease: () => void;
  /** Nothing comes any more. Without an error it left. */
  readonly onOver: (error: TidemarkError | undefined) => void;
  /** A cursor can never be committed, and not because others have the partition. */
  readonly onCommitFailed: (error: TidemarkError) => void;
}

/** Refusals of a commit that only say that others were there, or nothing is. */
const PASSED_OVER: ReadonlySet<string> = new Set([
  'CURSOR_AHEAD',
  'CURSOR_FENCED',
  'CURSOR_GONE',
  'FENCED',
  'UNKNOWN_PARTITION',
  'UNKNOWN_TOPIC',
]);

export class Session {
  readonly ledger = new Ledger();
  readonly #connections: Connections;
  readonly #proxies: Proxies;
  readonly #introduction: Introduction;
  readonly #isReturning: boolean;
  readonly #events: SessionEvents;
  readonly #member: Member<TidemarkError>;
  readonly #streams = new Map<number, ConsumeStream>();
  /** Stream by which commits are under way. */
  #committingBy: number | null = null;
  #cancelWake: Cancel | undefined;
  #cancelJoinTimeout: Cancel | undefined;
  #hasJoined = false;
  #lastError: TidemarkError | undefined;
  readonly #news = new News();

  constructor(
    connections: Connections,
    cluster: Cluster,
    introduction: Introduction,
    events: SessionEvents,
  ) {
    this.#connections = connections;
    this.#proxies = new Proxies(connections, cluster);
    this.#introduction = introduction;
    this.#isReturning = introduction.returnMs > 0;
    this.#events = events;
    this.#member = new Member({
      newMemberId: () => newUuid(() => connections.random()),
      backoffMs: (attempt) => connections.backoffMs(attempt),
      graceMs: introduction.graceMs ?? 0,
    });
  }

  get memberId(): string {
    return this.#member.memberId;
  }

  get isOver(): boolean {
    return this.#member.isOver;
  }

  /** Whether records may be handed out at this moment. */
  get mayDeliver(): boolean {
    return this.#member.mayDeliver(this.#connections.clock.monotonicMs());
  }

  holds(held: HeldPartition): boolean {
    return this.#member.holds(held);
  }

  start(): void {
    this.#cancelJoinTimeout = this.#connections.clock.after(JOIN_TIMEOUT_MS, () => {
      if (!this.#hasJoined) this.#giveUp();
    });
    this.#step({ kind: 'start' });
  }

  /** What a revocation took is let go. */
  released(epoch: number): void {
    this.#step({ kind: 'released', epoch });
  }

  /** Resolves once it is out, or nobody answers. Nothing may be under way. */
  async leave(): Promise<void> {
    this.#step({ kind: 'leave' });
    while (!this.isOver) await this.#news.next();
  }

  /** Commits what is due, if there is a stream to do it by; does not wait. */
  commit(): void {
    const { attempt } = this.#member;
    const stream = attempt === null ? undefined : this.#streams.get(attempt);
    if (stream === undefined) return;
    for (;;) {
      const due = this.ledger.due(CURSORS_PER_CALL_MAX);
      if (due === null) return;
      this.#committingBy = stream.attempt;
      stream.acknowledge(due);
    }
  }

  /** Commits until nothing of these is due. False where time was too short for it. */
  settle(untilMs: number, partitions: readonly HeldPartition[]): Promise<boolean> {
    return this.#commitUntil(untilMs, () => this.ledger.isSettled(partitions));
  }

  /** Commits what is handled by now, whatever is handled meanwhile. Answers as {@link settle}. */
  commitHandled(untilMs: number): Promise<boolean> {
    const places = this.ledger.places();
    return this.#commitUntil(untilMs, () => this.ledger.hasCommitted(places));
  }

  async #commitUntil(untilMs: number, isMet: () => boolean): Promise<boolean> {
    const { clock } = this.#connections;
    for (let attempt = 0; !isMet(); attempt += 1) {
      const leftMs = untilMs - clock.monotonicMs();
      if (leftMs <= 0 || this.isOver) return false;
      this.commit();
      await this.#newsWithin(Math.min(leftMs, this.#connections.backoffMs(attempt)));
    }
    return true;
  }

  // The core

  #step(input: MemberInput<TidemarkError>): void {
    const nowMs = this.#connections.clock.monotonicMs();
    for (const action of this.#member.step(nowMs, input)) this.#carryOut(action);
    if (input.kind === 'joined') this.#hasJoined = true;
    if (input.kind === 'joined' || input.kind === 'lease') this.#events.onLease();
    this.#setWake(nowMs);
    this.#news.rouse();
  }

  #setWake(nowMs: number): void {
    this.#cancelWake?.();
    this.#cancelWake = undefined;
    const { wakeAtMs } = this.#member;
    if (wakeAtMs === null) return;
    // A timer may fire a millisecond before the clock says so.
    const delayMs = Math.max(1, Math.ceil(wakeAtMs - nowMs) + 1);
    this.#cancelWake = this.#connections.clock.after(delayMs, () => this.#step({ kind: 'tick' }));
  }

  #carryOut(action: MemberAction<TidemarkError>): void {
    const events = this.#events;
    switch (action.kind) {
      case 'open':
        this.#open(action);
        return;
      case 'close':
        this.#streams.get(action.attempt)?.close();
        this.#forget(action.attempt);
        return;
      case 'assign':
        events.onAssign(action.partitions);
        return;
      case 'revoke':
        events.onRevoke(action.epoch, action.partitions, action.leftMs);
        return;
      case 'applied':
        this.#streams.get(action.attempt)?.applied(action.epoch);
        return;
      case 'lost':
        events.onLost(action.partitions);
        return;
      case 'leave':
        this.#streams.get(action.attempt)?.leave(this.#isReturning);
        return;
      case 'over':
        this.#cancelJoinTimeout?.();
        events.onOver(this.#errorOf(action.reason));
    }
  }

  #errorOf(reason: 'left' | 'replaced' | 'refused'): TidemarkError | undefined {
    const { group, instanceId } = this.#introduction;
    if (reason === 'left') return undefined;
    if (reason === 'refused') return this.#lastError;
    return new TidemarkError(
      'FENCED',
      `Another process is "${instanceId}" of group "${group}" now: of two with one instanceId the newer stays`,
    );
  }

  // Streams

  #open(action: MemberAction<TidemarkError> & { readonly kind: 'open' }): void {
    const { attempt, memberId, epoch, formerId: formerMemberId } = action;
    const address = this.#proxies.choose();
    const open = { ...this.#introduction, memberId, attempt, epoch, formerMemberId };
    try {
      const stream = new ConsumeStream(this.#connections, open, address, {
        onInput: (input) => this.#step(input),
        onAcknowledged: (id, errors) => this.#acknowledged(id, errors),
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
    this.#forget(attempt);
    this.#lastError = error;
    this.#step({ kind: 'ended', attempt, end: this.#proxies.ended(address, error) });
  }

  #forget(attempt: number): void {
    this.#streams.delete(attempt);
    if (this.#committingBy !== attempt) return;
    this.#committingBy = null;
    this.ledger.cut();
  }

  #giveUp(): void {
    const { group } = this.#introduction;
    this.#lastError ??= new TidemarkError(
      'TIMED_OUT',
      `Cannot join group "${group}": no broker answered within ${JOIN_TIMEOUT_MS} ms`,
      'same',
    );
    this.#step({ kind: 'refused' });
  }

  // Commits

  #acknowledged(id: number, errors: readonly (TidemarkError | undefined)[]): void {
    const outcomes = this.ledger
      .commitsOf(id)
      .map((commit, at) => this.#outcomeOf(commit, errors[at]));
    this.ledger.answered(id, outcomes);
    this.#news.rouse();
  }

  #outcomeOf({ held }: Commit, error: TidemarkError | undefined): CommitOutcome {
    if (error === undefined) return 'committed';
    // By an attachment that was left, perhaps: who holds it still asks again.
    if (error.code === 'FENCED' && this.#member.holds(held)) return 'again';
    if (error.retry !== 'no' || error.code === 'OUTCOME_UNKNOWN') return 'again';
    if (!PASSED_OVER.has(error.code)) this.#events.onCommitFailed(error);
    return 'refused';
  }

  // Waiting

  async #newsWithin(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#connections.clock.after(timeoutMs, resolve);
    await Promise.race([this.#news.next(), promise]);
    cancel();
  }
}
