/**
 * `npm run sim -- [--seed N] [--seeds N] [--minutes N] [--skip 1,2]
 * [--mixture kill,cut] [--roll] [--compact] [--trace] [--no-shrink]`: whole
 * clusters from seeds. A failing seed is shrunk: strikes are left out one after the other while it
 * still fails. Then it prints what is wrong, the strikes that it takes, the end of its trace, and
 * the command that replays it.
 */
import { parseArgs } from 'node:util';
import { Random } from '../../../base/random.ts';
import { Trace } from '../kit/trace.ts';
import {
  drawCompaction,
  drawProfile,
  type Fault,
  FAULTS,
  type Profile,
  withMixture,
} from './profile.ts';
import { type RunResult, World } from './world.ts';
import { reasonOf } from '../../../base/reason.ts';

const TAIL_LINES = 60;
/** Runs that shrinking may take. */
const SHRINK_RUNS_MAX = 60;

/** Strikes to leave out, and all kinds that there are; none: what the seed draws. */
interface Cut {
  readonly skipped: readonly number[];
  readonly mixture: readonly Fault[];
  /** A roll at the end, whatever the seed draws. */
  readonly isRolled: boolean;
  /** Topics that are compacted, whatever the seed draws. */
  readonly isCompacted: boolean;
}

function profileOf(seed: number, cut: Cut): (profile: Profile) => Profile {
  const { mixture, isRolled, isCompacted } = cut;
  return (drawn) => {
    const profile = mixture.length === 0 ? drawn : withMixture(drawn, mixture);
    const compaction =
      profile.compaction ?? (isCompacted ? drawCompaction(new Random(seed)) : null);
    return { ...profile, compaction, isRolled: isRolled || profile.isRolled };
  };
}

function runSeed(seed: number, cut: Cut, isTraced = false): Promise<RunResult> {
  const trace = new Trace(isTraced ? (line) => console.log(line) : null);
  return new World(seed, trace, { skipped: cut.skipped, override: profileOf(seed, cut) }).run();
}

/** Leaves out strikes, many at a time and then few, as long as the seed fails without them. */
async function shrink(
  failed: RunResult,
  cut: Cut,
): Promise<RunResult & { readonly skipped: readonly number[] }> {
  let best = { ...failed, skipped: cut.skipped };
  let runs = 0;
  for (
    let size = Math.max(1, failed.strikes >> 1);
    size >= 1 && runs < SHRINK_RUNS_MAX;
    size >>= 1
  ) {
    for (let from = 1; from <= failed.strikes && runs < SHRINK_RUNS_MAX; from += size) {
      const more = Array.from({ length: size }, (_, index) => from + index).filter(
        (number) => number <= failed.strikes && !best.skipped.includes(number),
      );
      if (more.length === 0) continue;
      const without = [...best.skipped, ...more];
      runs += 1;
      const result = await runSeed(failed.seed, { ...cut, skipped: without });
      if (result.failures.length > 0) best = { ...result, skipped: without };
    }
  }
  return best;
}

function report(result: RunResult, cut: Cut): void {
  const { seed, failures, trace } = result;
  console.log(trace.tail(TAIL_LINES));
  console.log(`\nseed ${seed}: ${failures.length} failures`);
  for (const failure of failures.slice(0, 10)) console.log(`  ${failure}`);
  const profile = profileOf(seed, cut)(drawProfile(new Random(seed).fork('profile')));
  console.log(`  profile ${JSON.stringify(profile)}`);
  console.log('  strikes that it takes:');
  for (const line of trace.find(/ strike \d+: /)) console.log(`    ${line.trim()}`);
  const skip = cut.skipped.length === 0 ? '' : ` --skip ${cut.skipped.join(',')}`;
  const mixture = cut.mixture.length === 0 ? '' : ` --mixture ${cut.mixture.join(',')}`;
  const rolled = `${cut.isRolled ? ' --roll' : ''}${cut.isCompacted ? ' --compact' : ''}`;
  console.log(`  replay with: npm run sim -- --seed ${seed}${mixture}${rolled}${skip} --trace`);
}

function lineOf(result: RunResult, startedMs: number): string {
  const { seed, events, acknowledged, refused, seen, hash, failures } = result;
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  const verdict = failures.length === 0 ? 'ok  ' : 'FAIL';
  return `seed ${seed}: ${verdict} ${events} events, ${acknowledged} acknowledged, ${refused} refused, ${seen} read, ${hash}, ${seconds} s`;
}

const USAGE = `npm run sim -- [options]

  --seed N      first seed (default 1)
  --seeds N     how many (default 1)
  --minutes N   as many as there is time for, instead
  --skip 1,2    strikes to leave out
  --mixture kill,cut    kinds of strikes, in place of those that the seed draws
  --roll        restart every broker in turn at the end
  --compact     topics that are compacted
  --trace       every line of what happens
  --no-shrink   leave a failing seed as it is`;

/** Throws with the usage for what is no such number. */
function whole(name: string, text: string, min: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new Error(`--${name} is '${text}', must be a whole number of ${min} or more\n\n${USAGE}`);
}

/** Throws with the usage for what is no kind of strike. */
function faultsOf(text: string): Fault[] {
  return text
    .split(',')
    .filter((name) => name !== '')
    .map((name) => {
      const fault = FAULTS.find((each) => each === name);
      if (fault === undefined)
        throw new Error(`--mixture has '${name}', must be of ${FAULTS.join()}\n\n${USAGE}`);
      return fault;
    });
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string', default: '1' },
        seeds: { type: 'string', default: '1' },
        minutes: { type: 'string' },
        skip: { type: 'string', default: '' },
        mixture: { type: 'string', default: '' },
        roll: { type: 'boolean', default: false },
        compact: { type: 'boolean', default: false },
        trace: { type: 'boolean', default: false },
        'no-shrink': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    throw new Error(`${reasonOf(error)}\n\n${USAGE}`, {
      cause: error,
    });
  }
}

async function main(): Promise<void> {
  const values = readOptions();
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const first = whole('seed', values.seed, 0);
  const isTimed = values.minutes !== undefined;
  const minutes = values.minutes === undefined ? 0 : whole('minutes', values.minutes, 1);
  const endMs = performance.now() + minutes * 60_000;
  const last = isTimed ? Number.MAX_SAFE_INTEGER : first + whole('seeds', values.seeds, 1) - 1;
  const skipped =
    values.skip === '' ? [] : values.skip.split(',').map((text) => whole('skip', text, 1));
  const cut = {
    skipped,
    mixture: faultsOf(values.mixture),
    isRolled: values.roll,
    isCompacted: values.compact,
  };
  let failed = 0;
  let runs = 0;
  for (let seed = first; seed <= last && (!isTimed || performance.now() < endMs); seed += 1) {
    const startedMs = performance.now();
    const result = await runSeed(seed, cut, values.trace);
    runs += 1;
    console.log(lineOf(result, startedMs));
    if (result.failures.length === 0) continue;
    failed += 1;
    if (values['no-shrink'] || values.trace) report(result, cut);
    else {
      const shrunk = await shrink(result, cut);
      report(shrunk, { ...cut, skipped: shrunk.skipped });
    }
  }
  console.log(`${runs - failed} of ${runs} seeds kept the promise`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main().catch((error: unknown) => {
  console.error(reasonOf(error));
  process.exitCode = 2;
});
