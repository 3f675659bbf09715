import { describe, expect, test } from 'vitest';
import { HOSTILE_SEEDS } from './depth.ts';
import { hostile } from './hostile.ts';

const SEEDS_PER_TEST = 4;

const happened = new Map<string, number>();

describe('two operators in a hostile world never stop a broker that a partition needs, lose nothing, and come to an end', () => {
  for (let first = 1; first <= HOSTILE_SEEDS; first += SEEDS_PER_TEST) {
    test(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, async () => {
      for (let seed = first; seed < first + SEEDS_PER_TEST; seed += 1) {
        const world = await hostile(seed);
        expect(world.faults, `node test/sim/operator/main.ts --seed ${seed}`).toEqual([]);
        expect(
          world.brokers.partitions.every(({ acked }) => acked > 0),
          `seed ${seed}: appended`,
        ).toBe(true);
        for (const [what, count] of world.happened)
          happened.set(what, (happened.get(what) ?? 0) + count);
      }
    });
  }

  test('these seeds exercise every fault', () => {
    for (const what of [
      'kill',
      'pause',
      'stop',
      'watches-broken',
      'watches-silent',
      'compaction',
      'api-away',
      'lagging-watches',
      'crash',
      'cut',
      'hold',
    ])
      expect(happened.get(what) ?? 0, what).toBeGreaterThan(0);
  });
});

test('a seed is replayed exactly', async () => {
  const trace = async (): Promise<string[]> => {
    const lines: string[] = [];
    await hostile(3, (line) => lines.push(line));
    return lines;
  };
  expect(await trace()).toEqual(await trace());
});
