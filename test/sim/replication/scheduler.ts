/**
 * Virtual time: events run in the order of (time, sequence), so a run depends on its seed alone.
 */
interface Event {
  readonly atMs: number;
  readonly sequence: number;
  readonly run: () => void;
}

export class Scheduler {
  nowMs = 0;
  readonly #heap: Event[] = [];
  #sequence = 0;

  after(delayMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + delayMs, sequence: (this.#sequence += 1), run };
    let at = this.#heap.length;
    this.#heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(this.#heap[parent] as Event, event)) break;
      this.#heap[at] = this.#heap[parent] as Event;
      at = parent;
    }
    this.#heap[at] = event;
  }

  /** Runs everything up to and including `untilMs`. */
  run(untilMs: number): void {
    for (
      let head = this.#heap[0];
      head !== undefined && head.atMs <= untilMs;
      head = this.#heap[0]
    ) {
      this.#pop();
      this.nowMs = head.atMs;
      head.run();
    }
    this.nowMs = untilMs;
  }

  #pop(): void {
    const last = this.#heap.pop() as Event;
    if (this.#heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#heap.length) break;
      if (
        child + 1 < this.#heap.length &&
        isBefore(this.#heap[child + 1] as Event, this.#heap[child] as Event)
      )
        child += 1;
      if (isBefore(last, this.#heap[child] as Event)) break;
      this.#heap[at] = this.#heap[child] as Event;
      at = child;
    }
    this.#heap[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.sequence < other.sequence);
}
