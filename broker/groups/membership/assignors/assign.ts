/**
 * Spreads partitions over members: a pure function, so that whoever computes it from the same
 * state comes to the same end. Every partition of a topic that somebody subscribes to is given
 * exactly once, to a subscriber.
 */
import type { TopicId } from '../../../../base/units.ts';
import type { AssignorName, GroupTopic } from '../types.ts';
import { balanced } from './balanced.ts';
import { range } from './range.ts';
import type { Assignee, Targets } from './types.ts';

/**
 * @param assignees each id once, in any order
 * @param topics all that are subscribed to, by id
 */
export function assign(
  name: AssignorName,
  assignees: readonly Assignee[],
  topics: ReadonlyMap<TopicId, GroupTopic>,
): Targets {
  const sorted = assignees.toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1));
  return name === 'range' ? range(sorted, topics) : balanced(sorted, topics, name === 'rack-aware');
}

/** An instance id outlives its processes, so a restart changes no order. */
function placeOf({ instanceId, memberId }: Assignee): string {
  return `${instanceId}/${memberId}`;
}
