/**
 * What the committed records of one partition of `__groups` add up to. Every replica folds them as
 * they come, in the order of the log, so that a new leader has nothing to load. Folding the same
 * records again gives the same image, which is what a snapshot in the log relies on. Values are
 * replaced, never changed; the maps belong to whoever made the image.
 */
import { type PartitionKey, partitionKey } from '../../base/units.ts';
import {
  emptyMembership,
  foldMembership,
  type MembershipImage,
  type MembershipRecord,
  type MemberValue,
} from './membership/image.ts';
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
  /** Each has a cursor, or has had members since it was last forgotten. */
  readonly groups: Map<string, GroupCursors>;
  /** Of those that have had members. */
  readonly membership: MembershipImage;
  /** Of all groups. */
  cursors: number;
  /** About what a snapshot of it takes in the log. */
  bytes: number;
}

/** Of a cursor's record, beside its two names. */
const CURSOR_BYTES = 150;
/** Of a group's, beside its name. */
const GROUP_BYTES = 200;
/** Of a member's, beside its names, and for each partition. */
const MEMBER_BYTES = 500;
const MEMBER_PARTITION_BYTES = 8;

export function emptyGroups(): GroupsImage {
  return { groups: new Map(), membership: emptyMembership(), cursors: 0, bytes: 0 };
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
  if (record.kind !== 'cursor') foldMembers(image, record);
  else if (record.value === null) drop(image, record);
  else put(image, record, record.value);
}

function foldMembers(image: GroupsImage, record: MembershipRecord): void {
  const { membership, groups } = image;
  const { group: name } = record;
  const before = membersBytes(membership, record);
  foldMembership(membership, record);
  image.bytes += membersBytes(membership, record) - before;
  const group = groups.get(name);
  if (membership.groups.has(name)) {
    if (group === undefined) groups.set(name, { cursors: new Map(), byName: new Map(), idleMs: 0 });
    else group.idleMs = 0;
  } else if (group?.cursors.size === 0) groups.delete(name);
}

/** What a record's place takes in a snapshot: of a group, with all its members. */
function membersBytes({ groups }: MembershipImage, record: MembershipRecord): number {
  const group = groups.get(record.group);
  if (group === undefined) return 0;
  const { members } = group;
  const own = record.kind === 'member' ? [members.get(record.memberId)] : [];
  const counted = record.kind === 'member' ? own : record.value === null ? members.values() : own;
  let bytes = record.kind === 'group' ? GROUP_BYTES + record.group.length : 0;
  for (const member of counted) bytes += member === undefined ? 0 : memberBytes(member);
  return bytes;
}

function memberBytes({ topics, target, held, revoked }: MemberValue): number {
  const names = topics.reduce((sum, topic) => sum + topic.length, 0);
  const partitions = target.size + held.size + revoked.size;
  return MEMBER_BYTES + names + partitions * MEMBER_PARTITION_BYTES;
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
  if (group.cursors.size === 0 && !image.membership.groups.has(name)) image.groups.delete(name);
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

/** A part of a group: what goes into one batch of a snapshot. */
export interface GroupPart {
  readonly group: string;
  /** With the group's own record: before its members. */
  readonly isFirst: boolean;
  readonly memberIds: readonly string[];
  readonly keys: readonly PartitionKey[];
  /** How long it was not used comes behind all else, which says that it was. */
  readonly isLast: boolean;
}

/** A part of a group as it is now: what is gone by now is not. */
export function recordsOf(image: GroupsImage, part: GroupPart): GroupsRecord[] {
  const { group: name, isFirst, memberIds, keys, isLast } = part;
  const group = image.groups.get(name);
  const state = image.membership.groups.get(name);
  const records: GroupsRecord[] = [];
  if (isFirst && state !== undefined)
    records.push({ kind: 'group', group: name, value: state.value });
  for (const memberId of memberIds) {
    const value = state?.members.get(memberId);
    if (value !== undefined) records.push({ kind: 'member', group: name, memberId, value });
  }
  for (const key of keys) {
    const cursor = group?.cursors.get(key);
    if (cursor !== undefined) records.push(cursorRecord(cursor));
  }
  if (isLast && group !== undefined && group.idleMs > 0)
    records.push({ kind: 'idle', group: name, value: { idleMs: group.idleMs } });
  return records;
}

/** How much goes into one batch of a snapshot; one record may be larger. */
export interface SnapshotBounds {
  readonly records: number;
  readonly bytes: number;
}

/** All there is, each list within the bounds. */
export function partsOf(image: GroupsImage, bounds: SnapshotBounds): GroupPart[][] {
  const packer = new Packer(bounds);
  for (const [name, { cursors }] of image.groups) {
    const state = image.membership.groups.get(name);
    packer.begin(name, state === undefined ? 0 : GROUP_BYTES + name.length);
    for (const [memberId, member] of state?.members ?? [])
      packer.room(memberBytes(member)).memberIds.push(memberId);
    for (const [key, cursor] of cursors) packer.room(bytesOf(cursor)).keys.push(key);
    packer.end();
  }
  return packer.lists;
}

interface OpenPart extends GroupPart {
  readonly memberIds: string[];
  readonly keys: PartitionKey[];
  isLast: boolean;
}

/** Fills one list after another. */
class Packer {
  readonly #bounds: SnapshotBounds;
  readonly lists: OpenPart[][] = [];
  #part: OpenPart | null = null;
  #group = '';
  #records = Infinity;
  #bytes = 0;

  constructor(bounds: SnapshotBounds) {
    this.#bounds = bounds;
  }

  begin(group: string, bytes: number): void {
    this.#group = group;
    this.#part = null;
    this.room(bytes);
  }

  /** Where the next record of the group goes. */
  room(bytes: number): OpenPart {
    const { records, bytes: most } = this.#bounds;
    const isFirst = this.#part === null;
    if (this.#records >= records || (this.#records > 0 && this.#bytes + bytes > most)) {
      this.lists.push([]);
      [this.#records, this.#bytes, this.#part] = [0, 0, null];
    }
    this.#records += 1;
    this.#bytes += bytes;
    if (this.#part === null) {
      this.#part = { group: this.#group, isFirst, memberIds: [], keys: [], isLast: false };
      this.lists.at(-1)?.push(this.#part);
    }
    return this.#part;
  }

  end(): void {
    if (this.#part !== null) this.#part.isLast = true;
  }
}

export function cursorRecord({ group, topicId, partition, ...value }: Cursor): GroupsRecord {
  return { kind: 'cursor', group, topicId, partition, value };
}
