/**
 * A consumer that reads for a group, alone: where it begins, and what it commits. A cursor moves
 * behind a record once the program has asked for the next one, or its handler is done, so that who
 * begins there misses none and may meet some again.
 */
import type { Cancel } from '../../base/clock.ts';
import type { Connections } from '../connections.ts';
import { fromCall, type TidemarkError } from '../errors.ts';
import type { CursorCommit, Cursors } from '../groups.ts';
import type { Position } from './types.ts';

const COMMIT_MS_DEFAULT = 1_000;
/** Cursors that cannot be fetched are asked for again, and never taken for none. */
const FETCH_TIMEOUT_MS = 30_000;

export class GroupReading {
  readonly #cursors: Cursors;
  readonly #connections: Connections;
  readonly #commitMs: number;
  readonly #onRefused: (error: TidemarkError) => void;
  /** What is handled and not committed yet, by topic and partition. */
  readonly #due = new Map<string, CursorCommit>();
  readonly #generations = new Map<string, number>();
  #flushing: Promise<void> | undefined;
  #cancelTimer: Cancel | undefined;

  /** @param onRefused a commit was refused for good: somebody else reads, or the log was cut */
  constructor(
    cursors: Cursors,
    connections: Connections,
    { commitMs = COMMIT_MS_DEFAULT }: { readonly commitMs?: number | undefined },
    onRefused: (error: TidemarkError) => void,
  ) {
    this.#cursors = cursors;
    this.#connections = connections;
    this.#commitMs = commitMs;
    this.#onRefused = onRefused;
  }

  /**
   * Where the group goes on in these topics. Rejects, with CURSOR_GONE for a topic that was deleted
   * since: no policy of the reader answers for that.
   */
  async begin(topics: readonly string[]): Promise<readonly Position[]> {
    const { clock } = this.#connections;
    const untilMs = clock.monotonicMs() + FETCH_TIMEOUT_MS;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const results = await this.#cursors.fetch(topics);
        return results.flatMap(({ cursor, error }): Position[] => {
          if (error !== undefined) throw error;
          if (cursor === undefined) return [];
          const { topic, topicId, partition, offset, leaderEpoch, generation } = cursor;
          this.#generations.set(keyOf(cursor), generation);
          return [{ topic, topicId, partition, offset, leaderEpoch }];
        });
      } catch (cause) {
        const error = fromCall(cause, 'the cluster');
        if (error.retry === 'no' || clock.monotonicMs() >= untilMs) throw error;
        await this.#connections.sleep(this.#connections.backoffMs(attempt));
      }
    }
  }

  /** Whether the group has a cursor there. */
  has(topic: string, partition: number): boolean {
    return this.#generations.has(keyOf({ topic, partition }));
  }

  /** Everything before the position is handled. */
  handled(position: Position): void {
    const { topic, topicId, partition, offset, leaderEpoch } = position;
    if (topic === undefined || topicId === undefined) return;
    const key = keyOf({ topic, partition });
    const generation = this.#generations.get(key) ?? 0;
    this.#due.set(key, { topic, topicId, partition, offset, leaderEpoch, generation });
  }

  /** Commits now and then from here on; `look` says first what is handled by then. */
  run(look: () => void): void {
    this.#cancelTimer ??= this.#connections.clock.every(this.#commitMs, () => {
      look();
      this.flush().catch(() => undefined);
    });
  }

  pause(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /**
   * Commits what is handled. Rejects where it cannot be; it is due still, unless it was refused.
   */
  async flush(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing.catch(() => undefined);
    if (this.#due.size === 0) return;
    this.#flushing = this.#commit().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async #commit(): Promise<void> {
    const due = [...this.#due];
    const results = await this.#cursors.commit(due.map(([, commit]) => commit));
    let failure: TidemarkError | undefined;
    for (const [at, [key, commit]] of due.entries()) {
      const { cursor, error } = results[at] ?? {};
      if (error !== undefined) failure ??= error;
      if (error !== undefined && error.retry !== 'no') continue;
      if (error !== undefined) this.#onRefused(error);
      else if (cursor !== undefined) this.#generations.set(key, cursor.generation);
      // What was handled meanwhile is due.
      if (this.#due.get(key) === commit) this.#due.delete(key);
    }
    if (failure !== undefined) throw failure;
  }
}

function keyOf({
  topic,
  partition,
}: {
  readonly topic: string;
  readonly partition: number;
}): string {
  return `${topic}/${partition}`;
}
