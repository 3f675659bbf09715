/**
 * The command of a simulator whose world is played in steps: `--seed 7` replays one seed with its
 * trace, `--from 1 --count 1000 [--bail]` runs many.
 */
import { parseArgs } from 'node:util';

/** A world that is played: answers with counts, and throws where something does not hold. */
export interface PlayedWorld {
  run(steps: number): object;
}

/** @param worldOf the world of a seed; what happens in it is printed where it is asked to */
export function runSeeds(
  defaults: { readonly count: number; readonly steps: number },
  worldOf: (seed: number, print?: (line: string) => void) => PlayedWorld,
): void {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      count: { type: 'string', default: String(defaults.count) },
      steps: { type: 'string', default: String(defaults.steps) },
      bail: { type: 'boolean', default: false },
    },
  });
  const steps = Number(values.steps);
  if (values.seed !== undefined) {
    replay(Number(values.seed), steps, worldOf);
    return;
  }
  const [from, count] = [Number(values.from), Number(values.count)];
  const totals: Record<string, number> = {};
  let failed = 0;
  for (let seed = from; seed < from + count && !(values.bail && failed > 0); seed += 1) {
    try {
      for (const [name, value] of Object.entries(worldOf(seed).run(steps)))
        totals[name] = (totals[name] ?? 0) + (value as number);
    } catch (error) {
      failed += 1;
      print(`seed ${String(seed)}: ${String(error)}`);
    }
  }
  print(`${String(count)} seeds, ${String(failed)} failed, ${JSON.stringify(totals)}`);
  if (failed > 0) process.exitCode = 1;
}

function replay(
  seed: number,
  steps: number,
  worldOf: (seed: number, print?: (line: string) => void) => PlayedWorld,
): void {
  try {
    print(JSON.stringify(worldOf(seed, print).run(steps)));
  } catch (error) {
    print(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
