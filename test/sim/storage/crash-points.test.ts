/** A script whose process is ended at each of its file calls in turn. */
import { describe, it } from 'vitest';
import type { Stop } from './partition-model.ts';
import { runWorld } from './run-world.ts';
import type { CrashPoint } from './world.ts';

/** Short, so that each of its file calls can be the last. */
const SCRIPT = { partitions: 1, isScript: true } as const;
/** Calls of a start: the lock aside, what it takes to have everything open again. */
const START_CALLS = 90;

describe.each(['kept', 'lost'] as const)('a crash, the page cache %s,', (stop) => {
  it('at every file call of a script leaves a disk in order', async () => {
    const seed = 101;
    const { operations } = await runWorld({ seed, ...SCRIPT });
    for (let operation = 1; operation <= operations; operation += 1)
      await runWorld({ seed, ...SCRIPT, crashes: [crashAt(operation, stop)] });
  });

  it('at every file call of the recovery from another leaves a disk in order', async () => {
    const seed = 103;
    const { operations } = await runWorld({ seed, ...SCRIPT });
    const first = crashAt(Math.floor(operations * 0.6), stop);
    for (let calls = 1; calls <= START_CALLS; calls += 1) {
      const second = crashAt(first.operation + calls, stop);
      await runWorld({ seed, ...SCRIPT, crashes: [first, second] });
    }
  });
});

function crashAt(operation: number, stop: Stop): CrashPoint {
  return { operation, when: (['before', 'torn', 'after'] as const)[operation % 3]!, stop };
}
