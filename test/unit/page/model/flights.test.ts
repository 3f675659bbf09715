import { describe, expect, it } from 'vitest';
import { flightsTo, type Places, placesOf } from '../../../../page/model/flights.ts';
import type { PartitionSeen } from '../../../../page/snapshot.ts';
import { clusterSeen, partitionSeen } from '../fixture.ts';

function cluster(...changes: Partial<PartitionSeen>[]) {
  return clusterSeen({ partitions: changes.map((change) => partitionSeen(change)) });
}

const NOWHERE: Places = new Map();
const replicas = (...ids: number[]) =>
  ids.map((brokerId) => ({ brokerId, adding: false, log: null }));

describe('flightsTo()', () => {
  it('moves nothing in the first snapshot, nor where nothing moved', () => {
    const now = cluster({ leader: 1 });
    expect(flightsTo(now, NOWHERE)).toEqual([]);
    expect(flightsTo(now, placesOf(now, NOWHERE))).toEqual([]);
  });

  it('takes a partition from its leader to the next, also past a time without one', () => {
    const first = placesOf(cluster({ leader: 1 }), NOWHERE);
    const without = cluster({ leader: null });
    expect(flightsTo(without, first)).toEqual([]);
    const second = placesOf(without, first);
    expect(flightsTo(cluster({ leader: 3 }), second)).toEqual([
      { key: 'id/0', kind: 'leader', from: 1, to: 3 },
    ]);
  });

  it('brings a new replica from the leader, whose copy it is', () => {
    const before = placesOf(cluster({ replicas: replicas(1, 2) }), NOWHERE);
    expect(flightsTo(cluster({ replicas: replicas(1, 2, 3) }), before)).toEqual([
      { key: 'id/0', kind: 'replica', from: 1, to: 3 },
    ]);
  });

  it('shows a bounded number, leaders first', () => {
    const many = (leader: number, ...ids: number[]) =>
      cluster(
        ...Array.from({ length: 100 }, (_, partition) => ({
          partition,
          leader,
          replicas: replicas(...ids),
        })),
      );
    const flights = flightsTo(many(2, 1, 2, 3), placesOf(many(1, 1, 2), NOWHERE));
    expect(flights).toHaveLength(48);
    expect(flights.every(({ kind }) => kind === 'leader')).toBe(true);
  });
});
