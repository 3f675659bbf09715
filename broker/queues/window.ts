/**
 * The open records that an owner knows of, in the order of the log: which of them may be handed
 * out, and who comes behind whom under one key. A list of objects, found by bisection; what has its
 * final fate stays until half of the list is such, so that a step costs no more than its records.
 */
import type { LeaderEpoch, MonotonicMs, Offset, WallMs } from '../../base/units.ts';
import { QUEUE_STATE_BYTES_MAX } from '../../base/limits.ts';
import type { StoredKind } from './runs.ts';
import type { QueueRecord } from './types.ts';

/** Final ones that are let stand, whatever their part. */
const FINAL_MIN = 64;
/** Of a state record, beside its runs. */
const HEAD_BYTES = 200;
/** Of a run, beside its gap: kind, a number of deliveries to 1,295, and when it is due. */
const RUN_BYTES = 7;
/** Of another epoch in a state record. */
const EPOCH_BYTES = 24;

/** What a batch under way makes of an entry. */
export interface Change {
  readonly kind: StoredKind;
  readonly deliveries: number;
  readonly dueMs: WallMs;
}

/** One record of the window. */
export class Entry {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
  kind: StoredKind;
  deliveries: number;
  /** Not before then; 0: now. */
  dueMs: WallMs;
  /** Its last lease was given back with a delay, as the owner knows that took it. */
  wasDelayed = false;
  /** Key and size are known. False of what was taken over and not read yet. */
  isLoaded = false;
  keyHash: number | null = null;
  bytes = 0;
  /** The log does not hold it any more. */
  isMissing = false;
  /** The log was cut below it: whatever comes of it counts for nothing. */
  isCut = false;
  /** Whose lease it is; null: an earlier owner gave it, and whoever knows its number has it. */
  holder: string | null = null;
  /** When the lease is over, by the owner's clock. */
  endsMs: MonotonicMs = 0;
  /** Of the batch under way. */
  change: Change | null = null;
  /** Open ones of the same key; only with key order. */
  before: Entry | null = null;
  after: Entry | null = null;

  constructor(offset: Offset, epoch: LeaderEpoch, kind: StoredKind, deliveries = 0, dueMs = 0) {
    this.offset = offset;
    this.epoch = epoch;
    this.kind = kind;
    this.deliveries = deliveries;
    this.dueMs = dueMs;
  }

  get isOpen(): boolean {
    return this.kind !== 'final';
  }
}

export class Window {
  readonly #recordsMax: number;
  #entries: Entry[] = [];
  #open = 0;
  /** The last open one of each key; null: without key order. */
  #tails: Map<number, Entry> | null = null;
  /** No entry before this index may be handed out. */
  #readyFrom = 0;
  /** How many of the open ones were not read yet. */
  #unloaded = 0;
  /** Cache of {@link #unknownFrom}; null: to be looked for. */
  #unknown: Offset | null = null;

  /** @param recordsMax open ones that there is room for */
  constructor(recordsMax: number) {
    this.#recordsMax = recordsMax;
  }

  /** How many are open. */
  get open(): number {
    return this.#open;
  }

  /** Open and final ones, by offset. Not to be changed meanwhile. */
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  find(offset: Offset): Entry | undefined {
    const at = this.#indexOf(offset);
    const found = this.#entries[at];
    return found?.offset === offset ? found : undefined;
  }

  /** Open ones from `from` to below `to`. */
  *range(from: Offset, to: Offset): Generator<Entry> {
    for (let at = this.#indexOf(from); at < this.#entries.length; at += 1) {
      const entry = this.#entries[at]!;
      if (entry.offset >= to) return;
      if (entry.isOpen) yield entry;
    }
  }

  /** The first open one, for the driver and for people. */
  first(): Entry | undefined {
    return this.#entries.find(({ isOpen }) => isOpen);
  }

  /** Of the first open one that is yet to be read; Infinity: all were. */
  firstUnread(): Offset {
    if (this.#unloaded === 0) return Infinity;
    const isUnread = ({ isOpen, isLoaded, isMissing }: Entry): boolean =>
      isOpen && !isLoaded && !isMissing;
    return this.#entries.find(isUnread)?.offset ?? Infinity;
  }

  /** It comes behind all others. */
  add(entry: Entry): void {
    this.#entries.push(entry);
    this.#open += 1;
    if (!entry.isLoaded) this.#unloaded += 1;
    this.#unknown = null;
  }

  /** It was read. In the order of the log, so that keys are. */
  load(entry: Entry, { keyHash, bytes }: Pick<QueueRecord, 'keyHash' | 'bytes'>): void {
    if (entry.isLoaded) return;
    entry.isLoaded = true;
    entry.keyHash = keyHash;
    entry.bytes = bytes;
    this.#unloaded -= 1;
    this.#unknown = null;
    this.#link(entry);
    this.look(entry);
  }

  /** It has its final fate: its key goes on. */
  settle(entry: Entry): void {
    if (!entry.isOpen) return;
    entry.kind = 'final';
    this.#open -= 1;
    if (!entry.isLoaded) {
      this.#unloaded -= 1;
      this.#unknown = null;
    }
    this.#unlink(entry);
    const isMany = this.#entries.length > 2 * this.#open + FINAL_MIN;
    if (!isMany) return;
    this.#entries = this.#entries.filter(({ isOpen }) => isOpen);
    this.#readyFrom = 0;
  }

  /** What is at or above the offset is forgotten. Returns how many were open. */
  cut(offset: Offset): number {
    const removed = this.#entries.splice(this.#indexOf(offset));
    let open = 0;
    for (const entry of removed.toReversed()) {
      entry.isCut = true;
      if (!entry.isOpen) continue;
      open += 1;
      if (!entry.isLoaded) this.#unloaded -= 1;
      this.#unlink(entry);
    }
    this.#open -= open;
    this.#unknown = null;
    return open;
  }

  /** Keys are kept in order from now on, or are not. */
  keepOrder(isKeyOrdered: boolean): void {
    if (isKeyOrdered === (this.#tails !== null)) return;
    this.#tails = null;
    for (const entry of this.#entries) entry.before = entry.after = null;
    if (isKeyOrdered) {
      this.#tails = new Map();
      for (const entry of this.#entries) if (entry.isOpen && entry.isLoaded) this.#link(entry);
    }
    this.lookAtAll();
  }

  /** Any of them may have become ready. */
  lookAtAll(): void {
    this.#readyFrom = 0;
  }

  /** It may have become ready. */
  look(entry: Entry): void {
    this.#readyFrom = Math.min(this.#readyFrom, this.#indexOf(entry.offset));
  }

  /**
   * The first one that may be handed out now; undefined: none.
   *
   * @param deliveriesMax one that was delivered so often waits for its end; 0: none does
   */
  ready(deliveriesMax: number): Entry | undefined {
    // What was not read yet may hold any key.
    const end = this.#tails === null ? Infinity : this.#unknownFrom();
    for (; this.#readyFrom < this.#entries.length; this.#readyFrom += 1) {
      const entry = this.#entries[this.#readyFrom]!;
      if (entry.offset >= end) return undefined;
      if (isReady(entry, deliveriesMax)) return entry;
    }
    return undefined;
  }

  /**
   * How many more there is room for: a window has so many records, and its state, were it written
   * now, so many bytes.
   */
  room(): number {
    const records = this.#recordsMax - this.#open;
    let bytes = HEAD_BYTES;
    let end = 0;
    let epoch = -1;
    for (const entry of this.#entries) {
      if (!entry.isOpen) continue;
      bytes += RUN_BYTES;
      if (entry.offset > end) bytes += 1 + (entry.offset - end).toString(36).length;
      if (entry.epoch !== epoch) bytes += EPOCH_BYTES;
      end = entry.offset + 1;
      epoch = entry.epoch;
    }
    // One more may be of another epoch, and stand far above.
    const left = QUEUE_STATE_BYTES_MAX - bytes - EPOCH_BYTES;
    return Math.max(0, Math.min(records, Math.floor(left / RUN_BYTES)));
  }

  /** Of the first open one whose key is not known. */
  #unknownFrom(): Offset {
    if (this.#unloaded === 0) return Infinity;
    this.#unknown ??=
      this.#entries.find(({ isOpen, isLoaded }) => isOpen && !isLoaded)?.offset ?? Infinity;
    return this.#unknown;
  }

  /** Index of the first entry at or above the offset. */
  #indexOf(offset: Offset): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entries[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #link(entry: Entry): void {
    if (this.#tails === null || entry.keyHash === null) return;
    const tail = this.#tails.get(entry.keyHash);
    if (tail !== undefined) {
      entry.before = tail;
      tail.after = entry;
    }
    this.#tails.set(entry.keyHash, entry);
  }

  #unlink(entry: Entry): void {
    const { before, after, keyHash } = entry;
    entry.before = entry.after = null;
    if (before !== null) before.after = after;
    if (after !== null) {
      after.before = before;
      this.look(after);
    } else if (keyHash !== null && this.#tails?.get(keyHash) === entry) {
      if (before === null) this.#tails.delete(keyHash);
      else this.#tails.set(keyHash, before);
    }
  }
}

function isReady(entry: Entry, deliveriesMax: number): boolean {
  return (
    entry.kind === 'waiting' &&
    entry.change === null &&
    entry.isLoaded &&
    !entry.isMissing &&
    entry.dueMs === 0 &&
    entry.before === null &&
    (deliveriesMax === 0 || entry.deliveries < deliveriesMax)
  );
}
