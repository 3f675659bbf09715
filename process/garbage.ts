/**
 * When V8 collects, in a program through which bytes stream.
 *
 * It counts buffers against a limit of the old heap that follows what lives there: a broker's 15
 * MB. So it marked everything for each 8 MB of appends, though what was to go were young buffers,
 * which a collection of young objects frees in a millisecond. That took a third of a broker's time
 * (bench/results/2026-11-30-collections.md).
 *
 * And what was just let go of for want of memory is collected at once: left alone V8 waits for 64
 * MiB of buffers, more than a small container has to spare
 * (bench/results/2026-11-29-small-container.md).
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
/** Bytes in buffers that were used and let go of between two collections of young objects. */
const YOUNG_BYTES = 6 * 1024 * 1024;
/**
 * How far what lives may grow until everything is marked, in percent; V8 still does at 64 MiB of
 * buffers, and before its bound is reached.
 */
const GROWING_PERCENT = 400;
/** Whoever has less needs what that costs: 40 MB. */
const SPARE_BYTES_MIN = 1024 * 1024 * 1024;

type Collect = (options: { readonly type: 'major' | 'minor' }) => void;

let collect: Collect | null = null;
let nextMs = Number.NEGATIVE_INFINITY;
let isDue = false;
let usedBytes = 0;

/**
 * Has V8 leave old objects alone for longer, where `memoryBytes` of a machine or container and the
 * heap's bound leave room; who calls it owes it {@link noteBuffers}.
 */
export function expectBuffers(memoryBytes: number): void {
  const bound = Math.min(memoryBytes, getHeapStatistics().heap_size_limit);
  if (bound >= SPARE_BYTES_MIN) setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}

/** So many bytes went through buffers, which are garbage by now or soon. */
export function noteBuffers(bytes: number): void {
  usedBytes += bytes;
  if (usedBytes < YOUNG_BYTES) return;
  usedBytes = 0;
  collect ??= collector();
  collect({ type: 'minor' });
}

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
