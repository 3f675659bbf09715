/**
 * `node scripts/run.mjs <program.ts> [arguments]`: installs what is missing, then runs the program
 * on the pinned Node.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fail, root } from './install.mjs';
import { launch } from './launch.mjs';

const [program, ...args] = process.argv.slice(2);
if (program === undefined) fail('usage: node scripts/run.mjs <program.ts> [arguments]');
if (!existsSync(resolve(root, program))) fail(`Cannot run "${program}": no such file in ${root}`);
launch(program, args);
