/**
 * One member of a group, as its own process sees it: which stream it is attached by, what it may
 * read and commit at this moment, which view it has applied. `step(nowMs, input)` is synchronous
 * and total; it knows neither streams nor records. What it keeps to (docs/rules.md#groups,
 * `broker/groups/membership/types.ts`):
 *
 * - Attempts rise over the life of the process; what comes by any stream but the newest that is
 *   attached counts no more.
 * - A view is applied, and its epoch stated, only once all that it takes away is let go. A newer
 *   view waits for that, and replaces one that waits.
 * - Records are handed out only within the lease that the broker gives; a stream that breaks cuts
 *   the lease to the grace, since the broker may have seen it and count from there.
 * - A member that was fenced comes back as another one, which has nothing.
 */
import type {
  FenceReason,
  HeldPartition,
  MemberAction,
  MemberInput,
  MemberOptions,
  MonotonicMs,
  PartitionKey,
  StreamEnd,
  View,
  ViewedPartition,
} from './types.ts';

/** A stream that does not answer for so long is given up for one at another broker. */
export const JOIN_WAIT_MS = 5_000;
/** Of the grace the member uses so much, since it may hear of the break later than the broker. */
const GRACE_USED = 2 / 3;
/** A member that leaves waits so long for an answer; its session ends by itself otherwise. */
export const LEAVE_WAIT_MS = 3_000;

interface Attachment {
  readonly attempt: number;
  readonly sessionMs: number;
  heardMs: MonotonicMs;
}

interface Applying<Refusal> {
  readonly epoch: number;
  /** What the view gives of the very partitions that are being let go. */
  readonly later: readonly ViewedPartition<Refusal>[];
}

export class Member<Refusal = never> {
  readonly #options: MemberOptions;
  #memberId: string;
  #formerId = '';
  #attempt = 0;
  #attached: Attachment | null = null;
  #opening: { readonly attempt: number; readonly sinceMs: MonotonicMs } | null = null;
  #retryAtMs: MonotonicMs | null = null;
  #failures = 0;
  #leaveByMs: MonotonicMs | null = null;
  #isOver = false;
  #leaseUntilMs: MonotonicMs = Number.NEGATIVE_INFINITY;
  /** Epoch of the last view that is applied. */
  #applied = 0;
  #applying: Applying<Refusal> | null = null;
  #told: View<Refusal> | null = null;
  #held = new Map<PartitionKey, HeldPartition>();
  #stopping = new Map<PartitionKey, HeldPartition>();
  #actions: MemberAction<Refusal>[] = [];

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#memberId = options.newMemberId();
  }

  get memberId(): string {
    return this.#memberId;
  }

  /** The stream to commit by; null: there is none at the moment. */
  get attempt(): number | null {
    return this.#attached?.attempt ?? null;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What is read. */
  get held(): ReadonlyMap<PartitionKey, HeldPartition> {
    return this.#held;
  }

  /** Of the last view that was applied. */
  get epoch(): number {
    return this.#applied;
  }

  /** Whether a record may be handed out. Asked for each of them, since a process may sleep. */
  mayDeliver(nowMs: MonotonicMs): boolean {
    return nowMs < this.#leaseUntilMs;
  }

  /** Whether records of the partition may be handed out, within the lease. */
  holds({ key, epoch }: Pick<HeldPartition, 'key' | 'epoch'>): boolean {
    return this.#held.get(key)?.epoch === epoch;
  }

  /** Whether a cursor of the partition may be committed. */
  mayCommit({ key, epoch }: Pick<HeldPartition, 'key' | 'epoch'>): boolean {
    return (this.#held.get(key) ?? this.#stopping.get(key))?.epoch === epoch;
  }

  /** When `tick` is due, at the latest; null: only when something else happens. */
  get wakeAtMs(): MonotonicMs | null {
    const due: MonotonicMs[] = [];
    if (this.#isOver) return null;
    if (this.#retryAtMs !== null) due.push(this.#retryAtMs);
    if (this.#opening !== null) due.push(this.#opening.sinceMs + JOIN_WAIT_MS);
    else if (this.#attached !== null && this.#retryAtMs === null)
      due.push(silentAtMs(this.#attached));
    if (this.#leaveByMs !== null) due.push(this.#leaveByMs);
    return due.length === 0 ? null : Math.min(...due);
  }

  step(nowMs: MonotonicMs, input: MemberInput<Refusal>): readonly MemberAction<Refusal>[] {
    this.#actions = [];
    if (!this.#isOver) this.#take(nowMs, input);
    return this.#actions;
  }

  #take(nowMs: MonotonicMs, input: MemberInput<Refusal>): void {
    switch (input.kind) {
      case 'start':
        if (this.#attempt === 0) this.#open(nowMs);
        return;
      case 'tick':
        this.#tick(nowMs);
        return;
      case 'joined':
        this.#joined(nowMs, input);
        return;
      case 'view':
        if (this.#hears(nowMs, input.attempt)) this.#view(input.view);
        return;
      case 'lease':
        if (this.#hears(nowMs, input.attempt)) this.#leaseUntilMs = nowMs + input.leftMs;
        return;
      case 'reattach':
        if (this.#attached?.attempt !== input.attempt || this.#leaveByMs !== null) return;
        if (this.#opening === null) this.#open(nowMs);
        return;
      case 'fenced':
        this.#fenced(nowMs, input.attempt, input.reason);
        return;
      case 'ended':
        this.#ended(nowMs, input.attempt, input.end);
        return;
      case 'released':
        this.#released(input.epoch);
        return;
      case 'leave':
        this.#leave(nowMs);
        return;
      case 'refused':
        this.#end('refused');
    }
  }

  // Streams

  #open(nowMs: MonotonicMs): void {
    this.#attempt += 1;
    this.#retryAtMs = null;
    this.#opening = { attempt: this.#attempt, sinceMs: nowMs };
    this.#actions.push({
      kind: 'open',
      attempt: this.#attempt,
      memberId: this.#memberId,
      epoch: this.#applied,
      formerId: this.#formerId,
    });
  }

  #tick(nowMs: MonotonicMs): void {
    if (this.#leaveByMs !== null) {
      if (nowMs >= this.#leaveByMs) this.#end('left');
      return;
    }
    if (this.#opening !== null && nowMs >= this.#opening.sinceMs + JOIN_WAIT_MS) {
      this.#actions.push({ kind: 'close', attempt: this.#opening.attempt });
      this.#opening = null;
      this.#retry(nowMs);
    }
    if (this.#opening !== null) return;
    if (this.#retryAtMs !== null) {
      if (nowMs >= this.#retryAtMs) this.#open(nowMs);
      return;
    }
    if (this.#attached !== null && nowMs >= silentAtMs(this.#attached)) this.#open(nowMs);
  }

  #joined(
    nowMs: MonotonicMs,
    { attempt, sessionMs }: MemberInput<Refusal> & { kind: 'joined' },
  ): void {
    if (this.#opening?.attempt !== attempt) return;
    this.#opening = null;
    this.#failures = 0;
    if (this.#attached !== null)
      this.#actions.push({ kind: 'close', attempt: this.#attached.attempt });
    this.#attached = { attempt, sessionMs, heardMs: nowMs };
    // The coordinator began its session with this answer.
    this.#leaseUntilMs = Math.max(this.#leaseUntilMs, nowMs + sessionMs / 3);
  }

  /** It comes of the stream that counts. */
  #hears(nowMs: MonotonicMs, attempt: number): boolean {
    if (this.#attached?.attempt !== attempt) return false;
    this.#attached.heardMs = nowMs;
    return true;
  }

  #retry(nowMs: MonotonicMs): void {
    this.#retryAtMs = nowMs + this.#options.backoffMs(this.#failures);
    this.#failures += 1;
  }

  #ended(nowMs: MonotonicMs, attempt: number, end: StreamEnd): void {
    const isOpening = this.#opening?.attempt === attempt;
    const attached = this.#attached?.attempt === attempt ? this.#attached : null;
    if (!isOpening && attached === null) return;
    if (isOpening) this.#opening = null;
    if (attached !== null) this.#attached = null;
    if (this.#leaveByMs !== null) {
      this.#end('left');
      return;
    }
    if (end === 'refused') {
      this.#end('refused');
      return;
    }
    if (end === 'fenced') {
      this.#beginAsAnother(nowMs);
      return;
    }
    if (attached !== null)
      this.#leaseUntilMs = Math.min(this.#leaseUntilMs, nowMs + this.#options.graceMs * GRACE_USED);
    if (this.#opening === null) this.#retry(nowMs);
  }

  #fenced(nowMs: MonotonicMs, attempt: number, reason: FenceReason): void {
    const isOpening = this.#opening?.attempt === attempt;
    if (!isOpening && this.#attached?.attempt !== attempt) return;
    if (reason === 'attached-elsewhere') {
      this.#actions.push({ kind: 'close', attempt });
      // The stream that is being opened has its place already; else nobody knows who has.
      if (!isOpening && this.#opening !== null) this.#attached = null;
      else this.#ended(nowMs, attempt, 'broken');
    } else if (reason === 'replaced') this.#end('replaced');
    else if (this.#leaveByMs !== null) this.#end('left');
    else this.#beginAsAnother(nowMs);
  }

  /** It has nothing any more, and joins under another id. */
  #beginAsAnother(nowMs: MonotonicMs): void {
    this.#loseAll();
    this.#closeAll();
    this.#formerId = this.#memberId;
    this.#memberId = this.#options.newMemberId();
    this.#applied = 0;
    this.#retry(nowMs);
  }

  #leave(nowMs: MonotonicMs): void {
    if (this.#leaveByMs !== null) return;
    this.#held.clear();
    this.#stopping.clear();
    this.#told = null;
    this.#applying = null;
    this.#leaseUntilMs = Number.NEGATIVE_INFINITY;
    if (this.#attached === null) {
      this.#end('left');
      return;
    }
    if (this.#opening !== null)
      this.#actions.push({ kind: 'close', attempt: this.#opening.attempt });
    this.#opening = null;
    this.#retryAtMs = null;
    this.#leaveByMs = nowMs + LEAVE_WAIT_MS;
    this.#actions.push({ kind: 'leave', attempt: this.#attached.attempt });
  }

  #end(reason: 'left' | 'replaced' | 'refused'): void {
    this.#loseAll();
    this.#closeAll();
    this.#isOver = true;
    this.#actions.push({ kind: 'over', reason });
  }

  #closeAll(): void {
    for (const stream of [this.#attached, this.#opening])
      if (stream !== null) this.#actions.push({ kind: 'close', attempt: stream.attempt });
    this.#attached = null;
    this.#opening = null;
    this.#retryAtMs = null;
  }

  #loseAll(): void {
    const partitions = [...this.#stopping.values(), ...this.#held.values()];
    this.#held.clear();
    this.#stopping.clear();
    this.#told = null;
    this.#applying = null;
    this.#leaseUntilMs = Number.NEGATIVE_INFINITY;
    if (partitions.length > 0) this.#actions.push({ kind: 'lost', partitions });
  }

  // Views

  #view(view: View<Refusal>): void {
    if (this.#leaveByMs !== null) return;
    const newest = Math.max(this.#applied, this.#applying?.epoch ?? 0, this.#told?.epoch ?? 0);
    if (view.epoch > newest) {
      this.#told = view;
      this.#applyNext();
      return;
    }
    // A broker that it has just attached to may not know.
    if (view.epoch === this.#applied && this.#applying === null) this.#sayApplied();
  }

  #applyNext(): void {
    const view = this.#told;
    if (view === null || this.#applying !== null) return;
    this.#told = null;
    const next = new Map(view.assigned.map((given) => [given.key, given]));
    for (const [key, held] of this.#held)
      if (next.get(key)?.epoch !== held.epoch) {
        this.#held.delete(key);
        this.#stopping.set(key, held);
      }
    const fresh = view.assigned.filter(({ key }) => !this.#held.has(key));
    const later = fresh.filter(({ key }) => this.#stopping.has(key));
    const partitions = [...this.#stopping.values()];
    const { epoch, leftMs } = view;
    this.#applying = { epoch, later };
    if (partitions.length > 0) this.#actions.push({ kind: 'revoke', epoch, partitions, leftMs });
    this.#assign(fresh.filter(({ key }) => !this.#stopping.has(key)));
    if (partitions.length === 0) this.#released(epoch);
  }

  #released(epoch: number): void {
    const applying = this.#applying;
    if (applying?.epoch !== epoch) return;
    this.#stopping.clear();
    this.#applying = null;
    this.#applied = epoch;
    this.#assign(applying.later);
    this.#sayApplied();
    this.#applyNext();
  }

  #assign(partitions: readonly ViewedPartition<Refusal>[]): void {
    if (partitions.length === 0) return;
    for (const { key, topic, topicId, partition, epoch } of partitions)
      this.#held.set(key, { key, topic, topicId, partition, epoch });
    this.#actions.push({ kind: 'assign', partitions });
  }

  #sayApplied(): void {
    if (this.#attached === null) return;
    const { attempt } = this.#attached;
    this.#actions.push({ kind: 'applied', attempt, epoch: this.#applied });
  }
}

/**
 * A lease comes with every third of a session: one that is missing leaves time to attach elsewhere
 * before the lease is over.
 */
function silentAtMs({ heardMs, sessionMs }: Attachment): MonotonicMs {
  return heardMs + sessionMs / 2;
}
