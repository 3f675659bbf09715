/**
 * Appends of one replica that were handed to its core and are not answered yet: the frame until it
 * is written, and who waits. Each is answered exactly once. Knows no log and no core.
 */
import { assert } from '../../../base/assert.ts';
import type { BrokerError } from '../../../base/errors.ts';
import type { AppendResult } from '../../replication/types.ts';

interface PendingAppend {
  readonly frame: Uint8Array;
  readonly done: (result: AppendResult) => void;
}

export class PendingAppends {
  readonly #pending = new Map<number, PendingAppend>();
  #nextRequestId = 1;

  /** @returns the id by which the core knows the append */
  add(frame: Uint8Array, done: (result: AppendResult) => void): number {
    const requestId = this.#nextRequestId;
    this.#nextRequestId += 1;
    this.#pending.set(requestId, { frame, done });
    return requestId;
  }

  frameOf(requestId: number): Uint8Array {
    const pending = this.#pending.get(requestId);
    assert(pending !== undefined, `no frame is pending for request ${requestId}`);
    return pending.frame;
  }

  answer(requestId: number, result: AppendResult): void {
    const pending = this.#pending.get(requestId);
    this.#pending.delete(requestId);
    pending?.done(result);
  }

  /**
   * Answers everything. The core may have written any of it, so the error must leave the outcome
   * open.
   */
  giveUp(error: BrokerError): void {
    assert(
      error.effect === 'unknown',
      `${error.code} says that nothing was appended, which nobody knows here`,
    );
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { done } of pending) done({ ok: false, error });
  }
}
