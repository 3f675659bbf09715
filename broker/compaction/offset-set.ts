/**
 * A set of offsets in a bounded memory: bits, in chunks that are made as they are needed. Where the
 * bound is met the set gives up its highest offsets, and says from where on it knows nothing.
 */
import type { Offset } from '../../base/units.ts';

const CHUNK_OFFSETS = 4096;
/** Bits, and about as much as an entry of a map and a typed array take besides. */
const CHUNK_BYTES = CHUNK_OFFSETS / 8 + 160;

export class OffsetSet {
  readonly #chunksMax: number;
  readonly #chunks = new Map<number, Uint32Array>();
  /** The chunk that was looked at last. */
  #number = -1;
  #chunk: Uint32Array | undefined;
  #to: Offset = Number.POSITIVE_INFINITY;

  constructor(memoryBytes: number) {
    this.#chunksMax = Math.max(2, Math.floor(memoryBytes / CHUNK_BYTES));
  }

  /** Offsets from here on are not held. */
  get to(): Offset {
    return this.#to;
  }

  add(offset: Offset): void {
    if (offset >= this.#to) return;
    const number = Math.floor(offset / CHUNK_OFFSETS);
    let chunk = this.#at(number);
    if (chunk === undefined) {
      chunk = new Uint32Array(CHUNK_OFFSETS / 32);
      this.#chunks.set(number, chunk);
      this.#number = -1;
    }
    const bit = offset % CHUNK_OFFSETS;
    chunk[bit >>> 5] = (chunk[bit >>> 5] ?? 0) | (1 << (bit & 31));
    if (this.#chunks.size > this.#chunksMax) this.#giveUp();
  }

  has(offset: Offset): boolean {
    const chunk = this.#at(Math.floor(offset / CHUNK_OFFSETS));
    if (chunk === undefined) return false;
    const bit = offset % CHUNK_OFFSETS;
    return (((chunk[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 1;
  }

  /** How many offsets of [from, to) are in the set. */
  count(from: Offset, to: Offset): number {
    let count = 0;
    for (let offset = from; offset < to; ) {
      const number = Math.floor(offset / CHUNK_OFFSETS);
      const end = Math.min(to, (number + 1) * CHUNK_OFFSETS);
      if (this.#at(number) !== undefined) count += this.#countWithin(offset, end);
      offset = end;
    }
    return count;
  }

  #countWithin(from: Offset, to: Offset): number {
    let count = 0;
    for (let offset = from; offset < to; offset += 1) if (this.has(offset)) count += 1;
    return count;
  }

  clear(): void {
    this.#chunks.clear();
    this.#number = -1;
    this.#to = Number.POSITIVE_INFINITY;
  }

  #at(number: number): Uint32Array | undefined {
    if (number !== this.#number) {
      this.#number = number;
      this.#chunk = this.#chunks.get(number);
    }
    return this.#chunk;
  }

  /** The upper half goes. */
  #giveUp(): void {
    const numbers = [...this.#chunks.keys()].sort((a, b) => a - b);
    const first = numbers[Math.ceil(numbers.length / 2)] ?? 0;
    for (const number of numbers) if (number >= first) this.#chunks.delete(number);
    this.#to = first * CHUNK_OFFSETS;
    this.#number = -1;
  }
}
