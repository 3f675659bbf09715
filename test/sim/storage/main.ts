/**
 * Replays seeds of the storage simulator: `node test/sim/storage/main.ts --seed 7 [--count N]
 * [--steps N] [--processes N] [--strikes]`, or one run as a failed test prints it: `--options
 * '{"seed":101,"crashes":[…]}'`. One seed prints every file call; several a line each.
 */
import { parseArgs } from 'node:util';
import { StorageWorld } from './world.ts';
import type { WorldOptions } from './world.ts';
import { reasonOf } from '../../../base/reason.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    steps: { type: 'string', default: '60' },
    processes: { type: 'string', default: '5' },
    strikes: { type: 'boolean', default: false },
    options: { type: 'string', default: '{}' },
  },
});
const given = JSON.parse(values.options) as Partial<WorldOptions>;
const first = given.seed ?? Number(values.seed);
const count = Number(values.count);
let failures = 0;

for (let seed = first; seed < first + count; seed += 1) {
  const world = new StorageWorld({
    steps: Number(values.steps),
    processes: Number(values.processes),
    hasStrikes: values.strikes,
    ...given,
    seed,
    ...(count === 1 ? { print: (line: string) => process.stdout.write(`${line}\n`) } : {}),
  });
  try {
    const result = await world.run();
    process.stdout.write(`seed ${seed}: ${JSON.stringify(result)}\n`);
  } catch (error) {
    failures += 1;
    process.stdout.write(`seed ${seed}: ${reasonOf(error)}\n`);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
