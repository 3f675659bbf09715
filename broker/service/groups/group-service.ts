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
import type { CursorCommit } from '../../groups/cursors.ts';
import { cursorAt, goneCursors, goneError } from '../../runtime/groups/cursor-rules.ts';
import type { Cursor, GroupCursors } from '../../groups/fold.ts';
import { textField, topicNameField } from '../../messages/fields.ts';
import { unaryHandler } from '../../messages/handlers.ts';
import { holding, isGone } from '../../messages/held.ts';
import type { CommittingMember } from '../../runtime/api.ts';
import { handedOn, isForwarded } from '../cluster.ts';
import { topicNamed } from '../decisions.ts';
import { askCoordinator, type GroupParts, type Onwards } from './coordinated.ts';
import {
  byPlace,
  commitsField,
  cursorToMessage,
  groupField,
  imageOf,
  memberField,
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
/** A leader that is asked about an epoch answers within this, or counts as not heard. */
const EPOCH_DEADLINE_MS = 500;

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
      const group = groupField(request.group);
      const commits = commitsField(group, request.cursors);
      const member = memberField(request.member, commits);
      const onwards = onwardsOf(call);
      return holding(call, CURSOR_HELD_BYTES * commits.length, (also) =>
        askCoordinator(
          parts,
          {
            group,
            method: GroupServiceService.commitCursors,
            request,
            here: () => {
              const outcomes = commitHere(parts, commits, member, onwards);
              also(outcomes);
              return outcomes.then((found) => ({ outcomes: found }));
            },
          },
          onwards,
        ),
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

async function commitHere(
  parts: GroupParts,
  commits: readonly CursorCommit[],
  member: CommittingMember | null,
  onwards: Onwards,
): Promise<CursorOutcome[]> {
  const heard = await epochsOf(parts, commits, onwards);
  const refusals = commits.map((commit, at) => refusalOf(parts, commit, onwards, heard.get(at)));
  const valid = commits.filter((_, at) => refusals[at] === null);
  const { broker } = parts.cluster;
  const epochs = member?.epochs.filter((_, at) => refusals[at] === null) ?? [];
  const done = await broker.groups().commit(valid, member === null ? null : { ...member, epochs });
  const view = imageOf(broker.groups().view(commits[0]?.group ?? ''), commits[0]?.group ?? '');
  let next = 0;
  return commits.map((commit, at) => {
    const refusal = refusals[at];
    const outcome = refusal ?? done[next++];
    if (!(outcome instanceof BrokerError)) return outcomeToMessage(outcome, null);
    // The caller may read the topic that it names, and need not the one of the id.
    const present = cursorAt(view, commit);
    return outcomeToMessage(present?.topic === commit.topic ? present : undefined, outcome);
  });
}

/**
 * Epochs of leaders, by the place of the commit, where one states an epoch that the coordinator has
 * not heard of: its leader has. One question for each topic and leader. Absent: not asked, or none.
 */
async function epochsOf(
  { cluster, report }: GroupParts,
  commits: readonly CursorCommit[],
  { principal }: Onwards,
): Promise<ReadonlyMap<number, number>> {
  const { topics } = cluster.image();
  const asked = new Map<string, number[]>();
  for (const [at, { topicId, partition, leaderEpoch }] of commits.entries()) {
    const known = topics.get(topicId)?.partitions[partition]?.leaderEpoch ?? Infinity;
    if (leaderEpoch > known) asked.set(topicId, [...(asked.get(topicId) ?? []), at]);
  }
  const epochs = new Map<number, number>();
  const asking = [...asked].map(async ([topicId, places]) => {
    const topic = topics.get(topicId);
    if (topic === undefined) return;
    const positions = places.flatMap((at) => commits[at] ?? []);
    const question = { topic, positions, principal };
    const lags = await clusterLags(cluster, question, EPOCH_DEADLINE_MS, report);
    for (const [index, { lag }] of lags.entries())
      if (lag !== undefined) epochs.set(places[index] ?? -1, lag.leaderEpoch);
  });
  await Promise.all(asking);
  return epochs;
}

/**
 * Why a cursor cannot be of this topic; null: it can.
 *
 * @param heard epoch of its leader, where that was asked and answered
 */
function refusalOf(
  { cluster }: GroupParts,
  commit: CursorCommit,
  { isForwarded: isSecondHand }: Onwards,
  heard: number | undefined,
): BrokerError | null {
  const { topicId, partition, leaderEpoch } = commit;
  const topic = cluster.image().topics.get(topicId);
  if (topic === undefined || topic.name !== commit.topic) {
    const text = `No topic "${commit.topic}" has id ${topicId}`;
    // Whoever handed it on may know more.
    return isSecondHand &&
      topic === undefined &&
      topicNamed(cluster.image(), commit.topic) === undefined
      ? new BrokerError('BROKER_NOT_READY', `${text}, as far as the coordinator knows`)
      : new BrokerError('UNKNOWN_TOPIC', text);
  }
  const state = topic.partitions[partition];
  if (state === undefined)
    return new BrokerError(
      'UNKNOWN_PARTITION',
      `Topic "${topic.name}" has no partition ${partition}, must be 0 to ${topic.partitions.length - 1}`,
    );
  if (leaderEpoch <= state.leaderEpoch) return null;
  return heard === undefined || heard >= leaderEpoch
    ? null
    : new BrokerError(
        'POSITION_DIVERGED',
        `The cursor on ${topic.name}/${partition} is of leader epoch ${leaderEpoch}, its leader is in ${heard}`,
        { leaderEpoch: heard },
      );
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
