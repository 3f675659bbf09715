/** A fixed list of seeds for the gate. `main.ts --from` runs others. */
import { describe, expect, it } from 'vitest';
import { World } from './world.ts';

const SEEDS = 120;

describe('Partition under faults', () => {
  it(`keeps invariants (a) to (j) and (l) and heals, seeds 1 to ${SEEDS}`, () => {
    let acknowledged = 0;
    let elections = 0;
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const result = new World(seed).run();
      acknowledged += result.acknowledged;
      elections += result.elections;
    }
    // The workload must have exercised something.
    expect(acknowledged).toBeGreaterThan(SEEDS * 100);
    expect(elections).toBeGreaterThan(SEEDS);
  });

  it('lets one win of those who append where nothing was appended, and none spin', () => {
    let racesWon = 0;
    for (let seed = 1; seed <= 10; seed += 1)
      racesWon += new World(seed, undefined, { racers: 3 }).run().racesWon;
    // Where others append all the time, who appends only at the end may lose each race of a seed.
    expect(racesWon).toBeGreaterThan(100);
  });

  it('begins where somebody was told that it begins, whoever leads', () => {
    let trimmed = 0;
    for (let seed = 1; seed <= 40; seed += 1)
      trimmed += new World(seed, undefined, { trims: true }).run().trimmed;
    expect(trimmed).toBeGreaterThan(200);
  });

  it('holds the last value of each key, and no key that was deleted, whatever is compacted', () => {
    const sums = { compacted: 0, tombstonesBelow: 0, resets: 0 };
    for (let seed = 1; seed <= 60; seed += 1) {
      const result = new World(seed, undefined, { compaction: true }).run();
      sums.compacted += result.compacted;
      sums.tombstonesBelow += result.tombstonesBelow;
      sums.resets += result.resets;
    }
    expect(sums.compacted).toBeGreaterThan(5_000);
    expect(sums.tombstonesBelow).toBeGreaterThan(10_000);
    expect(sums.resets).toBeGreaterThan(20);
  });

  it('replays a seed exactly', () => {
    const traces = [1, 2].map(() => {
      const lines: string[] = [];
      new World(7, (line) => lines.push(line)).run();
      return lines;
    });

    expect(traces[0]).toEqual(traces[1]);
  });
});
