import { describe, expect, test } from 'vitest';
import { Random } from '../../../../base/random.ts';
import { placeReplicas } from '../../../../broker/metadata/placement.ts';
import { brokerState, imageOf } from './fixtures.ts';
import { bestCounts, unevenness } from './optimum.ts';

const CLUSTERS = 10_000;

describe('placeReplicas()', () => {
  test(`is as even as can be, spans racks and leads in turn, on ${String(CLUSTERS)} random clusters`, () => {
    for (let seed = 1; seed <= CLUSTERS; seed += 1) {
      const random = new Random(seed);
      const racks = 1 + random.below(4);
      const patchOf = (): object => ({
        rack: `r${String(random.below(racks))}`,
        fenced: random.chance(0.1),
        stopping: random.chance(0.1),
        cordoned: random.chance(0.1),
      });
      const brokers = Array.from({ length: 1 + random.below(8) }, (_, id) =>
        brokerState(id, patchOf()),
      );
      const usable = brokers.filter(
        (broker) => !broker.fenced && !broker.stopping && !broker.cordoned,
      );
      if (usable.length === 0) continue;
      const replicationFactor = 1 + random.below(usable.length);
      const request = {
        topicId: `topic-${String(seed)}`,
        partitions: 1 + random.below(12),
        replicationFactor,
      };
      const lists = placeReplicas(imageOf(brokers), request);
      const rackOf = (id: number): string => brokers[id]?.rack ?? '?';
      const racksUsable = new Set(usable.map((broker) => broker.rack)).size;
      const at = `cluster ${String(seed)}`;
      for (const list of lists) {
        expect(new Set(list).size, at).toBe(replicationFactor);
        expect(
          list.every((id) => usable.some((broker) => broker.brokerId === id)),
          at,
        ).toBe(true);
        expect(new Set(list.map(rackOf)).size, at).toBe(Math.min(replicationFactor, racksUsable));
      }
      const countOf = (isCounted: (list: number[], id: number) => boolean): number[] =>
        usable.map(({ brokerId }) => lists.filter((list) => isCounted(list, brokerId)).length);
      const best = bestCounts(usable, request.partitions, replicationFactor).values();
      expect(unevenness(countOf((list, id) => list.includes(id))), at).toBe(unevenness(best));
      const leaders = countOf((list, id) => list[0] === id);
      expect(Math.max(...leaders) - Math.min(...leaders), at).toBeLessThanOrEqual(1);
      if (seed % 10 === 0)
        expect(placeReplicas(imageOf(brokers.toReversed()), request), at).toEqual(lists);
    }
  });

  test('keeps replica counts even where racks are of one size', () => {
    const brokers = Array.from({ length: 9 }, (_, id) => brokerState(id));
    const lists = placeReplicas(imageOf(brokers), {
      topicId: 't',
      partitions: 90,
      replicationFactor: 3,
    });
    const counts = brokers.map(
      ({ brokerId }) => lists.filter((list) => list.includes(brokerId)).length,
    );
    expect(counts.every((count) => count === 30)).toBe(true);
  });
});
