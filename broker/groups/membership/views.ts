/** What members are told, and what people are shown. */
import { comparePartitions, partitionName } from './partition-sets.ts';
import type { GroupState, MembershipImage, MemberValue } from './image.ts';
import type { AssignedPartition, AssignorName, GroupType, MemberView } from './types.ts';
import type { PartitionKey } from '../../../base/units.ts';

/** `reconciling`: somebody lacks, or has yet to let go, what it shall. */
export type GroupStatus = 'empty' | 'reconciling' | 'stable';

export interface MemberDescription {
  readonly memberId: string;
  readonly instanceId: string;
  readonly client: string;
  readonly rack: string;
  /** Broker that it is attached to. */
  readonly proxy: number;
  readonly attachment: number;
  readonly isAway: boolean;
  readonly epoch: number;
  readonly topics: readonly string[];
  readonly view: MemberView;
  readonly target: readonly { readonly topicId: string; readonly partition: number }[];
}

export interface GroupDescription {
  readonly group: string;
  readonly type: GroupType;
  readonly status: GroupStatus;
  readonly epoch: number;
  readonly assignor: AssignorName;
  /** By id. */
  readonly members: readonly MemberDescription[];
}

export function viewOf({ epoch, held, revoked }: MemberValue): MemberView {
  return {
    epoch,
    assigned: listed(held, (given) => given),
    revoked: listed(revoked, (each) => each.epoch),
  };
}

function listed<T>(
  entries: ReadonlyMap<PartitionKey, T>,
  epochOf: (value: T) => number,
): AssignedPartition[] {
  return [...entries]
    .map(([key, value]) => ({ ...partitionName(key), epoch: epochOf(value) }))
    .toSorted(comparePartitions);
}

/** Of committed state; null where there is no such group. */
export function describeGroup(image: MembershipImage, name: string): GroupDescription | null {
  const group = image.groups.get(name);
  if (group === undefined) return null;
  const { type, epoch, assignor } = group.value;
  return {
    group: name,
    ...{ type, epoch, assignor },
    status: statusOf(group),
    members: [...group.members]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([memberId, member]) => describeMember(memberId, member)),
  };
}

function describeMember(memberId: string, member: MemberValue): MemberDescription {
  const { instanceId, client, rack, proxy, attachment, isAway, epoch, topics, target } = member;
  return {
    memberId,
    ...{ instanceId, client, rack, proxy, attachment, isAway, epoch, topics },
    view: viewOf(member),
    target: [...target].map(partitionName).toSorted(comparePartitions),
  };
}

export function statusOf({ value, members }: GroupState): GroupStatus {
  if (members.size === 0) return 'empty';
  const isSettled = ({ isAway, target, held, revoked }: MemberValue): boolean =>
    isAway ||
    (revoked.size === 0 && held.size === target.size && [...target].every((key) => held.has(key)));
  const isStable =
    value.targetEpoch === value.changeEpoch && [...members.values()].every(isSettled);
  return isStable ? 'stable' : 'reconciling';
}
