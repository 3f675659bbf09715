/**
 * The rules of cursors (docs/rules.md#cursors): what a commit, a seek and a deletion write, judged
 * by the committed image. A commit only moves a cursor forward, within the generation that it
 * states; a seek puts it anywhere and begins another generation. Pure.
 */
import { BrokerError } from '../../base/errors.ts';
import { CURSORS_PER_COORDINATOR_MAX, GROUP_CURSORS_MAX } from '../../base/limits.ts';
import { partitionKey, type TopicId } from '../../base/units.ts';
import { type Cursor, cursorRecord, type GroupsImage, partitionName } from './fold.ts';
import type { CursorPlace, CursorValue, GroupsRecord } from './records.ts';

/** What somebody asks to be committed. */
export interface CursorCommit extends CursorPlace, Omit<CursorValue, 'generation'> {
  /** 0: whichever the cursor has. */
  readonly generation: number;
}

/** Where somebody wants it. */
export type CursorSeek = Omit<CursorCommit, 'generation'>;

/** What is to be written, and the cursor then; nothing is: it stands there already. */
export interface CursorVerdict {
  readonly records: readonly GroupsRecord[];
  readonly cursor: Cursor;
}

/** Whether a topic of this id is there. */
export type IsTopic = (topicId: TopicId) => boolean;

/** What a commit writes. Throws {@link BrokerError} for one that is refused. */
export function judgeCommit(
  image: GroupsImage,
  commit: CursorCommit,
  isTopic: IsTopic,
): CursorVerdict {
  const present = cursorAt(image, commit);
  if (present === undefined) {
    const generation = Math.max(1, commit.generation);
    return written(image, { ...commit, generation }, isTopic);
  }
  if (commit.generation !== 0 && commit.generation !== present.generation)
    throw new BrokerError(
      'CURSOR_FENCED',
      `${named(commit)} is in generation ${String(present.generation)}, the commit is of ${String(commit.generation)}: somebody has put it to ${String(present.offset)}`,
    );
  const isKnown = commit.leaderEpoch !== 0 && present.leaderEpoch !== 0;
  if (commit.offset < present.offset)
    throw new BrokerError(
      'CURSOR_AHEAD',
      `${named(commit)} stands at ${String(present.offset)}, above ${String(commit.offset)}: only a seek moves it back`,
    );
  if (isKnown && commit.leaderEpoch < present.leaderEpoch)
    throw new BrokerError(
      'POSITION_DIVERGED',
      `${named(commit)} stands at ${String(present.offset)} of epoch ${String(present.leaderEpoch)}: ${String(commit.offset)} of epoch ${String(commit.leaderEpoch)} lies in a log that was cut`,
    );
  const leaderEpoch =
    commit.offset === present.offset
      ? Math.max(commit.leaderEpoch, present.leaderEpoch)
      : commit.leaderEpoch;
  if (commit.offset === present.offset && leaderEpoch === present.leaderEpoch)
    return { records: [], cursor: present };
  return written(image, { ...commit, leaderEpoch, generation: present.generation }, isTopic);
}

/** What a seek writes: also where the cursor stands there already, since it ends a generation. */
export function judgeSeek(image: GroupsImage, seek: CursorSeek, isTopic: IsTopic): CursorVerdict {
  const before = [cursorAt(image, seek), ...goneCursors(image, seek, isTopic)];
  const generation = Math.max(0, ...before.map((cursor) => cursor?.generation ?? 0)) + 1;
  return written(image, { ...seek, generation }, isTopic);
}

/** Where a partition is begun of which a group has no cursor. */
export interface CursorBeginning extends Pick<CursorPlace, 'topicId' | 'partition'> {
  readonly topic: string;
  /** Of a topic that the group has not read before. */
  readonly first: Pick<CursorValue, 'offset' | 'leaderEpoch'>;
  /** Of one that it reads: the partition was added since. */
  readonly earliest: Pick<CursorValue, 'offset' | 'leaderEpoch'>;
}

/**
 * What is to be written so that each of these partitions has a cursor, and the cursors then, in
 * order: those that there are stay as they are.
 */
export function judgeBeginnings(
  image: GroupsImage,
  group: string,
  beginnings: readonly CursorBeginning[],
  isTopic: IsTopic,
): {
  readonly records: readonly GroupsRecord[];
  readonly outcomes: readonly (Cursor | BrokerError)[];
} {
  const records: GroupsRecord[] = [];
  const present = image.groups.get(group)?.cursors;
  const known = new Set([...(present?.values() ?? [])].map(({ topicId }) => topicId));
  const room = Math.min(
    GROUP_CURSORS_MAX - (present?.size ?? 0),
    CURSORS_PER_COORDINATOR_MAX - image.cursors,
  );
  const outcomes = beginnings.map(({ first, earliest, ...place }): Cursor | BrokerError => {
    const cursor = cursorAt(image, { group, ...place });
    if (cursor !== undefined) return cursor;
    const [gone] = goneCursors(image, { group, ...place }, isTopic);
    if (gone !== undefined) return goneError(gone);
    if (records.length >= room)
      return new BrokerError(
        'OVERLOADED',
        `There is no room for a cursor of group "${group}" on ${partitionName(place)}`,
      );
    const { offset, leaderEpoch } = known.has(place.topicId) ? earliest : first;
    const { topic, topicId, partition } = place;
    const begun = { group, topic, topicId, partition, offset, leaderEpoch, generation: 1 };
    records.push(cursorRecord(begun));
    return begun;
  });
  return { records, outcomes };
}

/** What forgetting a group writes, at most so many records. */
export function judgeDeletion(image: GroupsImage, group: string, max: number): GroupsRecord[] {
  const cursors = [...(image.groups.get(group)?.cursors.values() ?? [])];
  return cursors.slice(0, max).map((cursor) => tombstone(cursor));
}

/** The cursor of a place, if there is one. */
export function cursorAt(
  image: GroupsImage,
  { group, topicId, partition }: CursorPlace,
): Cursor | undefined {
  return image.groups.get(group)?.cursors.get(partitionKey(topicId, partition));
}

/** Cursors of the same group, name and partition, whose topic is gone. */
export function goneCursors(
  image: GroupsImage,
  place: Pick<CursorPlace, 'group' | 'partition'> & Pick<CursorValue, 'topic'>,
  isTopic: IsTopic,
): Cursor[] {
  const group = image.groups.get(place.group);
  return [...(group?.byName.get(partitionName(place)) ?? [])].flatMap((key) => {
    const cursor = group?.cursors.get(key);
    return cursor === undefined || isTopic(cursor.topicId) ? [] : [cursor];
  });
}

/** The refusal to take a cursor of a deleted topic for one of the topic that has its name now. */
export function goneError(cursor: Cursor): BrokerError {
  return new BrokerError(
    'CURSOR_GONE',
    `${named(cursor)} is at ${String(cursor.offset)} of topic id ${cursor.topicId}, which was deleted: seek to where the group is to go on`,
  );
}

function written(image: GroupsImage, cursor: Cursor, isTopic: IsTopic): CursorVerdict {
  if (cursorAt(image, cursor) === undefined) refuseTooMany(image, cursor);
  const { group, topic, topicId, partition, offset, leaderEpoch, generation } = cursor;
  const exact = { group, topic, topicId, partition, offset, leaderEpoch, generation };
  const gone = goneCursors(image, exact, isTopic).map((one) => tombstone(one));
  return { records: [...gone, cursorRecord(exact)], cursor: exact };
}

function refuseTooMany(image: GroupsImage, { group }: CursorPlace): void {
  const own = image.groups.get(group)?.cursors.size ?? 0;
  if (own >= GROUP_CURSORS_MAX)
    throw new BrokerError(
      'REFUSED',
      `Group "${group}" has ${String(own)} cursors, must have ${String(GROUP_CURSORS_MAX)} or fewer`,
    );
  if (image.cursors >= CURSORS_PER_COORDINATOR_MAX)
    throw new BrokerError(
      'OVERLOADED',
      `The coordinator of group "${group}" keeps ${String(image.cursors)} cursors, as many as it may`,
    );
}

function tombstone({ group, topicId, partition }: CursorPlace): GroupsRecord {
  return { kind: 'cursor', group, topicId, partition, value: null };
}

function named({ group, topic, partition }: Pick<Cursor, 'group' | 'topic' | 'partition'>): string {
  return `Cursor of group "${group}" on ${topic}/${String(partition)}`;
}
