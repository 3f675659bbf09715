/** A fixed list of seeds for the gate. `main.ts --from` runs others. */
import { describe, expect, it } from 'vitest';
import { World, type WorldStats } from './world.ts';

const SEEDS = 120;
const STEPS = 3_000;

describe('Membership under faults', () => {
  it(`names one holder, interrupts nobody and heals, seeds 1 to ${String(SEEDS)}`, () => {
    const total: WorldStats = {
      batches: 0,
      commits: 0,
      refused: 0,
      failovers: 0,
      takeovers: 0,
      expired: 0,
    };
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      try {
        const stats = new World(seed).run(STEPS);
        for (const name of Object.keys(total) as (keyof WorldStats)[]) total[name] += stats[name];
      } catch (cause) {
        throw new Error(`seed ${String(seed)}: ${String(cause)}`, { cause });
      }
    }
    // Walks in which nothing happens prove nothing.
    expect(total.batches).toBeGreaterThan(SEEDS * 50);
    expect(Math.min(total.commits, total.refused)).toBeGreaterThan(SEEDS * 10);
    expect(Math.min(total.failovers, total.expired)).toBeGreaterThan(SEEDS * 5);
    expect(total.takeovers).toBeGreaterThan(SEEDS / 2);
  });

  it('replays a seed exactly', () => {
    const traces = [1, 2].map(() => {
      const lines: string[] = [];
      new World(7, (line) => lines.push(line)).run(STEPS);
      return lines;
    });

    expect(traces[0]).toEqual(traces[1]);
  });
});
