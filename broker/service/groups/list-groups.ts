/** ListGroups: asked of every broker that leads a partition of `__groups`. */
import {
  GroupServiceService,
  type GroupSummary,
  type ListGroupsResponse,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import { BrokerError } from '../../../base/errors.ts';
import { GROUPS_TOPIC } from '../../../base/internal-topics.ts';
import { NO_BROKER } from '../../../base/units.ts';
import { errorFromMessage, errorToMessage } from '../../../wire/grpc/errors.ts';
import type { TopicState } from '../../metadata/types.ts';
import { expected } from '../../messages/handlers.ts';
import { topicNamed } from '../decisions.ts';
import type { GroupParts, Onwards } from './coordinated.ts';

/** Groups of one answer, and characters of all their names and topics: far below a message. */
const LISTED_MAX = 10_000;
const LISTED_LENGTH_MAX = 4 * 1024 * 1024;
/** Topics that are named of one group. */
const TOPICS_SHOWN_MAX = 100;

export async function listGroups(
  parts: GroupParts,
  { deadlineMs, principal, isForwarded }: Onwards,
): Promise<ListGroupsResponse> {
  const { cluster, report } = parts;
  cluster.requireMetadata();
  const topic = topicNamed(cluster.image(), GROUPS_TOPIC);
  if (topic === undefined) return { groups: [], error: undefined };
  if (isForwarded) {
    const { groups, failure } = groupsHere(parts, topic);
    return bounded(groups, failure);
  }
  const leaders = new Set(topic.partitions.map(({ leader }) => leader));
  const asked = [...leaders].map(async (leader): Promise<Listed> => {
    try {
      if (leader === NO_BROKER)
        throw new BrokerError('LEADER_UNKNOWN', `Some of ${GROUPS_TOPIC} has no leader`);
      if (cluster.isSelf(leader)) return groupsHere(parts, topic);
      const method = GroupServiceService.listGroups;
      const answer = await cluster.forward(leader, method, {}, { deadlineMs, principal });
      const { groups, error } = answer;
      return { groups, failure: error === undefined ? null : errorFromMessage(error) };
    } catch (error) {
      return { groups: [], failure: expected(error, report) };
    }
  });
  const answers = await Promise.all(asked);
  const failure = answers.find((answer) => answer.failure !== null)?.failure ?? null;
  return bounded(
    answers.flatMap(({ groups }) => groups),
    failure,
  );
}

interface Listed {
  readonly groups: readonly GroupSummary[];
  /** Why some are missing. */
  readonly failure: BrokerError | null;
}

/** What this broker coordinates. */
function groupsHere({ cluster, report }: GroupParts, { partitions }: TopicState): Listed {
  const { broker } = cluster;
  let failure: BrokerError | null = null;
  const found: GroupSummary[] = [];
  for (const { partition, leader } of partitions) {
    if (!cluster.isSelf(leader)) continue;
    try {
      for (const [group, { cursors }] of broker.groups().coordinatedIn(partition)) {
        const topics = new Set([...cursors.values()].map(({ topic }) => topic));
        found.push({
          group,
          cursors: cursors.size,
          topics: [...topics].sort().slice(0, TOPICS_SHOWN_MAX),
          coordinator: broker.brokerId,
        });
      }
    } catch (error) {
      failure ??= expected(error, report);
    }
  }
  return { groups: found, failure };
}

/** Those that one answer has room for, by name; what it says where that is not all. */
export function bounded(
  groups: readonly GroupSummary[],
  failure: BrokerError | null,
): ListGroupsResponse {
  const sorted = [...groups].sort((one, other) => (one.group < other.group ? -1 : 1));
  let left = LISTED_LENGTH_MAX;
  const over = sorted.findIndex((group, at) => {
    left -= lengthOf(group);
    return left < 0 || at === LISTED_MAX;
  });
  const shown = over < 0 ? sorted : sorted.slice(0, over);
  const error =
    failure ??
    (over < 0
      ? null
      : new BrokerError('OVERLOADED', `There are ${sorted.length} groups, the first are shown`));
  return { groups: shown, error: error === null ? undefined : errorToMessage(error) };
}

function lengthOf({ group, topics }: GroupSummary): number {
  return topics.reduce((sum, topic) => sum + topic.length, group.length);
}
