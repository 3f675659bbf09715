/**
 * The dead-letter topic: two partitions, into which others write too. An append may fail and stand
 * there all the same, or arrive much later; a partition may be cut by an election, and the topic
 * deleted and made again.
 */
import type { Random } from '../../../base/random.ts';
import type { LeaderEpoch } from '../../../base/units.ts';
import type {
  Letter,
  LetterPosition,
  LetterResult,
  LetterTarget,
  LetterTask,
} from '../../../broker/queues/types.ts';
import { idOf, type SourceLog } from './source-log.ts';

const PARTITIONS = 2;

type Append = Extract<LetterTask, { readonly kind: 'append' }>;

interface Log {
  /** Ids of records, '' for what others wrote. */
  readonly slots: { readonly id: string; readonly epoch: LeaderEpoch }[];
  epoch: LeaderEpoch;
}

function emptyLogs(): Log[] {
  return Array.from({ length: PARTITIONS }, () => ({ slots: [], epoch: 1 }));
}

function endOf({ slots }: Log): LetterPosition {
  return { from: slots.length, epoch: slots.at(-1)?.epoch ?? 0 };
}

/** Whether the log holds the position: such an epoch before such an offset. */
function agrees({ slots }: Log, { from, epoch }: LetterPosition): boolean {
  return from <= slots.length && (slots[from - 1]?.epoch ?? 0) === epoch;
}

export class LetterLog {
  readonly #random: Random;
  readonly #source: SourceLog;
  #topic = 1;
  #partitions: Log[] = emptyLogs();
  /** Appends whose sender gave up. */
  #late: Append[] = [];
  /** Whose letter was ever committed. */
  readonly written = new Set<string>();

  constructor(random: Random, source: SourceLog) {
    this.#random = random;
    this.#source = source;
  }

  /** How many letters of a record there are. */
  count(id: string): number {
    return this.#partitions.flatMap(({ slots }) => slots).filter((each) => each.id === id).length;
  }

  carryOut(task: LetterTask, isFaulty: () => boolean): LetterResult {
    if (task.kind === 'locate') {
      if (isFaulty()) return { kind: 'failed' };
      const partition = this.#random.below(PARTITIONS);
      const end = endOf(this.#partitions[partition]!);
      return { kind: 'located', target: { topicId: this.#topicId, partition, ...end } };
    }
    const log = this.#of(task.target);
    if (log === null) return { kind: 'target-gone' };
    if (task.kind === 'search') {
      if (isFaulty()) return { kind: 'failed' };
      if (!agrees(log, task.from)) return { kind: 'cut' };
      const there = new Set(log.slots.slice(task.from.from).map(({ id }) => id));
      const found = task.letters.filter((letter) => there.has(idOf(letter)));
      return { kind: 'searched', offsets: found.map(({ offset }) => offset), end: endOf(log) };
    }
    return this.#appendAll(task, isFaulty);
  }

  #appendAll(task: Append, isFaulty: () => boolean): LetterResult {
    const missing = task.letters.filter((letter) => !this.#source.holds(letter));
    if (missing.length > 0)
      return { kind: 'missing', offsets: missing.map(({ offset }) => offset) };
    if (isFaulty()) {
      const roll = this.#random.below(3);
      if (roll === 0) this.#append(task, task.letters);
      if (roll === 1) this.#late.push(task);
      return { kind: 'failed' };
    }
    const letters = task.letters.slice(0, 1 + this.#random.below(task.letters.length));
    return this.#append(task, letters)
      ? { kind: 'appended', offsets: letters.map(({ offset }) => offset) }
      : { kind: 'taken' };
  }

  /** One frame, if the log ends where it expects that. */
  #append({ target, end }: Append, letters: readonly Letter[]): boolean {
    const log = this.#of(target);
    if (log?.slots.length !== end.from || !agrees(log, end)) return false;
    for (const letter of letters) {
      log.slots.push({ id: idOf(letter), epoch: log.epoch });
      this.written.add(idOf(letter));
    }
    return true;
  }

  /** What others do, and what comes late. */
  stir(): void {
    const roll = this.#random.below(12);
    const log = this.#random.pick(this.#partitions);
    if (roll < 4) log.slots.push({ id: '', epoch: log.epoch });
    else if (roll < 9) {
      const late = this.#late.splice(this.#random.below(Math.max(1, this.#late.length)), 1);
      for (const task of late) this.#append(task, task.letters);
    } else if (roll === 9) {
      this.#topic += 1;
      this.#partitions = emptyLogs();
    } else if (roll === 10) {
      log.slots.splice(Math.max(0, log.slots.length - this.#random.below(3)));
      log.epoch += 1;
    }
  }

  get #topicId(): string {
    return `letters-${String(this.#topic)}`;
  }

  #of({ topicId, partition }: LetterTarget): Log | null {
    return topicId === this.#topicId ? (this.#partitions[partition] ?? null) : null;
  }
}
