/**
 * `node test/sim/groups/main.ts --seed 7` replays one seed with its trace; `--from 1
 * --count 1000 [--bail]` runs many.
 */
import { runSeeds } from '../kit/seeds.ts';
import { World } from './world.ts';

runSeeds({ count: 200, steps: 3000 }, (seed, print) => new World(seed, print));
