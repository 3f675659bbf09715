/**
 * Has V8 collect what was just let go of. Left alone it waits for 64 MiB of buffers, more than a
 * small container has to spare (bench/results/2026-11-29-small-container.md).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Between two collections at least so much, and so many times what the last one took. */
const PAUSE_MS_MIN = 20;
const PAUSE_SHARE = 10;

let collect: (() => void) | null = null;
let nextMs = Number.NEGATIVE_INFINITY;
let isDue = false;

/** After this turn of the loop, or once the pause since the last one is over. */
export function collectGarbageSoon(): void {
  if (isDue) return;
  isDue = true;
  setTimeout(run, Math.max(0, nextMs - performance.now())).unref();
}

function run(): void {
  isDue = false;
  collect ??= collector();
  const startMs = performance.now();
  collect();
  const endMs = performance.now();
  nextMs = endMs + Math.max(PAUSE_MS_MIN, PAUSE_SHARE * (endMs - startMs));
}

/** The global `gc` is there only in contexts that are made after its flag was set. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
