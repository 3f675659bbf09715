import { describe, test } from 'vitest';
import { CALLS_PER_SCENARIO } from './depth.ts';
import { playKilled } from './killed.ts';
import { SCENARIOS } from './scenarios.ts';

describe('the operator ends its work and harms nothing, whichever call is its last', () => {
  for (const scenario of SCENARIOS) {
    test(scenario.title, async () => {
      const { calls } = await playKilled(scenario);
      for (let part = 1; part <= CALLS_PER_SCENARIO; part += 1) {
        const count = Math.max(1, Math.floor((calls * part) / (CALLS_PER_SCENARIO + 1)));
        await playKilled(scenario, { after: 'call', count });
      }
    });
  }
});
