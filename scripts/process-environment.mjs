/**
 * What the C libraries below Node read when a process starts: the launcher sets it, and the image's
 * entry does the same.
 */
import { totalmem } from 'node:os';

/** From so much on a process may keep what buffers it has freed. */
export const SPARE_BYTES_MIN = 1024 * 1024 * 1024;

const EVERYWHERE = {
  // Data I/O uses fewer threads than this, so that the sync of the quorum log always finds one
  // free.
  UV_THREADPOOL_SIZE: '16',
  MALLOC_ARENA_MAX: '2',
};

/** glibc's own values, but fixed: by itself it raises them, and keeps what is freed below them. */
const GIVES_BACK = { MALLOC_MMAP_THRESHOLD_: '131072', MALLOC_TRIM_THRESHOLD_: '131072' };

/**
 * Buffers of messages are given back and taken again all the time, and the kernel clears each page
 * of them: a third of a broker's time. So up to 64 MiB of them are kept.
 */
const KEEPS = { MALLOC_MMAP_THRESHOLD_: '8388608', MALLOC_TRIM_THRESHOLD_: '67108864' };

/** For a process that may use `memoryBytes`. */
export function processEnvironment(memoryBytes = memoryOfMachine()) {
  return { ...EVERYWHERE, ...(memoryBytes >= SPARE_BYTES_MIN ? KEEPS : GIVES_BACK) };
}

function memoryOfMachine() {
  const bound = process.constrainedMemory();
  return bound > 0 ? Math.min(bound, totalmem()) : totalmem();
}
