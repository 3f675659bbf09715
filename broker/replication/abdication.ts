/**
 * A replica that metadata names as leader and that must not lead: its log has lost its beginning.
 * It asks to be distrusted, again and again, so that it is not the leader for ever (P7). Knows no
 * log.
 */
import type { BrokerId, MonotonicMs } from '../../base/units.ts';
import type { Assignment, SyncSetProposal } from './types.ts';

/** Pause before it asks again. */
export const ABDICATE_AGAIN_MS = 1_000;

export class Abdication {
  readonly #self: BrokerId;
  #askAtMs: MonotonicMs;
  /** Below 0: no answer to it passes for one to a leader's proposal. */
  #proposalId = 0;

  constructor(self: BrokerId, nowMs: MonotonicMs) {
    this.#self = self;
    this.#askAtMs = nowMs;
  }

  /** The request, when it is due; else null. */
  propose(assignment: Assignment, nowMs: MonotonicMs): SyncSetProposal | null {
    if (nowMs < this.#askAtMs) return null;
    this.#askAtMs = nowMs + ABDICATE_AGAIN_MS;
    this.#proposalId -= 1;
    const { leaderEpoch, partitionEpoch } = assignment;
    const change = { op: 'distrust', member: this.#self } as const;
    return { proposalId: this.#proposalId, leaderEpoch, partitionEpoch, change };
  }
}
