/**
 * Looks at many things now and then, a few at a time, for metrics. One look at a time: where one
 * takes longer than the pause, the next one is left out.
 */
import type { Cancel, Clock } from '../../base/clock.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';

export interface SamplingParts<Item, Sample> {
  readonly clock: Clock;
  readonly report: ReportDefect;
  /** From one look to the next. */
  readonly everyMs: number;
  /** Items that are looked at at a time: each may be a question to every leader of a topic. */
  readonly atOnce: number;
  /** What there is to look at. */
  readonly items: () => readonly Item[];
  readonly sample: (item: Item) => Promise<Sample>;
  /** Takes the samples in the order of the items. */
  readonly onSamples: (samples: readonly Sample[]) => void;
}

export class Sampling<Item, Sample> {
  readonly #parts: SamplingParts<Item, Sample>;
  readonly #cancel: Cancel;
  #isLooking = false;

  constructor(parts: SamplingParts<Item, Sample>) {
    this.#parts = parts;
    this.#cancel = parts.clock.every(parts.everyMs, () => void this.look());
  }

  close(): void {
    this.#cancel();
  }

  /** Resolves once the samples are told. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { items, sample, atOnce, onSamples, report } = this.#parts;
    try {
      const all = items();
      const samples: Sample[] = [];
      for (let from = 0; from < all.length; from += atOnce)
        samples.push(...(await Promise.all(all.slice(from, from + atOnce).map(sample))));
      onSamples(samples);
    } catch (error) {
      expected(error, report);
    } finally {
      this.#isLooking = false;
    }
  }
}
