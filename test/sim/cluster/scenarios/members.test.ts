/** Members of groups, through whatever the seed strikes with. */
import { expect, it } from 'vitest';
import { Trace } from '../../kit/trace.ts';
import { type Fault, withMixture } from '../profile.ts';
import { World } from '../world.ts';

const GROUPS = 2;
/** What takes coordinators and proxies away, holds answers back, and loses what was not synced. */
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
  'remake',
];

/** Of these, 14 restarts every broker in turn at its end. */
const SEEDS = [5, 8, 12, 14];

it.each(SEEDS)('every record reaches every group, under seed %i', async (seed) => {
  const world = new World(seed, new Trace(), {
    memberGroups: GROUPS,
    override: (profile) => withMixture(profile, MIXTURE),
  });
  const { failures } = await world.run();
  expect(failures).toEqual([]);
  // A run in which nothing is delivered or committed proves nothing.
  expect(world.memberships?.delivered).toBeGreaterThan(0);
  expect(world.memberships?.commits).toBeGreaterThan(0);
  expect(world.memberships?.handledByClients).toBeGreaterThan(0);
  if (world.profile.isRolled) expect(world.memberships?.heldOn).toBeGreaterThan(0);
});
