import { describe, expect, it } from 'vitest';
import { CURSORS_PER_COORDINATOR_MAX, GROUP_CURSORS_MAX } from '../../../../base/limits.ts';
import {
  type CursorCommit,
  cursorAt,
  type CursorVerdict,
  goneCursors,
  judgeCommit,
  judgeDeletion,
  judgeSeek,
} from '../../../../broker/groups/cursors.ts';
import {
  emptyGroups,
  fold,
  type GroupsImage,
  partsOf,
  recordsOf,
} from '../../../../broker/groups/fold.ts';
import {
  decodeRecord,
  encodeRecord,
  type GroupsRecord,
} from '../../../../broker/groups/records.ts';

const ORDERS = '11111111-1111-4111-8111-111111111111';
const REMADE = '22222222-2222-4222-8222-222222222222';
const PLACE = { group: 'billing', topic: 'orders', topicId: ORDERS, partition: 3 };
const isThere = (): boolean => true;

const commitOf = (patch: Partial<CursorCommit> = {}): CursorCommit => ({
  ...PLACE,
  offset: 10,
  leaderEpoch: 2,
  generation: 0,
  ...patch,
});

function imageWith(...records: readonly GroupsRecord[]): GroupsImage {
  const image = emptyGroups();
  for (const record of records) fold(image, record);
  return image;
}

/** As it is once the verdict is committed. */
function after(image: GroupsImage, { records }: CursorVerdict): GroupsImage {
  for (const record of records) fold(image, record);
  return image;
}

describe('a commit', () => {
  it('makes the first cursor of a group, in generation 1', () => {
    const { records, cursor } = judgeCommit(emptyGroups(), commitOf(), isThere);
    expect(cursor).toEqual({ ...PLACE, offset: 10, leaderEpoch: 2, generation: 1 });
    expect(records).toEqual([
      {
        kind: 'cursor',
        group: 'billing',
        topicId: ORDERS,
        partition: 3,
        value: { topic: 'orders', offset: 10, leaderEpoch: 2, generation: 1 },
      },
    ]);
  });

  const image = (): GroupsImage =>
    after(emptyGroups(), judgeCommit(emptyGroups(), commitOf(), isThere));

  it.each<{ what: string; patch: Partial<CursorCommit>; code: string | null; offset?: number }>([
    { what: 'moves it forward', patch: { offset: 11 }, code: null, offset: 11 },
    { what: 'is refused below it', patch: { offset: 9 }, code: 'CURSOR_AHEAD' },
    {
      what: 'is refused below it in a later epoch',
      patch: { offset: 9, leaderEpoch: 3 },
      code: 'CURSOR_AHEAD',
    },
    {
      what: 'is refused in an epoch before',
      patch: { offset: 11, leaderEpoch: 1 },
      code: 'POSITION_DIVERGED',
    },
    { what: 'may know no epoch', patch: { offset: 11, leaderEpoch: 0 }, code: null, offset: 11 },
    {
      what: 'is taken in its generation',
      patch: { offset: 11, generation: 1 },
      code: null,
      offset: 11,
    },
    { what: 'is refused in another', patch: { offset: 11, generation: 2 }, code: 'CURSOR_FENCED' },
  ])('$what', ({ patch, code, offset }) => {
    const judge = (): CursorVerdict => judgeCommit(image(), commitOf(patch), isThere);
    if (code === null) expect(judge().cursor.offset).toBe(offset);
    else expect(judge).toThrow(expect.objectContaining({ code, effect: 'none' }));
  });

  it('that says what is there writes nothing', () => {
    expect(judgeCommit(image(), commitOf(), isThere).records).toEqual([]);
    expect(judgeCommit(image(), commitOf({ leaderEpoch: 0 }), isThere).records).toEqual([]);
    expect(judgeCommit(image(), commitOf({ leaderEpoch: 3 }), isThere).records).toHaveLength(1);
  });

  it('for the topic that has the name now takes the cursor of the old one away', () => {
    const isNew = (topicId: string): boolean => topicId === REMADE;
    const verdict = judgeCommit(image(), commitOf({ topicId: REMADE, offset: 1 }), isNew);
    const next = after(image(), verdict);
    expect(cursorAt(next, PLACE)).toBeUndefined();
    expect(cursorAt(next, { ...PLACE, topicId: REMADE })?.offset).toBe(1);
    expect(next.cursors).toBe(1);
  });

  it('is refused where a group has as many cursors as it may', () => {
    const full = emptyGroups();
    for (let partition = 0; partition < GROUP_CURSORS_MAX; partition += 1)
      after(full, judgeCommit(full, commitOf({ partition: partition + 10 }), isThere));
    expect(() => judgeCommit(full, commitOf(), isThere)).toThrow(
      expect.objectContaining({ code: 'REFUSED' }),
    );
    // Those that it has still move.
    expect(
      judgeCommit(full, commitOf({ partition: 10, offset: 11 }), isThere).records,
    ).toHaveLength(1);
    full.cursors = CURSORS_PER_COORDINATOR_MAX;
    expect(() => judgeCommit(full, commitOf({ group: 'other' }), isThere)).toThrow(
      expect.objectContaining({ code: 'OVERLOADED' }),
    );
  });
});

describe('a seek', () => {
  it('goes back, and ends the generation', () => {
    const image = after(emptyGroups(), judgeCommit(emptyGroups(), commitOf(), isThere));
    const sought = after(image, judgeSeek(image, { ...PLACE, offset: 4, leaderEpoch: 1 }, isThere));
    expect(cursorAt(sought, PLACE)).toMatchObject({ offset: 4, generation: 2 });
    expect(() => judgeCommit(sought, commitOf({ offset: 12, generation: 1 }), isThere)).toThrow(
      expect.objectContaining({ code: 'CURSOR_FENCED' }),
    );
    expect(
      judgeCommit(sought, commitOf({ offset: 5, leaderEpoch: 1 }), isThere).cursor,
    ).toMatchObject({
      offset: 5,
      generation: 2,
    });
  });

  it('to where the cursor stands is written all the same', () => {
    const image = after(emptyGroups(), judgeCommit(emptyGroups(), commitOf(), isThere));
    const { cursor } = judgeSeek(image, { ...PLACE, offset: 10, leaderEpoch: 2 }, isThere);
    expect(cursor.generation).toBe(2);
  });

  it('goes on from the generation of a deleted topic of the name', () => {
    const image = after(emptyGroups(), judgeCommit(emptyGroups(), commitOf(), isThere));
    const isNew = (topicId: string): boolean => topicId === REMADE;
    expect(goneCursors(image, PLACE, isNew)).toHaveLength(1);
    const seek = { ...PLACE, topicId: REMADE, offset: 0, leaderEpoch: 0 };
    const next = after(image, judgeSeek(image, seek, isNew));
    expect([...next.groups.get('billing')!.cursors.values()]).toEqual([{ ...seek, generation: 2 }]);
    expect(goneCursors(next, PLACE, isNew)).toEqual([]);
  });
});

describe('the image', () => {
  it('is the same when records are folded again, as a snapshot does', () => {
    const image = emptyGroups();
    for (const offset of [3, 7]) after(image, judgeCommit(image, commitOf({ offset }), isThere));
    after(image, judgeCommit(image, commitOf({ partition: 4 }), isThere));
    fold(image, { kind: 'idle', group: 'billing', value: { idleMs: 5 } });
    const [list = []] = partsOf(image, { records: 1_000, bytes: 100_000 });
    const snapshot = list.flatMap((part) => recordsOf(image, part));
    const again = imageWith(...snapshot, ...snapshot);
    expect(again).toEqual(image);
    // A part of it that comes later counts for as much as it holds.
    expect(imageWith(...snapshot.slice(0, 1)).cursors).toBe(1);
  });

  it('forgets a group with its last cursor', () => {
    const image = after(emptyGroups(), judgeCommit(emptyGroups(), commitOf(), isThere));
    fold(image, { kind: 'idle', group: 'billing', value: { idleMs: 5 } });
    for (const record of judgeDeletion(image, 'billing', 10)) fold(image, record);
    expect(image).toEqual(emptyGroups());
  });

  it('takes the use of a group for the end of its idleness', () => {
    const image = after(emptyGroups(), judgeCommit(emptyGroups(), commitOf(), isThere));
    fold(image, { kind: 'idle', group: 'billing', value: { idleMs: 5 } });
    expect(image.groups.get('billing')?.idleMs).toBe(5);
    after(image, judgeCommit(image, commitOf({ offset: 20 }), isThere));
    expect(image.groups.get('billing')?.idleMs).toBe(0);
    fold(image, { kind: 'idle', group: 'nobody', value: { idleMs: 5 } });
    expect(image.groups.size).toBe(1);
  });
});

describe('records', () => {
  const cursor: GroupsRecord = {
    kind: 'cursor',
    group: 'billing',
    topicId: ORDERS,
    partition: 3,
    value: { topic: 'orders', offset: 10, leaderEpoch: 2, generation: 1 },
  };

  it.each<GroupsRecord>([
    cursor,
    { ...cursor, value: null },
    { kind: 'idle', group: 'billing', value: { idleMs: 7 } },
    { kind: 'idle', group: 'billing', value: null },
  ])('read back as %j', (record) => {
    expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  it('are what a person can read', () => {
    expect(encodeRecord(cursor)).toEqual({
      key: `["cursor","billing","${ORDERS}",3]`,
      value: '{"v":1,"topic":"orders","offset":10,"leaderEpoch":2,"generation":1}',
    });
  });

  const { key } = encodeRecord(cursor);
  it.each([
    ['an unknown kind', '["member","billing","m1"]', '{"v":1}'],
    ['a key that is no list', '{"kind":"cursor"}', null],
    ['a key that is too long', '["cursor","billing","x",3,4]', null],
    ['a later version', key, '{"v":2,"topic":"o","offset":1,"leaderEpoch":0,"generation":1}'],
    [
      'a field of a later build',
      key,
      '{"v":1,"topic":"o","offset":1,"leaderEpoch":0,"generation":1,"x":1}',
    ],
    [
      'an offset that is none',
      key,
      '{"v":1,"topic":"o","offset":1e300,"leaderEpoch":0,"generation":1}',
    ],
    ['a partition that is none', '["cursor","billing","x",-1]', null],
    ['no JSON', key, '{'],
  ])('of %s are refused', (_what, badKey, value) => {
    expect(() => decodeRecord({ key: badKey, value })).toThrow(
      expect.objectContaining({ code: 'DATA_CORRUPT' }),
    );
  });
});
