import { expect, test } from 'vitest';
import { decide } from '../../../operator/decide/decide.ts';
import { NOW_MS } from '../../fixtures/operator/observations.ts';
import { type Random, World } from './world.ts';

const SEEDS = 60;
const HOSTILE_TICKS = 1_000;
const CALM_TICKS_MAX = 6_000;
/** One action in so many is the operator's last: then another starts, with nothing but what the API server holds. */
const ACTIONS_PER_LIFE = 4;

function randomOf(seed: number): Random {
  let state = seed * 2_654_435_761 + 1;
  return (bound) => {
    state = (Math.imul(state ^ (state >>> 15), state | 1) + 0x6d2b79f5) | 0;
    const mixed = state ^ (state + Math.imul(state ^ (state >>> 7), state | 61));
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** One pass, which may be the operator's last at any action. */
function pass(world: World, random: Random, nowMs: number): void {
  for (const action of decide(world.observe(), nowMs).actions) {
    if (random(ACTIONS_PER_LIFE) === 0) {
      world.refresh();
      return;
    }
    // Time goes by between two actions.
    if (random(4) === 0) world.tick(false);
    if (!world.perform(action)) return;
  }
}

function run(seed: number): { readonly world: World; readonly ticks: number } {
  const random = randomOf(seed);
  const world = new World(random);
  let nowMs = NOW_MS;
  const step = (isHostile: boolean): void => {
    world.tick(isHostile);
    nowMs += 500;
    if (random(2) === 0) pass(world, random, nowMs);
  };
  for (let tick = 0; tick < HOSTILE_TICKS; tick += 1) step(true);
  world.settle();
  let ticks = 0;
  while (ticks < CALM_TICKS_MAX && !world.isCalm) {
    step(false);
    ticks += 1;
  }
  return { world, ticks };
}

test(`the operator, killed at any action in ${SEEDS} histories, never stops a broker that a partition needs, loses nothing, and comes to an end`, () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { world } = run(seed);
    expect(world.faults, `seed ${seed}`).toEqual([]);
    expect(world.isCalm, `seed ${seed}: ${world.describe()}`).toBe(true);
    expect(
      world.partitions.some(({ acked }) => acked > 0),
      `seed ${seed}: nothing was appended`,
    ).toBe(true);
  }
});
