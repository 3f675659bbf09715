import { describe, expect, test } from 'vitest';
import {
  bestLog,
  changed,
  distrust,
  electUncleanly,
  isEvidenceGone,
  lossStart,
  settle,
} from '../../../../broker/metadata/leader-election.ts';
import type { BrokerView } from '../../../../broker/metadata/leader-election.ts';
import type { PartitionState } from '../../../../broker/metadata/types.ts';
import { partitionState } from './fixtures.ts';

/** Brokers 0 to 4 of which some are fenced; of those, some are awaited. */
function view(
  options: { fenced?: number[]; awaited?: number[]; stopping?: number[] } = {},
): BrokerView {
  const { fenced = [], awaited = [], stopping = [] } = options;
  return {
    isLive: (id) => !fenced.includes(id),
    isStopping: (id) => stopping.includes(id),
    isCordoned: () => false,
    isGone: (id) => fenced.includes(id) && !awaited.includes(id),
  };
}

function brief(state: PartitionState): object {
  const { syncSet, quorum, suspects, leader } = state;
  return { syncSet, quorum, suspects, leader };
}

describe('settle()', () => {
  test.each([
    {
      title: 'takes a fenced follower out with q - 1',
      row: {},
      min: 2,
      view: view({ fenced: [2] }),
      after: { syncSet: [0, 1], quorum: 2, suspects: [], leader: 0 },
    },
    {
      title: 'moves leadership from a fenced leader to the first of the replicas',
      row: {},
      min: 2,
      view: view({ fenced: [0] }),
      after: { syncSet: [1, 2], quorum: 2, suspects: [], leader: 1 },
    },
    {
      title: 'freezes members where q would fall below min (rule 16)',
      row: {},
      min: 3,
      view: view({ fenced: [2] }),
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [], leader: 0 },
    },
    {
      title: 'keeps everybody in S when nobody is left',
      row: {},
      min: 1,
      view: view({ fenced: [0, 1, 2] }),
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [], leader: -1 },
    },
    {
      title: 'does not leave suspects alone in S',
      row: { syncSet: [0, 1], suspects: [1] },
      min: 1,
      view: view({ fenced: [0] }),
      after: { syncSet: [0, 1], quorum: 2, suspects: [1], leader: -1 },
    },
    {
      title: 'takes a fenced suspect out before a trusted one',
      row: { suspects: [1] },
      min: 2,
      view: view({ fenced: [1, 2] }),
      after: { syncSet: [0, 2], quorum: 2, suspects: [], leader: 0 },
    },
    {
      title: 'keeps a member that is awaited, without its leadership',
      row: {},
      min: 1,
      view: view({ fenced: [0], awaited: [0] }),
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [], leader: 1 },
    },
    {
      title: 'never elects a suspect',
      row: { leader: -1, suspects: [0, 1, 2] },
      min: 3,
      view: view(),
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [0, 1, 2], leader: -1 },
    },
    {
      title: 'prefers a member that is not stopping',
      row: { leader: -1 },
      min: 3,
      view: view({ stopping: [0] }),
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [], leader: 1 },
    },
    {
      title: 'elects a stopping member rather than nobody',
      row: { leader: -1 },
      min: 3,
      view: view({ fenced: [1, 2], stopping: [0] }),
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [], leader: 0 },
    },
    {
      title: 'lays leadership down where q < |S|, since logs must be read',
      row: { quorum: 2 },
      min: 2,
      view: view({ fenced: [0] }),
      after: { syncSet: [0, 1, 2], quorum: 2, suspects: [], leader: -1 },
    },
  ])('$title', ({ row, min, view: brokers, after }) => {
    expect(brief(settle(partitionState(row), min, brokers))).toEqual(after);
  });
});

describe('changed()', () => {
  test('raises the partition epoch always and the leader epoch with the leader', () => {
    const before = partitionState({ leaderEpoch: 4, partitionEpoch: 7 });
    expect(changed(before, { ...before })).toBeNull();
    expect(changed(before, { ...before, suspects: [2] })).toMatchObject({
      leaderEpoch: 4,
      partitionEpoch: 8,
    });
    expect(changed(before, { ...before, leader: -1 })).toMatchObject({
      leaderEpoch: 5,
      partitionEpoch: 8,
    });
  });
});

describe('distrust()', () => {
  test.each([
    {
      title: 'takes the member out where q stays at min',
      row: {},
      min: 2,
      after: { syncSet: [0, 1], quorum: 2, suspects: [], leader: 0 },
    },
    {
      title: 'suspects it where q would fall below min (P7)',
      row: {},
      min: 3,
      after: { syncSet: [0, 1, 2], quorum: 3, suspects: [2], leader: 0 },
    },
    {
      title: 'leaves a row alone that it is no member of',
      row: { syncSet: [0, 1] },
      min: 1,
      after: { syncSet: [0, 1], quorum: 2, suspects: [], leader: 0 },
    },
  ])('$title', ({ row, min, after }) => {
    expect(brief(distrust(partitionState(row), 2, min))).toEqual(after);
  });
});

describe('unclean elections', () => {
  const leaderless = partitionState({
    leader: -1,
    leaderEpoch: 6,
    partitionEpoch: 9,
    suspects: [0, 1, 2],
    uncleanEpoch: 3,
  });

  test('isEvidenceGone() holds once fewer than |S| - q + 1 trusted logs can ever be read', () => {
    expect(isEvidenceGone(leaderless, new Set())).toBe(true);
    expect(isEvidenceGone({ ...leaderless, suspects: [0, 1] }, new Set())).toBe(false);
    expect(isEvidenceGone({ ...leaderless, suspects: [0, 1] }, new Set([2]))).toBe(true);
    expect(isEvidenceGone({ ...leaderless, suspects: [0, 1], quorum: 2 }, new Set())).toBe(true);
  });

  test('electUncleanly() leaves the chosen replica alone in S and names the epoch', () => {
    expect(electUncleanly(leaderless, 2)).toEqual({
      ...leaderless,
      leader: 2,
      leaderEpoch: 7,
      partitionEpoch: 10,
      uncleanEpoch: 7,
      syncSet: [2],
      quorum: 1,
      suspects: [],
    });
  });

  const whole = { brokerId: 2, endOffset: 100, highWaterMark: 60, startOffset: 30, retiredTo: 30 };
  test.each([
    { title: 'the end of a log that ends in the last epoch led', log: { lastEpoch: 5 }, from: 100 },
    {
      title: 'the high-water mark of a log that ends in an older epoch',
      log: { lastEpoch: 4 },
      from: 60,
    },
    {
      title: 'the start where the log has not seen an earlier unclean election',
      log: { lastEpoch: 2 },
      from: 0,
    },
    {
      title: 'where retention came, for a log that has lost its beginning',
      log: { lastEpoch: 5, retiredTo: 20 },
      from: 20,
    },
  ])('lossStart() is $title', ({ log, from }) => {
    expect(lossStart(leaderless, { ...whole, ...log })).toBe(from);
  });

  test('bestLog() compares the last epoch, then the end, then the order given', () => {
    const log = (brokerId: number, lastEpoch: number, endOffset: number, startOffset = 0) => ({
      brokerId,
      lastEpoch,
      endOffset,
      startOffset,
      retiredTo: 0,
      highWaterMark: 0,
    });
    expect(bestLog([log(0, 1, 99), log(1, 2, 5)], [0, 1]).brokerId).toBe(1);
    expect(bestLog([log(0, 2, 5), log(1, 2, 6)], [0, 1]).brokerId).toBe(1);
    expect(bestLog([log(0, 2, 6), log(1, 2, 6)], [1, 0]).brokerId).toBe(1);
    expect(bestLog([log(0, 2, 6, 3), log(1, 2, 6)], [0, 1]).brokerId).toBe(1);
  });
});
