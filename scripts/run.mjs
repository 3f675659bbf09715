/**
 * `node scripts/run.mjs <program.ts> [arguments]`: installs what is missing, then runs the program
 * on the pinned Node.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fail, root } from './install.mjs';
import { launch } from './launch.mjs';

/** Where a program stood before: who starts it by its file need not change. */
const MOVED = { 'broker/local/main.ts': 'local/main.ts' };

const [given, ...args] = process.argv.slice(2);
const program = MOVED[given] ?? given;
if (program === undefined) fail('usage: node scripts/run.mjs <program.ts> [arguments]');
if (!existsSync(resolve(root, program))) fail(`Cannot run "${program}": no such file in ${root}`);
launch(program, args);
