import { describe, expect, it } from 'vitest';
import { changesBetween, NO_HISTORY, remember } from '../../../../page/model/history.ts';
import type { PartitionSeen, Snapshot } from '../../../../page/snapshot.ts';
import { clusterSeen, partitionSeen, snapshot } from '../fixture.ts';

function at(atMs: number, end: number, committed: number): Snapshot {
  const log = { start: 0, end, committed, leaderEpoch: 1, sizeBytes: 1, stopped: '' };
  const replicas = [{ brokerId: 1, adding: false, log }];
  return snapshot(atMs, clusterSeen({ partitions: [partitionSeen({ replicas })] }));
}

function pointsOf(...snapshots: readonly Snapshot[]) {
  return snapshots.reduce(remember, NO_HISTORY).points;
}

/** Brokers whose appends were counted so. */
function counting(atMs: number, ...counts: readonly (readonly number[] | null)[]): Snapshot {
  const { brokers, ...rest } = clusterSeen();
  const counted = brokers.map((broker, at) => ({
    ...broker,
    appends: counts[at] == null ? null : { boundsUs: [1_000, 4_000, 9_000], counts: counts[at] },
  }));
  return snapshot(atMs, { ...rest, brokers: counted });
}

describe('the 99th percentile of appends', () => {
  it('is that of all brokers between two snapshots', () => {
    const points = pointsOf(
      counting(0, [10, 0, 0, 0], [0, 5, 0, 0]),
      counting(1_000, [108, 0, 0, 0], [0, 6, 1, 0]),
      counting(2_000, [208, 0, 0, 0], [0, 6, 1, 0]),
      counting(3_000, [208, 0, 0, 0], [0, 6, 1, 1]),
    );
    expect(points.map(({ p99Ms }) => p99Ms)).toEqual([null, 4, 1, 9]);
  });

  it('is not known where nothing was appended, nor where nobody counts', () => {
    const quiet = pointsOf(counting(0, [3, 0, 0, 0]), counting(1_000, [3, 0, 0, 0]));
    expect(quiet.at(-1)?.p99Ms).toBeNull();
    expect(pointsOf(counting(0, null), counting(1_000, null)).at(-1)?.p99Ms).toBeNull();
  });

  it('takes what a broker counts after its start as new', () => {
    const points = pointsOf(counting(0, [900, 0, 0, 0]), counting(1_000, [0, 0, 2, 0]));
    expect(points.at(-1)?.p99Ms).toBe(9);
  });
});

describe('remember()', () => {
  it('makes rates of what two snapshots tell', () => {
    expect(pointsOf(at(0, 10, 10), at(2_000, 50, 50)).map(({ perSecond }) => perSecond)).toEqual([
      null,
      20,
    ]);
  });

  it('counts nothing twice where a new leader knows a lower mark', () => {
    const points = pointsOf(at(0, 10, 10), at(1_000, 10, 4), at(2_000, 12, 12));
    expect(points.map(({ perSecond }) => perSecond)).toEqual([null, 0, 2]);
  });

  it('measures how long records wait for a commit, and stops when they are committed', () => {
    const points = pointsOf(at(0, 10, 10), at(1_000, 15, 10), at(3_000, 20, 10), at(4_000, 20, 20));
    expect(points.map(({ waitMs }) => waitMs)).toEqual([0, 0, 2_000, 0]);
  });

  it('takes records that are seen for the first time for new ones', () => {
    const points = pointsOf(at(0, 10, 10), at(60_000, 11, 10), at(61_000, 12, 11));
    expect(points.map(({ waitMs }) => waitMs)).toEqual([0, 0, 0]);
  });

  it('lets every partition wait where nobody answers', () => {
    const points = pointsOf(at(0, 10, 10), snapshot(2_000, null), snapshot(4_000, null));
    expect(points.map(({ waitMs }) => waitMs)).toEqual([0, 0, 2_000]);
  });

  it('does not let a partition wait that has nothing to commit', () => {
    expect(pointsOf(at(0, 10, 10), at(60_000, 10, 10)).at(-1)?.waitMs).toBe(0);
  });

  it('goes on waiting without a leader, and where nobody answers', () => {
    const cluster = clusterSeen({ partitions: [partitionSeen({ leader: null })] });
    const points = pointsOf(at(0, 10, 10), snapshot(2_000, cluster), snapshot(5_000, null));
    expect(points.map(({ waitMs }) => waitMs)).toEqual([0, 0, 3_000]);
    expect(points.at(-1)?.perSecond).toBeNull();
  });

  it('keeps five minutes', () => {
    const many = Array.from({ length: 400 }, (_, index) => at(index * 1_000, 1, 1));
    expect(pointsOf(...many)).toHaveLength(300);
    expect(pointsOf(...many)[0]?.atMs).toBe(100_000);
  });
});

describe('changesBetween()', () => {
  const texts = (before: Snapshot, now: Snapshot) =>
    changesBetween(before, now).map(({ kind, text }) => `${kind}: ${text}`);
  const withPartitions = (...partitions: PartitionSeen[]) =>
    snapshot(1, clusterSeen({ partitions }));

  it('finds nothing between equal ones, or where nobody answered', () => {
    expect(texts(snapshot(0), snapshot(1))).toEqual([]);
    expect(texts(snapshot(0), snapshot(1, null))).toEqual([]);
    expect(texts(snapshot(0, null), snapshot(1))).toEqual([]);
  });

  it('finds another leader, and none', () => {
    const now = partitionSeen({ leader: 2, leaderEpoch: 4 });
    expect(texts(snapshot(0), withPartitions(now))).toEqual([
      'election: orders/0 is led by 2, epoch 4',
    ]);
    expect(texts(snapshot(0), withPartitions(partitionSeen({ leader: null })))).toEqual([
      'election: orders/0 has no leader',
    ]);
  });

  it('finds who left a sync set and who came', () => {
    expect(texts(snapshot(0), withPartitions(partitionSeen({ syncSet: [1, 4, 3] })))).toEqual([
      'sync set: orders/0 in sync: −2 +4',
    ]);
  });

  it('finds a broker fenced, another controller and a loss', () => {
    const cluster = clusterSeen({ controller: 3, losses: ['lost'] }, { 1: 'fenced' });
    expect(texts(snapshot(0), snapshot(1, cluster))).toEqual([
      'fence: broker 1 is fenced, was up',
      'controller: broker 3 is the controller',
      'loss: lost',
    ]);
  });

  it('says how many more there are, where there are many', () => {
    const many = (syncSet: number[]) =>
      Array.from({ length: 9 }, (_, partition) => partitionSeen({ partition, syncSet }));
    expect(texts(withPartitions(...many([1, 2])), withPartitions(...many([1])))).toEqual([
      'sync set: orders/0 in sync: −2; orders/1 in sync: −2; orders/2 in sync: −2; and 6 more',
    ]);
  });

  it('takes a topic made anew under an old name for another one', () => {
    const anew = partitionSeen({ topicId: 'other', leader: 2, syncSet: [2] });
    expect(texts(snapshot(0), withPartitions(anew))).toEqual([]);
  });
});
