/** What a broker knows of the partitions of queues that it owns. */
import { BrokerError } from '../../../base/errors.ts';
import type { DescribeOwnedResponse } from '../../../proto/gen/tidemark/internal/v1/queues.ts';

export interface OwnedQueues {
  /**
   * How these partitions of the queue's topic stand, in their order. One that this broker does not
   * own, or that has not begun yet, says so in its error: NOT_LEADER, BROKER_NOT_READY.
   *
   * @param queueId a uuid, which this broker need not have heard of yet
   */
  describe(queueId: string, partitions: readonly number[]): Promise<DescribeOwnedResponse>;
  /**
   * The key that the parked record holds goes on; resolves once that is committed. Rejects with the
   * owner's refusal.
   */
  freeKey(queueId: string, partition: number, offset: number): Promise<void>;
}

/** Of a broker that owns none. */
export const OWNS_NO_QUEUES: OwnedQueues = {
  describe: () => Promise.reject(notYet()),
  freeKey: () => Promise.reject(notYet()),
};

function notYet(): BrokerError {
  return new BrokerError('BROKER_NOT_READY', 'This broker owns no partition of a queue');
}
