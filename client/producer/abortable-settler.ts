/** Whoever waits for one record: settled once, by its fate or by the caller's signal. */
import { aborted } from '../abort.ts';
import type { Settler } from './partition-queue.ts';
import type { RecordMetadata } from './types.ts';

export class AbortableSettler implements Settler {
  readonly #resolve: (metadata: RecordMetadata) => void;
  readonly #reject: (error: Error) => void;
  readonly #signal: AbortSignal | undefined;
  /** The record is in the producer's hands, and may be appended whatever the caller says. */
  isTaken = false;
  /** Hears of the end, whichever comes first: fate or signal. */
  onEnd: ((error: Error | undefined, metadata: RecordMetadata | undefined) => void) | undefined;
  #isSettled = false;

  constructor(
    resolve: (metadata: RecordMetadata) => void,
    reject: (error: Error) => void,
    signal: AbortSignal | undefined,
  ) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#signal = signal;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  resolve(metadata: RecordMetadata): void {
    if (!this.#end()) return;
    this.onEnd?.(undefined, metadata);
    this.#resolve(metadata);
  }

  reject(error: Error): void {
    if (!this.#end()) return;
    this.onEnd?.(error, undefined);
    this.#reject(error);
  }

  readonly #onAbort = (): void => {
    const effect = this.isTaken ? 'unknown' : 'none';
    if (this.#signal !== undefined) this.reject(aborted('send record', this.#signal, effect));
  };

  /** False: it was settled before. */
  #end(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}
