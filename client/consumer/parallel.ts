/** Runs a handler for many records at a time. What may run beside what is in `key-lanes.ts`. */
import { HANDLERS_DEFAULT, PARALLEL_RECORDS_MAX } from './options.ts';
import { type Job, KeyLanes } from './key-lanes.ts';
import type { ParallelContext, ParallelOptions } from './types.ts';

/** A position, and how it becomes the one to resume from. */
export interface ParallelPlace {
  readonly handOut: () => void;
}

/** One thing to handle. */
export interface ParallelWork<Item> {
  readonly item: Item;
  /** Partition that it comes from. */
  readonly slot: string;
  /** Bytes of its key; undefined: it has none. */
  readonly key: Uint8Array | undefined;
  /** It waits for everything before it, and everything behind it waits. */
  readonly isAlone: boolean;
  readonly place: ParallelPlace;
}

const JOBS_PER_HANDLER = 16;

export class ParallelRun<Item> {
  readonly #lanes: KeyLanes<Item, ParallelPlace>;
  readonly #isByKey: boolean;
  readonly #handler: (item: Item, context: ParallelContext) => unknown;
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(
    { by = 'key', max = HANDLERS_DEFAULT, recordsMax }: ParallelOptions,
    handler: (item: Item, context: ParallelContext) => unknown,
  ) {
    const jobsMax = recordsMax ?? Math.min(PARALLEL_RECORDS_MAX, max * JOBS_PER_HANDLER);
    this.#lanes = new KeyLanes({ runningMax: max, jobsMax });
    this.#isByKey = by === 'key';
    this.#handler = handler;
  }

  /** The partition goes on to a place where there is nothing to handle. */
  pass(slot: string, place: ParallelPlace): void {
    if (this.#lanes.pass(slot, place)) place.handOut();
  }

  /** Aborted by {@link stop}. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** No other handler begins, and those that run are told. */
  stop(reason?: unknown): void {
    if (this.signal.aborted) return;
    this.#lanes.dropWaiting();
    this.#stop.abort(reason);
    this.#rouse();
  }

  /**
   * Handles all work. Rejects with the first error of a handler, or of the work itself once what
   * came before is handled. Settles when no handler runs any more.
   */
  async drive(works: AsyncIterable<ParallelWork<Item>>): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      for await (const work of works) {
        await this.#until(() => (work.isAlone ? this.#lanes.isIdle : !this.#lanes.isFull));
        if (this.signal.aborted) break;
        this.#add(work);
        if (work.isAlone) await this.#until(() => this.#lanes.isIdle);
      }
    } catch (error) {
      failure = { error };
    }
    await this.#until(() => this.#lanes.isIdle);
    failure = this.#failure ?? failure;
    if (failure !== undefined) throw failure.error;
  }

  #add({ item, slot, key, place }: ParallelWork<Item>): void {
    const name = key === undefined ? '' : Buffer.from(key).toString('latin1');
    const keyed = key === undefined ? null : `${slot}/${name}`;
    this.#lanes.add({ item, slot, lane: this.#isByKey ? keyed : slot }, place);
    this.#begin();
  }

  #begin(): void {
    for (const job of this.#lanes.begin()) void this.#handle(job);
  }

  async #handle(job: Job<Item>): Promise<void> {
    try {
      await this.#handler(job.item, { signal: this.signal });
      this.#lanes.finish(job)?.handOut();
    } catch (error) {
      this.#lanes.giveUp(job);
      this.#failure ??= { error };
      this.stop(error);
    }
    if (!this.signal.aborted) this.#begin();
    this.#rouse();
  }

  /** Waits; stopped, only for handlers that run. */
  async #until(isMet: () => boolean): Promise<void> {
    while (this.signal.aborted ? this.#lanes.running > 0 : !isMet())
      await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
