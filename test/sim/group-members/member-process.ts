/**
 * A process that is a member, in the simulated world: the client's real core and ledger, and
 * handlers that take their time. What the shell of the client does, it does as plainly as it can.
 */
import type { Random } from '../../../base/random.ts';
import { Ledger, type Acknowledgement } from '../../../client/group/member/ledger.ts';
import { Member } from '../../../client/group/member/member.ts';
import type {
  HeldPartition,
  MemberAction,
  MemberInput,
  Place,
} from '../../../client/group/member/types.ts';

export const SESSION_MS = 6_000;
export const GRACE_MS = 1_500;
const HANDLERS_MAX = 4;
const COMMIT_MS = 400;

/** One partition's reading. */
interface Reading {
  readonly held: HeldPartition;
  next: number;
  /** Offsets from the oldest that is not handled on: whether each is handled. */
  readonly open: Map<number, boolean>;
  running: number;
  isStopped: boolean;
}

/** A stream that the core wants. */
export type OpenAction = Extract<MemberAction<never>, { readonly kind: 'open' }>;

/** What a process needs of its world. */
export interface Surroundings {
  readonly random: Random;
  readonly nowMs: () => number;
  readonly after: (delayMs: number, act: () => void) => void;
  readonly newId: () => string;
  readonly open: (process: MemberProcess, of: OpenAction) => void;
  readonly close: (process: MemberProcess, attempt: number) => void;
  readonly applied: (attempt: number, epoch: number, process: MemberProcess) => void;
  readonly leave: (process: MemberProcess, attempt: number) => void;
  readonly acknowledge: (process: MemberProcess, attempt: number, of: Acknowledgement) => void;
  readonly cursorOf: (group: string, key: string) => Place;
  readonly endOf: (key: string) => number;
  readonly handled: (process: MemberProcess, key: string, offset: number) => void;
  readonly lost: (count: number) => void;
  readonly over: (process: MemberProcess, reason: string) => void;
}

export class MemberProcess {
  readonly group: string;
  readonly topics: readonly string[];
  readonly instanceId: string;
  readonly member: Member;
  readonly ledger = new Ledger();
  readonly #world: Surroundings;
  readonly #readings = new Map<string, Reading>();
  #revoking: { readonly epoch: number; readonly partitions: readonly HeldPartition[] } | null =
    null;
  #running = 0;
  #lastCommitMs = 0;
  isAlive = true;
  isLeaving = false;
  #hasLeft = false;
  /** It sleeps: what comes waits. */
  isPaused = false;
  #waiting: (() => void)[] = [];
  #wokeMs = Number.NEGATIVE_INFINITY;
  end: string | null = null;

  constructor(
    world: Surroundings,
    fields: {
      readonly group: string;
      readonly topics: readonly string[];
      readonly instanceId: string;
    },
  ) {
    this.#world = world;
    this.group = fields.group;
    this.topics = fields.topics;
    this.instanceId = fields.instanceId;
    this.member = new Member({
      newMemberId: () => world.newId(),
      backoffMs: (attempt) => Math.min(20 * 2 ** attempt, 500),
      graceMs: GRACE_MS,
    });
  }

  /**
   * It hands out records. One that has just woken may act on what came before and while it slept:
   * nobody can keep it from that.
   */
  get isDelivering(): boolean {
    const nowMs = this.#world.nowMs();
    const isAwake = !this.isPaused && nowMs - this.#wokeMs > SESSION_MS;
    return this.isAlive && isAwake && this.member.mayDeliver(nowMs);
  }

  /** Runs now, or when it wakes. */
  on(act: () => void): void {
    if (!this.isAlive) return;
    if (this.isPaused) this.#waiting.push(act);
    else act();
  }

  pause(): void {
    this.isPaused = true;
  }

  wake(): void {
    this.isPaused = false;
    this.#wokeMs = this.#world.nowMs();
    for (const act of this.#waiting.splice(0)) this.on(act);
  }

  step(input: MemberInput<never>): void {
    for (const action of this.member.step(this.#world.nowMs(), input)) this.#carryOut(action);
    this.work();
  }

  /** A stream is gone: what was under way on it may not have come. */
  ended(attempt: number, end: 'broken' | 'fenced'): void {
    if (this.member.attempt === attempt) this.ledger.cut();
    this.step({ kind: 'ended', attempt, end });
  }

  #carryOut(action: MemberAction<never>): void {
    const world = this.#world;
    switch (action.kind) {
      case 'open':
        world.open(this, action);
        return;
      case 'close':
        this.ledger.cut();
        world.close(this, action.attempt);
        return;
      case 'assign':
        for (const { cursor, ...held } of action.partitions) {
          const place = cursor ?? world.cursorOf(this.group, held.key);
          this.ledger.begin(held, place);
          this.#readings.set(held.key, {
            ...{ held, next: place.offset, open: new Map<number, boolean>() },
            ...{ running: 0, isStopped: false },
          });
        }
        return;
      case 'revoke': {
        const { epoch, partitions, leftMs } = action;
        this.#revoking = { epoch, partitions };
        for (const held of partitions) {
          const reading = this.#readingOf(held);
          if (reading !== undefined) reading.isStopped = true;
        }
        world.after(leftMs, () => this.on(() => this.#release(epoch)));
        return;
      }
      case 'applied':
        world.applied(action.attempt, action.epoch, this);
        return;
      case 'lost':
        this.#revoking = null;
        world.lost(action.partitions.length);
        for (const held of action.partitions) this.#forget(held);
        return;
      case 'leave':
        world.leave(this, action.attempt);
        return;
      case 'over':
        this.end = action.reason;
        this.isAlive = false;
        world.over(this, action.reason);
    }
  }

  #readingOf({ key, epoch }: HeldPartition): Reading | undefined {
    const reading = this.#readings.get(key);
    return reading?.held.epoch === epoch ? reading : undefined;
  }

  #forget(held: HeldPartition): void {
    this.ledger.end(held);
    const reading = this.#readingOf(held);
    if (reading === undefined) return;
    reading.isStopped = true;
    this.#readings.delete(held.key);
  }

  #release(epoch: number): void {
    if (this.#revoking?.epoch !== epoch) return;
    const { partitions } = this.#revoking;
    this.#revoking = null;
    for (const held of partitions) this.#forget(held);
    this.step({ kind: 'released', epoch });
  }

  /** It goes: reads no more, ends what runs, commits, leaves. */
  leave(): void {
    this.isLeaving = true;
    this.work();
  }

  /** Whatever can be done at this moment. */
  work(): void {
    if (!this.isAlive) return;
    this.#begin();
    this.#commit();
    const revoking = this.#revoking;
    if (revoking !== null) {
      const isIdle = revoking.partitions.every(
        (held) => (this.#readingOf(held)?.running ?? 0) === 0,
      );
      if (isIdle && this.ledger.isSettled(revoking.partitions)) this.#release(revoking.epoch);
    }
    if (!this.isLeaving || this.#hasLeft || this.#running > 0 || !this.ledger.isSettled()) return;
    this.#hasLeft = true;
    this.step({ kind: 'leave' });
  }

  #begin(): void {
    for (const reading of this.#readings.values())
      while (this.#mayBegin(reading)) {
        const offset = reading.next;
        reading.next += 1;
        reading.open.set(offset, false);
        reading.running += 1;
        this.#running += 1;
        const { random } = this.#world;
        const lastsMs = random.chance(0.02) ? 20_000 : random.below(300);
        this.#world.after(lastsMs, () => this.on(() => this.#finish(reading, offset)));
      }
  }

  #mayBegin({ held, next, isStopped }: Reading): boolean {
    return (
      !this.isLeaving &&
      !isStopped &&
      this.#running < HANDLERS_MAX &&
      this.member.holds(held) &&
      this.member.mayDeliver(this.#world.nowMs()) &&
      next < this.#world.endOf(held.key)
    );
  }

  #finish(reading: Reading, offset: number): void {
    this.#running -= 1;
    reading.running -= 1;
    reading.open.set(offset, true);
    this.#world.handled(this, reading.held.key, offset);
    for (const [open, isDone] of reading.open) {
      if (!isDone) break;
      reading.open.delete(open);
      this.ledger.handled(reading.held, { offset: open + 1, leaderEpoch: 1 });
    }
    this.work();
  }

  #commit(): void {
    const nowMs = this.#world.nowMs();
    const { attempt } = this.member;
    const isUrgent = this.#revoking !== null || this.isLeaving;
    if (attempt === null || (!isUrgent && nowMs - this.#lastCommitMs < COMMIT_MS)) return;
    this.#lastCommitMs = nowMs;
    const due = this.ledger.due(1_000);
    if (due !== null) this.#world.acknowledge(this, attempt, due);
  }
}
