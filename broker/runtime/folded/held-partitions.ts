/**
 * What a broker keeps for each partition of a topic of the cluster's own that it has a replica of:
 * opened when the replica comes, closed when it goes or another is in its place.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { Replica } from '../partitions/replica.ts';
import type { Replicas } from '../partitions/replicas.ts';

/** One of them. */
export interface KeptPartition {
  /** Goes on with whatever may have become possible. */
  look(): void;
  close(): void;
}

export interface HeldPartitionsParts<Kept> {
  readonly topic: string;
  readonly partitions: number;
  readonly image: () => MetadataImage;
  readonly replicas: Pick<Replicas, 'get' | 'require'>;
  readonly open: (replica: Replica) => Kept;
}

export class HeldPartitions<Kept extends KeptPartition> {
  readonly #parts: HeldPartitionsParts<Kept>;
  readonly #held = new Map<number, { readonly replica: Replica; readonly kept: Kept }>();
  #isClosed = false;

  constructor(parts: HeldPartitionsParts<Kept>) {
    this.#parts = parts;
  }

  /** Replicas or metadata have changed, or time has passed. */
  look(): void {
    const topicId = this.#topicId;
    if (this.#isClosed || (topicId === undefined && this.#held.size === 0)) return;
    const { partitions, replicas, open } = this.#parts;
    for (let partition = 0; partition < partitions; partition += 1) {
      const replica = topicId === undefined ? null : replicas.get(topicId, partition);
      const held = this.#held.get(partition);
      if (held !== undefined && held.replica === replica) {
        held.kept.look();
        continue;
      }
      held?.kept.close();
      this.#held.delete(partition);
      if (replica !== null) this.#held.set(partition, { replica, kept: open(replica) });
    }
  }

  /** Throws NOT_LEADER where it is not held here, and BROKER_NOT_READY where it is not yet. */
  get(partition: number): Kept {
    const { topic, replicas } = this.#parts;
    const topicId = this.#topicId;
    const replica = topicId === undefined ? null : replicas.get(topicId, partition);
    // What metadata has only just brought here, or taken away.
    if (this.#held.get(partition)?.replica !== replica) this.look();
    const held = this.#held.get(partition);
    if (held !== undefined) return held.kept;
    if (topicId === undefined)
      throw new BrokerError('BROKER_NOT_READY', `There is no topic "${topic}" here yet`);
    replicas.require(topicId, partition);
    throw new BrokerError('BROKER_NOT_READY', `${topic}/${partition} is being opened`);
  }

  *[Symbol.iterator](): Generator<Kept> {
    for (const { kept } of this.#held.values()) yield kept;
  }

  close(): void {
    this.#isClosed = true;
    for (const kept of this) kept.close();
    this.#held.clear();
  }

  get #topicId(): string | undefined {
    return this.#parts.image().topicIdsByName.get(this.#parts.topic);
  }
}
