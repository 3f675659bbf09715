/**
 * `npm run fuzz -- [--minutes N] [--seed N]`: mutates golden bytes for every decoder in turn, until
 * the time is up or one breaks. Says the seed that does it again.
 */
import { parseArgs } from 'node:util';
import { Random } from '../../base/random.ts';
import { decoders, fuzz } from './decoders.ts';

const ROUNDS_PER_LOOK = 2_000;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } },
});
const all = decoders();
const end = performance.now() + Number(values.minutes) * 60_000;

function runSeed(seed: number): void {
  for (const decoder of all) {
    const random = new Random(seed);
    for (let round = 0; round < ROUNDS_PER_LOOK; round += 1) fuzz(decoder, random);
  }
}

const seed = Number(values.seed);
let seeds = 0;
do {
  try {
    runSeed(seed + seeds);
  } catch (error) {
    console.error(`seed ${seed + seeds}:`, error);
    process.exit(1);
  }
  seeds += 1;
} while (performance.now() < end);
const mutations = seeds * all.length * ROUNDS_PER_LOOK;
console.log(
  `${mutations} mutations for ${all.length} decoders, ${seeds} seeds from ${seed}: none broke`,
);
