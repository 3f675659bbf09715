/**
 * Tells time to the replicas for which it matters. One at rest is left alone until it wakes, so
 * that a thousand idle partitions cost nothing. Knows nothing of what a replica does with a tick.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';

const TICK_MS = 100;

/** What is told the time. */
export interface Ticked {
  /** Time has passed. @returns whether it matters on; else the replica says when it does again */
  tick(): boolean;
}

export class ReplicaTicks {
  readonly #clock: Pick<Clock, 'every'>;
  readonly #awake = new Set<Ticked>();
  #cancel: Cancel | null = null;
  #isClosed = false;

  constructor(clock: Pick<Clock, 'every'>) {
    this.#clock = clock;
  }

  /** From the next tick on time matters to it. */
  wake(replica: Ticked): void {
    if (this.#isClosed) return;
    this.#awake.add(replica);
    this.#cancel ??= this.#clock.every(TICK_MS, () => {
      this.#tick();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#awake.clear();
    this.#stop();
  }

  #tick(): void {
    for (const replica of this.#awake) if (!replica.tick()) this.#awake.delete(replica);
    if (this.#awake.size === 0) this.#stop();
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
