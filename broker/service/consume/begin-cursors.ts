/**
 * Cursors of partitions that a member was given, as their group's coordinator has them: made where
 * there are none, before anything is delivered, so that it is known where the group began.
 */
import type { CursorOutcome } from '../../../proto/gen/tidemark/v1/groups.ts';
import type { PartitionOffset, StartPoint } from '../../../proto/gen/tidemark/v1/log.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import {
  type BrokerId,
  partitionKey,
  type PartitionKey,
  type TopicId,
} from '../../../base/units.ts';
import type { CursorBeginning } from '../../groups/cursors.ts';
import type { Cursor, GroupCursors } from '../../groups/fold.ts';
import type { TopicState } from '../../metadata/types.ts';
import { cursorAt, goneCursors, goneError } from '../../runtime/groups/group-rules.ts';
import type { GroupParts } from '../groups/coordinated.ts';
import { imageOf, outcomeToMessage } from '../groups/fields.ts';
import { clusterLags } from '../groups/lags.ts';
import { clusterOffsets, EARLIEST } from '../offsets.ts';

const LATEST: NonNullable<StartPoint['point']> = { $case: 'latest', value: true };

export interface Beginning {
  readonly proxy: BrokerId;
  readonly group: string;
  readonly memberId: string;
  readonly attachment: number;
  readonly isFromLatest: boolean;
  readonly partitions: readonly { readonly topicId: TopicId; readonly partition: number }[];
}

interface Place {
  readonly offset: number;
  readonly leaderEpoch: number;
}

type Found = Map<PartitionKey, Cursor | BrokerError>;

/**
 * As the coordinator, in the order of the partitions. Rejects with FENCED where the member is not
 * attached so.
 */
export async function beginCursors(
  { cluster, report }: GroupParts,
  beginning: Beginning,
  deadlineMs: number,
): Promise<CursorOutcome[]> {
  const { group, partitions } = beginning;
  const groups = cluster.broker.groups();
  const held = heldBy(groups.describe(group)?.members ?? [], beginning);
  const view = groups.view(group);
  const image = imageOf(view, group);
  const { topics } = cluster.image();
  const isTopic = (topicId: TopicId): boolean => topics.has(topicId);
  const found: Found = new Map();
  const missing = new Map<TopicId, number[]>();
  for (const { topicId, partition } of partitions) {
    const key = partitionKey(topicId, partition);
    const topic = topics.get(topicId);
    const place = { group, topic: topic?.name ?? '', topicId, partition };
    const cursor = cursorAt(image, place);
    const [gone] = topic === undefined ? [] : goneCursors(image, place, isTopic);
    if (!held.has(key)) found.set(key, notHeld(place));
    else if (cursor !== undefined) found.set(key, cursor);
    else if (gone !== undefined) found.set(key, goneError(gone));
    else if (topic?.partitions[partition] === undefined) found.set(key, unheardOf(place));
    else missing.set(topicId, [...(missing.get(topicId) ?? []), partition]);
  }
  const looked = [...missing].map(([topicId, some]) => {
    const topic = topics.get(topicId)!;
    const isKnown = [...(view?.cursors.values() ?? [])].some(
      (cursor) => cursor.topicId === topicId,
    );
    const parts = { cluster, report };
    return isKnown || !beginning.isFromLatest
      ? fromEarliest(parts, topic, some, deadlineMs / 2)
      : fromLatest(parts, topic, withoutCursor(topic, view), deadlineMs / 3);
  });
  const beginnings: CursorBeginning[] = [];
  for (const one of (await Promise.all(looked)).flat())
    if ('error' in one) found.set(partitionKey(one.topicId, one.partition), one.error);
    else beginnings.push(one);
  const begun = await groups.begin(group, beginnings);
  for (const [at, { topicId, partition }] of beginnings.entries())
    found.set(partitionKey(topicId, partition), begun[at] ?? unanswered());
  return partitions.map(({ topicId, partition }) => {
    const outcome = found.get(partitionKey(topicId, partition)) ?? unanswered();
    return outcome instanceof BrokerError
      ? outcomeToMessage(undefined, outcome)
      : outcomeToMessage(outcome, null);
  });
}

/** What the member has, if it is attached so. */
function heldBy(
  members: NonNullable<
    ReturnType<ReturnType<GroupParts['cluster']['broker']['groups']>['describe']>
  >['members'],
  { group, memberId, attachment, proxy }: Beginning,
): ReadonlySet<PartitionKey> {
  const member = members.find((each) => each.memberId === memberId);
  if (member?.attachment !== attachment || member.proxy !== proxy || member.isAway)
    throw new BrokerError(
      'FENCED',
      `Member ${memberId} of group "${group}" is not attached as ${attachment} to broker ${proxy}`,
    );
  return new Set(
    member.view.assigned.map(({ topicId, partition }) => partitionKey(topicId, partition)),
  );
}

function withoutCursor(
  { topicId, partitions }: TopicState,
  view: GroupCursors | undefined,
): number[] {
  return partitions
    .map(({ partition }) => partition)
    .filter((partition) => view?.cursors.has(partitionKey(topicId, partition)) !== true);
}

interface Failed {
  readonly topicId: TopicId;
  readonly partition: number;
  readonly error: BrokerError;
}

type Parts = Pick<GroupParts, 'cluster' | 'report'>;

/** Each by itself: at its log start. */
async function fromEarliest(
  { cluster, report }: Parts,
  topic: TopicState,
  partitions: readonly number[],
  deadlineMs: number,
): Promise<(CursorBeginning | Failed)[]> {
  const question = { topic, partitions, point: EARLIEST };
  const offsets = await clusterOffsets(cluster, question, deadlineMs, report);
  return offsets.map(({ partition, offset, error }) => {
    if (offset === undefined) return failed(topic, partition, error);
    const place = { offset, leaderEpoch: 0 };
    return beginningOf(topic, partition, place, place);
  });
}

/**
 * All partitions of the topic, or none: those that are missing later count as added, and begin at
 * their first record.
 */
async function fromLatest(
  { cluster, report }: Parts,
  topic: TopicState,
  partitions: readonly number[],
  deadlineMs: number,
): Promise<(CursorBeginning | Failed)[]> {
  const ask = (point: typeof LATEST) =>
    clusterOffsets(cluster, { topic, partitions, point }, deadlineMs, report);
  const [earliest, latest] = await Promise.all([ask(EARLIEST), ask(LATEST)]);
  const fault = [...earliest, ...latest].find(({ offset }) => offset === undefined);
  if (fault !== undefined)
    return partitions.map((partition) => failed(topic, partition, fault.error));
  const positions = latest.map(({ partition, offset = 0 }) => ({ partition, offset }));
  const question = { topic, positions, principal: '' };
  const lags = await clusterLags(cluster, question, deadlineMs, report);
  return latest.map(({ partition, offset = 0 }, at) => {
    const leaderEpoch = lags[at]?.lag?.positionEpoch ?? 0;
    const start = { offset: earliest[at]?.offset ?? 0, leaderEpoch: 0 };
    return beginningOf(topic, partition, { offset, leaderEpoch }, start);
  });
}

function beginningOf(
  { name, topicId }: TopicState,
  partition: number,
  first: Place,
  earliest: Place,
): CursorBeginning {
  return { topic: name, topicId, partition, first, earliest };
}

function failed(
  { topicId }: TopicState,
  partition: number,
  error: PartitionOffset['error'],
): Failed {
  return {
    topicId,
    partition,
    error: error === undefined ? unanswered() : errorFromMessage(error),
  };
}

function notHeld({
  group,
  topicId,
  partition,
}: {
  readonly group: string;
  readonly topicId: TopicId;
  readonly partition: number;
}): BrokerError {
  return new BrokerError(
    'FENCED',
    `The member of group "${group}" does not hold partition ${partition} of ${topicId} any more`,
  );
}

/** The member was given it by whoever knew of it: this broker will, or the group takes it away. */
function unheardOf({
  topicId,
  partition,
}: {
  readonly topicId: TopicId;
  readonly partition: number;
}): BrokerError {
  return new BrokerError(
    'BROKER_NOT_READY',
    `The coordinator knows no partition ${partition} of topic ${topicId}: not yet, or no more`,
  );
}

function unanswered(): BrokerError {
  return new BrokerError('LEADER_UNKNOWN', 'The leader did not answer');
}
