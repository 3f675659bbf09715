/**
 * One checker for each thing that queues promise (docs/rules.md#queues). They look at what is
 * committed, at what leaves an owner, and at what became of each record in truth.
 */
import type { WallMs } from '../../../base/units.ts';
import type { QueueState } from '../../../broker/queues/fold.ts';
import type { Delivery, LetterTask, QueueConfig } from '../../../broker/queues/types.ts';
import type { LetterLog } from './letter-log.ts';
import type { Owner } from './owners.ts';
import { idOf, type SourceLog, type Truth } from './source-log.ts';

/** Of all configs. */
const LEASE_MS_MIN = 2_000;

interface Lease {
  readonly owner: number;
  readonly member: string;
  readonly delivery: number;
  untilMs: number;
}

interface Stored {
  readonly kind: string;
  readonly deliveries: number;
}

export interface Times {
  readonly nowMs: number;
  readonly wallMs: WallMs;
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

export class Checks {
  readonly #source: SourceLog;
  readonly #letters: LetterLog;
  /** Null: it changes, so that what depends on it is not looked at. */
  readonly #config: QueueConfig | null;
  /** Records for which an accept, and a rejection, was sent. */
  readonly acceptTried = new Set<string>();
  readonly rejectTried = new Set<string>();
  /** Records that somebody was told are accepted. */
  readonly #accepted = new Set<string>();
  /** Records that have a final fate, as it is committed. */
  readonly #closed = new Set<string>();
  /** Records that came back after they were cut off: an owner may have forgotten them. */
  readonly #again = new Set<string>();
  readonly #numbers = new Map<string, Set<number>>();
  readonly #leases = new Map<string, Lease>();
  readonly #dues = new Map<string, WallMs>();
  /** Deliveries that ended with a delay, as `id#number`. */
  readonly #delayed = new Set<string>();
  /** Leases that the present owner took over, and that nothing has ended since. */
  #takenOver = new Map<string, number>();
  /** Deliveries that nobody had, as record and number. */
  readonly #unsent = new Set<string>();
  #present: Owner | null = null;

  constructor(source: SourceLog, letters: LetterLog, config: QueueConfig | null) {
    this.#source = source;
    this.#letters = letters;
    this.#config = config;
  }

  get #storesLeases(): boolean {
    return this.#config?.isKeyOrdered === true || (this.#config?.deliveriesMax ?? 0) > 0;
  }

  onOwner(owner: Owner, state: QueueState | null): void {
    this.#present = owner;
    const leased = (state?.entries ?? []).filter(({ kind }) => kind === 'leased');
    this.#takenOver = new Map(leased.map((entry) => [idOf(entry), entry.deliveries]));
  }

  onCommitted(before: QueueState | null, after: QueueState): void {
    const open = new Map(after.entries.map((entry) => [idOf(entry), entry]));
    const was = new Map((before?.entries ?? []).map((entry) => [idOf(entry), entry]));
    for (const truth of this.#source.truths.values())
      if (!open.has(truth.id) && isKnown(after, truth, was.has(truth.id))) this.#close(truth);
    for (const [id, entry] of open) {
      const isClosed = this.#closed.has(id) && !this.#again.has(id);
      must(!isClosed, `record ${id} was settled, and is open again`);
      must(this.#source.truths.has(id), `record ${id} never was`);
      if (entry.kind === 'waiting') this.#dues.set(id, entry.dueMs);
      if (entry.kind === 'waiting' && entry.dueMs > 0)
        this.#delayed.add(`${id}#${String(entry.deliveries)}`);
      if (this.#takenOver.get(id) !== entry.deliveries || entry.kind !== 'leased')
        this.#takenOver.delete(id);
      if (this.#storesLeases) this.#counted(id, was.get(id), entry);
      if (entry.kind === 'dying') this.#maysDie(id, entry.deliveries, after);
    }
    for (const id of this.#takenOver.keys()) if (!open.has(id)) this.#takenOver.delete(id);
    this.#dyingMatch(after);
    if (this.#config?.isKeyOrdered === true) this.#inOrder(after);
  }

  /** A record that is not open any more has one of the fates. */
  #close({ id, isRetired, isSuperseded, isCut }: Truth): void {
    if (this.#closed.has(id)) return;
    const isAccepted = this.acceptTried.has(id);
    const isBuried = this.#letters.written.has(id);
    must(
      isAccepted || isBuried || isRetired || isSuperseded || isCut,
      `record ${id} is settled, and nobody accepted it`,
    );
    this.#closed.add(id);
  }

  #maysDie(id: string, deliveries: number, { dying }: QueueState): void {
    const value = dying.get(Number(id.split('.')[0]));
    if (value?.cause === 'rejected') must(this.rejectTried.has(id), `nobody rejected ${id}`);
    const deliveriesMax = this.#config?.deliveriesMax ?? 1;
    if (value?.cause === 'deliveries')
      must(
        deliveriesMax > 0 && deliveries >= deliveriesMax,
        `record ${id} dies after ${String(deliveries)} deliveries`,
      );
  }

  #dyingMatch({ entries, dying }: QueueState): void {
    const offsets = entries.filter(({ kind }) => kind === 'dying').map(({ offset }) => offset);
    const named = [...dying.keys()].toSorted((a, b) => a - b);
    must(offsets.join() === named.join(), `dying are ${offsets.join()}, named ${named.join()}`);
  }

  /** What is leased is the first open record of its key. */
  #inOrder({ entries }: QueueState): void {
    const heads = new Map<number, string>();
    for (const entry of entries) {
      const id = idOf(entry);
      const { keyHash } = this.#source.truths.get(id)!;
      if (keyHash === null) continue;
      const head = heads.get(keyHash);
      if (entry.kind === 'leased')
        must(head === undefined, `${id} is leased before ${String(head)}, of the same key`);
      if (head === undefined) heads.set(keyHash, id);
    }
  }

  onDelivery(owner: Owner, member: string, given: Delivery, state: QueueState, at: Times): void {
    const id = idOf(given);
    const { delivery } = given;
    must(this.#source.truths.has(id), `record ${id} is delivered, and never was`);
    const { deliveriesMax, leaseMs } = this.#config ?? { deliveriesMax: 0, leaseMs: LEASE_MS_MIN };
    must(
      deliveriesMax === 0 || delivery <= deliveriesMax,
      `record ${id} is delivered for the time ${String(delivery)}`,
    );
    const isAgain = this.#again.has(id);
    if (this.#storesLeases && !isAgain) {
      const numbers = this.#numbers.get(id) ?? new Set();
      must(!numbers.has(delivery), `delivery ${String(delivery)} of ${id} comes twice`);
      this.#numbers.set(id, numbers.add(delivery));
    }
    // What an earlier owner says may be late.
    if (owner !== this.#present) return;
    const isFinal = this.#accepted.has(id) || this.#closed.has(id);
    must(isAgain || !isFinal, `record ${id} was settled, and is delivered again`);
    const dueMs = isAgain ? 0 : (this.#dues.get(id) ?? 0);
    must(dueMs <= at.wallMs, `record ${id} is delivered before it is due`);
    if (this.#storesLeases) this.#isStored(id, delivery, state);
    const lease = this.#leases.get(id);
    must(
      isAgain || lease?.owner !== owner.epoch || lease.untilMs <= at.nowMs,
      `record ${id} is delivered, and ${String(lease?.member)} has it`,
    );
    must(
      !this.#storesLeases || !this.#takenOver.has(id) || owner.beganMs + leaseMs <= at.nowMs,
      `record ${id} is delivered within a lease of the owner before`,
    );
    const untilMs = at.nowMs + leaseMs;
    this.#leases.set(id, { owner: owner.epoch, member, delivery, untilMs });
  }

  #isStored(id: string, delivery: number, { entries }: QueueState): void {
    const stored = entries.find((entry) => idOf(entry) === id);
    must(
      stored?.kind === 'leased' && stored.deliveries === delivery,
      `delivery ${String(delivery)} of ${id} leaves, committed is ${JSON.stringify(stored)}`,
    );
  }

  /** Each delivery counts, but for one that nobody had, which may be taken back once. */
  #counted(id: string, before: Stored | undefined, { kind, deliveries }: Stored): void {
    const last = before?.deliveries ?? 0;
    const isOne = kind === 'leased' && deliveries === last + 1;
    const isTakenBack = kind === 'waiting' && deliveries === last - 1;
    must(
      deliveries === last || isOne || (isTakenBack && this.#unsent.delete(`${id}#${String(last)}`)),
      `record ${id} was delivered ${String(last)} times, and is said to be ${String(deliveries)}`,
    );
  }

  /** Nobody had the record by that lease, so its number may come again, and at once. */
  onUnsent(id: string, delivery: number): void {
    this.#unsent.add(`${id}#${String(delivery)}`);
    this.#numbers.get(id)?.delete(delivery);
    if (this.#leases.get(id)?.delivery === delivery) this.#leases.delete(id);
    this.#takenOver.delete(id);
  }

  /** The owner says that an acknowledgement was carried out. */
  onDone(id: string, verdict: string, state: QueueState, sentMs: number): void {
    const stored: Stored | undefined = state.entries.find((entry) => idOf(entry) === id);
    const lease = this.#leases.get(id);
    if (verdict === 'extend') {
      if (lease !== undefined)
        lease.untilMs = Math.max(lease.untilMs, sentMs + (this.#config?.leaseMs ?? LEASE_MS_MIN));
      return;
    }
    const truth = this.#source.truths.get(id);
    this.#leases.delete(id);
    if (truth?.isCut === true) return;
    if (verdict === 'accept') {
      must(
        stored === undefined,
        `record ${id} is said to be accepted, and is ${stored?.kind ?? ''}`,
      );
      this.#accepted.add(id);
    }
    if (verdict === 'reject')
      must(
        stored?.kind === 'dying',
        `record ${id} is said to die, and is ${stored?.kind ?? 'gone'}`,
      );
  }

  /** The owner says that it is as a release asks for. */
  onReleased({ delivery, ...place }: Delivery, { entries }: QueueState): void {
    const stored = entries.find((entry) => idOf(entry) === idOf(place));
    const isWaiting = stored?.kind === 'waiting' && stored.deliveries === delivery;
    must(
      !isWaiting || this.#delayed.has(`${idOf(place)}#${String(delivery)}`),
      `delivery ${String(delivery)} of ${idOf(place)} is said to be released with a delay`,
    );
  }

  /** An election brought back what another had cut off: it may be handed out anew. */
  onAgain(ids: readonly string[]): void {
    for (const id of ids) this.#again.add(id);
  }

  onGone(member: string): void {
    for (const [id, lease] of this.#leases) if (lease.member === member) this.#leases.delete(id);
  }

  /** Nothing is appended but what is committed as dying, to its committed target. */
  onTask(task: LetterTask, owner: Owner, state: QueueState | null): void {
    if (task.kind !== 'append' || owner !== this.#present) return;
    for (const { offset } of task.letters) {
      const target = state?.dying.get(offset)?.target;
      must(
        target?.topicId === task.target.topicId &&
          target.partition === task.target.partition &&
          target.from === task.target.from &&
          target.epoch === task.target.epoch,
        `a letter of ${String(offset)} is appended to another target than was committed`,
      );
    }
  }

  afterLetters(): void {
    for (const id of this.#letters.written) {
      // What an election brought back may die once more.
      const isOnce = this.#letters.count(id) <= 1 || this.#again.has(id);
      must(isOnce, `record ${id} has two dead letters`);
    }
  }

  atEnd(state: QueueState): void {
    must(state.entries.length === 0, `still open are ${JSON.stringify(state.entries)}`);
    must(state.dying.size === 0, 'records are still dying');
    // A copy that was not compacted yet may still have what was passed over as superseded.
    for (const { id, isSuperseded } of this.#source.records())
      must(isSuperseded || this.#closed.has(id), `record ${id} was never settled`);
  }
}

/** The state speaks of this record, and not of another that stood there before. */
function isKnown(
  { next, history }: QueueState,
  { offset, epoch }: Truth,
  wasOpen: boolean,
): boolean {
  const known = history.findLast(([since]) => since <= offset);
  // Of more epochs than a state remembers.
  if (known === undefined) return wasOpen && offset < next;
  return offset < next && known[1] === epoch;
}

/** A lease counts one more delivery, and nothing else counts any. */
