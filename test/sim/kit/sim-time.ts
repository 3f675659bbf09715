/**
 * Simulated time: an event runs, then every promise that it settled and all that follows from
 * those, before the next one. Nothing here waits for a real clock, so a seed replays exactly.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Cancel } from '../../../base/clock.ts';
import { EventHeap } from '../raft/event-heap.ts';

export class SimTime {
  readonly #heap = new EventHeap();
  #nowMs = 0;
  #events = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events that have run. */
  get events(): number {
    return this.#events;
  }

  after(delayMs: number, run: () => void): Cancel {
    let isCancelled = false;
    this.#heap.push(this.#nowMs + Math.max(0, delayMs), () => {
      if (!isCancelled) run();
    });
    return () => {
      isCancelled = true;
    };
  }

  /**
   * Goes on until `isOver`, asked after each event, or until `limitMs` from now. Resolves with
   * whether it was over.
   */
  async run(isOver: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    await turn();
    while (!isOver()) {
      const event = this.#heap.pop();
      if (event === null || event.at > endMs) {
        if (event !== null) this.#heap.push(event.at, event.run);
        this.#nowMs = endMs;
        return false;
      }
      this.#nowMs = event.at;
      this.#events += 1;
      event.run();
      // Promises follow each other without end before a macrotask has its turn.
      await turn();
    }
    return true;
  }
}
