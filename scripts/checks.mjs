/** Level `check` of the tests: one tool a test, all of them offline. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { root } from './install.mjs';
import { checkKubeFiles } from './kube-files.mjs';
import { pack } from './pack.mjs';
import { capture } from './process.mjs';
import { buf, checkBreaking, checkFresh } from './proto.mjs';
import { checkReference } from './reference.mjs';
import { SOURCE_FOLDERS } from './source-folders.mjs';

const bin = join(root, 'node_modules', '.bin');
// The tools start with `#!/usr/bin/env node`: that is to be the pinned one.
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}`, NO_COLOR: '1' };

function tool(name, ...args) {
  return () => capture(join(bin, name), args, { cwd: root, env });
}

/** What strangers' tools say of the package that `npm run pack` makes. */
async function checkPackage() {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-package-'));
  try {
    const file = await pack(folder);
    const lint = await tool('publint', '--strict', join(folder, 'package'))();
    if (lint.code !== 0) return lint;
    // The package is ESM alone, and says so.
    return await tool('attw', file, '--profile', 'esm-only', '--no-definitely-typed')();
  } catch (error) {
    return { code: 1, output: String(error) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A check that fails everywhere at once need not fill the screen. */
const OUTPUT_LINES_MAX = 60;

function printFailure(output) {
  const lines = output.trimEnd().split('\n');
  for (const line of lines.slice(0, OUTPUT_LINES_MAX)) console.log(`       ${line}`);
  const more = lines.length - OUTPUT_LINES_MAX;
  if (more > 0) console.log(`       and ${more} more lines`);
}

/** Every check; `run` resolves to exit code and output. */
const CHECKS = [
  { name: 'format', run: tool('biome', 'format', '--reporter=summary') },
  { name: 'lint', run: tool('eslint', '.') },
  { name: 'types', run: tool('tsc', '--project', 'tsconfig.json') },
  { name: 'types of the pure folders', run: tool('tsc', '--project', 'tsconfig.pure.json') },
  { name: 'types of the page', run: tool('tsc', '--project', 'page/tsconfig.json') },
  { name: 'types of the site', run: tool('tsc', '--project', 'site/tsconfig.json') },
  {
    name: 'imports between folders',
    run: tool('depcruise', '--config', 'dependency-cruiser.cjs', ...SOURCE_FOLDERS),
  },
  { name: 'unused files, exports and packages', run: tool('knip', '--no-config-hints') },
  { name: 'spelling', run: tool('cspell', 'lint', '--no-progress', '--no-summary', '--quiet') },
  { name: 'proto lint', run: () => buf('lint') },
  { name: 'proto compatibility', run: checkBreaking },
  { name: 'generated code is fresh', run: checkFresh },
  { name: 'reference of the client is fresh', run: checkReference },
  { name: 'package, as others install it', run: checkPackage },
  { name: 'generated files for Kubernetes are fresh', run: checkKubeFiles },
];

/**
 * Runs all checks, as many at once as there are processors. Prints a line for each, and what a
 * failed one said.
 */
export async function runChecks() {
  const result = { passed: 0, failed: 0, skipped: 0, reasons: [], failures: [] };
  const waiting = [...CHECKS];
  async function work() {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      const started = performance.now();
      const { code, output } = await check.run();
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      result[code === 0 ? 'passed' : 'failed'] += 1;
      console.log(`  ${code === 0 ? 'ok  ' : 'FAIL'} ${check.name} (${seconds} s)`);
      if (code === 0) continue;
      result.failures.push(check.name);
      printFailure(output);
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return result;
}
