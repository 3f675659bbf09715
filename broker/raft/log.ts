/**
 * The log of one replica in memory: a snapshot, the entries after it (and a short tail before it),
 * the voters they imply, and which of it storage holds. Pure: it says what to write and learns when
 * that is durable; it never decides what is committed.
 *
 * Source: thesis 3.5 (log matching), 4.1 (voters take effect when appended), 5.1 (snapshots).
 */
import { assert } from '../../base/assert.ts';
import { decodeVoters, isSamePeer, peerKey } from './peer.ts';
import type { Durable, Entry, Peer, PeerKey, RaftWrite, Snapshot } from './types.ts';

/** Voters in force from `index` on. */
interface VotersAt {
  readonly index: number;
  readonly voters: readonly Peer[];
}

/** (index, term) of an entry; (0, 0) stands before the first. */
export interface Position {
  readonly index: number;
  readonly term: number;
}

const ENTRY_OVERHEAD_BYTES = 32;

/** Bytes of a text in UTF-8. */
export function textBytes(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit >= 0x80) bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
}

/** What an entry counts against byte limits. */
export function entryBytes(entry: Entry): number {
  return textBytes(entry.data) + ENTRY_OVERHEAD_BYTES;
}

export class RaftLog {
  #snapshot: Snapshot | null;
  /** Position before `#entries[0]`: at or below the snapshot. */
  #base: Position;
  #entries: Entry[];
  /** Ascending; the first covers the snapshot, the last is in force. */
  #voterHistory: VotersAt[];
  #voterKeys: Set<PeerKey> = new Set();
  /** Bytes of the entries after the snapshot. */
  #bytes = 0;
  #durableIndex: number;
  /** Writes under way: once `writeId` is durable, so is everything up to `lastIndex`. */
  #underway: { readonly writeId: number; readonly lastIndex: number }[] = [];
  #unwrittenFrom: number | null = null;
  #unwrittenSnapshot: { readonly keepSuffix: boolean } | null = null;

  constructor(durable: Durable) {
    const { snapshot, entries } = durable;
    this.#snapshot = snapshot;
    this.#base =
      snapshot === null ? { index: 0, term: 0 } : { index: snapshot.index, term: snapshot.term };
    this.#voterHistory = [{ index: this.#base.index, voters: snapshot?.voters ?? [] }];
    this.#entries = [];
    for (const entry of entries) this.#push(entry);
    this.#durableIndex = this.lastIndex;
    this.#indexVoters();
  }

  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }
  get snapshotIndex(): number {
    return this.#snapshot?.index ?? 0;
  }
  /** Entries up to here are gone from memory. */
  get base(): Position {
    return this.#base;
  }
  get lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }
  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term;
  }
  /** Every entry up to here is on disk. */
  get durableIndex(): number {
    return this.#durableIndex;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Voters in force: of the last `voters` entry, committed or not. */
  get voters(): readonly Peer[] {
    return this.#voterHistory.at(-1)?.voters ?? [];
  }
  /** Index of the entry that set {@link voters}. */
  get votersIndex(): number {
    return this.#voterHistory.at(-1)?.index ?? 0;
  }

  isVoter(peer: Peer): boolean {
    return this.#voterKeys.has(peerKey(peer));
  }

  /** True when the voters in force at `index`, or set by a later entry, include the peer. */
  isVoterSince(index: number, peer: Peer): boolean {
    const first = Math.max(
      0,
      this.#voterHistory.findLastIndex((item) => item.index <= index),
    );
    return this.#voterHistory
      .slice(first)
      .some(({ voters }) => voters.some((voter) => isSamePeer(voter, peer)));
  }

  /** Term of the entry at `index`; null when it is not in memory or does not exist. */
  termAt(index: number): number | null {
    if (index === this.#base.index) return this.#base.term;
    return this.entryAt(index)?.term ?? null;
  }

  entryAt(index: number): Entry | null {
    return this.#entries[index - this.#base.index - 1] ?? null;
  }

  /** Entries of [from, to], all of them in memory. */
  range(from: number, to: number): readonly Entry[] {
    assert(
      from > this.#base.index && to <= this.lastIndex,
      `range [${from}, ${to}] is outside (${this.#base.index}, ${this.lastIndex}]`,
    );
    return this.#entries.slice(from - this.#base.index - 1, to - this.#base.index);
  }

  /** Entries from `from` on, as many as fit `bytesMax`, but at least one if there is one. */
  batchFrom(from: number, bytesMax: number): readonly Entry[] {
    let bytes = 0;
    let to = from - 1;
    for (let entry = this.entryAt(from); entry !== null; entry = this.entryAt(to + 1)) {
      bytes += entryBytes(entry);
      if (bytes > bytesMax && to >= from) break;
      to = entry.index;
    }
    return to < from ? [] : this.range(from, to);
  }

  /** The last entry at or below `index` whose term is at most `term`; the base where none is. */
  lastAtMost(index: number, term: number): Position {
    let at = Math.min(index, this.lastIndex);
    while (at > this.#base.index && (this.termAt(at) ?? 0) > term) at -= 1;
    return at <= this.#base.index ? this.#base : { index: at, term: this.termAt(at) ?? 0 };
  }

  /** True when a log ending there is not behind this one (thesis 3.6.1). */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /**
   * Adds entries that follow on from what is there; those it holds already are left, a conflicting
   * suffix is replaced (thesis 3.5).
   */
  append(entries: readonly Entry[], commitIndex: number): void {
    const first = entries.findIndex((entry) => this.termAt(entry.index) !== entry.term);
    if (first === -1) return;
    const fresh = entries.slice(first);
    const from = fresh[0]?.index ?? 0;
    assert(
      from > commitIndex,
      `entry ${from} would replace a committed one: commit index is ${commitIndex}`,
    );
    if (from <= this.lastIndex) this.#truncate(from);
    for (const entry of fresh) this.#push(entry);
    this.#indexVoters();
    this.#unwrittenFrom = Math.min(this.#unwrittenFrom ?? from, from);
  }

  /**
   * Takes the application's image of a committed prefix as the snapshot; keeps at most
   * `tailEntriesMax` of its entries in memory.
   */
  compact(index: number, data: string, tailEntriesMax: number): void {
    const term = this.termAt(index);
    assert(
      index > this.snapshotIndex && term !== null,
      `cannot compact at ${index}: snapshot ${this.snapshotIndex}, end ${this.lastIndex}`,
    );
    for (const entry of this.range(this.snapshotIndex + 1, index)) this.#bytes -= entryBytes(entry);
    const atIndex = this.#voterHistory.findLastIndex((item) => item.index <= index);
    const voters = this.#voterHistory[atIndex]?.voters ?? [];
    this.#snapshot = { index, term, voters, data };
    this.#voterHistory = this.#voterHistory.slice(Math.max(0, atIndex));
    const baseIndex = Math.max(this.#base.index, index - tailEntriesMax);
    const baseTerm = this.termAt(baseIndex) ?? 0;
    this.#entries = this.#entries.slice(baseIndex - this.#base.index);
    this.#base = { index: baseIndex, term: baseTerm };
    this.#unwrittenSnapshot = { keepSuffix: true };
  }

  /** Replaces the whole log by a snapshot of the leader. */
  install(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#base = { index: snapshot.index, term: snapshot.term };
    this.#entries = [];
    this.#bytes = 0;
    this.#voterHistory = [{ index: snapshot.index, voters: snapshot.voters }];
    this.#indexVoters();
    this.#durableIndex = 0;
    this.#underway = [];
    this.#unwrittenFrom = null;
    this.#unwrittenSnapshot = { keepSuffix: false };
  }

  /** What is to be written since the last call; `nextId` numbers the writes. */
  takeWrites(nextId: () => number): readonly RaftWrite[] {
    const writes: RaftWrite[] = [];
    if (this.#unwrittenSnapshot !== null && this.#snapshot !== null) {
      const { keepSuffix } = this.#unwrittenSnapshot;
      const id = nextId();
      writes.push({ id, kind: 'snapshot', snapshot: this.#snapshot, keepSuffix });
      if (!keepSuffix) this.#underway.push({ writeId: id, lastIndex: this.#snapshot.index });
    }
    if (this.#unwrittenFrom !== null) {
      const id = nextId();
      writes.push({
        id,
        kind: 'append',
        firstIndex: this.#unwrittenFrom,
        entries: this.range(this.#unwrittenFrom, this.lastIndex),
      });
      this.#underway.push({ writeId: id, lastIndex: this.lastIndex });
    }
    this.#unwrittenSnapshot = null;
    this.#unwrittenFrom = null;
    return writes;
  }

  /** Every write up to `writeId` is durable. */
  persisted(writeId: number): void {
    while (this.#underway[0] !== undefined && this.#underway[0].writeId <= writeId) {
      this.#durableIndex = this.#underway.shift()?.lastIndex ?? this.#durableIndex;
    }
  }

  #push(entry: Entry): void {
    assert(
      entry.index === this.lastIndex + 1,
      `entry ${entry.index} does not follow ${this.lastIndex}`,
    );
    assert(
      entry.term >= this.lastTerm,
      `term ${entry.term} of entry ${entry.index} is below ${this.lastTerm}`,
    );
    this.#entries.push(entry);
    this.#bytes += entryBytes(entry);
    if (entry.kind === 'voters')
      this.#voterHistory.push({ index: entry.index, voters: decodeVoters(entry.data) });
  }

  #truncate(from: number): void {
    for (const entry of this.range(from, this.lastIndex)) this.#bytes -= entryBytes(entry);
    this.#entries.length = from - this.#base.index - 1;
    this.#voterHistory = this.#voterHistory.filter(
      (item, position) => position === 0 || item.index < from,
    );
    this.#durableIndex = Math.min(this.#durableIndex, from - 1);
    this.#underway = this.#underway.map((item) => ({
      ...item,
      lastIndex: Math.min(item.lastIndex, from - 1),
    }));
  }

  #indexVoters(): void {
    this.#voterKeys = new Set(this.voters.map(peerKey));
  }
}
