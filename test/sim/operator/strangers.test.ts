import { describe, expect, test } from 'vitest';
import { play } from './scenarios.ts';
import { STRANGERS } from './strangers.ts';

const SEEDS = [1, 2];

describe('in the hands of strangers the operator harms nothing, goes on, and says why it does not', () => {
  for (const scenario of STRANGERS) {
    test(scenario.title, async () => {
      for (const seed of SEEDS) {
        const { faults } = await play(scenario, { seed });
        const replay = `node test/sim/operator/main.ts --scenario "${scenario.title}" --seed ${seed}`;
        expect(faults, replay).toEqual([]);
      }
    });
  }
});
