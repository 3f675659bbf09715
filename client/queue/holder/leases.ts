/**
 * The records that a member has, until when, and what was said of each. Pure. A record has one
 * settlement and one extension under way at most, so what waits is bounded by what is leased.
 */
import type {
  Credit,
  HolderAction,
  HolderOptions,
  Lease,
  MonotonicMs,
  Outcome,
  Part,
  Settlement,
  Verdict,
} from './types.ts';

/** What is settled is tried so long. Then its fate is not known. */
export const SETTLE_TIMEOUT_MS = 30_000;
/** A broker that does not answer for so long is left for another one. */
export const ANSWER_WAIT_MS = 10_000;
/** What is due in time may be so much late. */
const LOOK_MS = 50;

/** A verdict that is not answered yet. */
interface Pending<L extends Lease, Refusal> extends Part<L> {
  readonly askedMs: MonotonicMs;
  tries: number;
  /** Not to be sent before. */
  notBeforeMs: MonotonicMs;
  /** When it was sent; null: it is to be sent. */
  sentMs: MonotonicMs | null;
  wasSent: boolean;
  /** It goes out with the next flush. */
  isQueued: boolean;
  refusal: Refusal | null;
}

interface Sent<L extends Lease, Refusal> {
  readonly attempt: number;
  readonly sentMs: MonotonicMs;
  readonly parts: readonly Pending<L, Refusal>[];
}

interface Entry<L extends Lease, Refusal> {
  readonly lease: L;
  /** Stream that brought it. */
  readonly attempt: number;
  untilMs: MonotonicMs;
  /** It is extended by itself. */
  isKept: boolean;
  /** It may have been handed over: an extension that is under way tells. */
  isDoubtful: boolean;
  extendAtMs: MonotonicMs;
  settlement: Pending<L, Refusal> | null;
  extension: Pending<L, Refusal> | null;
}

/** Where a record is. */
function placeOf({ topicId, partition, offset }: Lease): string {
  return `${topicId}/${partition}/${offset}`;
}

export class Leases<L extends Lease, Refusal> {
  readonly #options: HolderOptions;
  readonly #entries = new Map<string, Entry<L, Refusal>>();
  readonly #sent = new Map<number, Sent<L, Refusal>>();
  #unsent: Pending<L, Refusal>[] = [];
  #nextId = 1;
  #leaseMs = 0;
  #bytes = 0;
  /** What the stream that was opened last may send yet. */
  #granted = { attempt: 0, records: 0, bytes: 0 };
  /** Nothing is due before. */
  #lookAtMs: MonotonicMs = Number.POSITIVE_INFINITY;
  readonly #out: HolderAction<L, Refusal>[];

  /** @param out takes what is to be done */
  constructor(options: HolderOptions, out: HolderAction<L, Refusal>[]) {
    this.#options = options;
    this.#out = out;
  }

  /** When {@link look} is due. */
  get lookAtMs(): MonotonicMs {
    return this.#lookAtMs;
  }

  set leaseMs(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** How long the lease goes on, by the own clock; 0: it is over. */
  leftMs(nowMs: MonotonicMs, lease: L): number {
    return Math.max(0, (this.#entryOf(lease)?.untilMs ?? nowMs) - nowMs);
  }

  /** Verdicts that are not answered. */
  get isSettled(): boolean {
    return [...this.#entries.values()].every(({ settlement }) => settlement === null);
  }

  // Records

  /** Returns those that are new, in order. */
  take(nowMs: MonotonicMs, attempt: number, leases: readonly L[]): readonly L[] {
    const fresh: L[] = [];
    const untilMs = nowMs + this.#leaseMs;
    for (const lease of leases) {
      if (attempt === this.#granted.attempt) {
        this.#granted.records -= 1;
        this.#granted.bytes -= lease.bytes;
      }
      const present = this.#entries.get(placeOf(lease));
      // What an older stream brings late is older than what is here.
      if (present !== undefined && present.attempt > attempt) continue;
      if (present !== undefined && isSame(present.lease, lease)) {
        // A new owner that did not know of the lease has given it again.
        this.#began(present, nowMs);
        continue;
      }
      if (present !== undefined) this.lose(present.lease, null);
      const entry: Entry<L, Refusal> = {
        ...{ lease, attempt, untilMs, isKept: true, isDoubtful: false, extendAtMs: 0 },
        ...{ settlement: null, extension: null },
      };
      this.#entries.set(placeOf(lease), entry);
      this.#bytes += lease.bytes;
      this.#began(entry, nowMs);
      fresh.push(lease);
    }
    return fresh;
  }

  keep(lease: L, isKept: boolean): void {
    const entry = this.#entryOf(lease);
    if (entry === undefined) return;
    entry.isKept = isKept;
    if (isKept) this.#mind(entry.extendAtMs);
  }

  isDoubtful(lease: L): boolean {
    return this.#entryOf(lease)?.isDoubtful ?? true;
  }

  /** What is extended by itself may be with others by now, and is asked for. */
  doubt(nowMs: MonotonicMs): void {
    for (const entry of [...this.#entries.values()]) {
      if (!entry.isKept || entry.settlement !== null) continue;
      entry.isDoubtful = true;
      this.extend(nowMs, entry.lease);
    }
  }

  /** It is over, and was not settled. */
  lose(lease: L, refusal: Refusal | null): void {
    const isSent = refusal === null && this.#entryOf(lease)?.settlement?.wasSent === true;
    this.#forget(lease);
    this.#out.push({ kind: 'lost', lease, refusal, isSent });
  }

  loseAll(): void {
    for (const { lease } of [...this.#entries.values()]) this.lose(lease, null);
    this.#sent.clear();
    this.#unsent = [];
  }

  #forget(lease: L): void {
    if (this.#entryOf(lease) === undefined) return;
    this.#entries.delete(placeOf(lease));
    this.#bytes -= lease.bytes;
  }

  #entryOf(lease: L): Entry<L, Refusal> | undefined {
    const entry = this.#entries.get(placeOf(lease));
    return entry?.lease === lease ? entry : undefined;
  }

  /** The lease begins at that moment. */
  #began(entry: Entry<L, Refusal>, atMs: MonotonicMs): void {
    entry.untilMs = atMs + this.#leaseMs;
    entry.isDoubtful = false;
    entry.extendAtMs = atMs + this.#leaseMs / 3;
    this.#mind(entry.isKept ? entry.extendAtMs : entry.untilMs);
  }

  #mind(atMs: MonotonicMs): void {
    this.#lookAtMs = Math.min(this.#lookAtMs, atMs);
  }

  // Verdicts

  /** Of a lease that is over by the own clock nothing is sent: it is lost. */
  settle(nowMs: MonotonicMs, lease: L, settlement: Settlement): void {
    const entry = this.#entryOf(lease);
    if (entry === undefined || nowMs >= entry.untilMs) this.lose(lease, null);
    else if (entry.settlement === null) entry.settlement = this.#ask(nowMs, lease, settlement);
  }

  /** Where an extension is under way, its answer is that of this one too. */
  extend(nowMs: MonotonicMs, lease: L): void {
    const entry = this.#entryOf(lease);
    if (entry === undefined || nowMs >= entry.untilMs) this.lose(lease, null);
    else if (entry.extension === null && entry.settlement === null)
      entry.extension = this.#ask(nowMs, lease, { kind: 'extend' });
  }

  #ask(nowMs: MonotonicMs, lease: L, verdict: Verdict): Pending<L, Refusal> {
    const pending: Pending<L, Refusal> = {
      ...{ lease, verdict, askedMs: nowMs, tries: 0, notBeforeMs: nowMs, sentMs: null },
      ...{ wasSent: false, isQueued: false, refusal: null },
    };
    this.#queue(pending);
    if (verdict.kind !== 'extend') this.#mind(nowMs + SETTLE_TIMEOUT_MS);
    return pending;
  }

  #queue(pending: Pending<L, Refusal>): void {
    if (pending.isQueued) return;
    pending.isQueued = true;
    this.#unsent.push(pending);
  }

  /**
   * Sends what is to be sent by the stream that is attached. Each partition's records have an
   * acknowledgement of their own, so that none waits for another owner's answer.
   */
  flush(nowMs: MonotonicMs, attempt: number): void {
    const due = this.#unsent.filter((one) => this.#isPending(one));
    for (const pending of this.#unsent) pending.isQueued = false;
    this.#unsent = [];
    const byPartition = Map.groupBy(
      due,
      ({ lease: { topicId, partition } }) => `${topicId}/${partition}`,
    );
    for (const some of byPartition.values()) this.#send(nowMs, attempt, some);
    if (due.length > 0) this.#mind(nowMs + ANSWER_WAIT_MS);
  }

  #send(nowMs: MonotonicMs, attempt: number, due: readonly Pending<L, Refusal>[]): void {
    for (let at = 0; at < due.length; at += this.#options.partsMax) {
      const parts = due.slice(at, at + this.#options.partsMax);
      const acknowledgeId = this.#nextId++;
      this.#sent.set(acknowledgeId, { attempt, sentMs: nowMs, parts });
      for (const pending of parts) {
        pending.sentMs = nowMs;
        pending.wasSent = true;
      }
      this.#out.push({ kind: 'acknowledge', attempt, acknowledgeId, parts });
    }
  }

  /** Whether something was sent so long ago that an answer should be here. */
  isOverdue(nowMs: MonotonicMs): boolean {
    return this.#pending().some(
      ({ sentMs }) => sentMs !== null && nowMs >= sentMs + ANSWER_WAIT_MS,
    );
  }

  /** What is under way is to be sent again, by another stream. An answer may come yet. */
  resend(): void {
    for (const pending of this.#pending()) {
      pending.sentMs = null;
      pending.notBeforeMs = 0;
      this.#queue(pending);
    }
  }

  /** What was sent by that stream is answered by nobody. */
  cut(attempt: number): void {
    for (const [id, sent] of this.#sent) if (sent.attempt === attempt) this.#sent.delete(id);
  }

  answered(nowMs: MonotonicMs, acknowledgeId: number, outcomes: readonly Outcome<Refusal>[]): void {
    const { parts = [], sentMs = nowMs } = this.#sent.get(acknowledgeId) ?? {};
    this.#sent.delete(acknowledgeId);
    for (const [at, pending] of parts.entries()) {
      const outcome = outcomes[at];
      if (outcome !== undefined && this.#isPending(pending))
        this.#conclude(nowMs, pending, outcome, sentMs);
    }
  }

  /** @param sentMs when that was sent which is answered; it may have been sent again since */
  #conclude(
    nowMs: MonotonicMs,
    pending: Pending<L, Refusal>,
    outcome: Outcome<Refusal>,
    sentMs: MonotonicMs,
  ): void {
    const { lease, verdict } = pending;
    const entry = this.#entryOf(lease)!;
    const isExtension = verdict.kind === 'extend';
    if (outcome.kind === 'again') {
      pending.refusal = outcome.refusal;
      pending.sentMs = null;
      pending.notBeforeMs =
        nowMs + Math.max(outcome.afterMs, this.#options.backoffMs(pending.tries));
      pending.tries += 1;
      this.#mind(pending.notBeforeMs);
      return;
    }
    if (isExtension) entry.extension = null;
    else entry.settlement = null;
    // A settlement that was said since has an answer of its own.
    if (outcome.kind === 'lost' && isExtension && entry.settlement?.wasSent === true) return;
    if (outcome.kind === 'lost') {
      this.lose(lease, outcome.refusal);
      return;
    }
    // From when it was sent, which was before it counted.
    if (isExtension && outcome.kind === 'done') this.#began(entry, sentMs);
    // A kept lease is extended again in time.
    if (isExtension && outcome.kind === 'refused') entry.extendAtMs = Number.POSITIVE_INFINITY;
    if (!isExtension && outcome.kind === 'done') this.#forget(lease);
    const kind = isExtension ? 'extended' : 'settled';
    this.#out.push({ kind, lease, result: outcome });
  }

  #isPending(pending: Pending<L, Refusal>): boolean {
    const entry = this.#entryOf(pending.lease);
    return entry?.settlement === pending || entry?.extension === pending;
  }

  #pending(): Pending<L, Refusal>[] {
    return [...this.#entries.values()]
      .flatMap(({ extension, settlement }) => [extension, settlement])
      .filter((pending) => pending !== null);
  }

  // Time

  /** Does what time has made due. */
  look(nowMs: MonotonicMs): void {
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = Number.POSITIVE_INFINITY;
    for (const entry of [...this.#entries.values()]) this.#lookAt(nowMs, entry);
    if (this.#entries.size > 0) this.#lookAtMs = Math.max(this.#lookAtMs, nowMs + LOOK_MS);
  }

  #lookAt(nowMs: MonotonicMs, entry: Entry<L, Refusal>): void {
    const { lease, settlement } = entry;
    if (settlement !== null && nowMs >= settlement.askedMs + SETTLE_TIMEOUT_MS) {
      entry.settlement = null;
      const { refusal, wasSent: isSent } = settlement;
      this.#out.push({ kind: 'settled', lease, result: { kind: 'timed-out', refusal, isSent } });
    }
    // What was settled in time may be so, whatever the own clock says.
    if (entry.settlement === null && nowMs >= entry.untilMs) {
      this.lose(lease, null);
      return;
    }
    if (entry.isKept && entry.settlement === null && nowMs >= entry.extendAtMs)
      this.extend(nowMs, lease);
    for (const pending of [entry.extension, entry.settlement]) {
      if (pending === null) continue;
      if (pending.sentMs !== null) this.#mind(pending.sentMs + ANSWER_WAIT_MS);
      else if (nowMs < pending.notBeforeMs) this.#mind(pending.notBeforeMs);
      else this.#queue(pending);
    }
    if (entry.settlement !== null) this.#mind(entry.settlement.askedMs + SETTLE_TIMEOUT_MS);
    else if (entry.isKept && entry.extension === null) this.#mind(entry.extendAtMs);
    if (entry.settlement === null) this.#mind(entry.untilMs);
  }

  // Credit

  /** What a new stream may send at first: what is free, or one, since no broker takes less. */
  opened(attempt: number): Credit {
    const { recordsMax, bytesMax } = this.#options;
    const records = Math.max(1, recordsMax - this.#entries.size);
    const bytes = Math.max(1, bytesMax - this.#bytes);
    this.#granted = { attempt, records, bytes };
    return { records, bytes };
  }

  /** Gives back what is free, if it is that stream which has the rest. */
  grant(attempt: number): void {
    const granted = this.#granted;
    if (granted.attempt !== attempt) return;
    const { recordsMax, bytesMax } = this.#options;
    const records = Math.max(0, recordsMax - this.#entries.size - granted.records);
    const bytes = Math.max(0, bytesMax - this.#bytes - granted.bytes);
    if (records === 0 && bytes === 0) return;
    granted.records += records;
    granted.bytes += bytes;
    this.#out.push({ kind: 'credit', attempt, credit: { records, bytes } });
  }
}

function isSame(one: Lease, other: Lease): boolean {
  return one.delivery === other.delivery && one.leaderEpoch === other.leaderEpoch;
}
