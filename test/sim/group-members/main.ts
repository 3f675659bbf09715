/**
 * `node test/sim/group-members/main.ts --seed 7` replays one seed with its trace; `--from 1
 * --count 1000 [--bail]` runs many.
 */
import { runSeeds } from '../kit/seeds.ts';
import { MembersWorld } from './world.ts';

runSeeds({ count: 100, steps: 1500 }, (seed, print) => new MembersWorld(seed, print));
