/** The frames of a file, a block of whole ones at a time. Checks nothing but lengths. */
import { FRAME_BYTES_MAX } from '../../../base/limits.ts';
import { BrokerError } from '../../../base/errors.ts';
import { frameLength, HEADER_BYTES } from '../../../wire/batch/frame.ts';

const BLOCK_BYTES = 1024 * 1024;

export class FrameBlocks {
  readonly #load: (position: number, length: number) => Promise<Uint8Array>;
  readonly #endPosition: number;
  #position = 0;

  /** @param load reads into memory of its own */
  constructor(
    load: (position: number, length: number) => Promise<Uint8Array>,
    endPosition: number,
  ) {
    this.#load = load;
    this.#endPosition = endPosition;
  }

  /** Whole frames, or null at the end. Rejects with DATA_CORRUPT, and as the file system does. */
  async next(): Promise<Uint8Array | null> {
    const left = this.#endPosition - this.#position;
    if (left === 0) return null;
    let block = await this.#load(this.#position, Math.min(BLOCK_BYTES, left));
    const first = this.#lengthAt(block, 0);
    if (first > block.length && first <= left) block = await this.#load(this.#position, first);
    let bytes = 0;
    while (block.length - bytes >= HEADER_BYTES) {
      const length = this.#lengthAt(block, bytes);
      if (length > block.length - bytes) break;
      bytes += length;
    }
    if (bytes === 0) this.#refuse(`a frame has ${first} bytes, the file has ${block.length} more`);
    this.#position += bytes;
    return block.subarray(0, bytes);
  }

  #lengthAt(block: Uint8Array, at: number): number {
    if (block.length - at < HEADER_BYTES)
      this.#refuse(`${block.length - at} bytes are left, a header has ${HEADER_BYTES}`);
    const length = frameLength(block, at);
    if (length < HEADER_BYTES || length > FRAME_BYTES_MAX)
      this.#refuse(`a frame has ${length} bytes, must have ${HEADER_BYTES} to ${FRAME_BYTES_MAX}`);
    return length;
  }

  #refuse(reason: string): never {
    throw new BrokerError('DATA_CORRUPT', `at byte ${this.#position}: ${reason}`);
  }
}
