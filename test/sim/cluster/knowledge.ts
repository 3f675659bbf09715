/**
 * When the whole cluster knew something: since then nothing that is sent can end in a topic's
 * former life, or in what an unclean election gave up.
 */
import type { MetadataImage } from '../../../broker/metadata/types.ts';

/** What one broker that runs knows; null while it does not serve. */
export type Known = Pick<MetadataImage, 'topics' | 'losses'> | null;

/** A range of a partition that may be lost, from `fromOffset` on (P11). */
export interface Loss {
  readonly topicId: string;
  readonly topic: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly fromOffset: number;
  /** Every broker knew of it, on the simulated clock; until then it is open upwards. */
  knownMs: number;
}

export class Knowledge {
  readonly losses: Loss[] = [];
  /** Of topics that every broker knows, by id. */
  readonly #knownMs = new Map<string, number>();
  readonly #reports = new Map<string, Loss>();

  /** Takes note of what the brokers that run know now. Returns reports that are new. */
  look(images: readonly Known[], nowMs: number): readonly Loss[] {
    const before = this.losses.length;
    const serving = images.filter((image) => image !== null);
    const areAllServing = serving.length === images.length;
    for (const { topics, losses } of serving) {
      for (const topicId of topics.keys())
        if (areAllServing && serving.every((image) => image.topics.has(topicId)))
          this.#knownMs.set(topicId, this.#knownMs.get(topicId) ?? nowMs);
      for (const report of losses) this.#note(report);
    }
    for (const [key, loss] of this.#reports) {
      if (loss.knownMs !== Number.POSITIVE_INFINITY) continue;
      const isKnown = serving.every((image) => image.losses.some((each) => keyOf(each) === key));
      if (areAllServing && isKnown) loss.knownMs = nowMs;
    }
    return this.losses.slice(before);
  }

  /** Infinite while somebody may not know it. */
  knownSinceMs(topicId: string): number {
    return this.#knownMs.get(topicId) ?? Number.POSITIVE_INFINITY;
  }

  #note(report: MetadataImage['losses'][number]): void {
    const key = keyOf(report);
    if (this.#reports.has(key)) return;
    const { topicId, topic, partition, leaderEpoch, fromOffset } = report;
    const place = { topicId, topic, partition, leaderEpoch, fromOffset };
    const loss = { ...place, knownMs: Number.POSITIVE_INFINITY };
    this.#reports.set(key, loss);
    this.losses.push(loss);
  }
}

function keyOf({ topicId, partition, leaderEpoch }: MetadataImage['losses'][number]): string {
  return `${topicId}/${partition}/${leaderEpoch}`;
}
