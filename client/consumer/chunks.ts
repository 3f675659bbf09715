/** Frames that were read and wait for the caller, in the order in which they came. */
import type { DeletionMarks } from './deletions.ts';
import type { LossRange } from '../losses.ts';
import type { FetchStream } from './fetch-stream.ts';
import type { Reader } from './partition-reader.ts';

/** Frames of one partition that wait for the caller. */
export interface Chunk {
  readonly reader: Reader;
  readonly stream: FetchStream;
  readonly frames: Uint8Array;
  readonly highWaterMark: number;
  /** What its frames come across. */
  readonly losses: readonly LossRange[];
  readonly deletions: DeletionMarks;
  at: number;
}

export class Chunks {
  #chunks: Chunk[] = [];

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  add(chunk: Chunk): void {
    this.#chunks.push(chunk);
  }

  /** The oldest with frames that are to be read; those without are let go. */
  first(): Chunk | undefined {
    for (let chunk = this.#chunks[0]; chunk !== undefined; chunk = this.#chunks[0]) {
      if (chunk.at < chunk.frames.length && !chunk.reader.isDone) return chunk;
      this.#chunks.shift();
      chunk.stream.release(chunk.frames.length);
    }
    return undefined;
  }

  /** Whether frames of the partition are to be read yet. */
  has(reader: Reader): boolean {
    return this.#chunks.some((one) => one.reader === reader && one.at < one.frames.length);
  }

  /** What is buffered of a partition comes again, or is wanted no more. */
  drop(reader: Reader): void {
    this.#chunks = this.#chunks.filter((one) => {
      if (one.reader !== reader) return true;
      one.stream.release(one.frames.length);
      return false;
    });
  }

  /** The stream is given up, and with it what it owes. */
  dropOf(stream: FetchStream): void {
    this.#chunks = this.#chunks.filter((one) => one.stream !== stream);
  }

  clear(): void {
    this.#chunks = [];
  }
}
