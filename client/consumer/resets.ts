/**
 * Readers whose position is gone, and where they go on: only once everything that was read before
 * is handed out, so that no position passes what nobody has handled yet.
 */
import type { LossRange } from '../losses.ts';
import type { Reader } from './partition-reader.ts';

/** Where a reader goes on. */
export interface Reset {
  readonly reader: Reader;
  readonly offset: number;
  /** What may be lost before it. */
  readonly losses: readonly LossRange[];
}

export class Resets {
  readonly #waiting = new Map<Reader, Reset>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  add(reset: Reset): void {
    this.#waiting.set(reset.reader, reset);
  }

  drop(reader: Reader): void {
    this.#waiting.delete(reader);
  }

  clear(): void {
    this.#waiting.clear();
  }

  /** Those of which nothing is buffered any more. */
  due(isBuffered: (reader: Reader) => boolean): readonly Reset[] {
    const due = [...this.#waiting.values()].filter(({ reader }) => !isBuffered(reader));
    for (const { reader } of due) this.#waiting.delete(reader);
    return due;
  }
}
