import { describe, expect, test } from 'vitest';
import { CALLS_PER_SCENARIO, WRITES_STRIDE } from './depth.ts';
import { play, SCENARIOS } from './scenarios.ts';
import type { KillPlan } from './world.ts';

const SEED = 1;
/**
 * Of the scenario in which the lease is lost: what arrives first when a process goes on is a matter
 * of luck.
 */
const LEASE_SEEDS = 16;

describe('the operator ends its work and harms nothing, wherever it is killed', () => {
  for (const [index, scenario] of SCENARIOS.entries()) {
    test(scenario.title, async () => {
      const run = async (plan?: KillPlan): Promise<{ writes: number; calls: number }> => {
        const world = await play(scenario, { seed: SEED }, plan);
        const kill = plan === undefined ? '' : ` --${plan.after} ${plan.count}`;
        const replay = `node test/sim/operator/main.ts --scenario "${scenario.title}"${kill} --seed ${SEED}`;
        expect(world.faults, replay).toEqual([]);
        const isKilled = world.happened.get('kill') === 1;
        expect(isKilled, `${replay}: killed`).toBe(plan !== undefined);
        return world;
      };
      const { writes, calls } = await run();
      expect(writes).toBeGreaterThan(0);
      const stride = scenario.isLong === true ? 5 * WRITES_STRIDE : WRITES_STRIDE;
      for (let count = 1 + (index % stride); count <= writes; count += stride)
        await run({ after: 'write', count });
      for (let part = 1; part <= CALLS_PER_SCENARIO; part += 1) {
        const count = Math.max(1, Math.floor((calls * part) / (CALLS_PER_SCENARIO + 1)));
        await run({ after: 'call', count });
      }
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
