/**
 * Producer ids for partitions: one serves every partition that waits for one, and a partition that
 * gave one up never gets the same again. Must not know what is appended under them.
 */
import { LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import type { Cluster } from '../cluster.ts';
import { fromCall } from '../errors.ts';
import type { PartitionQueue, ProducerIdentity } from './partition-queue.ts';

export class Identities {
  readonly #cluster: Cluster;
  readonly #nowMs: () => number;
  readonly #onAnswer: () => void;
  readonly #waiters = new Set<PartitionQueue>();
  #first: ProducerIdentity | undefined;

  /** `onAnswer` is called when who waited has one, or may ask again. */
  constructor(cluster: Cluster, nowMs: () => number, onAnswer: () => void) {
    this.#cluster = cluster;
    this.#nowMs = nowMs;
    this.#onAnswer = onAnswer;
  }

  /** The partitions that come now begin with an id that none before them had. */
  forget(): void {
    this.#first = undefined;
  }

  request(queue: PartitionQueue): void {
    if (queue.identityCount === 0 && this.#first !== undefined) {
      queue.setIdentity(this.#first);
      return;
    }
    if (this.#waiters.has(queue)) return;
    this.#waiters.add(queue);
    if (this.#waiters.size === 1) void this.#take();
  }

  async #take(): Promise<void> {
    try {
      const identity = await this.#cluster.call(LogServiceService.initProducer, {
        name: '',
        expected: undefined,
      });
      this.#first ??= identity;
      for (const queue of this.#waiters) queue.setIdentity(identity);
    } catch (error) {
      // The next pump after the pause asks again, until the records' time is up.
      const failure = fromCall(error, 'the cluster');
      for (const queue of this.#waiters) queue.rewind(this.#nowMs(), failure);
    }
    this.#waiters.clear();
    this.#onAnswer();
  }
}
