/**
 * Gives a core its inputs one at a time. What one step causes may be an input itself: it waits
 * until that step is carried out, so a core never sees the middle of its own step. Knows no core.
 */
export class StepQueue<Input> {
  readonly #step: (input: Input) => void;
  readonly #waiting: Input[] = [];
  #isStepping = false;
  #isClosed = false;

  /** @param step takes one input and carries out all that follows from it */
  constructor(step: (input: Input) => void) {
    this.#step = step;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Takes the input now, or after the step that is under way. After `close` inputs are dropped. */
  push(input: Input): void {
    if (this.#isClosed) return;
    this.#waiting.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
        this.#step(next);
    } finally {
      this.#isStepping = false;
    }
  }

  /** Drops what waits and what comes. The step that is under way ends. */
  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
  }
}
