import { describe, expect, it } from 'vitest';
import { columnsOf, replicaState } from '../../../../page/model/tiles.ts';
import { clusterSeen, partitionSeen } from '../fixture.ts';

describe('columnsOf()', () => {
  it('has a column for each rack by name, brokers by id, and a tile for each replica', () => {
    const cluster = clusterSeen();
    const racks = ['b', 'a', 'b'];
    const brokers = cluster.brokers.map((broker, at) => ({ ...broker, rack: racks[at] ?? '' }));
    const columns = columnsOf({ ...cluster, brokers });
    expect(
      columns.map(({ rack, cards }) => [rack, cards.map(({ broker }) => broker.brokerId)]),
    ).toEqual([
      ['a', [2]],
      ['b', [1, 3]],
    ]);
    expect(columns[1]?.cards[0]).toMatchObject({ isController: true, leads: 1 });
    expect(columns[1]?.cards[1]?.tiles).toEqual([
      {
        name: 'orders/0',
        key: 'id/0',
        state: 'in sync',
        refuses: false,
        label: 'orders/0 on broker 3: in sync',
      },
    ]);
  });

  it('says in the label what is wrong with the partition', () => {
    const fault = 'refuses appends: 1 of 2 in sync';
    const partitions = [partitionSeen({ refusal: fault, faults: [fault] })];
    const tile = columnsOf(clusterSeen({ partitions }))[0]?.cards[0]?.tiles[0];
    expect(tile?.refuses).toBe(true);
    expect(tile?.label).toBe(`orders/0 on broker 1: leader; ${fault}`);
  });

  it('passes over a replica on a broker that nobody knows', () => {
    const log = null;
    const partitions = [partitionSeen({ replicas: [{ brokerId: 9, adding: false, log }] })];
    const columns = columnsOf(clusterSeen({ partitions }));
    expect(columns.flatMap(({ cards }) => cards).flatMap(({ tiles }) => tiles)).toEqual([]);
  });
});

describe('replicaState()', () => {
  const replica = (brokerId: number) => ({ brokerId, adding: false, log: null });
  it.for([
    { name: 'leads', change: {}, id: 1, broker: 'up', state: 'leader' },
    { name: 'is in sync', change: {}, id: 2, broker: 'up', state: 'in sync' },
    { name: 'is not', change: { syncSet: [1] }, id: 2, broker: 'up', state: 'catching up' },
    { name: 'is a suspect', change: { suspects: [2] }, id: 2, broker: 'up', state: 'suspect' },
    { name: 'is silent', change: {}, id: 1, broker: 'silent', state: 'away' },
    { name: 'is fenced', change: {}, id: 2, broker: 'fenced', state: 'away' },
    { name: 'is stopping', change: {}, id: 2, broker: 'stopping', state: 'in sync' },
    { name: 'is unknown', change: {}, id: 2, broker: undefined, state: 'away' },
  ] as const)('tells one that $name', ({ change, id, broker, state }) => {
    expect(replicaState(partitionSeen(change), replica(id), broker)).toBe(state);
  });

  it('tells one that is stopped, though it leads', () => {
    const log = {
      start: 0,
      end: 1,
      committed: 1,
      leaderEpoch: 1,
      sizeBytes: 1,
      stopped: 'damaged',
    };
    expect(replicaState(partitionSeen(), { ...replica(1), log }, 'up')).toBe('stopped');
  });
});
