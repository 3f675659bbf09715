/**
 * The last record of each key that a scan has met, in a bounded memory. A key is its hash of 128
 * bits; two keys of one hash are not told apart, which among 2^40 keys happens once in 2^49 passes.
 * Where there are more keys than fit, the index keeps to a range of hashes: it narrows while it
 * scans, and the next scan takes the range that follows.
 */
import { assert } from '../../base/assert.ts';
import type { Offset } from '../../base/units.ts';

/** Four lanes, and offset + 1 in two words: an empty place holds zeros. */
const ENTRY_WORDS = 6;
const AT_LOW = 4;
const AT_HIGH = 5;
const ENTRY_BYTES = ENTRY_WORDS * 4;
const WORD = 2 ** 32;
/** Above it linear probing takes long. */
const LOAD_MAX = 0.8;
/** Places of an index that has just begun. */
const PLACES_MIN = 1024;
/** Two tables are held while the index grows to twice its size. */
const GROWTH_SHARE = 1.5;

/** No record of the key was met before. */
export const NO_OFFSET = -1;

export class KeyIndex {
  readonly #placesMax: number;
  #places: number;
  #words: Uint32Array;
  #count = 0;
  /** First lanes that are taken in: from, and up to (exclusive). */
  #from = 0;
  #to = WORD;

  /** @param memoryBytes bound of all that it allocates, 64 KiB or more */
  constructor(memoryBytes: number) {
    let places = Math.floor(memoryBytes / GROWTH_SHARE / ENTRY_BYTES);
    assert(places >= PLACES_MIN, `a key index needs more than ${memoryBytes} bytes`);
    this.#placesMax = places;
    while (places >= 2 * PLACES_MIN) places = Math.floor(places / 2);
    this.#places = places;
    this.#words = new Uint32Array(places * ENTRY_WORDS);
  }

  /** Whether keys of these lanes belong to the range of this scan. */
  covers(lanes: Uint32Array): boolean {
    const lane = lanes[0] ?? 0;
    return lane >= this.#from && lane < this.#to;
  }

  /**
   * The key's last record stands at `offset`. Returns where the one before stands, or
   * {@link NO_OFFSET}. The key is one that the index {@link covers}.
   */
  put(lanes: Uint32Array, offset: Offset): Offset {
    const words = this.#words;
    for (let place = this.#home(lanes[1] ?? 0); ; place = this.#after(place)) {
      const at = place * ENTRY_WORDS;
      const before = this.#offsetAt(at);
      if (before === NO_OFFSET) {
        words.set(lanes, at);
        this.#setOffset(at, offset);
        this.#count += 1;
        if (this.#count > this.#places * LOAD_MAX) this.#makeRoom();
        return NO_OFFSET;
      }
      if (
        words[at] === lanes[0] &&
        words[at + 1] === lanes[1] &&
        words[at + 2] === lanes[2] &&
        words[at + 3] === lanes[3]
      ) {
        this.#setOffset(at, offset);
        return before;
      }
    }
  }

  /** The scan is over. Begins the next range; false where all hashes had their scan. */
  nextRange(): boolean {
    const from = this.#to;
    if (from >= WORD) return false;
    this.#clear();
    // What is left may need as many scans as it likes: each takes as much as fits.
    this.#from = from;
    this.#to = WORD;
    return true;
  }

  /** Begins again with all hashes. */
  restart(): void {
    this.#clear();
    this.#from = 0;
    this.#to = WORD;
  }

  #clear(): void {
    this.#words.fill(0);
    this.#count = 0;
  }

  /** Grows, or keeps to the lower half of its range. */
  #makeRoom(): void {
    if (2 * this.#places <= this.#placesMax) {
      const old = this.#words;
      this.#places *= 2;
      this.#words = new Uint32Array(this.#places * ENTRY_WORDS);
      for (let at = 0; at < old.length; at += ENTRY_WORDS)
        if (old[at + AT_LOW] !== 0 || old[at + AT_HIGH] !== 0) this.#insert(old, at);
      return;
    }
    while (this.#count > (this.#places * LOAD_MAX) / 2) {
      const to = this.#from + Math.floor((this.#to - this.#from) / 2);
      assert(to > this.#from, 'more keys share 32 bits of their hash than an index can hold');
      this.#to = to;
      this.#dropAbove();
    }
  }

  /** Drops the entries whose first lane the range does not hold any more. */
  #dropAbove(): void {
    for (let place = 0; place < this.#places; place += 1)
      while (this.#isAbove(place)) this.#remove(place);
  }

  #isAbove(place: number): boolean {
    const at = place * ENTRY_WORDS;
    return this.#offsetAt(at) !== NO_OFFSET && (this.#words[at] ?? 0) >= this.#to;
  }

  /** Knuth, 6.4, algorithm R: what follows moves up, so that no search ends before it. */
  #remove(hole: number): void {
    const words = this.#words;
    let free = hole;
    for (let place = this.#after(free); ; place = this.#after(place)) {
      const at = place * ENTRY_WORDS;
      if (this.#offsetAt(at) === NO_OFFSET) break;
      const home = this.#home(words[at + 1] ?? 0);
      const isReachable =
        free <= place ? home > free && home <= place : home > free || home <= place;
      if (isReachable) continue;
      words.copyWithin(free * ENTRY_WORDS, at, at + ENTRY_WORDS);
      free = place;
    }
    words.fill(0, free * ENTRY_WORDS, (free + 1) * ENTRY_WORDS);
    this.#count -= 1;
  }

  #insert(from: Uint32Array, at: number): void {
    let place = this.#home(from[at + 1] ?? 0);
    while (this.#offsetAt(place * ENTRY_WORDS) !== NO_OFFSET) place = this.#after(place);
    this.#words.set(from.subarray(at, at + ENTRY_WORDS), place * ENTRY_WORDS);
  }

  #home(lane: number): number {
    return Math.floor((lane / WORD) * this.#places);
  }

  #after(place: number): number {
    return place + 1 === this.#places ? 0 : place + 1;
  }

  #offsetAt(at: number): Offset {
    return (this.#words[at + AT_LOW] ?? 0) + (this.#words[at + AT_HIGH] ?? 0) * WORD - 1;
  }

  #setOffset(at: number, offset: Offset): void {
    this.#words[at + AT_LOW] = (offset + 1) % WORD;
    this.#words[at + AT_HIGH] = Math.floor((offset + 1) / WORD);
  }
}
