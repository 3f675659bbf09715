/**
 * What the group has committed, as the first replica to say so said it: the yardstick of the
 * checkers.
 */
import type { Entry } from '../../../broker/raft/types.ts';

export interface CommittedEntry extends Entry {
  /** Term of the leader that committed it. */
  readonly byTerm: number;
  /** Hash over this entry and all before it. */
  readonly hash: number;
}

/** Extends a hash chain by one entry. */
export function chain(hash: number, entry: Entry): number {
  let next = hash ^ entry.index;
  const text = `${entry.term}:${entry.kind}:${entry.data}`;
  for (let index = 0; index < text.length; index += 1)
    next = Math.imul(next ^ text.charCodeAt(index), 0x01000193) >>> 0;
  return next;
}

export class History {
  /** Index of the group's first snapshot, before which nothing was said. */
  static readonly START = 1;
  readonly #entries: CommittedEntry[] = [];

  get lastIndex(): number {
    return History.START + this.#entries.length;
  }
  at(index: number): CommittedEntry | null {
    return this.#entries[index - History.START - 1] ?? null;
  }
  hashAt(index: number): number {
    return this.at(index)?.hash ?? 0;
  }
  push(entry: Entry, byTerm: number): void {
    this.#entries.push({ ...entry, byTerm, hash: chain(this.hashAt(this.lastIndex), entry) });
  }
}
