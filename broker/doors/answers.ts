/**
 * What a door takes out of answers, and says in their place: topics that the caller may not
 * describe are in none, and one part of a stream's message that is refused is answered by itself.
 */
import type {
  DescribeClusterResponse,
  ListTopicsResponse,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type {
  DescribeGroupResponse,
  FetchCursorsResponse,
  ListGroupsResponse,
} from '../../proto/gen/tidemark/v1/groups.ts';
import type {
  DescribeQueueResponse,
  ListQueuesResponse,
} from '../../proto/gen/tidemark/v1/queues.ts';
import type { ProduceBatch, ProduceResponse } from '../../proto/gen/tidemark/v1/log.ts';
import { errorToMessage } from '../../wire/grpc/errors.ts';
import type { FetchParts } from '../../wire/grpc/frame-messages.ts';
import type { BrokerError } from '../../base/errors.ts';
import type { Rights } from '../access/rules.ts';

const ADMIN = '/tidemark.v1.AdminService/';
const GROUP = '/tidemark.v1.GroupService/';
const QUEUE = '/tidemark.v1.QueueService/';

/** The answer as this caller may see it. */
export function visible(path: string, answer: unknown, may: Rights['may']): unknown {
  if (answer === null || answer === undefined) return answer;
  const sees = (name: string): boolean => may('describe', { kind: 'topic', name });
  if (path === `${ADMIN}ListTopics`) {
    const { topics, ...rest } = answer as ListTopicsResponse;
    return { ...rest, topics: topics.filter(({ name }) => sees(name)) };
  }
  if (path === `${ADMIN}DescribeCluster`) {
    const { losses, ...rest } = answer as DescribeClusterResponse;
    return { ...rest, losses: losses.filter(({ topic }) => sees(topic)) };
  }
  if (path === `${GROUP}ListGroups`) {
    const { groups, ...rest } = answer as ListGroupsResponse;
    const seen = groups.filter(({ group }) => may('describe', { kind: 'group', name: group }));
    return {
      ...rest,
      groups: seen.map((group) => ({ ...group, topics: group.topics.filter(sees) })),
    };
  }
  if (path === `${GROUP}FetchCursors`) {
    const { cursors, ...rest } = answer as FetchCursorsResponse;
    return { ...rest, cursors: cursors.filter(({ cursor }) => sees(cursor?.topic ?? '')) };
  }
  if (path === `${GROUP}DescribeGroup`) {
    const { partitions, members, ...rest } = answer as DescribeGroupResponse;
    const seen = ({ topic }: { readonly topic: string }): boolean => sees(topic);
    return {
      ...rest,
      partitions: partitions.filter(({ cursor }) => sees(cursor?.topic ?? '')),
      members: members.map(({ topics, assigned, target, ...member }) => ({
        ...member,
        topics: topics.filter(sees),
        assigned: assigned.filter(seen),
        target: target.filter(seen),
      })),
    };
  }
  if (path === `${QUEUE}ListQueues`) {
    const { queues } = answer as ListQueuesResponse;
    const seen = queues.filter(
      ({ name, topic }) => may('describe', { kind: 'group', name }) && sees(topic),
    );
    return { queues: seen };
  }
  if (path === `${QUEUE}DescribeQueue`) return withoutKeys(answer as DescribeQueueResponse, may);
  return answer;
}

/** A key is part of a record: whoever may not read the topic does not see it. */
function withoutKeys(answer: DescribeQueueResponse, may: Rights['may']): DescribeQueueResponse {
  const { queue, partitions } = answer;
  const hasKeys = partitions.some(({ blocked }) => blocked?.key !== undefined);
  if (!hasKeys || may('read', { kind: 'topic', name: queue?.topic ?? '' })) return answer;
  return {
    ...answer,
    partitions: partitions.map(({ blocked, ...rest }) => ({
      ...rest,
      blocked: blocked === undefined ? undefined : { ...blocked, key: undefined },
    })),
  };
}

/** A part of a message of `Produce` or `Fetch`. */
export interface StreamPart {
  readonly topicId: Uint8Array;
  readonly partition: number;
}

/** The message that answers one part alone, by the field that the part stood in. */
export function partRefused(field: string, part: StreamPart, error: BrokerError): unknown {
  if (field === 'batches') {
    const { batchId } = part as ProduceBatch;
    const result = { batchId, baseOffset: 0, leaderEpoch: 0, duplicate: false };
    const response: ProduceResponse = {
      results: [{ ...result, error: errorToMessage(error) }],
      windowBytes: 0,
      batchBytes: 0,
    };
    return response;
  }
  const { topicId, partition } = part;
  const response: FetchParts = {
    partitions: [
      {
        topicId,
        partition,
        frames: [],
        highWaterMark: 0,
        logStart: 0,
        error: errorToMessage(error),
        losses: [],
      },
    ],
  };
  return response;
}
