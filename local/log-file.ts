/**
 * The log of one broker, as a file. A disk that is full costs lines and nothing else: the broker
 * never waits for its log, and goes on.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { reasonOf } from '../base/reason.ts';

export class LogFile {
  readonly #path: string;
  readonly #onEvent: (text: string) => void;
  #file: number | null = null;
  #bytesLost = 0;
  #isTold = false;

  /** @param onEvent a person should know: lines are lost, or no longer */
  constructor(path: string, onEvent: (text: string) => void) {
    this.#path = path;
    this.#onEvent = onEvent;
  }

  /** Appends, or drops what cannot be written. */
  write(bytes: Uint8Array): void {
    let written = 0;
    try {
      this.#file ??= openSync(this.#path, 'a');
      while (written < bytes.length) written += writeSync(this.#file, bytes, written);
    } catch (error) {
      this.#bytesLost += bytes.length - written;
      if (!this.#isTold) this.#onEvent(`${this.#path} is not written: ${whyNot(error)}`);
      this.#isTold = true;
      return;
    }
    if (!this.#isTold) return;
    this.#onEvent(`${this.#path} is written again, without ${this.#bytesLost} bytes before`);
    this.#isTold = false;
    this.#bytesLost = 0;
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'ENOSPC') return 'the disk is full';
  return reasonOf(error);
}
