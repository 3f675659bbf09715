/**
 * How far the partition was read, handed out and stored, and what happens where its log is not what
 * it was: it begins later, or was cut. Fills the window.
 */
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import type { Deaths } from './deaths.ts';
import type { Epochs } from './runs.ts';
import type { QueueFact, QueueInput } from './types.ts';
import { Entry, type Window } from './window.ts';

/** Fresh records that are taken before the room is measured again. */
const ROOM_STEP = 32;
/**
 * Epochs that are remembered. Where an election goes back further, more is forgotten than must be,
 * and handed out again.
 */
const HISTORY_MAX = 8;

/** An offset, and the epoch of the record before it; 0: not known. */
export interface Position {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
}

/** What a batch makes of it. */
export interface Advance {
  readonly next: Offset;
  /** Epochs of the records below it. */
  readonly history: Epochs;
  /** Null: nothing was cut. */
  readonly cut: Offset | null;
}

type Data = Extract<QueueInput, { readonly kind: 'data' }>;

export class Progress {
  readonly #window: Window;
  readonly #deaths: Deaths;
  /** As it is committed; null: the queue has not begun here. */
  #next: Offset | null = null;
  #touchedTo: Offset = 0;
  /** Behind the last record that was taken into the window. */
  #frontier: Offset = 0;
  /** Epochs of the records below it. Never empty once the queue has begun. */
  #history: Epochs = [];
  #logStart: Offset = 0;
  /** A cut that is to be committed. */
  #cut: Offset | null = null;

  constructor(window: Window, deaths: Deaths) {
    this.#window = window;
    this.#deaths = deaths;
  }

  /** Below it only stored entries are open, as it is committed; null: the queue has not begun. */
  get next(): Offset | null {
    return this.#next;
  }

  /** At or above it nothing was handed out. Not below `next`. */
  get touchedTo(): Offset {
    return this.#touchedTo;
  }

  get logStart(): Offset {
    return this.#logStart;
  }

  get position(): Position | null {
    return this.#next === null ? null : { offset: this.#frontier, epoch: this.#epoch };
  }

  get floor(): Offset {
    return Math.min(this.#window.first()?.offset ?? Infinity, this.#next ?? 0);
  }

  /** Something is to be stored, whatever becomes of records. */
  get isDue(): boolean {
    const hasSkipped = this.#touchedTo === this.#logStart && this.#logStart > (this.#next ?? 0);
    return this.#cut !== null || hasSkipped;
  }

  /** @param demand records that members wait for */
  wanted(demand: number): { readonly offset: Offset; readonly records: number } | null {
    if (this.#next === null) return null;
    const unread = this.#window.firstUnread();
    if (unread < Infinity) return { offset: unread, records: this.#window.open };
    const records = demand === 0 ? 0 : Math.min(demand, this.#window.room());
    return records === 0 ? null : { offset: this.#frontier, records };
  }

  begin({ offset, epoch }: Position): QueueFact[] {
    if (this.#next !== null) return [];
    this.restore(offset, [[offset, epoch]]);
    return this.#skip();
  }

  /** As it was committed. */
  restore(next: Offset, history: Epochs): void {
    this.#next = this.#frontier = this.#touchedTo = next;
    this.#history = history;
  }

  /** It is handed out. */
  touch({ offset }: Entry): void {
    this.#touchedTo = Math.max(this.#touchedTo, offset + 1);
  }

  // The log

  logStarts(offset: Offset): QueueFact[] {
    if (offset <= this.#logStart) return [];
    this.#logStart = offset;
    for (const entry of this.#window.range(0, offset)) entry.isMissing = true;
    return this.#skip();
  }

  /** What was taken from the log before anybody read it. */
  #skip(): QueueFact[] {
    const records = this.#logStart - this.#frontier;
    if (this.#next === null || records <= 0) return [];
    this.#frontier = this.#touchedTo = this.#logStart;
    this.#history = [[this.#logStart, 0]];
    return [{ kind: 'retired', records }];
  }

  data({ from, to, epoch, records, unreadable = 0 }: Data): QueueFact[] {
    if (this.#next === null || this.#window.firstUnread() < from) return [];
    const facts: QueueFact[] = [];
    let at = 0;
    for (const entry of this.#window.range(from, to)) {
      while ((records[at]?.offset ?? Infinity) < entry.offset) at += 1;
      const record = records[at];
      if (record?.offset !== entry.offset) entry.isMissing = true;
      else if (record.epoch === entry.epoch) this.#window.load(entry, record);
      else {
        facts.push(...this.diverged(record));
        break;
      }
    }
    const isFresh = from <= this.#frontier && this.#frontier < to;
    if (isFresh) this.#admit(to, epoch, records);
    if (isFresh && unreadable > 0) facts.push({ kind: 'unreadable', records: unreadable });
    return facts;
  }

  /** Takes fresh records, as many as there is room for. */
  #admit(to: Offset, epochBefore: LeaderEpoch, records: Data['records']): void {
    let room = 0;
    for (const record of records) {
      const { offset, epoch } = record;
      if (offset < this.#frontier) continue;
      // Of a log that was left meanwhile.
      if (epoch < this.#epoch) return;
      if (room === 0 && (room = Math.min(ROOM_STEP, this.#window.room())) === 0) return;
      room -= 1;
      const entry = new Entry(offset, epoch, 'waiting');
      this.#window.add(entry);
      this.#window.load(entry, record);
      this.#enter(epoch);
      this.#frontier = offset + 1;
    }
    if (to <= this.#frontier) return;
    this.#enter(epochBefore);
    this.#frontier = to;
  }

  /**
   * What is read from here on is of this epoch. It may have begun anywhere behind the last record:
   * where it is taken to begin later, another log may have records there that are never read.
   */
  #enter(epoch: LeaderEpoch): void {
    if (epoch > this.#epoch)
      this.#history = [...this.#history, [this.#frontier, epoch] as const].slice(-HISTORY_MAX);
  }

  /** Of the record before the frontier. */
  get #epoch(): LeaderEpoch {
    return this.#history.at(-1)?.[1] ?? 0;
  }

  /**
   * The leader's log has `epoch` up to `offset`, and then another than was read here. Both agree up
   * to where that epoch ends on either side; what is above is forgotten (rule 2).
   */
  diverged({ offset: end, epoch }: Position): QueueFact[] {
    const later = this.#history.find(([, each]) => each > epoch);
    const offset = Math.min(end, later?.[0] ?? Infinity);
    if (this.#next === null || offset >= this.#frontier) return [];
    const open = this.#window.cut(offset);
    this.#deaths.cut(offset);
    this.#cut = Math.min(this.#cut ?? Infinity, offset);
    this.#next = Math.min(this.#next, offset);
    this.#touchedTo = Math.min(this.#touchedTo, offset);
    this.#frontier = offset;
    const history = this.#history.filter(([since]) => since < offset);
    this.#history = history.length === 0 ? [[offset, 0]] : history;
    return [{ kind: 'diverged', offset, open }, ...this.#skip()];
  }

  // Batches

  /** What a batch that changes these entries says of it. */
  advance(entries: readonly Entry[]): Advance {
    const ends = entries.map(({ offset }) => offset + 1);
    const next = Math.max(this.#next!, this.#touchedTo, ...ends);
    const [first, ...rest] = this.#history;
    const history = [first!, ...rest.filter(([since]) => since < next)];
    const cut = this.#cut;
    this.#cut = null;
    return { next, history, cut };
  }

  /** What was cut since is in the log once more, until that cut is. */
  committed({ next }: Advance): void {
    this.#next = Math.min(next, this.#cut ?? Infinity);
    this.#touchedTo = Math.max(this.#touchedTo, this.#next);
  }

  lost({ cut }: Advance): void {
    if (cut !== null) this.#cut = Math.min(this.#cut ?? Infinity, cut);
  }
}
