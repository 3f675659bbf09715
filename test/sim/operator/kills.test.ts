import { describe, expect, test } from 'vitest';
import { WRITES_STRIDE } from './depth.ts';
import { playKilled } from './killed.ts';
import { play, SCENARIOS } from './scenarios.ts';

/**
 * Of the scenario in which the lease is lost: what arrives first when a process goes on is a matter
 * of luck.
 */
const LEASE_SEEDS = 16;

describe('the operator ends its work and harms nothing, whichever write is its last', () => {
  for (const [index, scenario] of SCENARIOS.entries()) {
    test(scenario.title, async () => {
      const { writes } = await playKilled(scenario);
      expect(writes).toBeGreaterThan(0);
      const stride = scenario.isLong === true ? 5 * WRITES_STRIDE : WRITES_STRIDE;
      for (let count = 1 + (index % stride); count <= writes; count += stride)
        await playKilled(scenario, { after: 'write', count });
    });
  }
});

test('a deposed operator does nothing, whatever reaches it first when it goes on', async () => {
  const scenario = SCENARIOS.find(({ title }) => title.startsWith('lease lost'));
  for (let seed = 1; seed <= LEASE_SEEDS; seed += 1) {
    const { faults, happened } = await play(scenario!, { seed });
    expect(
      faults,
      `node test/sim/operator/main.ts --scenario "${scenario!.title}" --seed ${seed}`,
    ).toEqual([]);
    expect(happened.get('pause')).toBeGreaterThan(1);
  }
});
