/** Topics as groups see them, made anew only when one came, went or grew. */
import { isInternalTopic } from '../../../base/internal-topics.ts';
import type { GroupTopic } from '../../groups/membership/types.ts';
import type { MetadataImage, TopicState } from '../../metadata/types.ts';
import type { TopicsNow } from './members-driver.ts';

export class TopicsWatch {
  #topics: MetadataImage['topics'] | null = null;
  #byName: ReadonlyMap<string, GroupTopic> = new Map();

  /** By this image; the same map as before where nothing that counts has changed. */
  now({ index, topics, brokers }: MetadataImage): TopicsNow {
    if (topics !== this.#topics) {
      this.#topics = topics;
      if (!this.#isSame(topics)) this.#byName = read(topics, brokers);
    }
    return { index, byName: this.#byName };
  }

  #isSame(topics: MetadataImage['topics']): boolean {
    let count = 0;
    for (const { name, topicId, partitions } of topics.values()) {
      if (isInternalTopic(name)) continue;
      const known = this.#byName.get(name);
      if (known?.topicId !== topicId || known.partitions !== partitions.length) return false;
      count += 1;
    }
    return count === this.#byName.size;
  }
}

function read(
  topics: MetadataImage['topics'],
  brokers: MetadataImage['brokers'],
): ReadonlyMap<string, GroupTopic> {
  const racksOf = ({ partitions }: TopicState): readonly (readonly string[])[] =>
    partitions.map(({ replicas }) => [
      ...new Set(replicas.flatMap((id) => brokers.get(id)?.rack || [])),
    ]);
  return new Map(
    [...topics.values()]
      .filter(({ name }) => !isInternalTopic(name))
      .map((topic) => [
        topic.name,
        {
          topicId: topic.topicId,
          partitions: topic.partitions.length,
          racks: racksOf(topic),
        },
      ]),
  );
}
