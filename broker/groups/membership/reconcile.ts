/**
 * Brings what members hold towards their targets, a step at a time (docs/rules.md#groups, KIP-848).
 * A partition goes on only when nobody has it in *committed* state, so that whatever part of a
 * batch or of several is in force, it has one holder; who keeps a partition is not interrupted.
 */
import type { PartitionKey } from '../../../base/units.ts';
import type { Draft } from './draft.ts';
import type { MemberValue, Revocation } from './image.ts';

/**
 * Takes one step for a group. False if the draft was full before all had their turn.
 *
 * @param appliedBy epoch of the view that a member is known to have applied
 */
export function reconcile(
  draft: Draft,
  group: string,
  appliedBy: (memberId: string) => number,
): boolean {
  const holders = draft.committed(group)?.holders;
  const claimed = new Set<PartitionKey>();
  for (const memberId of draft.memberIds(group)) {
    if (draft.isFull) return false;
    const member = draft.member(group, memberId)!;
    if (member.isAway) continue;
    const isFree = (key: PartitionKey): boolean => holders?.has(key) !== true && !claimed.has(key);
    const step = stepOf(member, appliedBy(memberId), isFree);
    if (step === null) continue;
    for (const key of step.granted) claimed.add(key);
    const epoch = draft.epochOf(group);
    draft.putMember(group, memberId, taken(member, step, epoch));
  }
  return true;
}

interface Step {
  readonly granted: readonly PartitionKey[];
  /** Held, and no longer in the target. */
  readonly revoked: readonly PartitionKey[];
  /** Let go, and said so. */
  readonly released: readonly PartitionKey[];
  /** Being let go, and in the target again. */
  readonly kept: readonly PartitionKey[];
}

/** Null where there is nothing to do. */
function stepOf(
  { target, held, revoked }: MemberValue,
  applied: number,
  isFree: (key: PartitionKey) => boolean,
): Step | null {
  const granted: PartitionKey[] = [];
  for (const key of target)
    if (!held.has(key) && !revoked.has(key) && isFree(key)) granted.push(key);
  const leaving: PartitionKey[] = [];
  for (const key of held.keys()) if (!target.has(key)) leaving.push(key);
  const released: PartitionKey[] = [];
  const kept: PartitionKey[] = [];
  for (const [key, { sinceEpoch }] of revoked)
    if (target.has(key)) kept.push(key);
    else if (sinceEpoch <= applied) released.push(key);
  return granted.length + leaving.length + released.length + kept.length === 0
    ? null
    : { granted, revoked: leaving, released, kept };
}

function taken(member: MemberValue, step: Step, epoch: number): MemberValue {
  const held = new Map(member.held);
  const revoked = new Map<PartitionKey, Revocation>(member.revoked);
  for (const key of step.kept) {
    held.set(key, revoked.get(key)?.epoch ?? epoch);
    revoked.delete(key);
  }
  for (const key of step.released) revoked.delete(key);
  for (const key of step.revoked) {
    revoked.set(key, { epoch: held.get(key) ?? epoch, sinceEpoch: epoch });
    held.delete(key);
  }
  for (const key of step.granted) held.set(key, epoch);
  return { ...member, epoch, held, revoked };
}
