/** Cursors of groups, through whatever the seed strikes with. */
import { expect, it } from 'vitest';
import { Trace } from '../../kit/trace.ts';
import { type Fault, withMixture } from '../profile.ts';
import { World } from '../world.ts';

const GROUPS = 4;
/** What takes coordinators away, holds answers back, and loses what was not synced. */
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

const SEEDS = [1, 2, 3, 4, 5, 6];
/** Over all seeds. */
let shortened = 0;

it.each(SEEDS)('no committed cursor goes back, under seed %i', async (seed) => {
  const world = new World(seed, new Trace(), {
    groups: GROUPS,
    override: (profile) => withMixture(profile, MIXTURE),
  });
  world.ground.onFact = ({ event }) => {
    if (event === 'groups-shortened') shortened += 1;
  };
  const { failures } = await world.run();

  const told = (kind: string): number =>
    world.history.cursors.filter((event) => event.kind === kind && event.cursor !== null).length;
  expect(failures).toEqual([]);
  // A run in which nothing is committed, sought or read proves nothing.
  expect(Math.min(told('commit'), told('seek'), told('fetch'))).toBeGreaterThan(0);
});

it('logs were written anew meanwhile', () => {
  expect(shortened).toBeGreaterThan(0);
});
