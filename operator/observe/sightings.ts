/**
 * How long something has been missing, from one look to the next. A node that is late, or registers
 * again, is missing for a moment: only what many looks did not find, over minutes, is gone. Kept in
 * memory: whoever takes over looks anew.
 */

/** A longer pause between two looks says nothing of the time between them. */
const GAP_MS_MAX = 60_000;

interface Sighting {
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly count: number;
}

export class Sightings {
  readonly #seen = new Map<string, Sighting>();

  /** It was not found just now. */
  missed(key: string, nowMs: number): { readonly forMs: number; readonly sightings: number } {
    const known = this.#seen.get(key);
    const before = known !== undefined && nowMs - known.lastMs <= GAP_MS_MAX ? known : undefined;
    const sinceMs = before?.sinceMs ?? nowMs;
    const count = (before?.count ?? 0) + 1;
    this.#seen.set(key, { sinceMs, lastMs: nowMs, count });
    return { forMs: nowMs - sinceMs, sightings: count };
  }

  /** It is there, or nobody looks for it any more. */
  found(key: string): void {
    this.#seen.delete(key);
  }
}
