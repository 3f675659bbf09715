/** The codec of members and groups, and what it refuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { PARTITIONS_PER_TOPIC_MAX } from '../../../../../base/limits.ts';
import { partitionKey } from '../../../../../base/units.ts';
import type { GroupValue, MemberValue } from '../../../../../broker/groups/membership/image.ts';
import { emptyMembership, foldMembership } from '../../../../../broker/groups/membership/image.ts';
import {
  membershipRecords,
  readMembership,
  writeMembership,
} from '../../../../../broker/groups/membership/records.ts';

const TOPIC_ID = '6b1f0d5e-7c1a-4f7e-9c0d-2f8f3d1a4b5c';

const GROUP: GroupValue = {
  type: 'group',
  epoch: 7,
  attachments: 3,
  assignor: 'balanced',
  changeEpoch: 6,
  targetEpoch: 5,
  metadataIndex: 4,
};

function memberOf(fields: Partial<MemberValue> = {}): MemberValue {
  return {
    instanceId: 'pod-0',
    rack: 'a',
    client: 'x',
    topics: ['orders'],
    sessionMs: 10_000,
    graceMs: 3_000,
    returnMs: 0,
    attempt: 1,
    proxy: 2,
    attachment: 3,
    isAway: false,
    epoch: 7,
    target: new Set(),
    held: new Map(),
    revoked: new Map(),
    ...fields,
  };
}

function roundTrip(value: MemberValue) {
  const stored = writeMembership({ kind: 'member', group: 'g', memberId: 'm', value });
  return readMembership(JSON.parse(stored.key) as string[], stored.value);
}

const keys = fc.uniqueArray(
  fc.record({
    topic: fc.constantFrom('a', 'b', 'c'),
    partition: fc.nat(PARTITIONS_PER_TOPIC_MAX - 1),
  }),
  { selector: ({ topic, partition }) => `${topic}/${String(partition)}`, maxLength: 40 },
);

describe('records of groups', () => {
  it('reads of a group what builds of before noted, and writes what they ask for', () => {
    const before = { ...GROUP, emptySinceMs: 1_700_000_000_000, v: 1 };
    expect(readMembership(['group', 'g'], JSON.stringify(before))).toEqual({
      ...{ kind: 'group', group: 'g', value: GROUP },
    });
    const { value } = writeMembership({ kind: 'group', group: 'g', value: GROUP });
    expect(JSON.parse(value ?? '')).toEqual({ ...before, emptySinceMs: null });
  });

  it('are read as they were written', () => {
    fc.assert(
      fc.property(keys, fc.array(fc.nat(3)), fc.nat(5), (names, kinds, epoch) => {
        const target = new Set<string>();
        const held = new Map<string, number>();
        const revoked = new Map<string, { epoch: number; sinceEpoch: number }>();
        for (const [at, { topic, partition }] of names.entries()) {
          const key = partitionKey(topic, partition);
          const kind = kinds[at % Math.max(1, kinds.length)] ?? 0;
          if (kind !== 1) target.add(key);
          if (kind === 2) held.set(key, epoch + kind);
          if (kind === 3) revoked.set(key, { epoch, sinceEpoch: epoch + (at % 3) });
        }
        const value = memberOf({ target, held, revoked });
        expect(roundTrip(value)).toEqual({ kind: 'member', group: 'g', memberId: 'm', value });
      }),
    );
    const stored = writeMembership({ kind: 'group', group: 'g', value: GROUP });
    expect(stored.key).toBe('["group","g"]');
    expect(readMembership(['group', 'g'], stored.value)).toEqual({
      ...{ kind: 'group', group: 'g', value: GROUP },
    });
  });

  it('stay far below the limit of a record with 2,000 partitions, whatever their order', () => {
    const numbers = Array.from({ length: PARTITIONS_PER_TOPIC_MAX }, (_, at) => at);
    const all = numbers.map((at) => partitionKey(TOPIC_ID, at));
    const text = (value: MemberValue): number =>
      writeMembership({ kind: 'member', group: 'g', memberId: 'm', value }).value?.length ?? 0;
    const held = new Map(all.map((key) => [key, 7]));
    expect(text(memberOf({ target: new Set(all), held }))).toBeLessThan(1_000);
    // No two neighbours, and each given in another epoch.
    const apart = new Map(
      numbers.map((at) => [partitionKey(TOPIC_ID, (at * 7) % numbers.length), 1_000_000 + at]),
    );
    const every = memberOf({ target: new Set(apart.keys()), held: apart });
    expect(text(every)).toBeLessThan(200_000);
  });

  it.each([
    ['another kind', ['cursor', 'g'], null, 'key'],
    ['a key that is too long', ['group', 'g', 'x'], null, 'key'],
    ['a member without id', ['member', 'g'], null, 'key'],
    [
      'a newer version',
      ['group', 'g'],
      JSON.stringify({ ...GROUP, emptySinceMs: null, v: 2 }),
      'group.v',
    ],
    [
      'a field of later',
      ['group', 'g'],
      JSON.stringify({ ...GROUP, emptySinceMs: null, v: 1, x: 1 }),
      'group.x',
    ],
    ['no JSON', ['group', 'g'], '{', 'a group'],
  ])('refuse %s', (_, key, value, named) => {
    expect(() => readMembership(key, value)).toThrow(BrokerError);
    expect(() => readMembership(key, value)).toThrow(named);
  });

  it.each([
    ['ranges that fall', { target: { t: '4-2' } }],
    ['ranges that meet twice', { target: { t: '1-3,3' } }],
    ['a partition beyond all', { target: { t: `0-${String(PARTITIONS_PER_TOPIC_MAX)}` } }],
    ['a range that is none', { target: { t: '1;2' } }],
    ['held in two epochs', { held: { 1: { t: '1' }, 2: { t: '1' } } }],
    ['an epoch that is none', { held: { x: { t: '1' } } }],
    ['held and revoked', { held: { 1: { t: '1' } }, revoked: { '1,2': { t: '1' } } }],
  ])('refuse a member with %s', (_, fields) => {
    const { value } = writeMembership({
      ...{ kind: 'member', group: 'g', memberId: 'm', value: memberOf() },
    });
    const text = JSON.stringify({ ...(JSON.parse(value ?? '') as object), ...fields });
    expect(() => readMembership(['member', 'g', 'm'], text)).toThrow(BrokerError);
  });
});

describe('the fold', () => {
  it('changes nothing with the same record again, and leaves out who has no group', () => {
    const image = emptyMembership();
    const held = new Map([['t/0', 7]]);
    const member = {
      kind: 'member',
      group: 'g',
      memberId: 'm',
      value: memberOf({ held }),
    } as const;
    foldMembership(image, member);
    expect(image).toEqual(emptyMembership());
    const group = { kind: 'group', group: 'g', value: GROUP } as const;
    for (const record of [group, member]) foldMembership(image, record);
    const once = structuredClone(image);
    for (const record of [group, member, member]) foldMembership(image, record);
    expect(image).toEqual(once);
    expect(image.groups.get('g')?.holders.get('t/0')).toBe('m');
    foldMembership(image, { ...member, value: null });
    foldMembership(image, { ...member, value: null });
    expect(image.groups.get('g')).toMatchObject({ holders: new Map(), instances: new Map() });
    foldMembership(image, member);
    foldMembership(image, { ...group, value: null });
    foldMembership(image, { ...group, value: null });
    expect(image).toEqual(emptyMembership());
    expect(membershipRecords(image)).toEqual([]);
  });
});
