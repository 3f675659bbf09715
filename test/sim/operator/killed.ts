/** Plays a scenario, undisturbed or with an operator that dies at one point of it. */
import { expect } from 'vitest';
import type { Scenario } from './scenario.ts';
import { play } from './scenarios.ts';
import type { KillPlan } from './world.ts';

const SEED = 1;

/** What was counted: each is a point at which an operator may die. */
export async function playKilled(
  scenario: Scenario,
  plan?: KillPlan,
): Promise<{ readonly writes: number; readonly calls: number }> {
  const world = await play(scenario, { seed: SEED }, plan);
  const kill = plan === undefined ? '' : ` --${plan.after} ${plan.count}`;
  const replay = `node test/sim/operator/main.ts --scenario "${scenario.title}"${kill} --seed ${SEED}`;
  expect(world.faults, replay).toEqual([]);
  const isKilled = world.happened.get('kill') === 1;
  expect(isKilled, `${replay}: killed`).toBe(plan !== undefined);
  return world;
}
