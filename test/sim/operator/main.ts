/**
 * Replays one history of the operator and shows what happened: `node test/sim/operator/main.ts
 * --scenario roll [--write 7 | --call 90] [--seed 1]`, or `--seed 12` alone for a hostile one.
 */
import { parseArgs } from 'node:util';
import { hostile } from './hostile.ts';
import { play, SCENARIOS } from './scenarios.ts';
import { STRANGERS } from './strangers.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    scenario: { type: 'string' },
    write: { type: 'string' },
    call: { type: 'string' },
  },
});
const seed = Number(values.seed);
const trace = (line: string): void => console.log(line);
const plan =
  values.write !== undefined
    ? ({ after: 'write', count: Number(values.write) } as const)
    : values.call !== undefined
      ? ({ after: 'call', count: Number(values.call) } as const)
      : undefined;
const chosen = [...SCENARIOS, ...STRANGERS].find(({ title }) => title === values.scenario);
if (values.scenario !== undefined && chosen === undefined)
  throw new Error(
    `no scenario "${values.scenario}", there are: ${SCENARIOS.map(({ title }) => title).join('; ')}`,
  );
const started = performance.now();
const world =
  chosen === undefined ? await hostile(seed, trace) : await play(chosen, { seed, trace }, plan);
console.log(
  `seed ${seed}: ${world.time.monotonicMs.toFixed(0)} ms simulated in ${(performance.now() - started).toFixed(0)} ms, ${world.network.calls} calls, ${world.writes} writes; faults: ${world.faults.length === 0 ? 'none' : `\n${world.faults.join('\n')}`}`,
);
process.exitCode = world.faults.length === 0 ? 0 : 1;
