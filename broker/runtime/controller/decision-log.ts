/**
 * What this broker has seen decided about each partition, newest last, in memory: a bounded list.
 * Every broker that follows metadata has one, so what one forgets in a restart the others tell; the
 * index of the entry says what is the same. Must not decide what an entry means.
 */
import type { PartitionKey, TopicId, WallMs } from '../../../base/units.ts';
import { partitionKey } from '../../../base/units.ts';
import type { PartitionDecision } from '../../metadata/explain.ts';

/** A decision, and where it stands. */
export interface SeenDecision extends PartitionDecision {
  /** Of the entry in the metadata log. */
  readonly index: number;
  /** When this broker applied it; null: it lay in its log when it started. */
  readonly atMs: WallMs | null;
}

/** Newest decisions of one partition. */
export const DECISIONS_OF_PARTITION_MAX = 32;
/** Of all partitions: some 500 bytes each. What lies longest unchanged goes first. */
export const DECISIONS_MAX = 10_000;

export class DecisionLog {
  /** Partitions in the order of their last decision. */
  readonly #byPartition = new Map<PartitionKey, SeenDecision[]>();
  #count = 0;
  #rememberedFrom = 0;

  /** Index of the first entry that this broker has seen applied. */
  get rememberedFrom(): number {
    return this.#rememberedFrom;
  }

  /** Entries up to this index were taken over whole, in a snapshot: of them nothing is known. */
  skippedTo(index: number): void {
    this.#rememberedFrom = index + 1;
  }

  note(index: number, atMs: WallMs | null, decisions: readonly PartitionDecision[]): void {
    for (const decision of decisions) {
      const key = partitionKey(decision.topicId, decision.partition);
      const seen = this.#byPartition.get(key) ?? [];
      this.#byPartition.delete(key);
      this.#byPartition.set(key, seen);
      seen.push({ ...decision, index, atMs });
      this.#count += 1;
      if (seen.length > DECISIONS_OF_PARTITION_MAX) this.#drop(key, seen);
    }
    while (this.#count > DECISIONS_MAX) {
      const [oldest] = this.#byPartition;
      if (oldest === undefined) return;
      this.#drop(...oldest);
    }
  }

  /** The topic is deleted. */
  forget(topicId: TopicId): void {
    for (const [key, seen] of this.#byPartition) {
      if (seen[0]?.topicId !== topicId) continue;
      this.#count -= seen.length;
      this.#byPartition.delete(key);
    }
  }

  /** Those of later entries that this broker has seen applied itself, in any order. */
  after(index: number): SeenDecision[] {
    return [...this.#byPartition.values()]
      .flat()
      .filter((decision) => decision.index > index && decision.atMs !== null);
  }

  of(topicId: TopicId, partition: number): readonly SeenDecision[] {
    return [...(this.#byPartition.get(partitionKey(topicId, partition)) ?? [])];
  }

  #drop(key: PartitionKey, seen: SeenDecision[]): void {
    seen.shift();
    this.#count -= 1;
    if (seen.length === 0) this.#byPartition.delete(key);
  }
}
