import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import {
  emptyGroups,
  fold,
  type GroupsImage,
  partsOf,
  recordsOf,
} from '../../../../broker/groups/fold.ts';
import { Membership } from '../../../../broker/groups/membership/membership.ts';
import type { MembershipInput } from '../../../../broker/groups/membership/types.ts';
import {
  decodeRecord,
  encodeRecord,
  type GroupsRecord,
} from '../../../../broker/groups/records.ts';

const TOPIC_ID = '33333333-3333-4333-8333-333333333333';
const memberId = (at: number): string => `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`;

/** Members that join a coordinator whose batches are all committed, and what was written. */
function joined(members: number): { readonly core: Membership; readonly log: GroupsRecord[] } {
  const options = { epoch: 1, brokerSessionMs: 1_000, batchRecordsMax: 4, nowMs: 0 };
  const core = new Membership(emptyGroups().membership, options);
  const log: GroupsRecord[] = [];
  const step = (input: MembershipInput): void => {
    for (let { batch } = core.step(input); batch !== null; ) {
      log.push(...batch.records.map(decodeRecord));
      const { epoch, batchId } = batch;
      ({ batch } = core.step({ kind: 'committed', epoch, batchId }));
    }
  };
  const topics = new Map([['orders', { topicId: TOPIC_ID, partitions: 12, racks: [] }]]);
  step({ kind: 'topics', metadataIndex: 1, topics });
  step({ kind: 'heard', isHeard: true });
  for (let at = 0; at < members; at += 1) {
    const stated = { rack: '', client: '', topics: ['orders'] } as const;
    const common = { ...stated, assignor: '', formerId: '' } as const;
    const times = { sessionMs: 10_000, graceMs: 0, returnMs: 0, attempt: 1, epoch: 0 };
    const who = { group: at % 3 === 0 ? 'mail' : 'billing', memberId: memberId(at) };
    const request = { kind: 'join', ...who, instanceId: '', ...common, ...times } as const;
    step({ kind: 'request', requestId: at, proxy: 1, request });
  }
  return { core, log };
}

const cursorOf = (group: string, partition: number): GroupsRecord => ({
  kind: 'cursor',
  group,
  topicId: TOPIC_ID,
  partition,
  value: { topic: 'orders', offset: 5, leaderEpoch: 1, generation: 1 },
});

const folded = (...records: readonly GroupsRecord[]): GroupsImage => {
  const image = emptyGroups();
  for (const record of records) fold(image, record);
  return image;
};

const snapshotOf = (image: GroupsImage, records: number, bytes = 1_000_000): GroupsRecord[][] =>
  partsOf(image, { records, bytes }).map((list) => list.flatMap((part) => recordsOf(image, part)));

describe('the fold', () => {
  it('comes to what the coordinator has', () => {
    const { core, log } = joined(7);
    expect(folded(...log).membership).toEqual(core.image);
    expect([...folded(...log).groups.keys()]).toEqual(['mail', 'billing']);
  });

  it.each([1, 2, 3, 5, 1_000])('begins anew from a snapshot in batches of %i records', (most) => {
    const { log } = joined(7);
    const cursors = Array.from({ length: 5 }, (_, at) => cursorOf('billing', at));
    const idle = { kind: 'idle', group: 'mail', value: { idleMs: 9 } } as const;
    const image = folded(...log, ...cursors, cursorOf('alone', 1), idle);
    const lists = snapshotOf(image, most);
    for (const list of lists) expect(list.length).toBeLessThanOrEqual(most + 1);
    expect(folded(...lists.flat())).toEqual(image);
    // Of a replica that had all of it before.
    expect(folded(...log, ...cursors, cursorOf('alone', 1), idle, ...lists.flat())).toEqual(image);
    expect(image.bytes).toBe(folded(...lists.flat()).bytes);
  });

  it('keeps batches of a snapshot small where records are large', () => {
    const { log } = joined(9);
    const image = folded(...log);
    expect(snapshotOf(image, 1_000, 1_500).length).toBeGreaterThan(3);
    expect(folded(...snapshotOf(image, 1_000, 1_500).flat())).toEqual(image);
  });

  it('keeps a group without a cursor for as long as its own record is there', () => {
    const { log } = joined(1);
    const image = folded(...log);
    expect(image.groups.get('mail')).toMatchObject({ idleMs: 0 });
    fold(image, cursorOf('mail', 0));
    fold(image, { ...cursorOf('mail', 0), value: null });
    expect(image.groups.has('mail')).toBe(true);
    fold(image, { kind: 'group', group: 'mail', value: null });
    expect(image).toEqual(emptyGroups());
  });

  it('keeps cursors whose group record went', () => {
    const { log } = joined(1);
    const image = folded(...log, cursorOf('mail', 0));
    fold(image, { kind: 'group', group: 'mail', value: null });
    expect(image).toEqual(folded(cursorOf('mail', 0)));
  });

  it('reads back what it writes, and stops at what it does not know', () => {
    const { log } = joined(3);
    for (const record of log) expect(decodeRecord(encodeRecord(record))).toEqual(record);
    expect(() => decodeRecord({ key: '["member","g"]', value: null })).toThrow(BrokerError);
    expect(() => decodeRecord({ key: '["queue","g"]', value: null })).toThrow(BrokerError);
  });
});
