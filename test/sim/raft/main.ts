/**
 * Replays seeds of the Raft simulator: `node test/sim/raft/main.ts --seed 7 [--count N]`. One seed prints every event; several print a line each.
 */
import { parseArgs } from 'node:util';
import { World } from './world.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, count: { type: 'string', default: '1' } },
});
const first = Number(values.seed);
const count = Number(values.count);
let failures = 0;

for (let seed = first; seed < first + count; seed += 1) {
  const world = new World(seed, count === 1 ? (line) => process.stdout.write(`${line}\n`) : null);
  try {
    const result = world.run();
    process.stdout.write(`seed ${seed}: ${JSON.stringify(result)}\n`);
  } catch (error) {
    failures += 1;
    process.stdout.write(
      `seed ${seed} at ${world.now} ms: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.stdout.write(`${JSON.stringify(world.profile)}${world.describe()}\n`);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
