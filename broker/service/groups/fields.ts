/** Checks of what arrives in calls about groups, and cursors as they travel. */
import type {
  CommitMember,
  CursorOutcome,
  CursorSelection,
  GroupCursor,
  LagPosition,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import { isInternalTopic } from '../../../base/internal-topics.ts';
import {
  CURSORS_PER_CALL_MAX,
  OFFSET_MAX,
  PARTITIONS_PER_TOPIC_MAX,
} from '../../../base/limits.ts';
import type { BrokerError } from '../../../base/errors.ts';
import { partitionKey } from '../../../base/units.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import type { CursorCommit } from '../../groups/cursors.ts';
import type { CommittingMember } from '../../runtime/api.ts';
import type { Cursor, GroupCursors, GroupsImage } from '../../groups/fold.ts';
import { emptyGroups } from '../../runtime/groups/group-rules.ts';
import {
  integerField,
  refuse,
  topicIdBytes,
  topicIdField,
  topicNameField,
  uuidField,
} from '../../messages/fields.ts';

const U32_MAX = 0xffff_ffff;

/** The name of a group: as that of a topic. */
export function groupField(group: string): string {
  topicNameField('group', group);
  return isInternalTopic(group)
    ? refuse('group', group, 'a name that does not begin with __')
    : group;
}

export function partitionField(field: string, partition: number): number {
  return integerField(field, partition, 0, PARTITIONS_PER_TOPIC_MAX - 1);
}

/** Cursors of one call, each of another partition. */
export function commitsField(group: string, cursors: readonly GroupCursor[]): CursorCommit[] {
  integerField('cursors length', cursors.length, 1, CURSORS_PER_CALL_MAX);
  const seen = new Set<string>();
  return cursors.map((cursor, at) => {
    const field = `cursors[${at}]`;
    const commit = {
      group,
      topic: topicNameField(`${field}.topic`, cursor.topic),
      topicId: topicIdField(`${field}.topic_id`, cursor.topicId),
      partition: partitionField(`${field}.partition`, cursor.partition),
      offset: integerField(`${field}.offset`, cursor.offset, 0, OFFSET_MAX),
      leaderEpoch: integerField(`${field}.leader_epoch`, cursor.leaderEpoch, 0, U32_MAX),
      generation: integerField(`${field}.generation`, cursor.generation, 0, U32_MAX),
    };
    const key = partitionKey(commit.topicId, commit.partition);
    if (seen.has(key)) refuse(field, key, 'of a partition that no other names');
    seen.add(key);
    return commit;
  });
}

/** Which member commits; null: none. */
export function memberField(
  member: CommitMember | undefined,
  commits: readonly CursorCommit[],
): CommittingMember | null {
  if (member === undefined) return null;
  const { memberId, attachment, epochs } = member;
  integerField('member.epochs length', epochs.length, commits.length, commits.length);
  return {
    memberId: uuidField('member.member_id', memberId),
    attachment: integerField('member.attachment', attachment, 1, Number.MAX_SAFE_INTEGER),
    epochs: epochs.map((epoch, at) =>
      integerField(`member.epochs[${at}]`, epoch, 1, Number.MAX_SAFE_INTEGER),
    ),
  };
}

/** Positions of one call, each of another partition. */
export function positionsField(positions: readonly LagPosition[]): LagPosition[] {
  integerField('positions length', positions.length, 1, PARTITIONS_PER_TOPIC_MAX);
  const seen = new Set<number>();
  return positions.map(({ partition, offset }, at) => {
    partitionField(`positions[${at}].partition`, partition);
    integerField(`positions[${at}].offset`, offset, 0, OFFSET_MAX);
    if (seen.has(partition)) refuse('positions', partition, 'each partition once');
    seen.add(partition);
    return { partition, offset };
  });
}

/**
 * Topics of one call, each once, as is each partition of one: so the answer holds each cursor of
 * the group once at most, and a small question has no huge answer.
 */
export function selectionsField(selections: readonly CursorSelection[]): void {
  const topics = new Set<string>();
  for (const { topic, partitions } of selections) {
    topicNameField('topics', topic);
    if (topics.has(topic)) refuse('topics', topic, 'each topic once');
    topics.add(topic);
    const seen = new Set<number>();
    for (const partition of partitions) {
      partitionField('topics.partitions', partition);
      if (seen.has(partition)) refuse('topics.partitions', partition, 'each partition once');
      seen.add(partition);
    }
  }
}

export function cursorToMessage(cursor: Cursor): GroupCursor {
  const { topic, topicId, partition, offset, leaderEpoch, generation } = cursor;
  return { topic, topicId: topicIdBytes(topicId), partition, offset, leaderEpoch, generation };
}

export function outcomeToMessage(
  cursor: Cursor | undefined,
  error: BrokerError | null,
): CursorOutcome {
  return {
    cursor: cursor === undefined ? undefined : cursorToMessage(cursor),
    error: error === null ? undefined : errorToMessage(error),
  };
}

/** By topic, then partition. */
export function byPlace(one: Cursor, other: Cursor): number {
  if (one.topic !== other.topic) return one.topic < other.topic ? -1 : 1;
  return one.partition - other.partition;
}

/** Of one group alone: what the rules look things up in. */
export function imageOf(view: GroupCursors | undefined, group: string): GroupsImage {
  const groups = new Map(view === undefined ? [] : [[group, view]]);
  return { ...emptyGroups(), groups, cursors: view?.cursors.size ?? 0 };
}
