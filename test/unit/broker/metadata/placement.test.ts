import { describe, expect, test } from 'vitest';
import { Random } from '../../../../broker/base/random.ts';
import { placeReplicas } from '../../../../broker/metadata/placement.ts';
import { brokerState, imageOf } from './fixtures.ts';

describe('placeReplicas()', () => {
  test('spreads replicas over racks and leaders over brokers, on 400 random clusters', () => {
    for (let seed = 1; seed <= 400; seed += 1) {
      const random = new Random(seed);
      const racks = 1 + random.below(4);
      const brokers = Array.from({ length: 1 + random.below(9) }, (_, id) => brokerState(id, { rack: `r${String(random.below(racks))}`, fenced: random.chance(0.1), stopping: random.chance(0.1) }));
      const usable = brokers.filter((broker) => !broker.fenced && !broker.stopping);
      if (usable.length === 0) continue;
      const replicationFactor = 1 + random.below(usable.length);
      const request = { topicId: `topic-${String(seed)}`, partitions: 1 + random.below(30), replicationFactor };
      const lists = placeReplicas(imageOf(brokers), request);
      const rackOf = (id: number): string => brokers[id]?.rack ?? '?';
      const racksUsable = new Set(usable.map((broker) => broker.rack)).size;
      expect(lists.length).toBe(request.partitions);
      for (const list of lists) {
        expect(new Set(list).size).toBe(replicationFactor);
        expect(list.every((id) => usable.some((broker) => broker.brokerId === id))).toBe(true);
        expect(new Set(list.map(rackOf)).size).toBe(Math.min(replicationFactor, racksUsable));
      }
      const leaders = usable.map(({ brokerId }) => lists.filter((list) => list[0] === brokerId).length);
      expect(Math.max(...leaders) - Math.min(...leaders)).toBeLessThanOrEqual(1);
      expect(placeReplicas(imageOf(brokers.toReversed()), request)).toEqual(lists);
    }
  });

  test('keeps replica counts even where racks are of one size', () => {
    const brokers = Array.from({ length: 9 }, (_, id) => brokerState(id));
    const lists = placeReplicas(imageOf(brokers), { topicId: 't', partitions: 90, replicationFactor: 3 });
    const counts = brokers.map(({ brokerId }) => lists.filter((list) => list.includes(brokerId)).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
  });
});
