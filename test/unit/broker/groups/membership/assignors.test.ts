/** Properties of the assignors over seeded groups; every fault names its seed. */
import { describe, expect, it } from 'vitest';
import { Random } from '../../../../../base/random.ts';
import { partitionKey } from '../../../../../base/units.ts';
import { assign } from '../../../../../broker/groups/membership/assignors/assign.ts';
import type { Assignee, Targets } from '../../../../../broker/groups/membership/assignors/types.ts';
import {
  ASSIGNOR_NAMES,
  type AssignorName,
  type GroupTopic,
} from '../../../../../broker/groups/membership/types.ts';

const SEEDS = 300;
const RACKS = ['a', 'b', 'c'];

interface Group {
  readonly topics: ReadonlyMap<string, GroupTopic>;
  readonly members: readonly Assignee[];
}

function topicOf(topicId: string, partitions: number, random: Random): GroupTopic {
  const racks = Array.from({ length: partitions }, () => [random.pick(RACKS)]);
  return { topicId, partitions, racks };
}

function member(id: number, topics: ReadonlySet<string>, rack = ''): Assignee {
  const memberId = `m${String(id).padStart(4, '0')}`;
  return { memberId, instanceId: '', rack, topics, previous: new Set(), held: new Map() };
}

/** Members of one or of several subscriptions. */
function groupOf(random: Random, isUniform: boolean): Group {
  const ids = ['t0', 't1', 't2', 't3'];
  const topics = new Map(ids.map((id) => [id, topicOf(id, 1 + random.below(12), random)]));
  const sets = isUniform
    ? [new Set(ids)]
    : [new Set(['t0', 't1']), new Set(['t1', 't2', 't3']), new Set(['t3']), new Set(ids)];
  const members = Array.from({ length: 1 + random.below(9) }, (_, id) =>
    member(id, random.pick(sets), random.pick(RACKS)),
  );
  return { topics, members };
}

/** The next time: it begins from the last targets. */
function after(targets: Targets, members: readonly Assignee[]): Assignee[] {
  return members.map((each) => ({ ...each, previous: targets.get(each.memberId) ?? new Set() }));
}

function subscribed({ topics, members }: Group): Set<string> {
  const keys = [...topics.values()]
    .filter(({ topicId }) => members.some((each) => each.topics.has(topicId)))
    .flatMap(({ topicId, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => partitionKey(topicId, partition)),
    );
  return new Set(keys);
}

function moved(before: Targets, targets: Targets): number {
  let count = 0;
  for (const [id, set] of before)
    for (const key of set) if (targets.get(id)?.has(key) !== true) count += 1;
  return count;
}

function spreadOf(targets: Targets): number {
  const sizes = [...targets.values()].map(({ size }) => size);
  return Math.max(...sizes) - Math.min(...sizes);
}

function nearOf({ topics, members }: Group, targets: Targets): number {
  return members
    .flatMap(({ memberId, rack }) => [...(targets.get(memberId) ?? [])].map((key) => [key, rack]))
    .filter(([key = '', rack = '']) => {
      const [topicId = '', partition = ''] = key.split('/');
      return topics.get(topicId)?.racks[Number(partition)]?.includes(rack) === true;
    }).length;
}

function eachSeed(check: (random: Random, seed: number) => void): void {
  for (let seed = 1; seed <= SEEDS; seed += 1)
    try {
      check(new Random(seed), seed);
    } catch (cause) {
      throw new Error(`seed ${String(seed)}: ${String(cause)}`, { cause });
    }
}

describe.each(ASSIGNOR_NAMES)('the assignor %s', (name: AssignorName) => {
  it('gives each subscribed partition once, to a subscriber', () => {
    eachSeed((random) => {
      const group = groupOf(random, random.chance(0.5));
      const targets = assign(name, group.members, group.topics);
      const given = [...targets.values()].flatMap((set) => [...set]);
      expect(given.toSorted()).toEqual([...subscribed(group)].toSorted());
      for (const { memberId, topics } of group.members)
        for (const key of targets.get(memberId) ?? [])
          expect(topics.has(key.split('/')[0] ?? '')).toBe(true);
    });
  });

  it('comes to the same whatever the order of members', () => {
    eachSeed((random) => {
      const { members, topics } = groupOf(random, random.chance(0.5));
      expect(assign(name, members.toReversed(), topics)).toEqual(assign(name, members, topics));
    });
  });

  it('has nothing for nobody, and nothing of no topics', () => {
    expect(assign(name, [], new Map())).toEqual(new Map());
    expect(assign(name, [member(1, new Set(['t9']))], new Map())).toEqual(
      new Map([['m0001', new Set()]]),
    );
  });
});

describe.each(['balanced', 'rack-aware'] as const)('the assignor %s', (name) => {
  it('differs by one at most where all subscribe to the same', () => {
    eachSeed((random) => {
      const { members, topics } = groupOf(random, true);
      expect(spreadOf(assign(name, members, topics))).toBeLessThanOrEqual(1);
    });
  });

  it('leaves no move that makes it more even, whatever they subscribe to', () => {
    eachSeed((random) => {
      const { members, topics } = groupOf(random, false);
      const first = assign(name, members, topics);
      // From an old target, too, of which one has lost its member.
      for (const targets of [first, assign(name, after(first, members.slice(1)), topics)])
        for (const key of [...targets.values()].flatMap((set) => [...set])) {
          const own = [...targets.values()].find((set) => set.has(key))?.size ?? 0;
          const others = members
            .filter(
              (each) => each.topics.has(key.split('/')[0] ?? '') && targets.has(each.memberId),
            )
            .map(({ memberId }) => targets.get(memberId)?.size ?? 0);
          expect(own - Math.min(...others)).toBeLessThanOrEqual(1);
        }
    });
  });

  it('changes nothing where nothing changed', () => {
    eachSeed((random) => {
      const { members, topics } = groupOf(random, random.chance(0.5));
      const first = assign(name, members, topics);
      expect(assign(name, after(first, members), topics)).toEqual(first);
    });
  });
});

describe('the assignor balanced', () => {
  it('moves no more than it must when members come, go, or partitions are added', () => {
    eachSeed((random) => {
      const { members, topics } = groupOf(random, true);
      const before = assign('balanced', members, topics);
      const all = members[0]?.topics ?? new Set<string>();
      const joined = Array.from({ length: random.below(3) }, (_, id) => member(100 + id, all));
      const stayed = members.slice(random.below(members.length));
      const now = [...after(before, stayed), ...joined];
      const grown = new Map(topics);
      if (random.chance(0.5)) grown.set('t0', topicOf('t0', 13, random));
      const targets = assign('balanced', now, grown);
      const total = [...targets.values()].reduce((sum, { size }) => sum + size, 0);
      const floor = Math.floor(total / now.length);
      // So many may have one more: those who have most already.
      let spare = total - floor * now.length;
      let must = 0;
      for (const size of now.map(({ previous }) => previous.size).toSorted((a, b) => b - a)) {
        const may = floor + (spare > 0 ? 1 : 0);
        spare -= 1;
        must += Math.max(0, size - may);
      }
      const kept = new Map(
        [...before].filter(([id]) => stayed.some(({ memberId }) => memberId === id)),
      );
      expect(moved(kept, targets)).toBe(must);
    });
  });

  it('gives what is in two targets to the one who has it', () => {
    const key = partitionKey('t0', 0);
    const topics = new Map([['t0', topicOf('t0', 1, new Random(1))]]);
    const set = new Set(['t0']);
    const other = { ...member(1, set), previous: new Set([key]) };
    const holder = { ...member(2, set), previous: new Set([key]), held: new Map([[key, 3]]) };
    expect(assign('balanced', [other, holder], topics).get('m0002')).toEqual(new Set([key]));
  });

  it('takes nothing from a topic that is gone, or no longer subscribed to', () => {
    const previous = new Set([partitionKey('t0', 0), partitionKey('t0', 5), partitionKey('t9', 0)]);
    const topics = new Map([['t0', topicOf('t0', 2, new Random(1))]]);
    const old = { ...member(1, new Set(['t0'])), previous };
    const target = assign('balanced', [old], topics).get('m0001');
    expect(target).toEqual(new Set([partitionKey('t0', 0), partitionKey('t0', 1)]));
  });
});

describe('the assignor rack-aware', () => {
  it('is never further away than the balanced one, and nearer over all', () => {
    let near = 0;
    let nearOfBalanced = 0;
    eachSeed((random) => {
      const group = groupOf(random, random.chance(0.5));
      const { members, topics } = group;
      near += nearOf(group, assign('rack-aware', members, topics));
      nearOfBalanced += nearOf(group, assign('balanced', members, topics));
    });
    expect(near).toBeGreaterThan(1.5 * nearOfBalanced);
  });

  it('finds the nearest where each rack has its share', () => {
    const racks = Array.from({ length: 30 }, (_, partition) => [RACKS[partition % 3] ?? '']);
    const topics = new Map([['t0', { topicId: 't0', partitions: 30, racks }]]);
    const set = new Set(['t0']);
    const members = RACKS.flatMap((rack, at) => [
      member(at, set, rack),
      member(10 + at, set, rack),
    ]);
    const first = assign('balanced', members, topics);
    const targets = assign('rack-aware', after(first, members), topics);
    expect(nearOf({ topics, members }, targets)).toBe(30);
    expect(spreadOf(targets)).toBe(0);
  });
});

describe('the assignor range', () => {
  it('gives neighbours of each topic, and the same numbers of equal topics to the same', () => {
    const topics = new Map(['t0', 't1'].map((id) => [id, topicOf(id, 7, new Random(1))]));
    const members = [0, 1, 2].map((id) => member(id, new Set(['t0', 't1'])));
    const numbers = [...assign('range', members, topics).values()].map((set) =>
      [...set].toSorted(),
    );
    expect(numbers).toEqual([
      ['t0/0', 't0/1', 't1/0', 't1/1'],
      ['t0/2', 't0/3', 't1/2', 't1/3'],
      ['t0/4', 't0/5', 't0/6', 't1/4', 't1/5', 't1/6'],
    ]);
  });
});
