/**
 * `node test/sim/queues/main.ts --seed 7` replays one seed with its trace; `--from 1 --count 1000
 * [--bail]` runs many.
 */
import { parseArgs } from 'node:util';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '200' },
    steps: { type: 'string', default: '3000' },
    bail: { type: 'boolean', default: false },
  },
});

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const steps = Number(values.steps);

function runMany(from: number, count: number): void {
  let failed = 0;
  const totals: Record<string, number> = {};
  for (let seed = from; seed < from + count; seed += 1) {
    try {
      for (const [name, value] of Object.entries(new World(seed).run(steps)))
        totals[name] = (totals[name] ?? 0) + (value as number);
    } catch (error) {
      failed += 1;
      print(`seed ${String(seed)}: ${String(error)}`);
      if (values.bail) break;
    }
  }
  print(`${String(count)} seeds, ${String(failed)} failed, ${JSON.stringify(totals)}`);
  if (failed > 0) process.exitCode = 1;
}

function replay(seed: number): void {
  try {
    print(JSON.stringify(new World(seed, print).run(steps)));
  } catch (error) {
    print(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}

if (values.seed === undefined) runMany(Number(values.from), Number(values.count));
else replay(Number(values.seed));
