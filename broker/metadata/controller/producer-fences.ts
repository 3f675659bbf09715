/**
 * Answers to InitProducer that wait until the older epochs of the name are shut out everywhere:
 * every unfenced broker, any of which may lead a partition, has applied the new epoch and judges
 * appends by it. A fenced one leads nothing; whoever comes to lead later has applied the entry that
 * made it leader, which came after. Bounded by whoever admits requests, and in time. Holds and
 * compares; knows no proposals' content.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerEpoch, BrokerId, MonotonicMs } from '../../../base/units.ts';
import type { ControllerReply } from '../controller-types.ts';
import type { BrokerState } from '../types.ts';
import type { Answer } from './ledger.ts';

/**
 * Longest wait. A silent broker is fenced long before; this is for one that heartbeats and applies
 * nothing.
 */
export const FENCE_WAIT_MS_MAX = 30_000;

interface Waiting {
  readonly requestId: number;
  readonly reply: ControllerReply;
  readonly proposalId: number;
  readonly deadlineMs: MonotonicMs;
  /** Metadata that holds the new epoch; null until it is committed. */
  index: number | null;
}

export class ProducerFences {
  #waiting: Waiting[] = [];
  /** What each incarnation has applied; null: its build does not say, nor fence. */
  readonly #applied = new Map<
    BrokerId,
    { readonly brokerEpoch: BrokerEpoch; readonly index: number | null }
  >();

  get count(): number {
    return this.#waiting.length;
  }

  hold(requestId: number, reply: ControllerReply, proposalId: number, nowMs: MonotonicMs): void {
    const deadlineMs = nowMs + FENCE_WAIT_MS_MAX;
    this.#waiting.push({ requestId, reply, proposalId, deadlineMs, index: null });
  }

  /** A heartbeat: the broker's image has come so far. One that was overtaken takes nothing back. */
  heard(brokerId: BrokerId, brokerEpoch: BrokerEpoch, index: number | null): void {
    const before = this.#applied.get(brokerId);
    const isOvertaken =
      before?.brokerEpoch === brokerEpoch && index !== null && index <= (before.index ?? 0);
    if (!isOvertaken) this.#applied.set(brokerId, { brokerEpoch, index });
  }

  /** The proposal stands in metadata of this index. */
  committed(proposalId: number, index: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.proposalId <= proposalId) waiting.index ??= index;
    }
  }

  /** Answers that wait for nobody any more, or have waited for too long. */
  takeDue(brokers: Iterable<BrokerState>, nowMs: MonotonicMs): readonly Answer[] {
    const unfenced = [...brokers].filter(({ fenced }) => !fenced);
    const due: Answer[] = [];
    this.#waiting = this.#waiting.filter(({ requestId, reply, index, deadlineMs }) => {
      const behind = unfenced.filter((broker) => !this.#hasApplied(broker, index));
      if (index !== null && behind.length === 0) due.push({ requestId, reply });
      else if (nowMs >= deadlineMs) due.push({ requestId, reply: unfinished(behind) });
      else return true;
      return false;
    });
    return due;
  }

  #hasApplied({ brokerId, brokerEpoch }: BrokerState, index: number | null): boolean {
    const applied = this.#applied.get(brokerId);
    if (applied === undefined || applied.brokerEpoch !== brokerEpoch) return false;
    return applied.index === null || (index !== null && applied.index >= index);
  }
}

function unfinished(behind: readonly BrokerState[]): BrokerError {
  const names = behind.map(({ brokerId }) => brokerId).join();
  return new BrokerError(
    'OUTCOME_UNKNOWN',
    `Cannot tell whether older epochs of the producer are shut out: brokers ${names} have not applied the new one`,
  );
}
