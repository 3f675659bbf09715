/** Racers at the end of the log, through whatever the seed strikes with. */
import { expect, it } from 'vitest';
import { Trace } from '../../kit/trace.ts';
import { type Fault, withMixture } from '../profile.ts';
import { World } from '../world.ts';

const RACERS = 3;
/** What takes leaders away, holds answers back, and makes tries come again. */
const MIXTURE: readonly Fault[] = [
  'kill',
  'orderly-stop',
  'stall',
  'cut',
  'cut-one-way',
  'break-connection',
  'elect',
];

it.each([1, 2, 3, 4])('one of those who expect an end wins, under seed %i', async (seed) => {
  const world = new World(seed, new Trace(), {
    racers: RACERS,
    override: (profile) => withMixture(profile, MIXTURE),
  });
  const { failures } = await world.run();

  const raced = world.history.sent.filter(({ via }) => via === 'raced');
  const fates = new Set(raced.map(({ fate }) => (fate?.kind === 'refused' ? fate.code : 'won')));
  expect(failures).toEqual([]);
  // A race that nobody wins, or nobody loses, proves nothing.
  expect([...fates]).toEqual(expect.arrayContaining(['won', 'OFFSET_TAKEN']));
});
