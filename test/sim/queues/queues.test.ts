/** A fixed list of seeds for the gate. `main.ts --from` runs others. */
import { describe, expect, it } from 'vitest';
import { World, type WorldStats } from './world.ts';

const SEEDS = 150;
const STEPS = 3_000;

describe('QueuePartition under faults', () => {
  it(`settles every record by a fate, counts and orders, seeds 1 to ${String(SEEDS)}`, () => {
    const total: Record<string, number> = {};
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      try {
        const stats: WorldStats = new World(seed).run(STEPS);
        for (const [name, value] of Object.entries(stats))
          total[name] = (total[name] ?? 0) + (value as number);
      } catch (cause) {
        throw new Error(`seed ${String(seed)}: ${String(cause)}`, { cause });
      }
    }
    // Walks in which nothing happens prove nothing.
    const { batches = 0, delivered = 0, accepted = 0, refused = 0, failovers = 0 } = total;
    expect(Math.min(batches, delivered)).toBeGreaterThan(SEEDS * 40);
    expect(Math.min(accepted, refused, failovers)).toBeGreaterThan(SEEDS * 10);
    const { buried = 0, retired = 0, superseded = 0, missing = 0, diverged = 0 } = total;
    expect(Math.min(buried, retired, superseded)).toBeGreaterThan(SEEDS);
    expect(Math.min(diverged, missing)).toBeGreaterThan(SEEDS / 4);
  });

  it('replays a seed exactly', () => {
    const traces = [1, 2].map(() => {
      const lines: string[] = [];
      new World(8, (line) => lines.push(line)).run(STEPS);
      return lines;
    });

    expect(traces[0]).toEqual(traces[1]);
  });
});
