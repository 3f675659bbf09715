/**
 * Appends only where nothing was appended since it looked, against others who do the same: one call
 * in flight, the same batch and expectation until the answer is certain.
 */
import type { Random } from '../../../base/random.ts';
import type { AppendResult } from '../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import type { Scheduler } from './scheduler.ts';

const TIMEOUT_MS = 400;
const RETRY_MS = 20;

export interface RacerWorld {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly brokers: number;
  nextId(): number;
  /** End of what some replica knows to be committed: what a reader would see. */
  readEnd(): number;
  header(fields: Partial<BatchHeader>): BatchHeader;
  /** Sends to a broker; `answer` may never be called. */
  send(
    broker: number,
    header: BatchHeader,
    expectedOffset: number,
    answer: (result: AppendResult) => void,
  ): void;
}

export class ModelRacer {
  readonly #world: RacerWorld;
  #producerId: number;
  #sequence = 0;
  #attempt = 0;
  #target = 0;
  #tried: { readonly header: BatchHeader; readonly expectedOffset: number } | null = null;
  #isClosed = false;
  wins = 0;
  losses = 0;

  constructor(world: RacerWorld) {
    this.#world = world;
    this.#producerId = world.nextId();
  }

  /** An append whose fate is not known. */
  get isOpen(): boolean {
    return this.#tried !== null;
  }

  close(): void {
    this.#isClosed = true;
  }

  pump(): void {
    if (this.#tried !== null || this.#isClosed || !this.#world.random.chance(0.1)) return;
    const world = this.#world;
    const header = world.header({
      producerId: this.#producerId,
      baseSequence: this.#sequence,
      crc: world.nextId(),
    });
    this.#tried = { header, expectedOffset: world.readEnd() };
    this.#send();
  }

  #send(): void {
    const tried = this.#tried;
    if (tried === null) return;
    const { scheduler, random, brokers } = this.#world;
    this.#attempt += 1;
    const attempt = this.#attempt;
    this.#world.send(this.#target, tried.header, tried.expectedOffset, (result) => {
      if (attempt === this.#attempt) this.#answer(result);
    });
    scheduler.after(TIMEOUT_MS, () => {
      if (attempt !== this.#attempt) return;
      this.#target = random.below(brokers);
      this.#send();
    });
  }

  #answer(result: AppendResult): void {
    const { scheduler, random, brokers } = this.#world;
    this.#attempt += 1;
    if (result.ok) {
      this.wins += 1;
      this.#sequence += 1;
      this.#tried = null;
      return;
    }
    const { error } = result;
    if (error.code === 'OFFSET_TAKEN') {
      // Whoever is refused for its own batch has won; the answer was lost.
      const { holder } = error.details;
      const isOwn =
        holder?.producerId === this.#producerId && holder.baseSequence === this.#sequence;
      if (isOwn) this.#sequence += 1;
      else this.losses += 1;
      this.#tried = null;
      return;
    }
    if (error.retry === 'no' && error.effect === 'none') {
      this.#producerId = this.#world.nextId();
      this.#sequence = 0;
      this.#tried = null;
      return;
    }
    if (error.retry === 'refresh') this.#target = error.details.leader ?? random.below(brokers);
    const attempt = this.#attempt;
    scheduler.after(RETRY_MS, () => {
      if (attempt === this.#attempt) this.#send();
    });
  }
}
