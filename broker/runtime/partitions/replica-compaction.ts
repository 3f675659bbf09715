/**
 * Carries out on one log what its core orders, beside everything else: waits for its turn, for
 * space and for descriptors, goes on where a pass gave way to something newer, and says when it is
 * done. What goes is decided in `broker/compaction`, when in the core; nothing is decided here.
 */
import type { CompactionOrder } from '../../../base/compaction-order.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import { reasonOf } from '../../../base/reason.ts';
import type { CompactionOutcome, PartitionLog } from '../ports.ts';
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
  /** Bytes that must be free beyond the reserve; 0: none are wanted. */
  readonly bytesNeeded: number;
  readonly last: LastPass | null;
}

/** One that runs, as it was begun. */
interface Pass {
  readonly order: CompactionOrder;
  readonly asked: number;
  readonly resets: number;
}

export interface ReplicaCompactionOptions {
  /** For people. */
  readonly name: () => string;
  readonly log: Pick<PartitionLog, 'compact'>;
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
    return { phase: this.#phase, bytesNeeded: this.#bytesNeeded, last: this.#last };
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
    const order = this.#order;
    if (order === null) {
      this.#rest('idle');
      return;
    }
    const { clock, log } = this.#options;
    this.#phase = 'running';
    const pass = { order, asked: this.#asked, resets: this.#resets };
    const fromMs = clock.monotonicMs();
    try {
      const outcome = await log.compact(order);
      this.#ended(pass, outcome, Math.round(clock.monotonicMs() - fromMs));
    } catch (error) {
      this.#failed(pass, error);
    }
  }

  #ended(pass: Pass, outcome: CompactionOutcome, durationMs: number): void {
    const { compactor, onFact, onDone, name } = this.#options;
    const { isComplete, waitsFor, bytesNeeded = 0, bytesBefore, bytesAfter } = outcome;
    compactor.ended(outcome);
    this.#last = { bytesBefore, bytesAfter, durationMs };
    if (isComplete && pass.resets === this.#resets) {
      const { upTo, tombstonesBelow } = pass.order;
      const what = { partition: name(), upTo, tombstonesBelow };
      onFact('compacted', { ...what, bytesBefore, bytesAfter, durationMs });
      if (pass.asked === this.#asked) this.#order = null;
      onDone(pass.order);
    }
    if (waitsFor === undefined) this.#isWaitTold = false;
    if (pass.asked !== this.#asked) {
      this.#goOn();
    } else if (waitsFor !== undefined) {
      if (!this.#isWaitTold)
        onFact('compaction-waits', { partition: name(), reason: waitsFor, bytesNeeded });
      this.#isWaitTold = true;
      this.#rest(`waits-for-${waitsFor}`, bytesNeeded, SHORTAGE_MS);
    } else {
      // Done, or it gave way: to a cut, after which its core asks again, or to the end of the log.
      this.#order = null;
      this.#rest('idle');
    }
  }

  #goOn(): void {
    if (this.#order === null) this.#rest('idle');
    else this.#queue();
  }

  #failed(pass: Pass, error: unknown): void {
    const { compactor, onFact, onDamage, name } = this.#options;
    // The log was emptied or closed under it: whatever went wrong went wrong with that.
    if (pass.resets !== this.#resets) {
      this.#goOn();
      return;
    }
    const reason = reasonOf(error);
    compactor.failed(`${name()}: ${reason}`);
    onFact('compaction-failed', { partition: name(), reason });
    this.#rest('failed', 0, FAILURE_MS);
    if (error instanceof BrokerError && error.code === 'DATA_CORRUPT') onDamage(error);
  }
}
