/**
 * Carries out on one log what its core orders, beside everything else: waits for its turn, for
 * space and for descriptors, goes on where a pass gave way to something newer, and says when it is
 * done. Then it has small segments merged, which no order waits for. What goes is decided in
 * `broker/compaction`, when in the core; nothing is decided here.
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import { reasonOf } from '../../../base/reason.ts';
import type { MonotonicMs } from '../../../base/units.ts';
import type { CompactionOutcome, MergeOutcome, PartitionLog, Shortage } from '../ports.ts';
import type { Compactor } from './compactor.ts';

/** Until a pass that lacked space or descriptors is tried again. */
const SHORTAGE_MS = 5_000;
/** Until a pass that failed is tried again: nothing changes by itself. */
const FAILURE_MS = 60_000;

/** What a replica has to do with what was ordered of it. */
export type CompactionPhase =
  | 'idle'
  /** Others are before it. */
  | 'queued'
  | 'running'
  | 'waits-for-space'
  | 'waits-for-descriptors'
  /** It is tried again. */
  | 'failed';

/** The last pass that ended, whatever it came to. */
export interface LastPass {
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly durationMs: number;
}

export interface CompactionProgress {
  readonly phase: CompactionPhase;
  /** An order is to be carried out; false: at most segments are to be merged. */
  readonly hasOrder: boolean;
  /** Bytes that must be free beyond the reserve; 0: none are wanted. */
  readonly bytesNeeded: number;
  readonly last: LastPass | null;
}

/** What runs, as it was begun. */
interface Begun {
  readonly asked: number;
  readonly resets: number;
  readonly atMs: MonotonicMs;
}

export interface ReplicaCompactionOptions {
  /** For people. */
  readonly name: () => string;
  readonly log: Pick<PartitionLog, 'compact' | 'merge'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly compactor: Compactor;
  readonly onFact: OnFact;
  /** The order is carried out, durably, on the log that it was asked of. */
  readonly onDone: (order: CompactionOrder) => void;
  /** P9. */
  readonly onDamage: (error: BrokerError) => void;
}

export class ReplicaCompaction {
  readonly #options: ReplicaCompactionOptions;
  #order: CompactionOrder | null = null;
  /** What was ordered is carried out; small segments may be there. */
  #isMergeDue = false;
  /** Counts orders, those that are said again too, and times that the log was emptied. */
  #asked = 0;
  #resets = 0;
  #phase: CompactionPhase = 'idle';
  #bytesNeeded = 0;
  #last: LastPass | null = null;
  #cancelWait: Cancel = () => {};
  /** It was said why it waits. */
  #isWaitTold = false;
  #isClosed = false;

  constructor(options: ReplicaCompactionOptions) {
    this.#options = options;
  }

  get progress(): CompactionProgress {
    const hasOrder = this.#order !== null;
    return { phase: this.#phase, hasOrder, bytesNeeded: this.#bytesNeeded, last: this.#last };
  }

  /** Takes the place of what was asked before. A pass that runs is ended first. */
  ask(order: CompactionOrder): void {
    if (this.#isClosed) return;
    this.#order = order;
    this.#asked += 1;
    if (this.#phase !== 'queued' && this.#phase !== 'running') this.#queue();
  }

  /** The log is emptied: nothing was ordered of what it is from now on. */
  reset(): void {
    this.#order = null;
    this.#isMergeDue = false;
    this.#asked += 1;
    this.#resets += 1;
    if (this.#phase !== 'queued' && this.#phase !== 'running') this.#rest('idle');
  }

  /** What runs ends soon, with the log. */
  close(): void {
    this.reset();
    this.#isClosed = true;
  }

  #queue(): void {
    this.#rest('queued');
    this.#options.compactor.add(() => this.#run());
  }

  /** Nothing happens by itself until the pause is over, if there is one. */
  #rest(phase: CompactionPhase, bytesNeeded = 0, pauseMs = 0): void {
    this.#cancelWait();
    this.#cancelWait = () => {};
    this.#phase = phase;
    this.#bytesNeeded = bytesNeeded;
    if (pauseMs === 0) return;
    this.#cancelWait = this.#options.clock.after(pauseMs, () => {
      this.#queue();
    });
  }

  async #run(): Promise<void> {
    this.#phase = 'running';
    if (this.#order !== null) await this.#compact(this.#order);
    if (this.#phase === 'running' && this.#isMergeDue) await this.#merge();
    if (this.#phase === 'running') this.#rest('idle');
  }

  #begin(): Begun {
    const atMs = this.#options.clock.monotonicMs();
    return { asked: this.#asked, resets: this.#resets, atMs };
  }

  #durationMs({ atMs }: Begun): number {
    return Math.round(this.#options.clock.monotonicMs() - atMs);
  }

  async #compact(order: CompactionOrder): Promise<void> {
    const begun = this.#begin();
    try {
      this.#compacted(order, begun, await this.#options.log.compact(order));
    } catch (error) {
      this.#failed(begun, error);
    }
  }

  #compacted(order: CompactionOrder, begun: Begun, outcome: CompactionOutcome): void {
    const { compactor, onFact, onDone, name } = this.#options;
    const { isComplete, bytesBefore, bytesAfter } = outcome;
    const durationMs = this.#durationMs(begun);
    compactor.ended(outcome);
    this.#last = { bytesBefore, bytesAfter, durationMs };
    if (isComplete && begun.resets === this.#resets) {
      const { upTo, tombstonesBelow } = order;
      const what = { partition: name(), upTo, tombstonesBelow };
      onFact('compacted', { ...what, bytesBefore, bytesAfter, durationMs });
      this.#isMergeDue = true;
      if (begun.asked === this.#asked) this.#order = null;
      onDone(order);
    }
    // Without want of anything it is done, or it gave way: to a cut, after which its core asks
    // again, or to the end of the log.
    if (!this.#goesOn(begun) && !this.#waits(outcome)) this.#order = null;
  }

  async #merge(): Promise<void> {
    const begun = this.#begin();
    try {
      this.#merged(begun, await this.#options.log.merge());
    } catch (error) {
      this.#failed(begun, error);
    }
  }

  #merged(begun: Begun, outcome: MergeOutcome): void {
    const { compactor, onFact, name } = this.#options;
    const { removed, segments, bytes } = outcome;
    compactor.merged(outcome);
    if (removed > 0) {
      const durationMs = this.#durationMs(begun);
      onFact('segments-merged', { partition: name(), removed, segments, bytes, durationMs });
    }
    if (!this.#goesOn(begun) && !this.#waits(outcome)) this.#isMergeDue = false;
  }

  /** What was asked meanwhile is next, where something was. */
  #goesOn({ asked }: Begun): boolean {
    if (asked === this.#asked) return false;
    if (this.#order === null) this.#rest('idle');
    else this.#queue();
    return true;
  }

  #waits({ waitsFor, bytesNeeded = 0 }: Shortage): boolean {
    const { onFact, name } = this.#options;
    if (waitsFor === undefined) {
      this.#isWaitTold = false;
      return false;
    }
    if (!this.#isWaitTold)
      onFact('compaction-waits', { partition: name(), reason: waitsFor, bytesNeeded });
    this.#isWaitTold = true;
    this.#rest(`waits-for-${waitsFor}`, bytesNeeded, SHORTAGE_MS);
    return true;
  }

  #failed(begun: Begun, error: unknown): void {
    const { compactor, onFact, onDamage, name } = this.#options;
    // The log was emptied or closed under it: whatever went wrong went wrong with that.
    if (begun.resets !== this.#resets) {
      this.#goesOn(begun);
      return;
    }
    const reason = reasonOf(error);
    compactor.failed(`${name()}: ${reason}`);
    onFact('compaction-failed', { partition: name(), reason });
    this.#rest('failed', 0, FAILURE_MS);
    if (error instanceof BrokerError && error.code === 'DATA_CORRUPT') onDamage(error);
  }
}
