/**
 * One who looks at a cluster by the page: a connection with their rights, and all pages that watch
 * through it. The cluster is looked at only while somebody watches, once for all of them.
 */
import type { ServerResponse } from 'node:http';
import type { About, Action, Snapshot, TailSeen } from '../../../page/snapshot.ts';

/** What the server of the page needs of one user's connection to the cluster. */
export interface PageUser {
  readonly about: Omit<About, 'visit'>;
  /** Never rejects. */
  look(): Promise<Snapshot>;
  /** Newest committed records from an offset on; null: the last few. Rejects with a reason. */
  tail(topic: string, partition: number, from: number | null): Promise<TailSeen>;
  /** Resolves with what was done. Rejects with a reason. */
  carryOut(action: Action): Promise<string>;
  close(): Promise<void>;
}

/**
 * Snapshots in a row that are left out for a watcher who has not read the one before; then it is
 * dropped, and its page connects again.
 */
const MISSED_MAX = 30;
/** Between the end of one look and the next. */
const INTERVAL_MS = 1_000;
/** Tails and actions of one user at a time. */
const ERRANDS_MAX = 4;

export class Visit {
  readonly user: PageUser;
  /** Names it to the server. */
  readonly id: string;
  /** How many snapshots each has missed in a row. */
  readonly #watchers = new Map<ServerResponse, number>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isClosed = false;
  #errands = 0;
  /** What was told last, for who comes before the next look; empty: nothing of late. */
  #event = '';
  /** Of `performance.now()`. */
  #lastSeenMs = performance.now();

  constructor(id: string, user: PageUser) {
    this.id = id;
    this.user = user;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Milliseconds since anybody watched or asked. */
  get idleMs(): number {
    return this.#watchers.size > 0 ? 0 : performance.now() - this.#lastSeenMs;
  }

  /** Tells everything from now on to a response whose head is written. */
  add(response: ServerResponse): void {
    this.#watchers.set(response, 0);
    const leave = (): void => {
      this.#watchers.delete(response);
      this.#lastSeenMs = performance.now();
    };
    response.once('close', leave);
    response.once('error', leave);
    if (this.#event !== '') response.write(this.#event);
    else if (!this.#isLooking) void this.#tell();
  }

  /** Does something beside the looks; null where too much is under way. */
  async errand<T>(what: (user: PageUser) => Promise<T>): Promise<T | null> {
    this.#lastSeenMs = performance.now();
    if (this.#errands >= ERRANDS_MAX) return null;
    this.#errands += 1;
    try {
      return await what(this.user);
    } finally {
      this.#errands -= 1;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.keys()) watcher.destroy();
    await this.user.close();
  }

  /** However many come and go, there is one look at a time, and a pause after each. */
  async #tell(): Promise<void> {
    this.#isLooking = true;
    const snapshot = await this.user.look();
    this.#isLooking = false;
    if (this.#isClosed) return;
    this.#event = `data: ${JSON.stringify(snapshot)}\n\n`;
    for (const [watcher, missed] of this.#watchers) {
      if (!watcher.writableNeedDrain) {
        watcher.write(this.#event);
        this.#watchers.set(watcher, 0);
      } else if (missed < MISSED_MAX) this.#watchers.set(watcher, missed + 1);
      else watcher.destroy();
    }
    this.#timer = setTimeout(() => {
      this.#event = '';
      if (this.#watchers.size > 0) void this.#tell();
    }, INTERVAL_MS);
  }
}
