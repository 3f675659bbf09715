import { describe, expect, it } from 'vitest';
import type { BrokerView, PartitionLeadership } from '../../../../client/cluster.ts';
import { chooseSource, type Source } from '../../../../client/consumer/source.ts';

/** Brokers 1 and 4 in rack a, 2 and 5 in b, 3 in c. */
const RACKS = new Map([
  [1, 'a'],
  [2, 'b'],
  [3, 'c'],
  [4, 'a'],
  [5, 'b'],
]);

const PARTITION: PartitionLeadership = {
  partition: 0,
  leader: 1,
  leaderEpoch: 1,
  inSync: [1, 2, 3],
  partitionEpoch: 1,
};

interface Row {
  readonly name: string;
  readonly found?: Partial<PartitionLeadership>;
  readonly rack: string;
  readonly down?: number;
  readonly avoided?: number;
  readonly present?: number;
  readonly source: Source | undefined;
}

const ROWS: readonly Row[] = [
  { name: 'without a rack, the leader', rack: '', source: { brokerId: 1, isFollower: false } },
  { name: 'the follower in the rack', rack: 'b', source: { brokerId: 2, isFollower: true } },
  {
    name: 'the leader in the rack, before a follower there',
    rack: 'a',
    found: { inSync: [1, 4] },
    source: { brokerId: 1, isFollower: false },
  },
  {
    name: 'the leader, where nobody is in the rack',
    rack: 'z',
    source: { brokerId: 1, isFollower: false },
  },
  {
    name: 'the leader, where the follower is not in sync',
    rack: 'b',
    found: { inSync: [1, 3] },
    source: { brokerId: 1, isFollower: false },
  },
  {
    name: 'the leader, where the follower is down',
    rack: 'b',
    down: 2,
    source: { brokerId: 1, isFollower: false },
  },
  {
    name: 'the leader, where the follower is avoided',
    rack: 'b',
    avoided: 2,
    source: { brokerId: 1, isFollower: false },
  },
  {
    name: 'one of two followers by the partition',
    rack: 'b',
    found: { partition: 3, inSync: [1, 2, 5] },
    source: { brokerId: 5, isFollower: true },
  },
  {
    name: 'the follower that is read already, of two',
    rack: 'b',
    found: { inSync: [1, 2, 5] },
    present: 5,
    source: { brokerId: 5, isFollower: true },
  },
  {
    name: 'the follower in the rack although there is no leader',
    rack: 'b',
    found: { leader: undefined },
    source: { brokerId: 2, isFollower: true },
  },
  {
    name: 'nobody, without a leader and without a rack',
    rack: '',
    found: { leader: undefined },
    source: undefined,
  },
];

describe('chooseSource()', () => {
  it.each(ROWS)('is $name', ({ found, rack, down, avoided, present, source }) => {
    const broker = (brokerId: number): BrokerView | undefined => {
      const known = RACKS.get(brokerId);
      return known === undefined ? undefined : { rack: known, isUp: brokerId !== down };
    };
    const isAvoided = (brokerId: number): boolean => brokerId === avoided;
    expect(chooseSource({ ...PARTITION, ...found }, { rack, broker, isAvoided, present })).toEqual(
      source,
    );
  });
});
