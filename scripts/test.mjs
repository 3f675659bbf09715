/**
 * `npm test [-- level ...]`: installs what is missing, runs the levels in order and counts. In the
 * end all levels are listed again, with the tests that failed, since what they printed is long. The
 * last line is `N passed, N failed, N skipped`; the exit code is 0 only where nothing failed and
 * every level ran a test, but for `page` and `kube`, which a machine may be unable to run.
 */
import { mkdtempSync, readFileSync, existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import {
  ensureInstalled,
  fail,
  pinnedNode,
  programEnvironment,
  root,
  whyNodeFails,
} from './install.mjs';
import { show } from './process.mjs';

/** Runs one vitest project. Resolves to its counts. */
async function runVitest(level, env = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  const resultFile = join(folder, 'result.json');
  const gapsFile = join(folder, 'gaps');
  const reporter = join(root, 'scripts', 'vitest-reporter.mjs');
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const bin = join(root, 'node_modules', '.bin');
  try {
    const code = await show(
      pinnedNode(),
      [vitest, 'run', '--project', level, '--reporter=dot', `--reporter=${reporter}`],
      {
        cwd: root,
        env: {
          ...programEnvironment(),
          PATH: `${bin}${delimiter}${process.env.PATH}`,
          TIDEMARK_TEST_RESULT: resultFile,
          TIDEMARK_TEST_GAPS: gapsFile,
          ...env,
          ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
        },
      },
    );
    if (existsSync(gapsFile)) tellGaps(readFileSync(gapsFile, 'utf8'));
    if (!existsSync(resultFile))
      return { passed: 0, failed: 1, skipped: 0, reasons: [], failures: ['vitest told nothing'] };
    const result = JSON.parse(readFileSync(resultFile, 'utf8'));
    if (code !== 0 && result.failed === 0 && result.passed > 0) {
      result.failed = 1;
      result.failures.push(`vitest ended with ${code}`);
    }
    return result;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What loads met while something was done to their brokers, the longest gap first. */
function tellGaps(text) {
  const gaps = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
    .sort((left, right) => right.longestGapMs - left.longestGapMs);
  console.log('  longest gap   acknowledged  failed  violations  while');
  for (const { longestGapMs, acknowledged, failed, violations, test } of gaps) {
    const ms = `${Math.round(longestGapMs)} ms`.padStart(11);
    const counts = [acknowledged, failed, violations].map((count, index) =>
      String(count).padStart([14, 8, 12][index]),
    );
    console.log(`  ${ms} ${counts.join('')}  ${test}`);
  }
}

const LEVELS = {
  check: async () => (await import('./checks.mjs')).runChecks(),
  unit: () => runVitest('unit'),
  scenario: () => runVitest('scenario'),
  contract: () => runVitest('contract'),
  sim: () => runVitest('sim'),
  chart: () => runVitest('chart'),
  security: () => runVitest('security'),
  cluster: () => runVitest('cluster'),
  page: () => runVitest('page'),
  kube: () => runVitest('kube'),
};
/** Levels that run only where they are named. */
const NAMED_LEVELS = {
  // As many minutes as TIDEMARK_SOAK_MINUTES says.
  soak: () => runVitest('soak'),
  // Every scenario on Kubernetes, and whatever it takes to have one.
  'kube-all': () => runVitest('kube', { TIDEMARK_KUBE_SCENARIOS: 'all', TIDEMARK_KUBE_BUILD: '1' }),
};
/** Levels that not every machine can run; elsewhere they say why they did not. */
const OPTIONAL = ['page', 'kube'];

/** Errors may be long, and have lines. */
function oneLine(text) {
  return text.replaceAll(/\s+/g, ' ').slice(0, 200);
}

async function runLevel(level, { total, summary }, isNamed) {
  console.log(`\n== ${level}`);
  const started = performance.now();
  const result = await { ...LEVELS, ...NAMED_LEVELS }[level]();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const mayBeSkipped = !isNamed && OPTIONAL.includes(level) && result.skipped > 0;
  if (result.passed + result.failed === 0 && !mayBeSkipped) {
    console.log(`  no test of level "${level}" ran: that counts as a failure`);
    result.failed = 1;
  }
  for (const reason of result.reasons) console.log(`  skipped ${reason}`);
  const line = `== ${level}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped in ${seconds} s`;
  console.log(line);
  const failures = result.failures.map((failure) => `  failed ${oneLine(failure)}`);
  summary.push(line, ...failures);
  for (const key of ['passed', 'failed', 'skipped']) total[key] += result[key];
}

const chosen = process.argv.slice(2);
const known = [...Object.keys(LEVELS), ...Object.keys(NAMED_LEVELS)];
const unknown = chosen.find((level) => !known.includes(level));
if (unknown !== undefined)
  fail(`Cannot run level "${unknown}": the levels are ${known.join(', ')}`);
ensureInstalled();
const broken = whyNodeFails(pinnedNode());
if (broken !== undefined) fail(broken);

const total = { passed: 0, failed: 0, skipped: 0 };
const levels =
  chosen.length === 0 ? Object.keys(LEVELS) : known.filter((level) => chosen.includes(level));
const summary = [];
for (const level of levels) await runLevel(level, { total, summary }, chosen.includes(level));
console.log(`\n${summary.join('\n')}`);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
