import { describe, expect, it } from 'vitest';
import { ReadAhead, type ReadingAhead } from '../../../../../broker/service/queues/read-ahead.ts';

/** Says what it holds, and what it let go of. */
class Reader implements ReadingAhead {
  readonly #ahead: ReadAhead;
  letGoOf = 0;

  constructor(ahead: ReadAhead) {
    this.#ahead = ahead;
  }

  holds(bytes: number, isWanted = false): void {
    this.#ahead.note(this, bytes, isWanted);
  }

  letGo(): void {
    this.letGoOf += 1;
    this.holds(0);
  }
}

describe('ReadAhead', () => {
  it('has those let go first that were idle for longest, and no more of them than need be', () => {
    const ahead = new ReadAhead(100);
    const readers = Array.from({ length: 4 }, () => new Reader(ahead));
    for (const reader of readers.slice(0, 3)) reader.holds(30);
    expect([ahead.bytes, readers.map(({ letGoOf }) => letGoOf)]).toEqual([90, [0, 0, 0, 0]]);
    readers[3]!.holds(50);
    expect([ahead.bytes, readers.map(({ letGoOf }) => letGoOf)]).toEqual([80, [1, 1, 0, 0]]);
  });

  it('leaves those alone of which something is wanted, until nothing is', () => {
    const ahead = new ReadAhead(100);
    const [one, other] = [new Reader(ahead), new Reader(ahead)];
    one.holds(90, true);
    other.holds(90, true);
    expect(ahead.bytes).toBe(180);
    one.holds(90);
    expect([ahead.bytes, one.letGoOf, other.letGoOf]).toEqual([90, 1, 0]);
  });

  it('has even one alone let go of what is beyond the bound', () => {
    const ahead = new ReadAhead(100);
    const reader = new Reader(ahead);
    reader.holds(101);
    expect([ahead.bytes, reader.letGoOf]).toEqual([0, 1]);
  });
});
