/**
 * One vitest project for each level of tests that vitest runs; scripts/test.mjs runs them in order.
 */
import { defineConfig } from 'vitest/config';

const shared = { environment: 'node', retry: 0, allowOnly: false, passWithNoTests: false } as const;

/** Files that run at a time: without it vitest leaves a core idle, of two that is half of all. */
const ON_ALL_CORES = { maxWorkers: '100%' } as const;

const IS_ALL_KUBE = process.env['TIDEMARK_KUBE_SCENARIOS'] === 'all';

export default defineConfig({
  test: {
    ...shared,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          ...ON_ALL_CORES,
          include: ['test/unit/**/*.test.ts'],
          sequence: { shuffle: true },
          // Tests of ten thousand random states are seconds of work on a machine that others use
          // too.
          testTimeout: 60_000,
        },
      },
      { extends: true, test: { name: 'scenario', include: ['test/scenario/**/*.test.ts'] } },
      { extends: true, test: { name: 'contract', include: ['test/contract/**/*.test.ts'] } },
      // A seed is seconds of work, and its length is bounded by steps, not by time.
      {
        extends: true,
        test: {
          name: 'sim',
          ...ON_ALL_CORES,
          include: ['test/sim/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: { name: 'chart', include: ['test/chart/**/*.test.ts'], testTimeout: 60_000 },
      },
      {
        extends: true,
        // Real brokers on loopback, in the tests' own processes.
        test: {
          name: 'security',
          include: ['test/security/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        // Real processes: one cluster at a time has the machine, and a start may be slow where
        // others work on it too.
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: ['test/cluster/harness/build.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        // A real cluster that is struck for as long as one has time.
        test: {
          name: 'soak',
          include: ['test/soak/**/*.test.ts'],
          globalSetup: ['test/cluster/harness/build.ts'],
          fileParallelism: false,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        // A real cluster, and a real browser that looks at it.
        test: {
          name: 'page',
          include: ['test/page/**/*.test.ts'],
          globalSetup: ['test/cluster/harness/build.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        // One Kubernetes for all files; the folder `long` holds what takes minutes. Times are those
        // of images, pods and nodes that come and go.
        test: {
          name: 'kube',
          include: IS_ALL_KUBE ? ['test/kube/**/*.test.ts'] : ['test/kube/*.test.ts'],
          globalSetup: ['test/kube/setup.ts'],
          fileParallelism: false,
          testTimeout: 420_000,
          hookTimeout: 420_000,
        },
      },
    ],
  },
});
