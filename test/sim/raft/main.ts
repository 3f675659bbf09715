/**
 * Replays seeds of the Raft simulator: `node test/sim/raft/main.ts --seed 7 [--count N] [--falling]
 * [--bail]`. One seed prints every event; several print a line each.
 */
import { parseArgs } from 'node:util';
import { FALLING_LEADERS } from './profile.ts';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    falling: { type: 'boolean', default: false },
    bail: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const count = Number(values.count);
let failures = 0;

for (let seed = first; seed < first + count; seed += 1) {
  const trace = count === 1 ? (line: string) => process.stdout.write(`${line}\n`) : null;
  const world = new World(seed, trace, values.falling ? FALLING_LEADERS : {});
  try {
    const result = world.run();
    process.stdout.write(`seed ${seed}: ${JSON.stringify(result)}\n`);
  } catch (error) {
    failures += 1;
    process.stdout.write(
      `seed ${seed} at ${world.now} ms: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.stdout.write(`${JSON.stringify(world.profile)}${world.describe()}\n`);
    if (values.bail) break;
  }
}
process.exitCode = failures === 0 ? 0 : 1;
