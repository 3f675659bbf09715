/**
 * The log that a queue hands out: records of some keys, a high-water mark, elections that cut what
 * is above or even below it, retention and compaction. It knows of each record that ever was what
 * became of it.
 */
import type { Random } from '../../../base/random.ts';
import type { LeaderEpoch, Offset } from '../../../base/units.ts';
import type { Position } from '../../../broker/queues/progress.ts';
import type { QueueInput, QueueRecord } from '../../../broker/queues/types.ts';

const KEYS = 6;

/** A record that is or was in the log. */
export interface Truth extends QueueRecord {
  readonly id: string;
  isRetired: boolean;
  isSuperseded: boolean;
  /** An election cut it off. */
  isCut: boolean;
}

interface Slot {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  /** Null: a control batch, or what compaction took. */
  truth: Truth | null;
}

interface Epoch {
  readonly epoch: LeaderEpoch;
  readonly start: Offset;
}

export function idOf({ offset, epoch }: { offset: Offset; epoch: LeaderEpoch }): string {
  return `${String(offset)}.${String(epoch)}`;
}

export class SourceLog {
  readonly #random: Random;
  #slots: Slot[] = [];
  #epochs: readonly Epoch[] = [{ epoch: 1, start: 0 }];
  #highWater: Offset = 0;
  logStart: Offset = 0;
  /** What a replica held that has fallen behind since; an unclean election may choose it. */
  #branch: { readonly slots: readonly Slot[]; readonly epochs: readonly Epoch[] } | null = null;
  #lastEpoch: LeaderEpoch = 1;
  /** Every record there ever was. */
  readonly truths = new Map<string, Truth>();

  constructor(random: Random) {
    this.#random = random;
  }

  get end(): Offset {
    return this.#slots.length;
  }

  get highWater(): Offset {
    return this.#highWater;
  }

  /** Committed data records that the log holds. */
  records(): Truth[] {
    return this.#slots
      .slice(this.logStart, this.#highWater)
      .flatMap(({ truth }) => (truth === null ? [] : [truth]));
  }

  append(count: number): void {
    const { epoch } = this.#epochs.at(-1)!;
    for (let each = 0; each < count; each += 1) {
      const offset = this.end;
      const keyHash = this.#random.chance(0.1) ? null : this.#random.below(KEYS);
      const bytes = 1 + this.#random.below(100);
      const id = idOf({ offset, epoch });
      const fate = { isRetired: false, isSuperseded: false, isCut: false };
      const truth: Truth = { id, offset, epoch, keyHash, bytes, ...fate };
      this.truths.set(id, truth);
      this.#slots.push({ offset, epoch, truth });
    }
  }

  commit(): void {
    this.#highWater = this.end;
  }

  /** A new leader, which may lack the end of the log; committed records only if `isUnclean`. */
  elect(isUnclean: boolean): void {
    const least = isUnclean ? Math.max(this.logStart, this.#highWater - 12) : this.#highWater;
    const end = least + this.#random.below(this.end - least + 1);
    for (const { truth } of this.#slots.splice(end)) if (truth !== null) truth.isCut = true;
    this.#beginEpoch();
  }

  /** A replica falls behind. */
  branch(): void {
    this.#branch = { slots: this.#slots.map((slot) => ({ ...slot })), epochs: this.#epochs };
  }

  /** And leads, uncleanly. Returns the records that are there again. */
  electBranch(): readonly string[] {
    if (this.#branch === null || this.#branch.slots.length < this.logStart) return [];
    const { slots, epochs } = this.#branch;
    this.#branch = null;
    const there = new Set(slots.flatMap(({ truth }) => truth ?? []));
    for (const truth of this.truths.values()) if (!there.has(truth)) truth.isCut = true;
    // Cut off, or taken by compaction elsewhere.
    const present = new Set(this.#slots.flatMap(({ truth }) => truth ?? []));
    const again = [...there].filter((truth) => !present.has(truth));
    for (const truth of again) truth.isCut = false;
    this.#slots = [...slots];
    this.#epochs = epochs;
    this.#beginEpoch();
    return again.map(({ id }) => id);
  }

  /** It begins with a control batch. */
  #beginEpoch(): void {
    const end = this.#slots.length;
    this.#highWater = Math.min(this.#highWater, end);
    const epoch = (this.#lastEpoch += 1);
    this.#epochs = [...this.#epochs.filter(({ start }) => start < end), { epoch, start: end }];
    this.#slots.push({ offset: end, epoch, truth: null });
  }

  retain(): void {
    this.logStart += this.#random.below(Math.max(1, this.#highWater - this.logStart));
    for (const { truth } of this.#slots.slice(0, this.logStart))
      if (truth !== null) truth.isRetired = true;
  }

  compact(): void {
    const keys = new Set<number | null>();
    const end = this.logStart + this.#random.below(this.#highWater - this.logStart + 1);
    for (const slot of this.#slots.slice(this.logStart, end).toReversed()) {
      if (slot.truth === null) continue;
      const { keyHash } = slot.truth;
      // What has no key is kept here.
      if (keyHash !== null && keys.has(keyHash)) {
        slot.truth.isSuperseded = true;
        slot.truth = null;
      }
      keys.add(keyHash);
    }
  }

  /** Whether the bytes of a record can be read. */
  holds({ offset, epoch }: { offset: Offset; epoch: LeaderEpoch }): boolean {
    const truth = this.#slots[offset]?.truth;
    return offset >= this.logStart && truth?.epoch === epoch;
  }

  /** What a reader is told. */
  read(
    from: Offset,
    position: Position,
    count: number,
  ): Extract<QueueInput, { readonly kind: 'data' | 'diverged' }> | null {
    const last = this.#epochs.findLastIndex(({ epoch }) => epoch <= position.epoch);
    const end = Math.min(this.#epochs[last + 1]?.start ?? Infinity, this.end);
    const { epoch = 0 } = this.#epochs[last] ?? {};
    if (position.epoch > 0 && (end < position.offset || epoch !== position.epoch))
      return { kind: 'diverged', offset: end, epoch };
    if (position.offset > this.end)
      return { kind: 'diverged', offset: this.end, epoch: this.#epochs.at(-1)!.epoch };
    const to = Math.min(this.#highWater, from + count);
    if (from < this.logStart || to <= from) return null;
    const records = this.#slots.slice(from, to).flatMap(({ truth }) => truth ?? []);
    return { kind: 'data', from, to, epoch: this.#slots[to - 1]!.epoch, records };
  }
}
