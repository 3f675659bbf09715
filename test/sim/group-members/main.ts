/**
 * `node scripts/run.mjs test/sim/group-members/main.ts --seed 7` replays one seed with its trace;
 * `--from 1 --count 1000 [--bail]` runs many.
 */
import { parseArgs } from 'node:util';
import { MembersWorld } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    bail: { type: 'boolean', default: false },
    steps: { type: 'string', default: '1500' },
  },
});
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function run(seed: number, tell?: (line: string) => void): boolean {
  try {
    const totals = new MembersWorld(seed, tell).run(Number(values.steps));
    tell?.(JSON.stringify(totals));
    return true;
  } catch (error) {
    print(`seed ${String(seed)}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
    process.exitCode = 1;
    return false;
  }
}

function runMany(from: number, count: number): void {
  let failed = 0;
  for (let seed = from; seed < from + count; seed += 1) {
    if (!run(seed)) failed += 1;
    if (values.bail && failed > 0) break;
  }
  print(`${String(count)} seeds, ${String(failed)} failed`);
}

if (values.seed === undefined) runMany(Number(values.from), Number(values.count));
else run(Number(values.seed), print);
