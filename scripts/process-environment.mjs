/**
 * What the C libraries below Node read when a process starts: the launcher sets it, and the image
 * states the same.
 */
export const PROCESS_ENVIRONMENT = {
  // Data I/O uses fewer threads than this, so that the sync of the quorum log always finds one
  // free.
  UV_THREADPOOL_SIZE: '16',
  // Its own values, but fixed: by itself glibc raises the first one to as much as 32 MiB, and then
  // keeps all buffers below it in heaps that it cannot give back.
  MALLOC_MMAP_THRESHOLD_: '131072',
  MALLOC_ARENA_MAX: '2',
};
