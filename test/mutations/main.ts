/**
 * Turns rules off, one at a time, and shows what notices:
 *
 * ```
 * npm run mutate -- [--with cluster:1-8,unit:test/unit/broker] [--sound] [--table] [id ...]
 * ```
 *
 * `--with` tries other catchers than those in the table; `--sound` runs the table's catchers on the
 * sources as they are: all must pass. `--table` prints the table of docs/proof.md.
 */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { MUTATIONS } from './mutations.ts';
import { Copy, editFault, nameOf, type Verdict } from './runner.ts';
import { tableOf } from './table.ts';
import { type Catcher, type Mutation, SIMULATORS } from './types.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

function catcherOf(text: string): Catcher {
  const [kind = '', what = ''] = text.split(':');
  if (kind === 'unit' || kind === 'scenario' || kind === 'sim') return { level: kind, file: what };
  const simulator = SIMULATORS.find((name) => name === kind);
  if (simulator === undefined) throw new Error(`"${text}" must begin with a level or a simulator`);
  const [first = 1, last = first] = what.split('-').map(Number);
  const seeds = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  return { simulator, seeds };
}

function show(id: string, { catcher, isCaught, seconds, reason }: Verdict): void {
  const verdict = isCaught ? 'caught by' : 'SURVIVES ';
  console.log(`${id}: ${verdict} ${nameOf(catcher)} in ${seconds.toFixed(1)} s  ${reason}`);
}

async function mutate(
  copy: Copy,
  mutation: Mutation,
  catchers: readonly Catcher[],
): Promise<boolean> {
  const { id, edits, coveredBy, survives } = mutation;
  const fault = editFault(root, edits);
  if (fault !== null) {
    console.log(`${id}: CANNOT BE MADE: ${fault}`);
    return false;
  }
  if (catchers.length === 0)
    console.log(
      `${id}: ${coveredBy === undefined ? `gap: ${survives ?? ''}` : `covered by ${coveredBy}`}`,
    );
  const verdicts = await copy.judge(mutation, catchers);
  for (const verdict of verdicts) show(id, verdict);
  return verdicts.every(({ isCaught }) => isCaught);
}

async function checkSound(copy: Copy, chosen: readonly Mutation[]): Promise<boolean> {
  const catchers = new Map(
    chosen.flatMap(({ caughtBy }) => caughtBy).map((one) => [nameOf(one), one]),
  );
  const verdicts = await copy.judge({ edits: [] }, [...catchers.values()]);
  for (const { catcher, isCaught, seconds, reason } of verdicts)
    console.log(
      `sound: ${isCaught ? 'FAILS ' : 'passes'} ${nameOf(catcher)} in ${seconds.toFixed(1)} s  ${reason}`,
    );
  return verdicts.every(({ isCaught }) => !isCaught);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      with: { type: 'string' },
      sound: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.table) {
    console.log(tableOf(MUTATIONS));
    return;
  }
  const unknown = positionals.find((id) => MUTATIONS.every((mutation) => mutation.id !== id));
  if (unknown !== undefined) throw new Error(`no mutation is called "${unknown}"`);
  const chosen =
    positionals.length === 0 ? MUTATIONS : MUTATIONS.filter(({ id }) => positionals.includes(id));
  const others = values.with?.split(',').map(catcherOf);
  const copy = new Copy(root);
  let isGood = true;
  try {
    if (values.sound) isGood = await checkSound(copy, chosen);
    else
      for (const mutation of chosen)
        isGood = (await mutate(copy, mutation, others ?? mutation.caughtBy)) && isGood;
  } finally {
    copy.close();
  }
  process.exitCode = isGood ? 0 : 1;
}

await main();
