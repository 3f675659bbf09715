/**
 * GroupService: every call goes to the group's coordinator, which answers from what is committed.
 */
import {
  type CursorOutcome,
  type DescribeGroupRequest,
  type DescribeGroupResponse,
  type FetchCursorsRequest,
  type GroupPartition,
  GroupServiceService,
  type GroupServiceServer,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { BrokerError } from '../../../base/errors.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import { cursorAt, goneCursors, goneError } from '../../runtime/groups/group-rules.ts';
import type { Cursor, GroupCursors } from '../../groups/fold.ts';
import { textField, topicNameField } from '../../messages/fields.ts';
import { unaryHandler } from '../../messages/handlers.ts';
import { holding, isGone } from '../../messages/held.ts';
import { handedOn, isForwarded } from '../cluster.ts';
import { topicNamed } from '../decisions.ts';
import { askedCommits, commitCursors } from './commits.ts';
import { askCoordinator, type GroupParts, type Onwards } from './coordinated.ts';
import {
  byPlace,
  cursorToMessage,
  groupField,
  imageOf,
  outcomeToMessage,
  positionsField,
  selectionsField,
} from './fields.ts';
import { clusterLags, localLags } from './lags.ts';
import { listGroups } from './list-groups.ts';
import { membersOf } from './members.ts';
import { seekGroup } from './seeks.ts';

/** Of a cursor that waits to be written, with the message that it came in: measured 340. */
const CURSOR_HELD_BYTES = 400;

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getDeadline'>;

/** Handlers of GroupService. */
export function groupService(parts: GroupParts): GroupServiceServer {
  const { cluster, report } = parts;
  const onwardsOf = (call: AnyCall): Onwards => ({
    ...handedOn(call, cluster.clock),
    isForwarded: isForwarded(call),
    isGone: () => isGone(call),
  });
  return {
    commitCursors: unaryHandler((request, call) => {
      const asked = askedCommits(request);
      const onwards = onwardsOf(call);
      return holding(call, CURSOR_HELD_BYTES * asked.commits.length, (also) =>
        commitCursors(parts, asked, onwards, also),
      );
    }, report),
    fetchCursors: unaryHandler((request, call) => {
      const group = groupField(request.group);
      selectionsField(request.topics);
      const onwards = onwardsOf(call);
      if (!onwards.isForwarded) for (const { topic } of request.topics) cluster.topic(topic);
      return askCoordinator(
        parts,
        {
          group,
          method: GroupServiceService.fetchCursors,
          request,
          here: async () => {
            await cluster.broker.groups().use(group);
            return { cursors: fetchHere(parts, group, request.topics, onwards.isForwarded) };
          },
        },
        onwards,
      );
    }, report),
    listGroups: unaryHandler((_, call) => listGroups(parts, onwardsOf(call)), report),
    describeGroup: unaryHandler(
      (request, call) => describeGroup(parts, request, onwardsOf(call)),
      report,
    ),
    ...changes(parts, onwardsOf),
    describeLag: unaryHandler(async (request, call) => {
      const topic = cluster.topic(topicNameField('topic', request.topic));
      const positions = positionsField(request.positions);
      for (const { partition } of positions) cluster.partition(topic, partition);
      const { deadlineMs, principal } = handedOn(call, cluster.clock);
      const question = { topic, positions, principal };
      if (isForwarded(call)) return { lags: localLags(cluster, question, report) };
      return { lags: await clusterLags(cluster, question, deadlineMs, report) };
    }, report),
  };
}

function changes(
  parts: GroupParts,
  onwardsOf: (call: AnyCall) => Onwards,
): Pick<GroupServiceServer, 'seekGroup' | 'deleteGroup'> {
  const { cluster, report } = parts;
  return {
    seekGroup: unaryHandler((request, call) => {
      const group = groupField(request.group);
      const onwards = onwardsOf(call);
      const topic = cluster.topic(topicNameField('topic', request.topic));
      const { length } = cluster.partitions(topic, request.partitions);
      return holding(call, CURSOR_HELD_BYTES * length, (also) =>
        askCoordinator(
          parts,
          {
            group,
            method: GroupServiceService.seekGroup,
            request,
            here: (deadlineMs) => {
              const answer = seekGroup(parts, request, { ...onwards, deadlineMs });
              also(answer);
              return answer;
            },
          },
          onwards,
        ),
      );
    }, report),
    deleteGroup: unaryHandler((request, call) => {
      const group = groupField(request.group);
      return askCoordinator(
        parts,
        {
          group,
          method: GroupServiceService.deleteGroup,
          request,
          here: async () => ({ cursors: await cluster.broker.groups().remove(group) }),
          whereNone: () => {
            throw unknownGroup(group);
          },
        },
        onwardsOf(call),
      );
    }, report),
  };
}

/**
 * One group as its coordinator has it, with the lag of every cursor. Rejects with UNKNOWN_GROUP.
 */
export function describeGroup(
  parts: GroupParts,
  request: DescribeGroupRequest,
  onwards: Onwards,
): Promise<DescribeGroupResponse> {
  const group = groupField(textField('group', request.group));
  return askCoordinator(
    parts,
    {
      group,
      method: GroupServiceService.describeGroup,
      request,
      here: async (deadlineMs) => {
        const { broker } = parts.cluster;
        if (request.keeps) await broker.groups().use(group);
        const view = broker.groups().view(group);
        if (view === undefined) throw unknownGroup(group);
        return {
          group,
          coordinator: broker.brokerId,
          partitions: await lagsOf(parts, view, { ...onwards, deadlineMs: deadlineMs / 2 }),
          idleMs: view.idleMs,
          ...membersOf(broker.groups().describe(group), parts.cluster.image()),
        };
      },
      whereNone: () => {
        throw unknownGroup(group);
      },
    },
    onwards,
  );
}

function unknownGroup(group: string): BrokerError {
  return new BrokerError(
    'UNKNOWN_GROUP',
    `No group is named "${group}": it has no cursor and no member`,
  );
}

async function lagsOf(
  { cluster, report }: GroupParts,
  { cursors }: GroupCursors,
  { deadlineMs, principal }: Onwards,
): Promise<GroupPartition[]> {
  const image = cluster.image();
  const sorted = [...cursors.values()].sort(byPlace);
  const byTopic = new Map<string, Cursor[]>();
  for (const cursor of sorted) {
    const some = byTopic.get(cursor.topicId);
    if (some === undefined) byTopic.set(cursor.topicId, [cursor]);
    else some.push(cursor);
  }
  const found = [...byTopic].map(async ([topicId, some]): Promise<GroupPartition[]> => {
    const topic = image.topics.get(topicId);
    if (topic === undefined)
      return some.map((cursor) => ({
        cursor: cursorToMessage(cursor),
        lag: undefined,
        error: errorToMessage(goneError(cursor)),
      }));
    const positions = some.map(({ partition, offset }) => ({ partition, offset }));
    const lags = await clusterLags(cluster, { topic, positions, principal }, deadlineMs, report);
    return some.map((cursor, at) => ({
      cursor: cursorToMessage(cursor),
      lag: lags[at]?.lag,
      error: lags[at]?.error,
    }));
  });
  return (await Promise.all(found)).flat();
}

function fetchHere(
  { cluster }: GroupParts,
  group: string,
  selections: FetchCursorsRequest['topics'],
  isSecondHand: boolean,
): CursorOutcome[] {
  const view = cluster.broker.groups().view(group);
  const { topics } = cluster.image();
  const isTopic = (topicId: string): boolean => topics.has(topicId);
  if (selections.length === 0)
    return [...(view?.cursors.values() ?? [])]
      .sort(byPlace)
      .map((cursor) =>
        outcomeToMessage(cursor, isTopic(cursor.topicId) ? null : goneError(cursor)),
      );
  const image = imageOf(view, group);
  return selections.flatMap(({ topic: name, partitions }) => {
    const topic = topicNamed(cluster.image(), name);
    if (topic === undefined)
      throw isSecondHand
        ? new BrokerError('BROKER_NOT_READY', `The coordinator knows no topic "${name}" yet`)
        : new BrokerError('UNKNOWN_TOPIC', `No topic is named "${name}"`);
    const wanted = partitions.length > 0 ? partitions : topic.partitions.map((_, at) => at);
    return wanted.flatMap((partition): CursorOutcome[] => {
      const place = { group, topic: name, topicId: topic.topicId, partition };
      const cursor = cursorAt(image, place);
      if (cursor !== undefined) return [outcomeToMessage(cursor, null)];
      const [gone] = goneCursors(image, place, isTopic);
      return gone === undefined ? [] : [outcomeToMessage(gone, goneError(gone))];
    });
  });
}
