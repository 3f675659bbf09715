/**
 * What the committed records of one partition of `__groups` add up to. Every replica folds them as
 * they come, in the order of the log, so that a new leader has nothing to load. Folding the same
 * records again gives the same image, which is what a snapshot in the log relies on. Values are
 * replaced, never changed; the maps belong to whoever made the image.
 */
import { type PartitionKey, partitionKey } from '../../base/units.ts';
import type { CursorPlace, CursorValue, GroupsRecord } from './records.ts';

/** A cursor, and whose it is. */
export interface Cursor extends CursorPlace, CursorValue {}

export interface GroupCursors {
  readonly cursors: Map<PartitionKey, Cursor>;
  /** The same by topic name and partition: a name has had several ids, where topics were remade. */
  readonly byName: Map<string, Set<PartitionKey>>;
  /** How long it was not used when that was last noted; 0: it was used since. */
  idleMs: number;
}

export interface GroupsImage {
  /** Each has a cursor. */
  readonly groups: Map<string, GroupCursors>;
  /** Of all groups. */
  cursors: number;
  /** About what a snapshot of it takes in the log. */
  bytes: number;
}

/** Of a cursor's record, beside its two names. */
const CURSOR_BYTES = 150;

export function emptyGroups(): GroupsImage {
  return { groups: new Map(), cursors: 0, bytes: 0 };
}

/**
 * Takes one committed record into the image. Total: what names nothing that is there changes
 * nothing.
 */
export function fold(image: GroupsImage, record: GroupsRecord): void {
  if (record.kind === 'idle') {
    const group = image.groups.get(record.group);
    if (group !== undefined) group.idleMs = record.value?.idleMs ?? 0;
    return;
  }
  if (record.value === null) drop(image, record);
  else put(image, record, record.value);
}

function put(image: GroupsImage, place: CursorPlace, value: CursorValue): void {
  const { topicId, partition } = place;
  let group = image.groups.get(place.group);
  if (group === undefined) {
    group = { cursors: new Map(), byName: new Map(), idleMs: 0 };
    image.groups.set(place.group, group);
  }
  const key = partitionKey(topicId, partition);
  const before = group.cursors.get(key);
  const cursor: Cursor = { group: place.group, topicId, partition, ...value };
  if (before !== undefined) unname(group, key, before);
  const name = partitionName(cursor);
  group.byName.set(name, (group.byName.get(name) ?? new Set()).add(key));
  group.cursors.set(key, cursor);
  group.idleMs = 0;
  image.cursors += before === undefined ? 1 : 0;
  image.bytes += bytesOf(cursor) - (before === undefined ? 0 : bytesOf(before));
}

function drop(image: GroupsImage, { group: name, topicId, partition }: CursorPlace): void {
  const group = image.groups.get(name);
  const key = partitionKey(topicId, partition);
  const before = group?.cursors.get(key);
  if (group === undefined || before === undefined) return;
  unname(group, key, before);
  group.cursors.delete(key);
  image.cursors -= 1;
  image.bytes -= bytesOf(before);
  if (group.cursors.size === 0) image.groups.delete(name);
}

function unname(group: GroupCursors, key: PartitionKey, cursor: Cursor): void {
  const name = partitionName(cursor);
  const keys = group.byName.get(name);
  keys?.delete(key);
  if (keys?.size === 0) group.byName.delete(name);
}

/** Key of {@link GroupCursors.byName}. */
export function partitionName({ topic, partition }: Pick<Cursor, 'topic' | 'partition'>): string {
  return `${topic}/${String(partition)}`;
}

function bytesOf({ group, topic }: Cursor): number {
  return CURSOR_BYTES + group.length + topic.length;
}

/**
 * Some cursors of a group as they are now, a part of a snapshot: those that are gone by now are
 * not.
 */
export function recordsOf(
  image: GroupsImage,
  name: string,
  keys: readonly PartitionKey[],
  withIdle: boolean,
): GroupsRecord[] {
  const group = image.groups.get(name);
  if (group === undefined) return [];
  const cursors = keys.flatMap((key): GroupsRecord[] => {
    const cursor = group.cursors.get(key);
    return cursor === undefined ? [] : [cursorRecord(cursor)];
  });
  // After the cursors, each of which says that the group was used.
  return withIdle && group.idleMs > 0
    ? [...cursors, { kind: 'idle', group: name, value: { idleMs: group.idleMs } }]
    : cursors;
}

export function cursorRecord({ group, topicId, partition, ...value }: Cursor): GroupsRecord {
  return { kind: 'cursor', group, topicId, partition, value };
}
