import { describe, expect, it } from 'vitest';
import { barsOf } from '../../../../page/model/bars.ts';
import { clusterSeen, partitionSeen } from '../fixture.ts';

const replica = (brokerId: number, end: number, committed: number) => ({
  brokerId,
  adding: false,
  log: { start: 0, end, committed, leaderEpoch: 2, sizeBytes: 1, stopped: '' },
});

describe('barsOf()', () => {
  it('places logs and the mark on an axis of the newest records', () => {
    const replicas = [replica(1, 1_000, 900), replica(2, 900, 900), replica(3, 1_000, 900)];
    const { bars, mark, committed } = barsOf(partitionSeen({ replicas }), clusterSeen());
    expect({ mark, committed }).toEqual({ mark: 0.5, committed: 900 });
    expect(bars.map(({ range }) => range)).toEqual([
      { from: 0, to: 1 },
      { from: 0, to: 0.5 },
      { from: 0, to: 1 },
    ]);
    expect(bars[1]?.text).toBe('0–900, epoch 2, 100 behind');
  });

  it('draws nothing of a broker that is silent, and no mark where the leader is', () => {
    const replicas = [{ brokerId: 1, adding: false, log: null }, replica(2, 5, 5)];
    const { bars, mark } = barsOf(partitionSeen({ replicas }), clusterSeen({}, { 1: 'silent' }));
    expect(mark).toBeNull();
    expect(bars[0]).toEqual({ brokerId: 1, state: 'away', range: null, text: 'silent' });
  });

  it('has a place for an empty log', () => {
    const { bars, mark } = barsOf(partitionSeen({ replicas: [replica(1, 0, 0)] }), clusterSeen());
    expect({ mark, range: bars[0]?.range }).toEqual({ mark: 0, range: { from: 0, to: 0 } });
  });
});
