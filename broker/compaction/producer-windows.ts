/**
 * The batches whose headers must stay for their producers, though all their records go: by them a
 * batch that comes again is told (rule 20). They are the last ones of each producer, and of the
 * producers that a partition remembers, as the producer table does it: by the order of the log
 * alone, so that every replica keeps the same ones. A batch that one pass lets go would be let go
 * by every later one, so two passes equal the later one (K1).
 */
import { PRODUCER_WINDOW_BATCHES, PRODUCERS_PER_PARTITION_MAX } from '../../base/limits.ts';
import type { Offset } from '../../base/units.ts';
import type { BatchHeader } from '../../wire/batch/frame.ts';

export class ProducerWindows {
  readonly #producersMax: number;
  readonly #from: Offset;
  /** Base offsets of the last batches, the producer whose last batch is oldest first. */
  readonly #windows = new Map<number, Offset[]>();
  #kept: ReadonlySet<Offset> | null = null;

  /** @param from P: batches below it are not needed */
  constructor(from: Offset, producersMax: number = PRODUCERS_PER_PARTITION_MAX) {
    this.#from = from;
    this.#producersMax = producersMax;
  }

  /** The next batch of the log. */
  take({ producerId, baseOffset }: BatchHeader): void {
    if (producerId === 0 || baseOffset < this.#from) return;
    const window = this.#windows.get(producerId) ?? [];
    this.#windows.delete(producerId);
    window.push(baseOffset);
    if (window.length > PRODUCER_WINDOW_BATCHES) window.shift();
    this.#windows.set(producerId, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > this.#producersMax && oldest !== undefined)
      this.#windows.delete(oldest);
  }

  /** All batches were taken. */
  finish(): void {
    this.#kept = new Set([...this.#windows.values()].flat());
  }

  /** Whether the header of the batch that begins there must stay. */
  isKept(baseOffset: Offset): boolean {
    return this.#kept?.has(baseOffset) === true;
  }
}
