/**
 * What a member has handled and what of it is committed, for each partition that it holds. Pure:
 * `due` says what to send, `answered` and `cut` what became of it. A partition has one commit under
 * way at a time; a cursor only rises, so what lies below one is never sent.
 */
import type { HeldPartition, PartitionKey, Place } from './types.ts';

/** One partition of an acknowledgement. */
export interface Commit extends Place {
  readonly held: HeldPartition;
}

/** Sent as one. */
export interface Acknowledgement {
  readonly acknowledgeId: number;
  readonly commits: readonly Commit[];
}

/** What became of a commit. `refused`: the place is not to be committed; a later one may be. */
export type CommitOutcome = 'committed' | 'again' | 'refused';

interface Entry {
  readonly held: HeldPartition;
  /** Everything before it is committed, or refused for good. */
  committed: number;
  place: Place;
  /** Under way. */
  sent: { readonly acknowledgeId: number; readonly offset: number } | null;
}

export class Ledger {
  readonly #entries = new Map<PartitionKey, Entry>();
  readonly #sent = new Map<number, readonly Commit[]>();
  #nextId = 1;

  /** @param cursor as it is committed */
  begin(held: HeldPartition, cursor: Place): void {
    const { offset: committed } = cursor;
    this.#entries.set(held.key, { held, committed, place: cursor, sent: null });
  }

  /** Nothing more is committed of it. */
  end({ key, epoch }: Pick<HeldPartition, 'key' | 'epoch'>): void {
    if (this.#entries.get(key)?.held.epoch === epoch) this.#entries.delete(key);
  }

  /** Everything before the place is handled. */
  handled({ key, epoch }: Pick<HeldPartition, 'key' | 'epoch'>, place: Place): void {
    const entry = this.#entries.get(key);
    if (entry?.held.epoch === epoch) entry.place = place;
  }

  /** Up to where each partition is handled now. */
  places(): readonly Commit[] {
    return [...this.#entries.values()].map(({ held, place }) => ({ held, ...place }));
  }

  /** All of these are committed, or are not to be any more. */
  hasCommitted(places: readonly Commit[]): boolean {
    return places.every(({ held: { key, epoch }, offset }) => {
      const entry = this.#entries.get(key);
      if (entry?.held.epoch !== epoch) return true;
      return entry.committed >= offset || (entry.sent === null && !isDue(entry));
    });
  }

  /** Nothing of these, or of any, is due or under way. */
  isSettled(partitions?: readonly HeldPartition[]): boolean {
    const entries =
      partitions === undefined
        ? [...this.#entries.values()]
        : partitions.flatMap(({ key, epoch }) => {
            const entry = this.#entries.get(key);
            return entry?.held.epoch === epoch ? [entry] : [];
          });
    return entries.every((entry) => entry.sent === null && !isDue(entry));
  }

  /** What is to be sent now, or null. At most so many commits. */
  due(commitsMax: number): Acknowledgement | null {
    const commits: Commit[] = [];
    for (const entry of this.#entries.values()) {
      if (commits.length >= commitsMax) break;
      if (entry.sent === null && isDue(entry)) commits.push({ held: entry.held, ...entry.place });
    }
    if (commits.length === 0) return null;
    const acknowledgeId = this.#nextId++;
    for (const { held, offset } of commits)
      this.#entries.get(held.key)!.sent = { acknowledgeId, offset };
    this.#sent.set(acknowledgeId, commits);
    return { acknowledgeId, commits };
  }

  /** The commits that an answer is of, in its order; none: nobody asked. */
  commitsOf(acknowledgeId: number): readonly Commit[] {
    return this.#sent.get(acknowledgeId) ?? [];
  }

  /** Outcomes in the order of the commits; one that is missing is to be asked again. */
  answered(acknowledgeId: number, outcomes: readonly CommitOutcome[]): void {
    const commits = this.commitsOf(acknowledgeId);
    this.#sent.delete(acknowledgeId);
    for (const [at, { held }] of commits.entries()) {
      const entry = this.#entries.get(held.key);
      if (entry?.sent?.acknowledgeId !== acknowledgeId) continue;
      const { offset } = entry.sent;
      entry.sent = null;
      const outcome = outcomes[at] ?? 'again';
      if (outcome !== 'again') entry.committed = Math.max(entry.committed, offset);
    }
  }

  /** The stream is gone: what was under way is due again. It may be repeated. */
  cut(): void {
    this.#sent.clear();
    for (const entry of this.#entries.values()) entry.sent = null;
  }
}

function isDue({ place, committed }: Entry): boolean {
  return place.offset > committed;
}
