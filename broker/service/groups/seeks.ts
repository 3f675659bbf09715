/** SeekGroup: finds where each partition is to go on, and puts the cursor there. */
import type {
  SeekGroupRequest,
  SeekGroupResponse,
  SeekOutcome,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import type { PartitionOffset } from '../../../proto/gen/tidemark/v1/log.ts';
import { BrokerError } from '../../../base/errors.ts';
import { OFFSET_MAX } from '../../../base/limits.ts';
import { errorFromMessage, errorToMessage } from '../../../wire/grpc/errors.ts';
import type { CursorSeek } from '../../groups/cursors.ts';
import { cursorAt, goneCursors, judgeSeek } from '../../runtime/groups/group-rules.ts';
import type { Cursor, GroupsImage } from '../../groups/fold.ts';
import type { TopicState } from '../../metadata/types.ts';
import { integerField, topicNameField } from '../../messages/fields.ts';
import { clusterOffsets, pointField } from '../offsets.ts';
import { type GroupParts, type Onwards, refuseNameOfQueue } from './coordinated.ts';
import { cursorToMessage, imageOf } from './fields.ts';
import { clusterLags } from './lags.ts';

/** As the group's coordinator. */
export async function seekGroup(
  { cluster, report }: GroupParts,
  request: SeekGroupRequest,
  { deadlineMs, principal }: Onwards,
): Promise<SeekGroupResponse> {
  const { group, dryRun } = request;
  refuseNameOfQueue(cluster, group);
  const topic = cluster.topic(topicNameField('topic', request.topic));
  const partitions = cluster.partitions(topic, request.partitions);
  const point = pointField(request.to);
  if (point.$case === 'offset') integerField('to.offset', point.value, 0, OFFSET_MAX);
  const groups = cluster.broker.groups();
  // Whoever is not the coordinator says so before it asks others.
  groups.view(group);
  const shareMs = deadlineMs / 3;
  const question = { topic, partitions, point, principal };
  const offsets = await clusterOffsets(cluster, question, shareMs, report);
  const found = new Map<number, number | BrokerError>();
  for (const one of offsets) found.set(one.partition, offsetIn(topic, one));
  const positions = [...found].flatMap(([partition, offset]) =>
    offset instanceof BrokerError ? [] : [{ partition, offset }],
  );
  const lags = await clusterLags(cluster, { topic, positions, principal }, shareMs, report);
  const seeks = lags.flatMap(({ partition, lag, error }, at): CursorSeek[] => {
    if (lag === undefined) {
      found.set(partition, errorOf(error));
      return [];
    }
    const offset = positions[at]?.offset ?? 0;
    const { topicId, name } = topic;
    return [{ group, topic: name, topicId, partition, offset, leaderEpoch: lag.positionEpoch }];
  });
  const image = imageOf(groups.view(group), group);
  const isTopic = (topicId: string): boolean => cluster.image().topics.has(topicId);
  const before = new Map(seeks.map((seek) => [seek.partition, beforeOf(image, seek, isTopic)]));
  const after = dryRun
    ? seeks.map((seek) => judgeSeek(image, seek, isTopic).cursor)
    : await groups.seek(seeks);
  const outcomes = new Map(seeks.map(({ partition }, at) => [partition, after[at]]));
  return {
    outcomes: partitions.map((partition): SeekOutcome => {
      const outcome = outcomes.get(partition) ?? found.get(partition);
      const was = before.get(partition);
      return {
        partition,
        before: was === undefined ? undefined : cursorToMessage(was),
        after: isCursor(outcome) ? cursorToMessage(outcome) : undefined,
        error: isCursor(outcome) ? undefined : errorToMessage(asError(outcome, partition)),
      };
    }),
  };
}

function beforeOf(
  image: GroupsImage,
  seek: CursorSeek,
  isTopic: (topicId: string) => boolean,
): Cursor | undefined {
  return cursorAt(image, seek) ?? goneCursors(image, seek, isTopic)[0];
}

function offsetIn({ name }: TopicState, one: PartitionOffset): number | BrokerError {
  const { offset, logStart, highWaterMark, partition } = one;
  if (offset === undefined) return errorOf(one.error);
  if (offset >= logStart && offset <= highWaterMark) return offset;
  return new BrokerError(
    'OFFSET_OUT_OF_RANGE',
    `Offset ${offset} of ${name}/${partition} is not there, must be ${logStart} to ${highWaterMark}`,
    { logStart, logEnd: highWaterMark },
  );
}

function isCursor(outcome: Cursor | BrokerError | number | undefined): outcome is Cursor {
  return typeof outcome === 'object' && !(outcome instanceof BrokerError);
}

function asError(outcome: BrokerError | number | undefined, partition: number): BrokerError {
  return outcome instanceof BrokerError
    ? outcome
    : new BrokerError('LEADER_UNKNOWN', `The leader of partition ${partition} did not answer`);
}

function errorOf(message: PartitionOffset['error']): BrokerError {
  return message === undefined
    ? new BrokerError('LEADER_UNKNOWN', 'The leader did not answer')
    : errorFromMessage(message);
}
