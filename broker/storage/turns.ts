/** Work that must not run at the same time runs one after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Rejects as the work does; what comes after it runs all the same. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
