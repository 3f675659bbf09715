/** Whether a commit of a cursor counts: by what its sender held when it was made (KIP-1251). */
import { BrokerError } from '../../../base/errors.ts';
import { partitionKey, type TopicId } from '../../../base/units.ts';
import type { MembershipImage } from './image.ts';

/** Who commits for which partition. */
export interface CommitClaim {
  readonly group: string;
  readonly topicId: TopicId;
  readonly partition: number;
  /** '' for a reader without a group's members. */
  readonly memberId: string;
  readonly attachment: number;
  /** Of the view, or of the partition in it, by which it was read. */
  readonly epoch: number;
}

/**
 * Null where it counts. A group without members lets anybody commit who claims to be none; one
 * with members only the holder of the partition, by its present attachment, and by an epoch in
 * which it already had it: so neither views that came since stop it, nor does it commit after
 * others had the partition between. Whoever asks is a coordinator that may answer.
 *
 * The refusal is FENCED, and certain.
 */
export function commitVerdict(image: MembershipImage, claim: CommitClaim): BrokerError | null {
  const { group, topicId, partition, memberId } = claim;
  const state = image.groups.get(group);
  const members = state?.members;
  const refuse = (reason: string): BrokerError =>
    new BrokerError(
      'FENCED',
      `The commit for partition ${String(partition)} of ${topicId} by ${memberId === '' ? 'a reader' : `member ${memberId}`} of group "${group}" is refused: ${reason}`,
    );
  if (state?.value.type === 'queue') return refuse('it is a queue, which has no cursors');
  if (memberId === '')
    return members === undefined || members.size === 0
      ? null
      : refuse(`the group has ${String(members.size)} members, and only they commit`);
  const member = members?.get(memberId);
  if (member === undefined) return refuse('it is no member any more');
  if (claim.attachment !== member.attachment)
    return refuse(
      `its attachment is ${String(claim.attachment)}, the member's is ${String(member.attachment)}`,
    );
  const key = partitionKey(topicId, partition);
  const given = member.held.get(key) ?? member.revoked.get(key)?.epoch;
  if (given === undefined) return refuse('it does not hold the partition');
  return claim.epoch >= given && claim.epoch <= member.epoch
    ? null
    : refuse(
        `its epoch is ${String(claim.epoch)}, must be from ${String(given)}, when it was given the partition, to ${String(member.epoch)}`,
      );
}
