/**
 * Of each topic, neighbouring partitions in the order of the members: partitions of one number,
 * of topics with as many partitions and the same subscribers, come to the same member. It moves
 * more than it must, and is even for each topic alone.
 */
import { partitionKey, type TopicId } from '../../../../base/units.ts';
import type { GroupTopic } from '../types.ts';
import type { Assignee, Targets } from './types.ts';

/** @param assignees in their order */
export function range(
  assignees: readonly Assignee[],
  topics: ReadonlyMap<TopicId, GroupTopic>,
): Targets {
  const targets: Targets = new Map(assignees.map(({ memberId }) => [memberId, new Set()]));
  for (const { topicId, partitions } of topics.values()) {
    const subscribers = assignees.filter((assignee) => assignee.topics.has(topicId));
    for (const [at, { memberId }] of subscribers.entries()) {
      const from = Math.floor((at * partitions) / subscribers.length);
      const to = Math.floor(((at + 1) * partitions) / subscribers.length);
      for (let partition = from; partition < to; partition += 1)
        targets.get(memberId)?.add(partitionKey(topicId, partition));
    }
  }
  return targets;
}
