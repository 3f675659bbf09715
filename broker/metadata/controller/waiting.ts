/** Requests to raise minInSyncReplicas that wait until every sync set satisfies the new value. Bounded in number and in time; holds, and judges nothing. */
import { BrokerError } from '../../base/errors.ts';
import type { MonotonicMs } from '../../base/units.ts';
import type { AlterTopicRequest } from '../controller-types.ts';

/** Requests that may wait at once: each is judged again whenever metadata changes. */
export const RAISES_WAITING_MAX = 100;
/** Longest wait. */
export const RAISE_WAIT_MS_MAX = 600_000;

/** One that waits. */
export interface WaitingRaise {
  readonly requestId: number;
  readonly request: AlterTopicRequest;
  readonly deadlineMs: MonotonicMs;
}

export class WaitingRaises {
  #waiting: WaitingRaise[] = [];

  get all(): readonly WaitingRaise[] {
    return this.#waiting;
  }

  /** Throws {@link BrokerError} INVALID_ARGUMENT or OVERLOADED. */
  hold(requestId: number, request: AlterTopicRequest, nowMs: MonotonicMs): void {
    if (request.waitMs > RAISE_WAIT_MS_MAX) {
      throw new BrokerError(
        'INVALID_ARGUMENT',
        `waitMs is ${String(request.waitMs)}, must be at most ${String(RAISE_WAIT_MS_MAX)}`,
      );
    }
    if (this.#waiting.length >= RAISES_WAITING_MAX) {
      throw new BrokerError(
        'OVERLOADED',
        `Cannot wait with topic "${request.name}": ${String(RAISES_WAITING_MAX)} changes wait for their sync sets already`,
      );
    }
    this.#waiting.push({ requestId, request, deadlineMs: nowMs + request.waitMs });
  }

  drop(requestId: number): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting.requestId !== requestId);
  }
}
