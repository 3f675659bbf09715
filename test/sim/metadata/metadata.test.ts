/**
 * Random walks over the controller core. A failing seed replays exactly: it is in the title of the
 * test that failed.
 */
import { describe, expect, test } from 'vitest';
import { World } from './world.ts';
import type { WorldOptions } from './world.ts';

/** Walks per kind of topic; each takes some 10 ms. */
const SEEDS = 120;
const STEPS = 5000;

describe.each<{ mode: WorldOptions['mode'] }>([
  { mode: 'in-sync' },
  { mode: 'quorum' },
  { mode: 'any' },
])('Controller with topics in mode $mode', ({ mode }) => {
  test(`loses no acknowledged record without a report and heals, over ${String(SEEDS)} seeds`, () => {
    const total = {
      commits: 0,
      moves: 0,
      together: 0,
      handOvers: 0,
      removals: 0,
      late: 0,
      unable: 0,
    };
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const world = new World({ seed, steps: STEPS, flaw: 'none', mode });
      try {
        world.run();
      } catch (cause) {
        throw new Error(
          `seed ${String(seed)}, mode ${mode} (npm run site shows #seed=metadata:${String(seed)}:${mode}): ${String(cause)}`,
          { cause },
        );
      }
      for (const name of Object.keys(total) as (keyof typeof total)[])
        total[name] += world.stats[name];
    }
    // Walks in which nothing happens prove nothing.
    expect(total.commits).toBeGreaterThan(SEEDS * 20);
    expect(total.moves).toBeGreaterThan(SEEDS / 2);
    expect(Math.min(total.handOvers, total.removals)).toBeGreaterThan(SEEDS / 20);
    expect(total.together).toBeGreaterThan(SEEDS);
    expect(Math.min(total.late, total.unable)).toBeGreaterThan(SEEDS);
  });
});
