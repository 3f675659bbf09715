/**
 * Sends that wait for room, or for a codec: taken in the order in which they came, so that records
 * of one key keep theirs. Must not know what a record holds.
 */
import { fromCall } from '../errors.ts';

/** One send. */
export interface WaitingSend<Item> {
  readonly item: Item | Promise<Item>;
  /** Hands the item over; false: there is no room. Throws what the send is refused for. */
  readonly take: (item: Item) => boolean;
  /** Nobody waits for it any more, as after an abort. */
  readonly isGivenUp: () => boolean;
  readonly refuse: (error: Error) => void;
}

export class SendQueue<Item> {
  readonly #ready: () => Promise<void>;
  #waiting: WaitingSend<Item>[] = [];
  /** Of `waiting`, those before it are done. */
  #head = 0;
  #draining: Promise<void> | undefined;

  /** `ready` resolves when there may be room. */
  constructor(ready: () => Promise<void>) {
    this.#ready = ready;
  }

  get isEmpty(): boolean {
    return this.#draining === undefined;
  }

  /** Takes a send at once where nobody waits and there is room. */
  add(send: WaitingSend<Item>): void {
    if (send.item instanceof Promise) {
      // Heard when its turn comes: a process must not end because that is later.
      send.item.catch(() => undefined);
    } else if (this.#draining === undefined && this.#isDone(send, send.item)) return;
    this.#waiting.push(send);
    this.#draining ??= this.#drain();
  }

  /** Resolves when nobody waits. */
  async empty(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    while (this.#head < this.#waiting.length) {
      const send = this.#waiting[this.#head]!;
      try {
        const item = await send.item;
        while (!this.#isDone(send, item)) await this.#ready();
      } catch (error) {
        refuse(send, error);
      }
      this.#head += 1;
      if (this.#head > 1024) {
        this.#waiting = this.#waiting.slice(this.#head);
        this.#head = 0;
      }
    }
    this.#waiting = [];
    this.#head = 0;
    this.#draining = undefined;
  }

  /** Given up, taken or refused: false where there is no room. */
  #isDone(send: WaitingSend<Item>, item: Item): boolean {
    try {
      return send.isGivenUp() || send.take(item);
    } catch (error) {
      refuse(send, error);
      return true;
    }
  }
}

function refuse<Item>(send: WaitingSend<Item>, error: unknown): void {
  send.refuse(fromCall(error, 'the cluster'));
}
