/** The codec of queues, and what it refuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeRecord,
  encodeRecord,
  type QueuesRecord,
} from '../../../../broker/queues/records.ts';
import { readRuns, type StoredEntry, writeRuns } from '../../../../broker/queues/runs.ts';

const PLACE = { queue: 'jobs', topicId: '6b1f0d5e-7c1a-4f7e-9c0d-2f8f3d1a4b5c', partition: 3 };

/** Entries by offset, of rising epochs. */
const entries: fc.Arbitrary<StoredEntry[]> = fc
  .array(
    fc.record({
      gap: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(1_000_000)),
      newEpoch: fc.oneof(fc.constant(0), fc.nat(3)),
      kind: fc.constantFrom('waiting', 'leased', 'dying', 'parked', 'final'),
      deliveries: fc.oneof(fc.nat(2), fc.nat(5_000)),
      due: fc.oneof(fc.constant(0), fc.integer({ min: 17_000_000_000, max: 17_000_036_000 })),
    }),
    { maxLength: 60 },
  )
  .map((steps) => {
    let offset = 0;
    let epoch = 1;
    return steps.map(({ gap, newEpoch, kind, deliveries, due }) => {
      offset += gap;
      epoch += newEpoch;
      const entry: StoredEntry = { offset, epoch, kind, deliveries, dueMs: due * 100 };
      offset += 1;
      return entry;
    });
  });

describe('writeRuns()', () => {
  it('writes what readRuns() reads back, whatever the entries', () => {
    fc.assert(
      fc.property(entries, (written) => {
        expect(readRuns(writeRuns(written))).toEqual(written);
      }),
    );
  });

  it('takes a few bytes for an even window, and 16 KiB at most for an uneven one', () => {
    const even = Array.from(
      { length: 2_000 },
      (_, at): StoredEntry => ({
        ...{ offset: 5_000_000 + at, epoch: 4, kind: 'leased', deliveries: 1, dueMs: 0 },
      }),
    );
    const uneven = even.map(
      (entry, at): StoredEntry => ({
        ...{
          ...entry,
          kind: 'waiting',
          deliveries: 36 + (at % 3),
          dueMs: 1e12 + (at % 36_000) * 1e5,
        },
      }),
    );

    expect(writeRuns(even).runs).toBe('+2z60wL1*1jk');
    expect(writeRuns(uneven).runs.length).toBeLessThan(16 * 1_024);
  });
});

describe('decodeRecord()', () => {
  const state: QueuesRecord = {
    ...{ kind: 'state', ...PLACE },
    value: {
      next: 12,
      history: [
        [0, 1],
        [9, 4],
      ],
      entries: [
        { offset: 7, epoch: 1, kind: 'waiting', deliveries: 2, dueMs: 1_700_000_000_500 },
        { offset: 10, epoch: 4, kind: 'leased', deliveries: 1, dueMs: 0 },
      ],
    },
  };
  const dying: QueuesRecord = {
    ...{ kind: 'dying', ...PLACE, offset: 7 },
    value: {
      cause: 'rejected',
      reason: 'no such customer',
      target: { topicId: PLACE.topicId, partition: 0, from: 40, epoch: 2 },
    },
  };

  it.each<[string, QueuesRecord]>([
    ['a state', state],
    ['its end', { ...state, value: null }],
    ['a change', { ...state, kind: 'delta', value: { ...state.value!, cut: 9 } }],
    ['a change without a cut', { ...state, kind: 'delta', value: { ...state.value!, cut: null } }],
    ['a dying record', dying],
    ['one without a target', { ...dying, value: { ...dying.value!, target: null } }],
    ['the end of a dying record', { ...dying, value: null }],
  ])('reads %s as it was written', (_, record) => {
    expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  it('reads the text that docs/queues.md shows', () => {
    const value =
      '{"v":1,"cut":-1,"next":1042,"history":[[0,1],[900,4]],"base":0,"epochs":[[1023,4]],"runs":"+sfW1L1*4+2D3"}';
    const read = decodeRecord({ key: JSON.stringify(['delta', ...Object.values(PLACE)]), value });

    expect(read.value).toMatchObject({
      next: 1_042,
      cut: null,
      entries: [
        { offset: 1_023, kind: 'waiting', deliveries: 1 },
        ...[1_024, 1_025, 1_026, 1_027].map((offset) => ({ offset, kind: 'leased' })),
        { offset: 1_030, kind: 'dying', deliveries: 3 },
      ],
    });
  });

  const key = JSON.stringify(['state', ...Object.values(PLACE)]);
  const written = JSON.parse(encodeRecord(state).value!) as object;
  it.each([
    ['a later version', { ...written, v: 2 }, 'v is 2'],
    ['a field of a newer build', { ...written, colour: 'red' }, 'value.colour'],
    ['a run without a kind', { ...written, runs: '+7' }, 'runs is "+7"'],
    ['a run of a kind that is not', { ...written, runs: '+7X1' }, 'runs is "+7X1"'],
    ['a run that never ends', { ...written, runs: 'W1*zzzzzz' }, 'runs is "W1*zzzzzz"'],
    ['a run without an epoch', { ...written, epochs: [] }, 'epochs is []'],
    ['an offset that is none', { ...written, next: -1 }, 'value.next is -1'],
  ])('refuses %s', (_, value, told) => {
    const read = (): unknown => decodeRecord({ key, value: JSON.stringify(value) });

    expect(read).toThrow(told);
  });

  it.each(['["state","jobs"]', '["group","jobs","t",1]', '{}', '["dying","jobs","t",1]'])(
    'refuses the key %s',
    (other) => {
      expect(() => decodeRecord({ key: other, value: null })).toThrow('Cannot read data');
    },
  );
});
