/**
 * Leaderships that are being handed over (rule 22; KAFKA-20554): metadata names a successor, the
 * leader drains and then asks to be replaced. This keeps the time of each, since a leader that does
 * not answer must not be waited for. Follows rows; the controller proposes and replies.
 */
import { NO_BROKER, partitionKey } from '../../../../base/units.ts';
import type { BrokerId, MonotonicMs, TopicId } from '../../../../base/units.ts';
import { canSucceed, changed, electionSize } from '../../leader-election.ts';
import type { BrokerView } from '../../leader-election.ts';
import type { PartitionState } from '../../types.ts';

/**
 * How long a leader may take to drain. Appends wait meanwhile, so it is short beside a client's own
 * patience.
 */
export const HANDOVER_WAIT_MS = 2000;

/**
 * What follows when the leader does not answer. `abandon`: it goes on leading, the move was a mere
 * wish. `replace`: it is replaced without having drained. `elect`: the same, and where that needs
 * logs to be read, by an election.
 */
export type HandoverEnd = 'abandon' | 'replace' | 'elect';

export interface Handover {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly successor: BrokerId;
  readonly deadlineMs: MonotonicMs;
  end: HandoverEnd;
  /** A client waits for the outcome. */
  requestId: number | null;
}

export class Handovers {
  readonly #pending = new Map<string, Handover>();

  get size(): number {
    return this.#pending.size;
  }

  /** Clients waiting for an outcome. */
  get requests(): number {
    return [...this.#pending.values()].filter((handover) => handover.requestId !== null).length;
  }

  get(topicId: TopicId, partition: number): Handover | null {
    return this.#pending.get(partitionKey(topicId, partition)) ?? null;
  }

  /** Follows a row that is new or changed. Returns the handover that ended with it, if any. */
  follow(topicId: TopicId, state: PartitionState, nowMs: MonotonicMs): Handover | null {
    const key = partitionKey(topicId, state.partition);
    const before = this.#pending.get(key) ?? null;
    const { partition, successor } = state;
    if (before?.successor === successor) return null;
    this.#pending.delete(key);
    if (successor !== NO_BROKER) {
      this.#pending.set(key, {
        topicId,
        partition,
        successor,
        deadlineMs: nowMs + HANDOVER_WAIT_MS,
        end: 'abandon',
        requestId: null,
      });
    }
    return before;
  }

  /** The topic is gone. Returns what ended with it. */
  dropTopic(topicId: TopicId): readonly Handover[] {
    const dropped = [...this.#pending.values()].filter((handover) => handover.topicId === topicId);
    for (const { partition } of dropped) this.#pending.delete(partitionKey(topicId, partition));
    return dropped;
  }

  /** Those whose leader did not answer in time. */
  overdue(nowMs: MonotonicMs): readonly Handover[] {
    return [...this.#pending.values()].filter((handover) => nowMs >= handover.deadlineMs);
  }
}

/** The row after the wait for the leader is over. */
export function endHandover(
  state: PartitionState,
  handover: Handover,
  view: BrokerView,
): PartitionState | null {
  const isReplaced = handover.end !== 'abandon' && canSucceed(state, handover.successor, view);
  if (isReplaced && electionSize(state) === 1)
    return changed(state, { ...state, leader: handover.successor });
  // Where a single log proves nothing, a successor that did not get everything from the leader may
  // lack records: logs must be read.
  if (isReplaced && handover.end === 'elect')
    return changed(state, { ...state, leader: NO_BROKER });
  return changed(state, { ...state, successor: NO_BROKER });
}
