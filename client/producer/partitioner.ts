/**
 * Chooses partitions: by the hash of the key (part of the format: every client chooses alike), else
 * one partition until a batch's worth went there, then the next, so that records without a key form
 * full batches (KIP-480, KIP-794). Must not know how records travel.
 */
import { partitionForKey } from '../../wire/batch/key-hash.ts';
import type { TopicView } from '../cluster.ts';
import { TidemarkError } from '../errors.ts';
import type { PreparedRecord } from './prepare.ts';

export class Partitioner {
  readonly #batchBytes: number;
  #hasLeader: readonly boolean[] = [];
  #isCompacted = false;
  #current = 0;
  #currentBytes = 0;

  /** `batchBytes`: how much goes to one partition before the next. */
  constructor(batchBytes: number) {
    this.#batchBytes = batchBytes;
  }

  /** Takes the topic as it is now; it has at least one partition. */
  learn({ partitions, isCompacted }: Pick<TopicView, 'partitions' | 'isCompacted'>): void {
    this.#isCompacted = isCompacted;
    this.#hasLeader = partitions.map(({ leader }) => leader !== undefined);
    if (this.#hasLeader[this.#current] !== true) this.#next();
  }

  /**
   * The partition of a record of `bytes`. Throws UNKNOWN_PARTITION for an explicit one that does
   * not exist, and INVALID_ARGUMENT for a record of a compacted topic that has no key: it would
   * stay there for ever.
   */
  choose(record: Pick<PreparedRecord, 'topic' | 'partition' | 'key'>, bytes: number): number {
    const count = this.#hasLeader.length;
    const { topic, partition, key } = record;
    if (key === undefined && this.#isCompacted)
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Cannot append to "${topic}": key is missing, must be there, since the topic is compacted, which keeps the last record of each key`,
      );
    if (partition !== undefined) {
      if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition;
      throw new TidemarkError(
        'UNKNOWN_PARTITION',
        `Cannot append to "${topic}": partition is ${partition}, must be 0 to ${count - 1}`,
      );
    }
    if (key !== undefined) return partitionForKey(key, count);
    if (this.#currentBytes >= this.#batchBytes) this.#next();
    this.#currentBytes += bytes;
    return this.#current;
  }

  /** Throws INVALID_ARGUMENT unless records that travel together all go to this partition. */
  requireOne(
    records: readonly Pick<PreparedRecord, 'topic' | 'partition' | 'key'>[],
    partition: number,
  ): void {
    for (const [at, record] of records.entries()) {
      const other = this.choose(record, 0);
      if (other === partition) continue;
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Cannot append records to "${record.topic}" together: records[${at}] belongs to partition ${other}, must be ${partition}, as of records[0]`,
      );
    }
  }

  /** The next partition with a leader, or simply the next where none has one. */
  #next(): void {
    const count = this.#hasLeader.length;
    this.#currentBytes = 0;
    for (let step = 1; step <= count; step += 1) {
      const candidate = (this.#current + step) % count;
      if (this.#hasLeader[candidate] !== true) continue;
      this.#current = candidate;
      return;
    }
    this.#current = (this.#current + 1) % count;
  }
}
