/** Views, fences and joins of members as they travel between brokers. */
import {
  type AssignedPartition as AssignedMessage,
  type JoinMemberRequest,
  type JoinMemberResponse,
  MemberFence,
  type MemberMessage as MessageOnWire,
  type MemberSign as SignMessage,
  type MemberView as ViewMessage,
} from '../../../proto/gen/tidemark/internal/v1/members.ts';
import { PARTITIONS_PER_CLUSTER_MAX, PARTITIONS_PER_TOPIC_MAX } from '../../../base/limits.ts';
import type { BrokerId } from '../../../base/units.ts';
import type {
  AssignedPartition,
  AssignorName,
  FenceReason,
  GroupReply,
  JoinRequest,
  MemberMessage,
  MemberSign,
  MemberView,
} from '../../groups/membership/types.ts';
import {
  integerField,
  presentField,
  topicIdBytes,
  topicIdField,
  uuidField,
} from '../../messages/fields.ts';
import { groupField } from '../groups/fields.ts';

/** How a member was attached. */
export type Joined = Extract<GroupReply, { readonly kind: 'joined' }>;

const FENCES: readonly (readonly [FenceReason, MemberFence])[] = [
  ['unknown', MemberFence.MEMBER_FENCE_UNSPECIFIED],
  ['attached-elsewhere', MemberFence.MEMBER_FENCE_ATTACHED_ELSEWHERE],
  ['replaced', MemberFence.MEMBER_FENCE_REPLACED],
  ['expired', MemberFence.MEMBER_FENCE_EXPIRED],
  ['left', MemberFence.MEMBER_FENCE_LEFT],
];

export function viewToMessage({ epoch, assigned, revoked }: MemberView): ViewMessage {
  return { epoch, assigned: assigned.map(toMessage), revoked: revoked.map(toMessage) };
}

export function viewFromMessage(message: ViewMessage | undefined): MemberView {
  const { epoch, assigned, revoked } = presentField('view', message);
  integerField('view length', assigned.length + revoked.length, 0, PARTITIONS_PER_CLUSTER_MAX);
  return {
    epoch: countField('view.epoch', epoch),
    assigned: assigned.map((each) => fromMessage('view.assigned', each)),
    revoked: revoked.map((each) => fromMessage('view.revoked', each)),
  };
}

export function fenceToMessage(reason: FenceReason): MemberFence {
  return FENCES.find(([one]) => one === reason)?.[1] ?? MemberFence.MEMBER_FENCE_UNSPECIFIED;
}

/** What this build does not know, nobody remembers. */
export function fenceFromMessage(fence: MemberFence): FenceReason {
  return FENCES.find(([, one]) => one === fence)?.[0] ?? 'unknown';
}

export function signToMessage({ group, memberId, attachment, epoch }: MemberSign): SignMessage {
  return { group, memberId, attachment, epoch };
}

export function signFromMessage(field: string, message: SignMessage | undefined): MemberSign {
  const { group, memberId, attachment, epoch } = presentField(field, message);
  return {
    group: groupField(group),
    memberId: uuidField(`${field}.member_id`, memberId),
    attachment: countField(`${field}.attachment`, attachment),
    epoch: countField(`${field}.epoch`, epoch),
  };
}

/** The core judges what is in it. */
export function joinFromMessage({ proxy: _, ...message }: JoinMemberRequest): JoinRequest {
  groupField(message.group);
  const { assignor } = message;
  return { kind: 'join', ...message, assignor: assignor as AssignorName | '' };
}

export function joinToMessage(
  { kind: _, ...join }: JoinRequest,
  proxy: BrokerId,
): JoinMemberRequest {
  return { ...join, topics: [...join.topics], proxy };
}

/** Null: another process has its place. */
export function joinedToMessage(joined: Joined | null): JoinMemberResponse {
  return joined === null
    ? { attachment: 0, view: undefined, isReplaced: true }
    : { attachment: joined.attachment, view: viewToMessage(joined.view), isReplaced: false };
}

export function joinedFromMessage(message: JoinMemberResponse): Joined | null {
  const { attachment, view, isReplaced } = message;
  return isReplaced ? null : { kind: 'joined', attachment, view: viewFromMessage(view) };
}

export function memberMessageToWire(message: MemberMessage): MessageOnWire {
  const { group, memberId, attachment } = message;
  return {
    ...{ group, memberId, attachment },
    message:
      message.kind === 'view'
        ? { $case: 'view', value: viewToMessage(message.view) }
        : { $case: 'fence', value: fenceToMessage(message.reason) },
  };
}

/** Null: of a kind that this build does not know. */
export function memberMessageFromWire(wire: MessageOnWire, proxy: BrokerId): MemberMessage | null {
  const { group, memberId, attachment, message } = wire;
  const member = { proxy, group, memberId, attachment };
  if (message === undefined) return null;
  if (message.$case === 'view')
    return { kind: 'view', ...member, view: viewFromMessage(message.value) };
  return { kind: 'fenced', ...member, reason: fenceFromMessage(message.value) };
}

function toMessage({ topicId, partition, epoch }: AssignedPartition): AssignedMessage {
  return { topicId: topicIdBytes(topicId), partition, epoch };
}

function fromMessage(field: string, message: AssignedMessage): AssignedPartition {
  return {
    topicId: topicIdField(`${field}.topic_id`, message.topicId),
    partition: integerField(
      `${field}.partition`,
      message.partition,
      0,
      PARTITIONS_PER_TOPIC_MAX - 1,
    ),
    epoch: countField(`${field}.epoch`, message.epoch),
  };
}

function countField(field: string, value: number): number {
  return integerField(field, value, 0, Number.MAX_SAFE_INTEGER);
}
