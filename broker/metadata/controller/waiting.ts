/**
 * Requests to raise minInSyncReplicas that wait until every sync set satisfies the new value.
 * Bounded in number and in time.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { MonotonicMs } from '../../../base/units.ts';
import type { AlterTopicRequest } from '../controller-types.ts';
import type { Desk } from './desk.ts';
import type { LateRequests } from './late-requests.ts';
import { alterTopic, type TopicLimits } from './topics.ts';

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

  /** Looks again at all, and answers those that are satisfied, refused or due. */
  retry(desk: Desk, limits: TopicLimits, late: LateRequests): void {
    for (const { requestId, request, deadlineMs } of this.#waiting) {
      try {
        const { records, shortfall } = alterTopic(desk.image, desk.view, request, limits);
        if (shortfall !== null && desk.nowMs < deadlineMs) continue;
        if (shortfall !== null) throw shortfall;
        const before = desk.lastProposalId;
        desk.propose(records);
        late.note(request, desk, before);
        desk.reply(requestId, { kind: 'alter-topic' });
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        desk.reply(requestId, error);
      }
      this.#drop(requestId);
    }
  }

  #drop(requestId: number): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting.requestId !== requestId);
  }
}
