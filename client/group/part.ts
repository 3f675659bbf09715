/** A partition that a member has, and how far its reading and handling are. */
import type { TidemarkError } from '../errors.ts';
import type { HeldPartition, Place } from './member/types.ts';
import type { AssignedPartition } from './types.ts';

/** When something of a partition was read. */
export interface Mark {
  readonly turn: number;
  readonly readings: number;
}

export class Part {
  readonly held: HeldPartition;
  /** Where the group stood when it was given to the member. */
  readonly cursor: Place;
  /** Next to be handed out. */
  place: Place;
  /** Its reading has been begun. */
  isReading = false;
  /** Nothing more of it is handed out. */
  isStopped = false;
  isPaused = false;
  /** Why it is not read. */
  failure: TidemarkError | undefined;
  /** A record of it is in the program's hands, by iteration. */
  isHandedOut = false;
  /** Rises where reading goes on somewhere else: what was handed out before counts no more. */
  turn = 0;
  /** Rises whenever reading begins: what was read before and not handed out comes again. */
  readings = 0;
  /** Resolves once the program was told that it has it. */
  told: Promise<void> = Promise.resolve();
  /** The program was told that it goes. */
  isToldRevoked = false;
  /** Of turns before: what was begun then may run yet. */
  readonly formerSlots = new Set<string>();
  /** Aborted once others handle what its handlers have begun. */
  readonly #abort = new AbortController();
  readonly context: { readonly signal: AbortSignal };

  constructor(held: HeldPartition, cursor: Place) {
    this.held = held;
    this.cursor = cursor;
    this.place = cursor;
    this.context = { signal: this.#abort.signal };
  }

  /** Name of what is handled in its order. */
  get slot(): string {
    const { topicId, partition, epoch } = this.held;
    return `${topicId}/${partition}/${epoch}/${this.turn}`;
  }

  /** When something of it is read. */
  get mark(): Mark {
    const { turn, readings } = this;
    return { turn, readings };
  }

  /** Goes on somewhere else. */
  moveTo(place: Place): void {
    this.failure = undefined;
    this.formerSlots.add(this.slot);
    this.turn += 1;
    this.place = place;
  }

  get shown(): AssignedPartition {
    const { topic, topicId, partition, epoch } = this.held;
    return { topic, topicId, partition, epoch, ...this.cursor };
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }
}
