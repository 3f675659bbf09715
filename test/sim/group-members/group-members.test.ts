/** A fixed list of seeds for the gate. `main.ts --from` runs others. */
import { describe, expect, it } from 'vitest';
import { MembersWorld, type Totals } from './world.ts';

const SEEDS = 60;
const STEPS = 1_500;

describe('members of groups, with both sides real', () => {
  it(`handle every record and share no partition, seeds 1 to ${String(SEEDS)}`, () => {
    const total: Record<string, number> = {};
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      try {
        const found: Totals = new MembersWorld(seed).run(STEPS);
        for (const [name, value] of Object.entries(found))
          total[name] = (total[name] ?? 0) + Number(value);
      } catch (cause) {
        throw new Error(`seed ${String(seed)}: ${String(cause)}`, { cause });
      }
    }
    // Walks in which nothing happens prove nothing.
    for (const name of ['handled', 'repeated', 'commits', 'refused', 'revoked', 'left'])
      expect(total[name], name).toBeGreaterThan(SEEDS);
    expect(total['reattached']).toBeGreaterThan(SEEDS / 2);
    expect(total['lost']).toBeGreaterThan(SEEDS / 2);
    expect(total['replaced']).toBeGreaterThan(SEEDS / 2);
  });

  it('replays a seed exactly', () => {
    const traces = [1, 2].map(() => {
      const lines: string[] = [];
      new MembersWorld(7, (line) => lines.push(line)).run(STEPS);
      return lines;
    });

    expect(traces[0]).toEqual(traces[1]);
  });
});
