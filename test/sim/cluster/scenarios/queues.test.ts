/** Consumers of queues, through whatever the seed strikes with. */
import { expect, it } from 'vitest';
import { Trace } from '../../kit/trace.ts';
import { type Fault, withMixture } from '../profile.ts';
import { World } from '../world.ts';

/** What takes owners and proxies away, holds answers back, and loses what was not synced. */
const MIXTURE: readonly Fault[] = [
  'kill',
  'orderly-stop',
  'stall',
  'cut',
  'cut-one-way',
  'break-connection',
  'elect',
  'power-loss',
  'reassign',
];

const SEEDS = [2, 5, 8, 12];

it.each(SEEDS)('every record of a queue has its fate, under seed %i', async (seed) => {
  const world = new World(seed, new Trace(), {
    hasQueues: true,
    override: (profile) => withMixture(profile, MIXTURE),
  });
  const { failures } = await world.run();
  expect(failures).toEqual([]);
  // A run in which nothing is delivered, accepted or buried proves nothing.
  expect(world.consumers?.deliveries).toBeGreaterThan(0);
  expect(world.consumers?.accepted).toBeGreaterThan(0);
  expect(world.consumers?.letters).toBeGreaterThan(0);
});
