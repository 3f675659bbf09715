/**
 * Simulated time. Nothing here waits for a real clock: an event runs, then every promise that it
 * settled, and all that follows from those, before the next one.
 */
import { setImmediate } from 'node:timers/promises';
import { EventHeap } from '../raft/event-heap.ts';

/** 2026-11-23T00:00:00Z. */
const WALL_MS = 1_795_392_000_000;

export class SimulatedTime {
  readonly #heap = new EventHeap();
  #nowMs = 0;
  #skippedMs = 0;
  #isStirred = false;

  get monotonicMs(): number {
    return this.#nowMs;
  }

  get wallMs(): number {
    return WALL_MS + this.#nowMs + this.#skippedMs;
  }

  /** Nothing happens for so long, by all wall clocks. */
  skip(ms: number): void {
    this.#skippedMs += ms;
  }

  /** Calls `run` in `delayMs`. Returns what cancels it. */
  after(delayMs: number, run: () => void): () => void {
    let isCancelled = false;
    this.#heap.push(this.#nowMs + Math.max(0, delayMs), () => {
      if (!isCancelled) run();
    });
    return () => {
      isCancelled = true;
    };
  }

  /** Like {@link after}, where `run` settles promises. */
  wake(delayMs: number, run: () => void): () => void {
    return this.after(delayMs, () => {
      this.stir();
      run();
    });
  }

  /** A promise is being settled: what waits for it runs before time goes on. */
  stir(): void {
    this.#isStirred = true;
  }

  /**
   * Goes on until `isOver`, asked after each event, or until `limitMs` from now; returns whether it
   * was over.
   */
  async run(isOver: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    await this.#settle();
    while (!isOver()) {
      const event = this.#heap.pop();
      if (event === null) return false;
      if (event.at > endMs) {
        this.#heap.push(event.at, event.run);
        this.#nowMs = endMs;
        return false;
      }
      this.#nowMs = event.at;
      event.run();
      if (this.#isStirred) await this.#settle();
    }
    return true;
  }

  /** Promises follow each other without end before a macrotask has its turn. */
  async #settle(): Promise<void> {
    this.#isStirred = false;
    await setImmediate();
  }
}

export type Random = () => number;

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function between(random: Random, low: number, high: number): number {
  return low + random() * (high - low);
}

export function pick<Item>(random: Random, items: readonly Item[]): Item | undefined {
  return items[Math.floor(random() * items.length)];
}
