import { describe, expect, test } from 'vitest';
import { FALLING_LEADERS } from './profile.ts';
import type { Profile } from './profile.ts';
import { World } from './world.ts';

const SEED_COUNT = 300;
const FALLING_SEED_COUNT = 60;
const SEEDS_PER_TEST = 30;

/** @param option of the program that replays a seed */
function runSeeds(first: number, narrowed: Partial<Profile> = {}, option = ''): void {
  for (let seed = first; seed < first + SEEDS_PER_TEST; seed += 1) {
    const world = new World(seed, null, narrowed);
    try {
      expect(world.run().acknowledged, `seed ${seed}: acknowledged proposals`).toBeGreaterThan(0);
    } catch (error) {
      throw new Error(
        `seed ${seed} at ${world.now} ms; replay: node test/sim/raft/main.ts${option} --seed ${seed}${world.describe()}`,
        { cause: error },
      );
    }
  }
}

describe('a Raft group under faults keeps every property and recovers once they end', () => {
  for (let first = 1; first <= SEED_COUNT; first += SEEDS_PER_TEST) {
    test(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, { timeout: 120_000 }, () => {
      runSeeds(first);
    });
  }
});

describe('a Raft group whose leaders fall early does so too (thesis figure 3.7)', () => {
  for (let first = 1; first <= FALLING_SEED_COUNT; first += SEEDS_PER_TEST) {
    test(`seeds ${first} to ${first + SEEDS_PER_TEST - 1}`, { timeout: 120_000 }, () => {
      runSeeds(first, FALLING_LEADERS, ' --falling');
    });
  }
});

test('World replays a seed exactly', () => {
  const trace = (seed: number): string[] => {
    const lines: string[] = [];
    new World(seed, (line) => lines.push(line)).run();
    return lines;
  };
  expect(trace(4)).toEqual(trace(4));
});

test('the fixed seeds exercise every fault', () => {
  const counts: Record<string, number> = {};
  for (let seed = 1; seed <= 40; seed += 1) {
    for (const [what, count] of Object.entries(new World(seed).run().counts))
      counts[what] = (counts[what] ?? 0) + count;
  }
  for (const what of [
    'crash',
    'cut',
    'transfer',
    'voters',
    'compact',
    'emptied',
    'rolled-back',
    'deposed',
    'absurd',
  ])
    expect(counts[what] ?? 0, what).toBeGreaterThan(0);
});
