/**
 * The background flush (P3): bounds how long and how much written data may stay unsynced, surfaces
 * write-back errors, and never stands on the acknowledgement path. Dirty logs only, oldest first,
 * few at a time, so that it cannot crowd out reads and appends
 * (docs/rules.md#what-a-sync-may-not-hold-up).
 */
import type { MonotonicMs } from '../../base/units.ts';

/** A log that can be dirty. */
export interface Flushable {
  /** Syncs what was written before the call. Never rejects: it reports its failure itself. */
  flush(): Promise<void>;
}

export interface FlusherOptions {
  /** Age at which written bytes are flushed. */
  readonly intervalMs: number;
  /** Bytes of one log at which they are flushed sooner. */
  readonly bytesMax: number;
  readonly now: () => MonotonicMs;
}

/** Logs being flushed at one time. */
const FLUSHES_MAX = 2;

interface Dirt {
  readonly sinceMs: MonotonicMs;
  bytes: number;
}

/** Decides which log is flushed when. */
export class Flusher {
  #options: FlusherOptions;
  /** In order of age: a log enters when it becomes dirty. */
  readonly #dirty = new Map<Flushable, Dirt>();
  readonly #flushing = new Map<Flushable, Dirt>();

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  /** Other bounds; what they make due is flushed at the next look. */
  setBounds(bounds: Pick<FlusherOptions, 'intervalMs' | 'bytesMax'>): void {
    this.#options = { ...this.#options, ...bounds };
  }

  /** The log wrote so many bytes. */
  noteWritten(log: Flushable, bytes: number): void {
    const dirt = this.#dirty.get(log);
    if (dirt === undefined) this.#dirty.set(log, { sinceMs: this.#options.now(), bytes });
    else dirt.bytes += bytes;
    if ((dirt?.bytes ?? bytes) >= this.#options.bytesMax) this.tick();
  }

  /** The log is synced by other means, or closed. */
  forget(log: Flushable): void {
    this.#dirty.delete(log);
  }

  /** Starts what is due, as far as the bound allows. */
  tick(): void {
    const { intervalMs, bytesMax, now } = this.#options;
    for (const [log, dirt] of this.#dirty) {
      if (this.#flushing.size >= FLUSHES_MAX) return;
      const isDue = dirt.bytes >= bytesMax || now() - dirt.sinceMs >= intervalMs;
      if (isDue && !this.#flushing.has(log)) void this.#flush(log, dirt);
    }
  }

  /** Age of the oldest byte that is written and not synced, 0 when none. */
  ageMs(): number {
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { sinceMs } of this.#dirty.values()) oldestMs = Math.min(oldestMs, sinceMs);
    for (const { sinceMs } of this.#flushing.values()) oldestMs = Math.min(oldestMs, sinceMs);
    return oldestMs === Number.POSITIVE_INFINITY ? 0 : this.#options.now() - oldestMs;
  }

  async #flush(log: Flushable, dirt: Dirt): Promise<void> {
    this.#dirty.delete(log);
    this.#flushing.set(log, dirt);
    await log.flush();
    this.#flushing.delete(log);
    this.tick();
  }
}
