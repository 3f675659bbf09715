/**
 * Bounds how much is done at once: whoever wants to waits for a turn, in the order in which they
 * came. What waits is bounded by who asks.
 */

export interface Turn {
  /** It is its turn, and was not ended. */
  readonly isNow: boolean;
  /** Ends it, or the wait for it; harmless when repeated. */
  end(): void;
}

export class Turns {
  readonly #most: number;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Where there is no room now, `begun` is called once there is. */
  take(begun: () => void): Turn {
    let isNow = false;
    let isOver = false;
    const begin = (): void => {
      isNow = true;
      this.#taken += 1;
    };
    const late = (): void => {
      begin();
      begun();
    };
    if (this.#taken < this.#most) begin();
    else this.#waiting.add(late);
    return {
      get isNow() {
        return isNow && !isOver;
      },
      end: () => {
        if (isOver) return;
        isOver = true;
        this.#waiting.delete(late);
        if (isNow) this.#next();
      },
    };
  }

  /** Runs it in its turn. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    let begun: () => void = () => {};
    const waiting = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const turn = this.take(begun);
    if (!turn.isNow) await waiting;
    try {
      return await work();
    } finally {
      turn.end();
    }
  }

  #next(): void {
    this.#taken -= 1;
    const [late] = this.#waiting;
    if (late === undefined) return;
    this.#waiting.delete(late);
    late();
  }
}
