/**
 * Has V8 collect what was just let go of. Left alone it waits for 64 MiB of buffers, more than a
 * small container has to spare (bench/results/2026-11-29-small-container.md).
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Between two collections at least so much, and so many times what the last one took. */
const PAUSE_MS_MIN = 20;
const PAUSE_SHARE = 10;
/**
 * With a larger heap only young objects are collected: all of it stops the program for longer (317
 * ms with 229 MiB), and whoever has so much has some to spare.
 */
const WHOLE_HEAP_BYTES_MAX = 64 * 1024 * 1024;

type Collect = (options: { readonly type: 'major' | 'minor' }) => void;

let collect: Collect | null = null;
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
  const isSmall = getHeapStatistics().used_heap_size <= WHOLE_HEAP_BYTES_MAX;
  const startMs = performance.now();
  collect({ type: isSmall ? 'major' : 'minor' });
  const endMs = performance.now();
  nextMs = endMs + Math.max(PAUSE_MS_MIN, PAUSE_SHARE * (endMs - startMs));
}

/** The global `gc` is there only in contexts that are made after its flag was set. */
function collector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
