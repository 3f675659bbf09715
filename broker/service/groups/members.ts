/** Members of a group, as they are described. */
import type {
  DescribeGroupResponse,
  GroupMember,
  MemberPartition,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import { topicIdBytes } from '../../messages/fields.ts';
import type { GroupDescription, MemberDescription } from '../../groups/membership/views.ts';
import type { MetadataImage } from '../../metadata/types.ts';

type Described = Pick<DescribeGroupResponse, 'epoch' | 'status' | 'assignor' | 'members'>;

/** @param group null: it never had any */
export function membersOf(group: GroupDescription | null, image: MetadataImage): Described {
  if (group === null) return { epoch: 0, status: 'empty', assignor: '', members: [] };
  const { epoch, status, assignor, members } = group;
  return { epoch, status, assignor, members: members.map((member) => toMessage(member, image)) };
}

function toMessage(
  { view, target, attachment: _, ...member }: MemberDescription,
  { topics }: MetadataImage,
): GroupMember {
  const named = (
    { topicId, partition }: { readonly topicId: string; readonly partition: number },
    epoch: number,
    isRevoked: boolean,
  ): MemberPartition => ({
    topic: topics.get(topicId)?.name ?? '',
    topicId: topicIdBytes(topicId),
    partition,
    epoch,
    isRevoked,
  });
  return {
    ...member,
    topics: [...member.topics],
    assigned: [
      ...view.assigned.map((each) => named(each, each.epoch, false)),
      ...view.revoked.map((each) => named(each, each.epoch, true)),
    ],
    target: target.map((each) => named(each, 0, false)),
  };
}
