/**
 * Producer ids for partitions: one serves every partition that waits for one, and a partition that
 * gave one up never gets the same again. Must not know what is appended under them.
 */
import { LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import type { Cluster } from '../cluster.ts';
import { fromCall, type TidemarkError } from '../errors.ts';
import type { PartitionQueue, ProducerIdentity } from './partition-queue.ts';

export class Identities {
  readonly #cluster: Cluster;
  readonly #nowMs: () => number;
  readonly #onAnswer: () => void;
  readonly #onRefused: (queue: PartitionQueue, error: TidemarkError) => void;
  readonly #waiters = new Set<PartitionQueue>();
  #first: ProducerIdentity | undefined;

  /**
   * @param on.answer who waited has one, or may ask again
   * @param on.refused nobody will give this one an id: its caller may not append
   */
  constructor(
    cluster: Cluster,
    nowMs: () => number,
    on: {
      readonly answer: () => void;
      readonly refused: (queue: PartitionQueue, error: TidemarkError) => void;
    },
  ) {
    this.#cluster = cluster;
    this.#nowMs = nowMs;
    this.#onAnswer = on.answer;
    this.#onRefused = on.refused;
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
      const failure = fromCall(error, 'the cluster');
      for (const queue of this.#waiters) {
        // Else the next pump after the pause asks again, until the records' time is up.
        if (failure.retry === 'no' && failure.effect === 'none') this.#onRefused(queue, failure);
        else queue.rewind(this.#nowMs(), failure);
      }
    }
    this.#waiters.clear();
    this.#onAnswer();
  }
}
