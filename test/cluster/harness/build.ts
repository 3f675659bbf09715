/**
 * Before the first test: builds every program of this checkout. A fresh one would else build them
 * while the first cluster starts, three times at once, within the time that it has to come up.
 */
import { builtProgram, PROGRAMS } from '../../../scripts/build.mjs';
import { ROOT } from './child.ts';

export async function setup(): Promise<void> {
  for (const program of PROGRAMS) await builtProgram(ROOT, program);
}
