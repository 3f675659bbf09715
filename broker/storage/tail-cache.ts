/**
 * The newest frames of every partition, by reference: followers and consumers near the end read
 * them without a file call and without a copy. One budget for the whole broker; the oldest frame of
 * all goes first, so each partition keeps about the same span of time. Knows nothing of files. A
 * frame may be a window of a larger message, which it keeps alive: the budget counts frames, not
 * those messages.
 */
import { assert } from '../../base/assert.ts';
import type { Offset } from '../../base/units.ts';
import type { LogRead } from '../runtime/ports.ts';

interface TailFrame {
  readonly owner: PartitionTail;
  readonly baseOffset: Offset;
  readonly nextOffset: Offset;
  /**
   * Null once dropped: the lists below give up places late, and must not keep bytes alive with
   * them.
   */
  bytes: Uint8Array | null;
}

/** Budget shared by all partitions' tails. */
export class TailCache {
  #bytesMax: number;
  readonly #order: TailFrame[] = [];
  #orderHead = 0;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes of the frames that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Another budget; in force at once. */
  setBytesMax(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#trim();
  }

  /** Takes a frame in and lets the oldest go until the budget holds. */
  hold(frame: TailFrame): void {
    this.#order.push(frame);
    this.#bytes += frame.bytes?.length ?? 0;
    this.#trim();
  }

  #trim(): void {
    while (this.#bytes > this.#bytesMax) {
      const oldest = this.#order[this.#orderHead];
      assert(oldest !== undefined, `tail cache counts ${this.#bytes} bytes and holds no frame`);
      this.#orderHead += 1;
      if (oldest.bytes !== null) oldest.owner.dropOldest();
    }
    if (this.#orderHead > 1024 && this.#orderHead * 2 > this.#order.length) {
      this.#order.splice(0, this.#orderHead);
      this.#orderHead = 0;
    }
  }

  /** The owner has dropped the frame. Its place in the order is passed over later. */
  release(frame: TailFrame): void {
    this.#bytes -= frame.bytes?.length ?? 0;
    frame.bytes = null;
  }
}

/** The cached tail of one partition: contiguous frames up to the end of its log. */
export class PartitionTail {
  readonly #cache: TailCache;
  #frames: TailFrame[] = [];
  #head = 0;

  constructor(cache: TailCache) {
    this.#cache = cache;
  }

  append(baseOffset: Offset, nextOffset: Offset, bytes: Uint8Array): void {
    const frame: TailFrame = { owner: this, baseOffset, nextOffset, bytes };
    this.#frames.push(frame);
    this.#cache.hold(frame);
  }

  /**
   * Whole frames from the one that holds `fromOffset`, as {@link LogRead} promises; null when that
   * one is not cached.
   */
  read(fromOffset: Offset, upToOffset: Offset, bytesMax: number): LogRead | null {
    const first = this.#frames[this.#head];
    if (first === undefined || fromOffset < first.baseOffset) return null;
    const chunks: Uint8Array[] = [];
    let nextOffset = fromOffset;
    let bytes = 0;
    for (let index = this.#find(fromOffset); index < this.#frames.length; index += 1) {
      const frame = this.#frames[index];
      if (frame === undefined || frame.bytes === null || frame.nextOffset > upToOffset) break;
      if (chunks.length > 0 && bytes + frame.bytes.length > bytesMax) break;
      chunks.push(frame.bytes);
      bytes += frame.bytes.length;
      nextOffset = frame.nextOffset;
    }
    return { chunks, nextOffset };
  }

  /** Forgets frames that end above `toOffset`. */
  truncate(toOffset: Offset): void {
    while (this.#frames.length > this.#head) {
      const last = this.#frames.at(-1);
      if (last === undefined || last.nextOffset <= toOffset) break;
      this.#frames.pop();
      this.#cache.release(last);
    }
  }

  /** Called by the cache when the budget is spent. */
  dropOldest(): void {
    const oldest = this.#frames[this.#head];
    assert(oldest !== undefined, 'the cache asked an empty tail to drop a frame');
    this.#head += 1;
    this.#cache.release(oldest);
    if (this.#head * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.truncate(-1);
  }

  /** Forgets frames that end at or below `offset`: what is on disk is no longer the same. */
  dropBelow(offset: Offset): void {
    while ((this.#frames[this.#head]?.nextOffset ?? Infinity) <= offset) this.dropOldest();
  }

  /** Index of the first frame that ends above `offset`. */
  #find(offset: Offset): number {
    let low = this.#head;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#frames[middle]?.nextOffset ?? 0) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
