/**
 * What each request does to a draft (docs/rules.md#groups). A refusal has changed nothing.
 */
import { BrokerError } from '../../../base/errors.ts';
import {
  GROUP_MEMBERS_MAX,
  GROUP_MEMBERS_PER_COORDINATOR_MAX,
  GROUPS_PER_COORDINATOR_MAX,
} from '../../../base/limits.ts';
import { type BrokerId, partitionKey } from '../../../base/units.ts';
import type { Draft } from './draft.ts';
import type { GroupValue, MemberValue } from './image.ts';
import type {
  DeleteRequest,
  GroupReply,
  GroupType,
  JoinRequest,
  LeaveRequest,
  SeekRequest,
  TouchRequest,
} from './types.ts';
import { viewOf } from './views.ts';

/** Joins, or attaches anew. */
export function join(
  draft: Draft,
  request: JoinRequest,
  proxy: BrokerId,
): GroupReply | BrokerError {
  const { group, memberId } = request;
  const member = draft.member(group, memberId);
  const refusal =
    typeRefusal(draft, group, 'group') ??
    assignorRefusal(draft, request) ??
    (member === undefined
      ? newcomerRefusal(draft, request)
      : returnRefusal(member, request, proxy));
  if (refusal !== null) return refusal;
  if (member === undefined && isReplaced(draft, request)) return { kind: 'replaced' };
  if (member?.attempt === request.attempt)
    return { kind: 'joined', attachment: member.attachment, view: viewOf(member) };
  ensureGroup(draft, group, 'group');
  const epoch = draft.epochOf(group);
  const value = draft.group(group)!;
  const attachment = value.attachments + 1;
  const isFirst = draft.membersOf(group) === 0;
  draft.putGroup(group, {
    ...value,
    attachments: attachment,
    assignor: isFirst && request.assignor !== '' ? request.assignor : value.assignor,
  });
  const base = member ?? placeOf(draft, request, epoch);
  const joined: MemberValue = {
    ...base,
    ...statedBy(request),
    proxy,
    attachment,
    isAway: false,
  };
  draft.putMember(group, memberId, joined);
  if (isFirst || asksForAnother(base, joined)) draft.change(group);
  return { kind: 'joined', attachment, view: viewOf(joined) };
}

/** Goes, or keeps its place for a while. */
export function leave(
  draft: Draft,
  request: LeaveRequest,
  proxy: BrokerId,
): GroupReply | BrokerError {
  const { group, memberId } = request;
  const member = draft.member(group, memberId);
  if (member === undefined) return { kind: 'left' };
  if (member.attachment !== request.attachment)
    return new BrokerError(
      'FENCED',
      `attachment is ${String(request.attachment)}, the member's is ${String(member.attachment)}`,
    );
  if (member.proxy !== proxy)
    return new BrokerError(
      'FENCED',
      `broker ${String(proxy)} speaks for member ${memberId}, which is attached to another`,
    );
  draft.because(group, memberId, 'left');
  if (request.isReturning && member.returnMs > 0) setAway(draft, group, memberId, member);
  else remove(draft, group, memberId);
  return { kind: 'left' };
}

/** Its session is over. */
export function expire(draft: Draft, group: string, memberId: string): void {
  const member = draft.member(group, memberId);
  if (member === undefined) return;
  draft.because(group, memberId, 'expired');
  if (member.returnMs > 0 && !member.isAway) setAway(draft, group, memberId, member);
  else remove(draft, group, memberId);
}

/** Makes it where it is not. */
export function touch(draft: Draft, { group, type }: TouchRequest): GroupReply | BrokerError {
  const refusal = typeRefusal(draft, group, type) ?? roomRefusal(draft, group);
  if (refusal !== null) return refusal;
  ensureGroup(draft, group, type);
  return { kind: 'touched' };
}

/** Only without members. */
export function deleteGroup(
  draft: Draft,
  { group, type }: DeleteRequest,
): GroupReply | BrokerError {
  if (draft.group(group) === undefined)
    return new BrokerError('UNKNOWN_GROUP', `group is "${group}", which does not exist`);
  const refusal = typeRefusal(draft, group, type);
  if (refusal !== null) return refusal;
  const members = draft.membersOf(group);
  if (members > 0)
    return new BrokerError(
      'REFUSED',
      `group "${group}" has ${String(members)} members, it can be deleted once they have left`,
    );
  draft.putGroup(group, null);
  return { kind: 'deleted' };
}

/** Whoever holds the partitions is given them anew. */
export function seek(draft: Draft, { group, partitions, riders }: SeekRequest): GroupReply {
  draft.ride(riders);
  for (const { topicId, partition } of partitions) {
    const key = partitionKey(topicId, partition);
    const memberId = draft.committed(group)?.holders.get(key);
    const member = memberId === undefined ? undefined : draft.member(group, memberId);
    if (memberId === undefined || member === undefined) continue;
    const revocation = member.revoked.get(key);
    if (!member.held.has(key) && revocation === undefined) continue;
    const epoch = draft.epochOf(group);
    const held = new Map(member.held);
    const revoked = new Map(member.revoked);
    if (revocation === undefined) held.set(key, epoch);
    else revoked.set(key, { ...revocation, epoch });
    draft.putMember(group, memberId, { ...member, epoch, held, revoked });
  }
  return { kind: 'sought' };
}

function remove(draft: Draft, group: string, memberId: string): void {
  draft.putMember(group, memberId, null);
  draft.change(group);
}

/** It keeps its target, so nothing is moved for it; what it held, nobody reads meanwhile. */
function setAway(draft: Draft, group: string, memberId: string, member: MemberValue): void {
  const epoch = draft.epochOf(group);
  draft.putMember(group, memberId, {
    ...member,
    epoch,
    isAway: true,
    held: new Map(),
    revoked: new Map(),
  });
}

function ensureGroup(draft: Draft, group: string, type: GroupType): void {
  if (draft.group(group) !== undefined) return;
  const value: GroupValue = {
    type,
    epoch: 0,
    attachments: 0,
    assignor: 'balanced',
    changeEpoch: 0,
    targetEpoch: 0,
    metadataIndex: 0,
  };
  draft.putGroup(group, value);
}

/** A new member; with the target of the one whose place it takes, which is told and is gone. */
function placeOf(draft: Draft, { group, instanceId }: JoinRequest, epoch: number): MemberValue {
  const beforeId = instanceId === '' ? undefined : draft.instance(group, instanceId);
  const before = beforeId === undefined ? undefined : draft.member(group, beforeId);
  if (beforeId !== undefined) {
    draft.because(group, beforeId, 'replaced');
    draft.putMember(group, beforeId, null);
  }
  return {
    instanceId,
    rack: before?.rack ?? '',
    client: '',
    topics: before?.topics ?? [],
    sessionMs: 0,
    graceMs: 0,
    returnMs: 0,
    attempt: 0,
    proxy: 0,
    attachment: 0,
    isAway: false,
    epoch,
    target: before?.target ?? new Set(),
    held: new Map(),
    revoked: new Map(),
  };
}

/** A process that was fenced comes back, and another one has its place meanwhile. */
function isReplaced(draft: Draft, { group, instanceId, formerId }: JoinRequest): boolean {
  if (formerId === '' || instanceId === '') return false;
  const holderId = draft.instance(group, instanceId);
  const holder = holderId === undefined ? undefined : draft.member(group, holderId);
  return holder !== undefined && !holder.isAway && holderId !== formerId;
}

function statedBy(
  request: JoinRequest,
): Pick<
  MemberValue,
  'rack' | 'client' | 'topics' | 'sessionMs' | 'graceMs' | 'returnMs' | 'attempt'
> {
  const { rack, client, topics, sessionMs, graceMs, returnMs, attempt } = request;
  return {
    ...{ rack, client, sessionMs, graceMs, returnMs, attempt },
    topics: [...new Set(topics)].toSorted(),
  };
}

function asksForAnother(before: MemberValue, after: MemberValue): boolean {
  return before.rack !== after.rack || before.topics.join() !== after.topics.join();
}

function typeRefusal(draft: Draft, group: string, type: GroupType): BrokerError | null {
  const present = draft.group(group)?.type ?? type;
  return present === type
    ? null
    : new BrokerError('REFUSED', `"${group}" is a ${present}, and cannot be a ${type} as well`);
}

function roomRefusal(draft: Draft, group: string): BrokerError | null {
  if (draft.group(group) !== undefined || draft.groupCount < GROUPS_PER_COORDINATOR_MAX)
    return null;
  return new BrokerError(
    'OVERLOADED',
    `the partition of __groups that "${group}" belongs to has ${String(GROUPS_PER_COORDINATOR_MAX)} groups, it can have no more`,
  );
}

function assignorRefusal(draft: Draft, { group, assignor }: JoinRequest): BrokerError | null {
  const present = draft.group(group)?.assignor;
  if (assignor === '' || present === undefined || present === assignor) return null;
  return draft.membersOf(group) === 0
    ? null
    : new BrokerError(
        'REFUSED',
        `assignor is "${assignor}", group "${group}" uses "${present}" while it has members`,
      );
}

function newcomerRefusal(draft: Draft, request: JoinRequest): BrokerError | null {
  const { group, memberId, instanceId, epoch } = request;
  if (epoch > 0)
    return new BrokerError(
      'FENCED',
      `member ${memberId} of group "${group}" is no member any more`,
    );
  const room = roomRefusal(draft, group);
  if (room !== null) return room;
  if (instanceId !== '' && draft.instance(group, instanceId) !== undefined) return null;
  if (draft.membersOf(group) >= GROUP_MEMBERS_MAX)
    return new BrokerError(
      'OVERLOADED',
      `group "${group}" has ${String(GROUP_MEMBERS_MAX)} members, it can have no more`,
    );
  return draft.memberCount < GROUP_MEMBERS_PER_COORDINATOR_MAX
    ? null
    : new BrokerError(
        'OVERLOADED',
        `the partition of __groups that "${group}" belongs to has ${String(GROUP_MEMBERS_PER_COORDINATOR_MAX)} members, it can have no more`,
      );
}

function returnRefusal(
  member: MemberValue,
  { memberId, attempt, instanceId, epoch }: JoinRequest,
  proxy: BrokerId,
): BrokerError | null {
  // Late, or doubled: its sender has gone on.
  if (attempt < member.attempt || (attempt === member.attempt && proxy !== member.proxy))
    return new BrokerError(
      'FENCED',
      `attempt is ${String(attempt)}, member ${memberId} attached by ${String(member.attempt)} already`,
    );
  if (attempt === member.attempt && member.isAway)
    return new BrokerError('FENCED', `member ${memberId} left after attempt ${String(attempt)}`);
  if (epoch > member.epoch)
    return new BrokerError(
      'FENCED',
      `epoch is ${String(epoch)}, member ${memberId} was given ${String(member.epoch)} at most`,
    );
  return instanceId === member.instanceId
    ? null
    : new BrokerError(
        'INVALID_ARGUMENT',
        `instanceId is "${instanceId}", must be "${member.instanceId}" as before`,
      );
}
