/**
 * `node scripts/program.mjs <program.ts> [arguments]`, on the pinned Node: runs one of the programs
 * in this process, from its built file where there is one of the present sources or one can be
 * built, else from the sources. Whatever starts a further process of the project does it with this
 * file too, so that it is never older than its sources.
 */
import { enableCompileCache } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { builtProgram } from './build.mjs';
import { compiledFolder, root } from './install.mjs';

const [program] = process.argv.splice(2, 1);
const built = await builtProgram(root, program);
// What was compiled goes when the build goes.
enableCompileCache(built === undefined ? compiledFolder : join(built.folder, 'compiled'));
await import(pathToFileURL(built?.file ?? resolve(root, program)).href);
