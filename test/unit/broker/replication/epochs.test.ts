import { describe, expect, it } from 'vitest';
import { EpochMap } from '../../../../broker/replication/epochs.ts';

const LOG = { startOffset: 10, endOffset: 50 };
const STARTS = [
  { epoch: 2, startOffset: 10 },
  { epoch: 3, startOffset: 20 },
  { epoch: 6, startOffset: 40 },
];

describe('EpochMap.endOf()', () => {
  const cases = [
    {
      name: 'an epoch of the log ends where the next one starts',
      epoch: 3,
      expected: { epoch: 3, endOffset: 40 },
    },
    { name: 'the last epoch ends with the log', epoch: 6, expected: { epoch: 6, endOffset: 50 } },
    {
      name: 'an epoch above the last one: the last one',
      epoch: 9,
      expected: { epoch: 6, endOffset: 50 },
    },
    {
      name: 'an epoch that is missing: the largest one below it',
      epoch: 5,
      expected: { epoch: 3, endOffset: 40 },
    },
    {
      name: 'an epoch below the first one: nothing, up to the log start',
      epoch: 1,
      expected: { epoch: 0, endOffset: 10 },
    },
  ];
  for (const { name, epoch, expected } of cases) {
    it(name, () => {
      expect(new EpochMap(STARTS).endOf(epoch, LOG)).toEqual(expected);
    });
  }

  it('of an empty log is its end', () => {
    expect(new EpochMap([]).endOf(3, { startOffset: 7, endOffset: 7 })).toEqual({
      epoch: 0,
      endOffset: 7,
    });
  });
});

describe('EpochMap', () => {
  it('truncate() drops an epoch that started exactly there', () => {
    const map = new EpochMap(STARTS);

    map.truncate(40);

    expect(map.lastEpoch).toBe(3);
  });

  it('retire() keeps the epoch of the new first batch and moves its start', () => {
    const map = new EpochMap(STARTS);

    map.retire(30, 50);

    expect(map.entries()).toEqual([
      { epoch: 3, startOffset: 30 },
      { epoch: 6, startOffset: 40 },
    ]);
  });

  it('note() refuses an epoch that falls', () => {
    expect(() => new EpochMap(STARTS).note(5, 50)).toThrow(
      'epoch 5 must not be below 6, the last one',
    );
  });

  it('epochOf() finds the epoch of an offset', () => {
    const map = new EpochMap(STARTS);

    expect([9, 10, 19, 20, 39, 40, 49].map((offset) => map.epochOf(offset))).toEqual([
      0, 2, 2, 3, 3, 6, 6,
    ]);
  });
});
