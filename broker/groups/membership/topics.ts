/** Topics as metadata had them at one entry, and what subscriptions come to there. */
import { type PartitionKey, partitionKey, type TopicId } from '../../../base/units.ts';
import type { GroupTopic } from './types.ts';

const NO_TOPICS: ReadonlySet<TopicId> = new Set();

export class Topics {
  readonly metadataIndex: number;
  readonly byId: ReadonlyMap<TopicId, GroupTopic>;
  readonly #byName: ReadonlyMap<string, GroupTopic>;
  readonly #names: readonly string[];
  /** What a subscription comes to. Whoever subscribes to the same gets the same set. */
  readonly #found = new Map<string, ReadonlySet<TopicId>>();

  constructor(metadataIndex: number, topics: ReadonlyMap<string, GroupTopic>) {
    this.metadataIndex = metadataIndex;
    const usable = [...topics].filter(([name]) => !name.startsWith('__'));
    this.#byName = new Map(usable);
    this.#names = usable.map(([name]) => name).toSorted();
    this.byId = new Map(usable.map(([, topic]) => [topic.topicId, topic]));
  }

  /** Topics that there are of a sorted list of names and beginnings. */
  of(subscription: readonly string[]): ReadonlySet<TopicId> {
    if (subscription.length === 0) return NO_TOPICS;
    const text = subscription.join(' ');
    let found = this.#found.get(text);
    if (found === undefined) {
      found = new Set(subscription.flatMap((topic) => this.#matching(topic)));
      this.#found.set(text, found);
    }
    return found;
  }

  /** Whether these targets are of the topics as they are: all of them, and nothing else. */
  fits(
    members: Iterable<{
      readonly topics: readonly string[];
      readonly target: ReadonlySet<PartitionKey>;
    }>,
  ): boolean {
    const subscribed = new Set<ReadonlySet<TopicId>>();
    const targets = new Set<PartitionKey>();
    for (const { topics, target } of members) {
      subscribed.add(this.of(topics));
      for (const key of target) targets.add(key);
    }
    let count = 0;
    for (const topicId of new Set([...subscribed].flatMap((set) => [...set])))
      for (
        let partition = 0;
        partition < (this.byId.get(topicId)?.partitions ?? 0);
        partition += 1
      ) {
        if (!targets.has(partitionKey(topicId, partition))) return false;
        count += 1;
      }
    return count === targets.size;
  }

  #matching(topic: string): TopicId[] {
    if (!topic.endsWith('*')) {
      const found = this.#byName.get(topic);
      return found === undefined ? [] : [found.topicId];
    }
    const beginning = topic.slice(0, -1);
    const names = this.#names;
    const found: TopicId[] = [];
    for (let at = this.#firstFrom(beginning); names[at]?.startsWith(beginning) === true; at += 1)
      found.push(this.#byName.get(names[at] ?? '')!.topicId);
    return found;
  }

  /** Place of the first name that is not before the text. */
  #firstFrom(text: string): number {
    let low = 0;
    let high = this.#names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#names[middle] ?? '') < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
