/**
 * Simulated parts for suites that wait in real time: virtual time passes as fast as it is asked
 * for.
 */
import { Random } from '../../base/random.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { SimDisk } from '../sim/kit/sim-file-system.ts';
import type { SimDiskOptions } from '../sim/kit/sim-file-system.ts';
import { SimProcess } from '../sim/kit/sim-process.ts';
import { SimTime } from '../sim/kit/sim-time.ts';

const START_MS = 1_700_000_000_000;
/** A clock that ticks for ever is given a turn of the loop in between. */
const TURN_MS = 1000;

/** A disk of its own time, which runs while the test waits. */
export function simulatedDisk(
  seed: number,
  options: Partial<SimDiskOptions> = {},
): { readonly disk: SimDisk; readonly clock: Clock; readonly end: () => void } {
  const time = new SimTime();
  let isEnded = false;
  let isRunning = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    while (!isEnded) await time.run(() => isEnded, TURN_MS);
  };
  const after = (delayMs: number, callback: () => void): Cancel => {
    if (!isRunning) void run();
    return time.after(delayMs, callback);
  };
  const wallMs = (): number => START_MS + time.nowMs;
  const process = new SimProcess('test', time, {
    wallMs,
    onThrow: (error) => {
      throw error;
    },
  });
  const disk = new SimDisk({
    random: new Random(seed),
    scheduler: { after, wallMs },
    ...options,
  });
  return {
    disk,
    clock: process.clock,
    end: () => {
      isEnded = true;
    },
  };
}
