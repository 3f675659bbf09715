/**
 * One partition of a queue, for one leadership of its owner: `step(input)` is synchronous, total
 * and knows no clock. `types.ts` says what it is owed, docs/rules.md#queues what it keeps. Records
 * are handed out, and settled, one batch at a time: whatever a batch under way touches waits for
 * it. Where a lease needs no commit, it is given in memory, beside the batches.
 */
import { BrokerError } from '../../base/errors.ts';
import { QUEUE_DELAY_MS_MAX, QUEUE_REQUESTS_MAX } from '../../base/limits.ts';
import type { MonotonicMs, Offset, WallMs } from '../../base/units.ts';
import { type Dying, Deaths } from './deaths.ts';
import { type Ask, Draft, type Output, recordsOf } from './draft.ts';
import { describe, type QueueDescription } from './describe.ts';
import type { QueueState } from './fold.ts';
import { type Advance, type Position, Progress } from './progress.ts';
import { askFault, countFault, notServing, outcomeUnknown, overloaded } from './refusals.ts';
import { acknowledgementFault, judge, type Ruling } from './judge.ts';
import type { DyingValue } from './records.ts';
import {
  type Acknowledgement,
  type Outcome,
  type QueueConfig,
  type QueueFact,
  type QueueInput,
  type QueueOutput,
  type QueuePlace,
  type QueueReply,
  TICK_MS,
} from './types.ts';
import { Entry, Window } from './window.ts';

type Waiting = Extract<QueueInput, { readonly kind: 'acknowledge' | 'free-key' }>;

/** A batch that was handed out, and what waits for it. */
interface UnderWay {
  readonly batchId: number;
  readonly draft: Draft;
  readonly advance: Advance;
  readonly isFull: boolean;
  /** A snapshot was asked for. */
  readonly isSnapshot: boolean;
  /** Leases of before are in it. */
  readonly isRestated: boolean;
}

/** Options of the core. */
export interface QueuePartitionOptions {
  /** Leader epoch of the partition of `__queues`, 1 or more. */
  readonly epoch: number;
  readonly config: QueueConfig;
  readonly nowMs: MonotonicMs;
  /** Changes before all is written again: QUEUE_DELTAS_MAX in a broker. */
  readonly deltasMax: number;
  /** Open records at a time: QUEUE_WINDOW_RECORDS in a broker. */
  readonly windowRecords: number;
}

export class QueuePartition {
  readonly #place: QueuePlace;
  readonly #epoch: number;
  #config: QueueConfig;
  readonly #window: Window;
  readonly #deaths = new Deaths();
  readonly #progress: Progress;
  readonly #deltasMax: number;
  #waiting: Waiting[] = [];
  #asks: Ask[] = [];
  #underWay: UnderWay | null = null;
  #nextBatchId = 1;
  #deltas = 0;
  #isBegun = false;
  #isSnapshotDue = false;
  /** Leases that were given in memory are to be stored, now that leases are. */
  #isRestating = false;
  #isHeard = false;
  #isOver = false;
  #isPausing = false;
  #isLookDue = true;
  /** By a clock that stands still while the owner sleeps. */
  #nowMs: MonotonicMs = 0;
  #lastTickMs: MonotonicMs;
  /** Of the last tick whose clock was trusted, carried on since; null: none was. */
  #wallMs: WallMs | null = null;
  #output: Output = { batch: null, task: null, replies: [], facts: [] };

  /** @param state all that is committed up to the begin of this leadership; null: nothing is */
  constructor(place: QueuePlace, state: QueueState | null, options: QueuePartitionOptions) {
    const { queue, topicId, partition } = place;
    this.#place = { queue, topicId, partition };
    this.#epoch = options.epoch;
    this.#config = options.config;
    this.#deltasMax = options.deltasMax;
    this.#window = new Window(options.windowRecords);
    this.#progress = new Progress(this.#window, this.#deaths);
    this.#lastTickMs = options.nowMs;
    this.#window.keepOrder(options.config.isKeyOrdered);
    if (state === null) return;
    this.#progress.restore(state.next, state.history);
    this.#isBegun = true;
    this.#deltas = state.deltas;
    for (const { offset, epoch, kind, deliveries, dueMs } of state.entries) {
      const entry = new Entry(offset, epoch, kind, deliveries, dueMs);
      this.#window.add(entry);
      const none: DyingValue = { cause: 'deliveries', reason: '', target: null };
      if (kind === 'dying') this.#deaths.add(entry, state.dying.get(offset) ?? none, 0);
    }
  }

  /** Whether it may answer anybody. */
  get isServing(): boolean {
    return this.#isHeard && !this.#isOver;
  }

  /** The highest place that it knows, and the epoch before it; null: it has not begun. */
  get position(): Position | null {
    return this.#progress.position;
  }

  /** The first record that is not settled: what retention may wait for. */
  get floor(): Offset {
    return this.#progress.floor;
  }

  /** What is to be read next, and how many records of it are of use; null: nothing. */
  get wanted(): { readonly offset: Offset; readonly records: number } | null {
    if (!this.isServing) return null;
    return this.#progress.wanted(this.#asks.reduce((sum, { records }) => sum + records, 0));
  }

  step(input: QueueInput): QueueOutput {
    this.#output = { batch: null, task: null, replies: [], facts: [] };
    this.#take(input);
    this.#propose();
    this.#handOut();
    if (this.isServing) this.#output.task = this.#deaths.next(this.#nowMs);
    return this.#output;
  }

  describe(): QueueDescription {
    return describe(this.#window, this.#deaths, this.#progress.touchedTo, this.#nowMs);
  }

  /** Leases are committed before their records leave. */
  get #storesLeases(): boolean {
    return this.#config.isKeyOrdered || this.#config.deliveriesMax > 0;
  }

  get #leaseEndMs(): MonotonicMs {
    // Up to a tick ago it was as late as `nowMs`.
    return this.#nowMs + this.#config.leaseMs + TICK_MS;
  }

  // What comes in

  #take(input: QueueInput): void {
    switch (input.kind) {
      case 'tick':
        return this.#tick(input.nowMs, input.wallMs);
      case 'heard':
        return this.#heard(input.isHeard);
      case 'config':
        return this.#configure(input.config);
      case 'begin':
        return this.#note(this.#progress.begin(input));
      case 'log-start':
        this.#isLookDue = true;
        return this.#note(this.#progress.logStarts(input.offset));
      case 'data':
        this.#isLookDue = true;
        return this.#note(this.#progress.data(input));
      case 'missing':
        return this.#missing(input.records);
      case 'diverged':
        return this.#note(this.#progress.diverged(input));
      case 'ask':
        return this.#ask(input);
      case 'cancel':
        this.#asks = this.#asks.filter(({ requestId }) => requestId !== input.requestId);
        return this.#forgo(({ requestId }) => requestId === input.requestId);
      case 'withdraw':
        return this.#withdraw(input.requestId);
      case 'acknowledge':
      case 'free-key':
        return this.#request(input);
      case 'member-gone':
        return this.#memberGone(input.memberId);
      case 'letter':
        return this.#deaths.take(input.taskId, input.result, this.#nowMs);
      case 'snapshot':
        this.#isSnapshotDue = true;
        return;
      case 'committed':
        if (this.#isUnderWay(input)) this.#committed();
        return;
      case 'lost':
        if (this.#isUnderWay(input)) this.#lost(input.error);
    }
  }

  #tick(nowMs: MonotonicMs, wallMs: WallMs | null): void {
    const passedMs = Math.max(0, nowMs - this.#lastTickMs);
    this.#lastTickMs = nowMs;
    this.#nowMs += Math.min(passedMs, 2 * TICK_MS);
    const carried = this.#wallMs === null ? null : this.#wallMs + passedMs;
    this.#wallMs = wallMs ?? carried;
    this.#isPausing = false;
    this.#isLookDue = true;
  }

  /** Nobody was answered while it was not heard, so no lease may have ended by that. */
  #heard(isHeard: boolean): void {
    if (isHeard && !this.#isHeard)
      for (const entry of this.#window.entries)
        if (entry.kind === 'leased') entry.endsMs = this.#leaseEndMs;
    this.#isHeard = isHeard;
    this.#isLookDue = true;
    if (!isHeard) this.#refuseWaiting();
  }

  #configure(config: QueueConfig): void {
    const storedLeases = this.#storesLeases;
    this.#config = config;
    this.#window.keepOrder(config.isKeyOrdered);
    this.#window.lookAtAll();
    this.#isLookDue = true;
    if (!storedLeases && this.#storesLeases) this.#isRestating = true;
    if (!this.#storesLeases) this.#isRestating = false;
  }

  #ask({ requestId, memberId, records, bytes }: Ask): void {
    const refusal = !this.isServing
      ? notServing()
      : this.#asks.length >= QUEUE_REQUESTS_MAX
        ? overloaded()
        : askFault({ records, bytes });
    if (refusal === null) this.#asks.push({ requestId, memberId, records, bytes });
    else this.#reply(requestId, refusal);
  }

  #request(input: Waiting): void {
    const refusal = !this.isServing
      ? notServing()
      : this.#waiting.length >= QUEUE_REQUESTS_MAX
        ? overloaded()
        : input.kind === 'acknowledge'
          ? countFault(input.acknowledgements.length)
          : null;
    if (refusal === null) this.#waiting.push(input);
    else this.#reply(input.requestId, refusal);
  }

  #missing(records: Extract<QueueInput, { readonly kind: 'missing' }>['records']): void {
    for (const { offset, epoch } of records) {
      const entry = this.#window.find(offset);
      if (entry?.epoch !== epoch) continue;
      entry.isMissing = true;
      if (entry.kind === 'leased' && entry.change === null) this.#endLease(entry);
    }
    this.#isLookDue = true;
  }

  #memberGone(memberId: string): void {
    const isIts = (ask: Ask): boolean => ask.memberId === memberId;
    for (const { requestId } of this.#asks.filter(isIts))
      this.#reply(requestId, new BrokerError('FENCED', `Member ${memberId} left the queue`));
    this.#asks = this.#asks.filter((ask) => !isIts(ask));
    this.#forgo(isIts);
    for (const entry of this.#window.entries)
      if (entry.kind === 'leased' && entry.holder === memberId && entry.change === null)
        this.#endLease(entry);
  }

  #withdraw(requestId: number): void {
    const isIt = (ask: Ask): boolean => ask.requestId === requestId;
    for (const ask of this.#asks.filter(isIt)) this.#deliver(ask, []);
    this.#asks = this.#asks.filter((ask) => !isIt(ask));
    for (const grant of this.#underWay?.draft.grants ?? []) grant.isWithdrawn ||= isIt(grant.ask);
  }

  /** Leases under way that nobody waits for. */
  #forgo(isMeant: (ask: Ask) => boolean): void {
    for (const grant of this.#underWay?.draft.grants ?? [])
      if (isMeant(grant.ask)) grant.isOver = true;
  }

  /** It waits again; whether it dies is looked at. */
  #endLease(entry: Entry): void {
    entry.kind = 'waiting';
    entry.holder = null;
    this.#window.look(entry);
    this.#isLookDue = true;
  }

  // Batches

  #isUnderWay({ epoch, batchId }: { epoch: number; batchId: number }): boolean {
    return epoch === this.#epoch && batchId === this.#underWay?.batchId;
  }

  /** Makes the next batch, if there is something to write and nothing under way. */
  #propose(): void {
    const { next } = this.#progress;
    if (this.#underWay !== null || !this.isServing || this.#isPausing || next === null) return;
    const draft = new Draft();
    if (this.#isBegun) this.#fill(draft);
    const isFull = this.#isSnapshotDue || this.#isRestating || !this.#isBegun;
    if (draft.isEmpty && !isFull && !this.#progress.isDue) {
      for (const { requestId, reply } of draft.answers) this.#reply(requestId, reply);
      return;
    }
    this.#handIn(draft, next, isFull || this.#deltas >= this.#deltasMax);
  }

  #handIn(draft: Draft, before: Offset, isFull: boolean): void {
    const advance = this.#progress.advance(draft.entries);
    const batchId = this.#nextBatchId++;
    const asked = { isSnapshot: this.#isSnapshotDue, isRestated: this.#isRestating };
    this.#isSnapshotDue = false;
    this.#underWay = { batchId, draft, advance, isFull, ...asked };
    const records = recordsOf(draft, {
      ...{ place: this.#place, window: this.#window, isFull, before, ...advance },
      storesLeases: this.#storesLeases,
      dying: this.#deaths.values(),
    });
    this.#output.batch = { epoch: this.#epoch, batchId, records };
  }

  #fill(draft: Draft): void {
    this.#settle(draft);
    if (this.#isLookDue) this.#look(draft);
    this.#endDeaths(draft);
    draft.chosen = this.#deaths.chosen();
    if (this.#storesLeases) this.#grant(draft);
  }

  /** Carries out what was asked for. */
  #settle(draft: Draft): void {
    for (const request of this.#waiting) {
      const { requestId } = request;
      if (request.kind === 'free-key') {
        const reply = this.#freeKey(draft, request.offset);
        if (reply instanceof BrokerError) this.#reply(requestId, reply);
        else draft.answers.push({ requestId, reply });
        continue;
      }
      const outcomes = request.acknowledgements.map((each) =>
        this.#acknowledge(draft, request.memberId, each),
      );
      draft.answers.push({ requestId, reply: { kind: 'acknowledged', outcomes } });
    }
    this.#waiting = [];
  }

  #acknowledge(draft: Draft, memberId: string, acknowledgement: Acknowledgement): Outcome {
    const fault = acknowledgementFault(acknowledgement, this.#config);
    if (fault !== null) return fault;
    const entry = this.#window.find(acknowledgement.offset);
    const ruling = judge(acknowledgement, entry, {
      config: this.#config,
      memberId,
      wallMs: this.#wallMs,
      touchedTo: this.#progress.touchedTo,
      dyingRoom: this.#deaths.room - draft.deaths.length,
    });
    if (ruling.kind === 'refuse') return ruling.error;
    if (ruling.kind === 'settled') return 'settled';
    this.#carryOut(draft, entry!, ruling, memberId);
    return 'done';
  }

  #carryOut(
    draft: Draft,
    entry: Entry,
    ruling: Exclude<Ruling, { readonly kind: 'refuse' | 'settled' }>,
    memberId: string,
  ): void {
    if (ruling.kind === 'extend') {
      entry.holder = memberId;
      entry.endsMs = this.#leaseEndMs;
    } else if (ruling.kind === 'release') draft.change(entry, { ...ruling, kind: 'waiting' });
    else if (ruling.kind === 'die')
      this.#die(draft, entry, { cause: ruling.cause, reason: ruling.reason, target: null });
    else draft.change(entry, { kind: 'final', deliveries: entry.deliveries, dueMs: 0 });
  }

  #die(draft: Draft, entry: Entry, value: DyingValue): void {
    draft.change(entry, { kind: 'dying', deliveries: entry.deliveries, dueMs: 0 });
    draft.deaths.push({ entry, value });
    draft.facts.push({ kind: 'died', offset: entry.offset, cause: value.cause });
  }

  #freeKey(draft: Draft, offset: Offset): QueueReply | BrokerError {
    const entry = this.#window.find(offset);
    if (entry?.kind !== 'parked' || entry.change !== null)
      return new BrokerError(
        'INVALID_ARGUMENT',
        `offset is ${String(offset)}, must be of a record that parks its key`,
      );
    draft.change(entry, { kind: 'final', deliveries: entry.deliveries, dueMs: 0 });
    return { kind: 'key-freed' };
  }

  /** What time, the log and the config made of the open records. */
  #look(draft: Draft): void {
    this.#isLookDue = false;
    const { deliveriesMax, parksKeys } = this.#config;
    let retired = 0;
    let superseded = 0;
    for (const entry of this.#window.entries) {
      if (!entry.isOpen || entry.change !== null) continue;
      if (entry.kind === 'leased' && entry.endsMs <= this.#nowMs) this.#endLease(entry);
      const isParked = entry.kind === 'parked';
      if (entry.kind !== 'waiting' && !isParked) continue;
      const { deliveries, offset } = entry;
      if (entry.isMissing || (isParked && !parksKeys)) {
        draft.change(entry, { kind: 'final', deliveries, dueMs: 0 });
        if (!isParked && offset < this.#progress.logStart) retired += 1;
        else if (!isParked) superseded += 1;
      } else if (!isParked && deliveriesMax > 0 && deliveries >= deliveriesMax) {
        const room = this.#deaths.room - draft.deaths.length;
        if (room > 0) this.#die(draft, entry, { cause: 'deliveries', reason: '', target: null });
      } else this.#mindDue(entry);
    }
    if (retired > 0) draft.facts.push({ kind: 'retired', records: retired });
    if (superseded > 0) draft.facts.push({ kind: 'superseded', records: superseded });
  }

  #mindDue(entry: Entry): void {
    if (entry.dueMs === 0 || this.#wallMs === null) return;
    // An owner before may have had a clock that was ahead.
    entry.dueMs = Math.min(entry.dueMs, this.#wallMs + QUEUE_DELAY_MS_MAX);
    if (entry.dueMs > this.#wallMs) return;
    entry.dueMs = 0;
    this.#window.look(entry);
  }

  /** Records whose letter is committed, or cannot be written any more. */
  #endDeaths(draft: Draft): void {
    const ended = this.#deaths.ended().filter(({ entry }) => entry.change === null);
    for (const dying of ended) {
      const { entry, end } = dying;
      const kind = this.#parks(dying) ? 'parked' : 'final';
      draft.change(entry, { kind, deliveries: entry.deliveries, dueMs: 0 });
      const { offset } = entry;
      if (end === 'buried') draft.facts.push({ kind: 'dead-lettered', offset });
      else if (offset < this.#progress.logStart) draft.facts.push({ kind: 'retired', records: 1 });
      else draft.facts.push({ kind: 'superseded', records: 1 });
    }
    draft.ended = ended.map(({ entry }) => entry.offset);
  }

  #parks({ entry, end }: Dying): boolean {
    const hasKey = !entry.isLoaded || entry.keyHash !== null;
    return this.#config.parksKeys && end === 'buried' && hasKey && !entry.isMissing;
  }

  /** Leases that are committed before their records leave. */
  #grant(draft: Draft): void {
    while (this.#asks.length > 0) {
      const entries = this.#pick(this.#asks[0]!, (entry) => {
        const deliveries = entry.deliveries + 1;
        draft.change(entry, { kind: 'leased', deliveries, dueMs: 0 });
      });
      if (entries.length === 0) return;
      draft.grants.push({
        ...{ ask: this.#asks.shift()!, entries, isOver: false, isWithdrawn: false },
      });
    }
  }

  /** Leases in memory: their records leave at once. */
  #handOut(): void {
    if (this.#storesLeases || !this.isServing || !this.#isBegun) return;
    while (this.#asks.length > 0) {
      const ask = this.#asks[0]!;
      const entries = this.#pick(ask, (entry) => {
        entry.deliveries += 1;
        this.#lease(entry, ask.memberId);
        this.#progress.touch(entry);
      });
      if (entries.length === 0) return;
      this.#asks.shift();
      this.#deliver(ask, entries);
    }
  }

  #pick(ask: Ask, take: (entry: Entry) => void): Entry[] {
    const entries: Entry[] = [];
    let bytes = 0;
    while (entries.length < ask.records) {
      const entry = this.#window.ready(this.#config.deliveriesMax);
      if (entry === undefined) break;
      bytes += entry.bytes;
      if (entries.length > 0 && bytes > ask.bytes) break;
      take(entry);
      entries.push(entry);
    }
    return entries;
  }

  #lease(entry: Entry, memberId: string): void {
    entry.kind = 'leased';
    entry.wasDelayed = false;
    entry.holder = memberId;
    entry.endsMs = this.#leaseEndMs;
  }

  #deliver({ requestId }: Ask, entries: readonly Entry[]): void {
    const deliveries = entries.map(({ offset, epoch, deliveries: delivery }) => ({
      ...{ offset, epoch, delivery },
    }));
    this.#reply(requestId, { kind: 'records', deliveries });
  }

  #committed(): void {
    const { draft, advance, isFull, isRestated } = this.#underWay!;
    this.#underWay = null;
    this.#isBegun = true;
    this.#deltas = isFull ? 0 : this.#deltas + 1;
    if (isRestated) this.#isRestating = false;
    this.#progress.committed(advance);
    const values = new Map(draft.deaths.map(({ entry, value }) => [entry, value]));
    for (const entry of draft.entries) if (!entry.isCut) this.#apply(entry, values.get(entry));
    this.#deaths.committed(draft.ended, draft.chosen);
    if (draft.ended.length > 0) this.#isLookDue = true;
    this.#conclude(draft);
  }

  #apply(entry: Entry, value: DyingValue | undefined): void {
    const { kind, deliveries, dueMs } = entry.change!;
    entry.change = null;
    entry.deliveries = deliveries;
    entry.dueMs = dueMs;
    if (kind === 'final') {
      this.#window.settle(entry);
      return;
    }
    entry.kind = kind;
    entry.holder = null;
    entry.wasDelayed = kind === 'waiting' && dueMs > 0;
    if (kind === 'leased') entry.endsMs = this.#leaseEndMs;
    if (kind === 'waiting') this.#window.look(entry);
    if (value !== undefined) this.#deaths.add(entry, value, this.#nowMs);
  }

  /** Tells what is committed. */
  #conclude({ grants, answers, facts }: Draft): void {
    for (const { ask, entries, isOver, isWithdrawn } of grants) {
      const given = entries.filter(({ isCut }) => !isCut);
      if (isOver) for (const entry of given) this.#endLease(entry);
      else if (!this.isServing) this.#reply(ask.requestId, notServing());
      else if (given.length === 0 && !isWithdrawn) this.#asks.unshift(ask);
      else {
        for (const entry of given) entry.holder = ask.memberId;
        this.#deliver(ask, given);
      }
    }
    for (const { requestId, reply } of answers) this.#reply(requestId, reply);
    this.#output.facts.push(...facts);
  }

  #lost(error: BrokerError): void {
    const { draft, advance, isSnapshot } = this.#underWay!;
    this.#underWay = null;
    const isUnknown = error.effect === 'unknown';
    for (const entry of draft.entries) {
      entry.change = null;
      if (!entry.isCut) this.#window.look(entry);
    }
    this.#progress.lost(advance);
    this.#isSnapshotDue ||= isSnapshot;
    for (const { requestId } of draft.answers)
      this.#reply(requestId, isUnknown ? outcomeUnknown(error) : error);
    const open = draft.grants.filter(({ isOver }) => !isOver);
    for (const { ask } of open.filter((grant) => grant.isWithdrawn)) this.#deliver(ask, []);
    this.#asks.unshift(...open.filter((grant) => !grant.isWithdrawn).map(({ ask }) => ask));
    this.#isOver ||= isUnknown;
    if (!this.isServing) this.#refuseWaiting();
    this.#isPausing = true;
    this.#isLookDue = true;
  }

  // What goes out

  #note(facts: readonly QueueFact[]): void {
    this.#output.facts.push(...facts);
  }

  #reply(requestId: number, reply: QueueReply | BrokerError): void {
    this.#output.replies.push({ requestId, reply });
  }

  #refuseWaiting(): void {
    for (const { requestId } of [...this.#waiting, ...this.#asks])
      this.#reply(requestId, notServing());
    this.#waiting = [];
    this.#asks = [];
  }
}
