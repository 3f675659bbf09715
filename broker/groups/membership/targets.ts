/**
 * Works out who shall read what, when members, subscriptions or topics changed, and writes it into
 * the members' records: over several batches where one has no room. What is half written is safe,
 * since targets alone give nobody anything; a coordinator that finds it so works it out anew.
 */
import { assign } from './assignors/assign.ts';
import type { Targets } from './assignors/types.ts';
import type { Draft } from './draft.ts';
import type { MemberValue } from './image.ts';
import type { Topics } from './topics.ts';

interface Plan {
  readonly changeEpoch: number;
  readonly metadataIndex: number;
  readonly targets: Targets;
}

export class Planner {
  readonly #plans = new Map<string, Plan>();
  /** Groups whose targets were compared with the present topics. */
  readonly #compared = new Set<string>();

  /** Topics are other ones. */
  topicsChanged(): void {
    this.#compared.clear();
  }

  /** Nothing that was worked out is kept. */
  forgetAll(): void {
    this.#plans.clear();
    this.#compared.clear();
  }

  /** Nothing of the group is kept. */
  forget(group: string): void {
    this.#plans.delete(group);
    this.#compared.delete(group);
  }

  /** Brings targets up to date. False if the draft was full before all were written. */
  step(draft: Draft, group: string, topics: Topics | null): boolean {
    const value = draft.group(group);
    // A successor may know less of metadata than its predecessor did: it waits until it knows more.
    if (value === undefined || topics === null || topics.metadataIndex < value.metadataIndex)
      return true;
    if (value.targetEpoch === value.changeEpoch && !this.#isOutdated(draft, group, topics))
      return true;
    const plan = this.#planOf(draft, group, topics);
    for (const [memberId, target] of plan.targets) {
      const member = draft.member(group, memberId);
      if (member === undefined || isSame(member.target, target)) continue;
      if (draft.isFull) return false;
      draft.epochOf(group);
      draft.putMember(group, memberId, { ...member, target });
    }
    this.#plans.delete(group);
    draft.epochOf(group);
    draft.putGroup(group, {
      ...draft.group(group)!,
      targetEpoch: plan.changeEpoch,
      metadataIndex: plan.metadataIndex,
    });
    return true;
  }

  /** Notes the change if the targets are of other topics. */
  #isOutdated(draft: Draft, group: string, topics: Topics): boolean {
    if (this.#compared.has(group)) return false;
    this.#compared.add(group);
    if (topics.fits(membersOf(draft, group).map(([, member]) => member))) return false;
    draft.change(group);
    return true;
  }

  #planOf(draft: Draft, group: string, topics: Topics): Plan {
    const { changeEpoch, assignor } = draft.group(group)!;
    const known = this.#plans.get(group);
    if (known?.changeEpoch === changeEpoch) return known;
    const assignees = membersOf(draft, group).map(([memberId, member]) => ({
      memberId,
      instanceId: member.instanceId,
      rack: member.rack,
      topics: topics.of(member.topics),
      previous: member.target,
      held: member.held,
    }));
    const ids = new Set(assignees.flatMap((each) => [...each.topics]));
    const subscribed = new Map([...topics.byId].filter(([topicId]) => ids.has(topicId)));
    const { metadataIndex } = topics;
    const plan = { changeEpoch, metadataIndex, targets: assign(assignor, assignees, subscribed) };
    this.#plans.set(group, plan);
    // It may have been made of older topics than the next look finds.
    this.#compared.add(group);
    return plan;
  }
}

function membersOf(draft: Draft, group: string): [string, MemberValue][] {
  return draft.memberIds(group).map((id) => [id, draft.member(group, id)!]);
}

function isSame(left: ReadonlySet<unknown>, right: ReadonlySet<unknown>): boolean {
  return left.size === right.size && [...left].every((each) => right.has(each));
}
