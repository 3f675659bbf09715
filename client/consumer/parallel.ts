/** Runs a handler for many records at a time. What may run beside what is in `key-lanes.ts`. */
import { HANDLERS_DEFAULT, PARALLEL_RECORDS_MAX } from './options.ts';
import { News } from '../news.ts';
import { type Job, KeyLanes } from './key-lanes.ts';
import type { ParallelContext, ParallelOptions } from './types.ts';

/** What keeps its order. */
export type ParallelOrder = 'key' | 'partition' | 'none';

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
  /** What its handler is told; absent: what all are told. */
  readonly context?: ParallelContext;
  /** Takes it, once there is room for it; false: it is wanted no more. Default: it is taken. */
  readonly take?: () => boolean;
}

const JOBS_PER_HANDLER = 16;

export class ParallelRun<Item> {
  readonly #lanes: KeyLanes<ParallelWork<Item>, ParallelPlace>;
  readonly #order: ParallelOrder;
  readonly #handler: (item: Item, context: ParallelContext) => unknown;
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  /** No other handler begins. */
  #isEnding = false;
  readonly #news = new News();
  /** Whether handlers may begin at this moment: {@link look} asks again. */
  mayBegin: () => boolean = () => true;

  constructor(
    {
      by = 'key',
      max = HANDLERS_DEFAULT,
      recordsMax,
    }: Omit<ParallelOptions, 'by'> & { readonly by?: ParallelOrder },
    handler: (item: Item, context: ParallelContext) => unknown,
  ) {
    const jobsMax = recordsMax ?? Math.min(PARALLEL_RECORDS_MAX, max * JOBS_PER_HANDLER);
    this.#lanes = new KeyLanes({ runningMax: max, jobsMax });
    this.#order = by;
    this.#handler = handler;
  }

  /** The partition goes on to a place where there is nothing to handle. */
  pass(slot: string, place: ParallelPlace): void {
    if (this.#lanes.pass(slot, place)) place.handOut();
  }

  /** The first error of a handler. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Aborted by {@link stop}. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** No other handler begins, and those that run are told. */
  stop(reason?: unknown): void {
    if (this.signal.aborted) return;
    this.end();
    this.#stop.abort(reason);
    this.#news.rouse();
  }

  /** No other handler begins; those that run are not told. */
  end(): void {
    this.#isEnding = true;
    this.#lanes.dropWaiting();
    this.#news.rouse();
  }

  /** Begins what may begin. */
  look(): void {
    this.#begin();
  }

  /** No other handler of the slot begins. */
  endSlot(slot: string): void {
    this.#lanes.dropSlot(slot);
    this.#begin();
    this.#news.rouse();
  }

  /** Whether a handler of the slot runs. */
  isBusy(slot: string): boolean {
    return this.#lanes.isBusy(slot);
  }

  /** Resolves when a handler has ended, or something was dropped. */
  news(): Promise<void> {
    return this.#news.next();
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
        if (this.#isEnding) break;
        if (work.take?.() === false) continue;
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

  #add(work: ParallelWork<Item>): void {
    const { slot, place } = work;
    this.#lanes.add({ item: work, slot, lane: this.#laneOf(work) }, place);
    this.#begin();
  }

  #laneOf({ slot, key }: ParallelWork<Item>): string | null {
    if (this.#order === 'partition') return slot;
    if (this.#order === 'none' || key === undefined) return null;
    return `${slot}/${Buffer.from(key).toString('latin1')}`;
  }

  #begin(): void {
    if (this.#isEnding || !this.mayBegin()) return;
    for (const job of this.#lanes.begin()) void this.#handle(job);
  }

  async #handle(job: Job<ParallelWork<Item>>): Promise<void> {
    const { item, context = { signal: this.signal } } = job.item;
    try {
      await this.#handler(item, context);
      this.#lanes.finish(job)?.handOut();
    } catch (error) {
      this.#lanes.giveUp(job);
      this.#failure ??= { error };
      this.stop(error);
    }
    this.#begin();
    this.#news.rouse();
  }

  /** Waits; stopped, only for handlers that run. */
  async #until(isMet: () => boolean): Promise<void> {
    while (this.#isEnding ? this.#lanes.running > 0 : !isMet()) await this.news();
  }
}
