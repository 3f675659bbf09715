/**
 * Groups and their members as the committed records say: the fold of the kinds `group` and
 * `member`. Every replica of a partition of `__groups` keeps one, so that whoever leads next has
 * all of it (docs/rules.md#groups). Values are never changed, only replaced; the maps belong to
 * whoever made the image.
 */
import type { BrokerId, PartitionKey } from '../../../base/units.ts';
import type { AssignorName, GroupType } from './types.ts';

/** Value of a `group` record. */
export interface GroupValue {
  readonly type: GroupType;
  /** Rises with each batch that changes the group or one of its members. */
  readonly epoch: number;
  /** Attachments handed out. */
  readonly attachments: number;
  readonly assignor: AssignorName;
  /** Epoch of the last change that asks for another target. */
  readonly changeEpoch: number;
  /** The change that the targets reflect; below `changeEpoch` others are being worked out. */
  readonly targetEpoch: number;
  /** Entry of the metadata log whose topics the targets reflect. */
  readonly metadataIndex: number;
}

/** A partition that a member is letting go. */
export interface Revocation {
  /** When it was given to the member. */
  readonly epoch: number;
  /** The view that told the member: its statement of that epoch, or of a later one, frees it. */
  readonly sinceEpoch: number;
}

/** Value of a `member` record. */
export interface MemberValue {
  readonly instanceId: string;
  readonly rack: string;
  readonly client: string;
  /** Sorted, each once. */
  readonly topics: readonly string[];
  readonly sessionMs: number;
  readonly graceMs: number;
  readonly returnMs: number;
  readonly attempt: number;
  readonly proxy: BrokerId;
  readonly attachment: number;
  /** Its session is over and its place is kept: it holds nothing and is given nothing. */
  readonly isAway: boolean;
  /** Of its view. */
  readonly epoch: number;
  readonly target: ReadonlySet<PartitionKey>;
  /** Epoch in which each was given to it. */
  readonly held: ReadonlyMap<PartitionKey, number>;
  readonly revoked: ReadonlyMap<PartitionKey, Revocation>;
}

/** A group as it is folded. */
export interface GroupState {
  value: GroupValue;
  readonly members: Map<string, MemberValue>;
  /** Member that has each partition, held or not yet let go. */
  readonly holders: Map<PartitionKey, string>;
  /** Member of each instance id. */
  readonly instances: Map<string, string>;
}

/** Groups of one partition of `__groups`, by name. */
export interface MembershipImage {
  readonly groups: Map<string, GroupState>;
  /** Of all groups. */
  members: number;
}

/** A record of this part, read. */
export type MembershipRecord =
  | { readonly kind: 'group'; readonly group: string; readonly value: GroupValue | null }
  | {
      readonly kind: 'member';
      readonly group: string;
      readonly memberId: string;
      readonly value: MemberValue | null;
    };

export function emptyMembership(): MembershipImage {
  return { groups: new Map(), members: 0 };
}

/** One that shares no map with the given one. */
export function copyMembership(image: MembershipImage): MembershipImage {
  const groups = [...image.groups].map(([name, group]): [string, GroupState] => [
    name,
    {
      value: group.value,
      members: new Map(group.members),
      holders: new Map(group.holders),
      instances: new Map(group.instances),
    },
  ]);
  return { groups: new Map(groups), members: image.members };
}

/**
 * Takes one committed record into the image; the same again changes nothing. Total: a member of a
 * group that is not there is left out, as is what stays of a group once it is deleted.
 */
export function foldMembership(image: MembershipImage, record: MembershipRecord): void {
  const group = image.groups.get(record.group);
  if (record.kind === 'member') {
    if (group !== undefined) foldMember(image, group, record.memberId, record.value);
  } else if (record.value === null) {
    image.members -= group?.members.size ?? 0;
    image.groups.delete(record.group);
  } else if (group === undefined) {
    image.groups.set(record.group, {
      value: record.value,
      members: new Map(),
      holders: new Map(),
      instances: new Map(),
    });
  } else group.value = record.value;
}

function foldMember(
  image: MembershipImage,
  group: GroupState,
  memberId: string,
  value: MemberValue | null,
): void {
  const before = group.members.get(memberId);
  if (before !== undefined) {
    for (const key of keysOf(before))
      if (group.holders.get(key) === memberId) group.holders.delete(key);
    if (group.instances.get(before.instanceId) === memberId)
      group.instances.delete(before.instanceId);
  }
  image.members += (value === null ? 0 : 1) - (before === undefined ? 0 : 1);
  if (value === null) {
    group.members.delete(memberId);
    return;
  }
  group.members.set(memberId, value);
  for (const key of keysOf(value)) group.holders.set(key, memberId);
  if (value.instanceId !== '') group.instances.set(value.instanceId, memberId);
}

function keysOf({ held, revoked }: MemberValue): PartitionKey[] {
  return [...held.keys(), ...revoked.keys()];
}
