/**
 * How many partitions each member has, so that the least loaded subscriber of a topic is found
 * without a look at all members. Members with the same subscription (and rack, where racks count)
 * form a class, and each class keeps its members by load.
 */
import type { TopicId } from '../../../../base/units.ts';
import type { Assignee } from './types.ts';

interface MemberClass {
  readonly topics: ReadonlySet<TopicId>;
  readonly rack: string;
  /** Members by load. */
  readonly byLoad: Set<number>[];
  /** No member has less. */
  least: number;
}

/** Members are numbers: their places in the list. */
export class Loads {
  readonly #loads: number[];
  readonly #classOf: MemberClass[] = [];
  readonly #classes: MemberClass[] = [];
  readonly #classesOfTopic = new Map<TopicId, readonly MemberClass[]>();

  /** All without partitions. */
  constructor(assignees: readonly Assignee[], byRack: boolean) {
    this.#loads = assignees.map(() => 0);
    const known = new Map<ReadonlySet<TopicId>, Map<string, MemberClass>>();
    for (const [member, { topics, rack }] of assignees.entries()) {
      let byName = known.get(topics);
      if (byName === undefined) known.set(topics, (byName = new Map<string, MemberClass>()));
      const name = byRack ? rack : '';
      let found = byName.get(name);
      if (found === undefined) {
        found = { topics, rack: name, byLoad: [new Set()], least: 0 };
        byName.set(name, found);
        this.#classes.push(found);
      }
      found.byLoad[0]?.add(member);
      this.#classOf.push(found);
    }
  }

  of(member: number): number {
    return this.#loads[member] ?? 0;
  }

  /** One partition more or less. */
  add(member: number, change: 1 | -1): void {
    const load = this.of(member) + change;
    this.#loads[member] = load;
    const { byLoad } = this.#classOf[member]!;
    byLoad[load - change]?.delete(member);
    while (byLoad.length <= load) byLoad.push(new Set());
    byLoad[load]?.add(member);
    const own = this.#classOf[member]!;
    own.least = Math.min(own.least, load);
    while (byLoad[own.least]?.size === 0) own.least += 1;
  }

  /** Subscriber with the least load, of these racks where there is a choice; -1 without any. */
  leastOf(topicId: TopicId, racks: readonly string[]): number {
    let best: MemberClass | null = null;
    for (const each of this.#subscribing(topicId)) {
      const isLess = best === null || each.least < best.least;
      const isNearer =
        best !== null &&
        each.least === best.least &&
        racks.includes(each.rack) &&
        !racks.includes(best.rack);
      if (isLess || isNearer) best = each;
    }
    return best === null ? -1 : firstOf(best.byLoad[best.least]);
  }

  /** A member of this rack and load, or -1. Only where all subscribe to the same. */
  inRack(rack: string, load: number): number {
    return firstOf(this.#classes.find((each) => each.rack === rack)?.byLoad[load]);
  }

  #subscribing(topicId: TopicId): readonly MemberClass[] {
    let found = this.#classesOfTopic.get(topicId);
    if (found === undefined) {
      found = this.#classes.filter(({ topics }) => topics.has(topicId));
      this.#classesOfTopic.set(topicId, found);
    }
    return found;
  }
}

function firstOf(members: ReadonlySet<number> | undefined): number {
  for (const member of members ?? []) return member;
  return -1;
}
