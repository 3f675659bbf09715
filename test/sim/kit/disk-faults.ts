/**
 * What may go wrong with the calls of a simulated file system: rates for runs from a seed, rules
 * for what is done by hand.
 */
import type { Random } from '../../../base/random.ts';

export type OperationKind =
  | 'open'
  | 'writev'
  | 'read'
  | 'datasync'
  | 'truncate'
  | 'close'
  | 'stat'
  | 'volume'
  | 'rename'
  | 'remove'
  | 'makeFolder'
  | 'list'
  | 'syncFolder';

/** One call of a process. */
export interface Operation {
  /** Counted from 1, over all processes that had the volume. */
  readonly number: number;
  readonly kind: OperationKind;
  readonly path: string;
}

/**
 * What happens to an operation. `crash` runs when it had no effect (`before`), a part of it
 * (`torn`), or all of it (`after`).
 */
export type Fault =
  | { readonly kind: 'error'; readonly code: string }
  | { readonly kind: 'short-write' }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | {
      readonly kind: 'crash';
      readonly when: 'before' | 'torn' | 'after';
      readonly run: () => void;
    };

/** Which operations a fault meets; what is left out matches all. */
export interface FaultRule {
  readonly kinds?: readonly OperationKind[];
  readonly path?: RegExp;
  readonly number?: number;
  /** Matching operations that pass first; 0 unless given. */
  readonly skip?: number;
  /** Operations that it meets; 1 unless given. */
  readonly times?: number;
  readonly fault: Fault;
}

/** Faults by chance. Rates are for one operation. */
export interface DiskProfile {
  /** Bounds of what a call takes. */
  readonly delayMs: readonly [number, number];
  readonly stallRate: number;
  readonly stallMs: number;
  readonly shortWriteRate: number;
  readonly eioRate: number;
  readonly enospcRate: number;
  /** Descriptors that a process may have. */
  readonly descriptorsMax: number;
}

/** A disk that is quick and does no harm. */
export const SOUND_DISK: DiskProfile = {
  delayMs: [0, 1],
  stallRate: 0,
  stallMs: 0,
  shortWriteRate: 0,
  eioRate: 0,
  enospcRate: 0,
  descriptorsMax: 1024,
};

/** Calls that allocate, and so meet a full volume. */
const ALLOCATES: readonly OperationKind[] = ['open', 'writev', 'rename', 'makeFolder', 'datasync'];

/** Draws the faults of one volume. */
export class DiskFaults {
  profile: DiskProfile;
  readonly #random: Random;
  readonly #rules: { readonly rule: FaultRule; skip: number; times: number }[] = [];

  constructor(random: Random, profile: DiskProfile) {
    this.#random = random;
    this.profile = profile;
  }

  /** Adds a rule; the call that is returned takes it away. */
  add(rule: FaultRule): () => void {
    const entry = { rule, skip: rule.skip ?? 0, times: rule.times ?? 1 };
    this.#rules.push(entry);
    return () => {
      entry.times = 0;
    };
  }

  /** How long the call takes until its effect, and from there to its answer. */
  delays(operation: Operation): readonly [number, number] {
    const { delayMs, stallRate, stallMs } = this.profile;
    const span = delayMs[1] - delayMs[0];
    let total = delayMs[0] + (span * this.#random.below(1000)) / 1000;
    if (stallRate > 0 && this.#random.chance(stallRate)) total += this.#random.below(stallMs + 1);
    const rule = this.#take(operation, ({ kind }) => kind === 'delay');
    if (rule?.kind === 'delay') total += rule.delayMs;
    const answer = this.#random.chance(0.5) ? 0 : (total * this.#random.below(1000)) / 1000;
    return [total - answer, answer];
  }

  /** What befalls the operation, or null. */
  judge(operation: Operation): Exclude<Fault, { kind: 'delay' }> | null {
    const fault = this.#take(operation, ({ kind }) => kind !== 'delay');
    if (fault !== null && fault.kind !== 'delay') return fault;
    const { eioRate, enospcRate, shortWriteRate } = this.profile;
    if (eioRate > 0 && operation.kind !== 'close' && this.#random.chance(eioRate))
      return { kind: 'error', code: 'EIO' };
    if (enospcRate > 0 && ALLOCATES.includes(operation.kind) && this.#random.chance(enospcRate))
      return { kind: 'error', code: 'ENOSPC' };
    if (shortWriteRate > 0 && operation.kind === 'writev' && this.#random.chance(shortWriteRate))
      return { kind: 'short-write' };
    return null;
  }

  #take(operation: Operation, isWanted: (fault: Fault) => boolean): Fault | null {
    for (const entry of this.#rules) {
      if (entry.times === 0 || !isWanted(entry.rule.fault)) continue;
      if (!isMet(entry.rule, operation)) continue;
      if (entry.skip > 0) {
        entry.skip -= 1;
        continue;
      }
      entry.times -= 1;
      return entry.rule.fault;
    }
    return null;
  }
}

function isMet({ kinds, path, number }: FaultRule, operation: Operation): boolean {
  if (number !== undefined && number !== operation.number) return false;
  if (kinds !== undefined && !kinds.includes(operation.kind)) return false;
  return path === undefined || path.test(operation.path);
}
