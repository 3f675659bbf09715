/** Runs a world to its end; a failure says how to see it again. */
import { StorageWorld } from './world.ts';
import type { WorldOptions, WorldResult } from './world.ts';
import { reasonOf } from '../../../base/reason.ts';

export async function runWorld(options: WorldOptions): Promise<WorldResult> {
  const world = new StorageWorld(options);
  try {
    return await world.run();
  } catch (error) {
    const { seed, print: _, ...rest } = options;
    throw new Error(
      `node test/sim/storage/main.ts --options '${JSON.stringify({ seed, ...rest })}': ${reasonOf(error)}\n${world.tail(30)}`,
      { cause: error },
    );
  }
}
