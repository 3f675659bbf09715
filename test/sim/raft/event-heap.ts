/**
 * Events in order of (time, sequence): equal times run in the order in which they were scheduled.
 */

export interface Event {
  readonly at: number;
  readonly run: () => void;
}

interface Item extends Event {
  readonly sequence: number;
}

function isBefore(left: Item, right: Item): boolean {
  return left.at < right.at || (left.at === right.at && left.sequence < right.sequence);
}

export class EventHeap {
  readonly #items: Item[] = [];
  #sequence = 0;

  push(at: number, run: () => void): void {
    this.#sequence += 1;
    const item: Item = { at, run, sequence: this.#sequence };
    let place = this.#items.length;
    this.#items.push(item);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#items[above] as Item;
      if (!isBefore(item, parent)) break;
      this.#items[place] = parent;
      place = above;
    }
    this.#items[place] = item;
  }

  pop(): Event | null {
    const first = this.#items[0];
    const last = this.#items.pop();
    if (first === undefined || last === undefined) return null;
    if (this.#items.length > 0) this.#sink(last);
    return first;
  }

  #sink(item: Item): void {
    let place = 0;
    for (;;) {
      let below = place * 2 + 1;
      const left = this.#items[below];
      if (left === undefined) break;
      const right = this.#items[below + 1];
      if (right !== undefined && isBefore(right, left)) below += 1;
      const child = this.#items[below] as Item;
      if (!isBefore(child, item)) break;
      this.#items[place] = child;
      place = below;
    }
    this.#items[place] = item;
  }
}
