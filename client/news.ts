/** Something has happened: whoever waits for that is woken, and looks at what it is. */
export class News {
  #wakes: (() => void)[] = [];

  /** Resolves at the next {@link rouse}. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#wakes.push(resolve));
  }

  rouse(): void {
    if (this.#wakes.length === 0) return;
    for (const wake of this.#wakes.splice(0)) wake();
  }
}
