/**
 * What storage tests share: frames, a clock that stands still until it is told, and data
 * directories of their own.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach } from 'vitest';
import type { Cancel } from '../../../../base/clock.ts';
import type { DirectoryMeta, Disk } from '../../../../broker/runtime/ports.ts';
import { openDisk } from '../../../../broker/storage/disk.ts';
import type { DiskOptions } from '../../../../broker/storage/disk.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';

export const META: DirectoryMeta = {
  formatVersion: 1,
  clusterId: 'cluster',
  brokerId: 0,
  directoryId: '11111111-2222-4333-8444-555555555555',
};
export const LOG_OPTIONS = { segmentBytes: 1 << 20, segmentMs: 3_600_000 };
export const MOUNT = { device: 1, fileSystemType: 2, metaInode: 3, metaChangedMs: 4 };
export const SILENT = { info: () => {}, warn: () => {}, error: () => {} };

export {
  bytesOf,
  control,
  frame,
  frames,
  headersOf,
  order,
  TOPIC,
} from '../../../fixtures/frames.ts';
export type { TestFrame } from '../../../fixtures/frames.ts';

const folders: string[] = [];
const disks: Disk[] = [];

afterEach(async () => {
  await Promise.all(disks.splice(0).map((disk) => disk.close().catch(() => undefined)));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-storage-'));
  folders.push(folder);
  return folder;
}

/** Time that moves when told; timers run in {@link TestClock.advance}. */
export class TestClock {
  nowMs = 0;
  /** The wall clock when the other is at 0. */
  originMs = 1_700_000_000_000;
  #timers: { periodMs: number; dueMs: number; callback: () => void }[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.originMs + this.nowMs;
  }

  every(periodMs: number, callback: () => void): Cancel {
    const timer = { periodMs, dueMs: this.nowMs + periodMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Time passes for whoever waits, at once; timers take no notice. */
  after(delayMs: number, callback: () => void): Cancel {
    this.nowMs += delayMs;
    queueMicrotask(callback);
    return () => {};
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (const timer of this.#timers) {
      if (timer.dueMs > this.nowMs) continue;
      timer.dueMs = this.nowMs + timer.periodMs;
      timer.callback();
    }
  }
}

export interface TestDisk {
  readonly disk: Disk;
  readonly clock: TestClock;
  readonly dataDir: string;
}

/** Opens a directory that is closed after the test. */
export async function openTestDisk(options: Partial<DiskOptions> = {}): Promise<TestDisk> {
  const clock = new TestClock();
  const dataDir = options.dataDir ?? temporaryFolder();
  const disk = await openDisk({
    dataDir,
    podUid: 'pod',
    clock,
    logger: SILENT,
    reserveBytes: 0,
    bootId: 'boot',
    mountIdentity: MOUNT,
    ...options,
  });
  disks.push(disk);
  return { disk, clock, dataDir };
}

/** A formatted directory with a session, as a running broker has it. */
export async function startTestDisk(options: Partial<DiskOptions> = {}): Promise<TestDisk> {
  const opened = await openTestDisk(options);
  if (opened.disk.start.meta === null) await opened.disk.format(META);
  await opened.disk.writeSession(opened.disk.start.sessionEpoch + 1);
  return opened;
}

/** The real file system with some calls replaced. */
export function fileSystemWith(replaced: Partial<FileSystem>): FileSystem {
  return { ...nodeFileSystem, ...replaced };
}

/**
 * What a crash of the process leaves: a copy of the files as they are now, without the lock and the
 * (large) quorum log.
 */
export function crashCopy(dataDir: string): string {
  const copy = temporaryFolder();
  cpSync(dataDir, copy, {
    recursive: true,
    filter: (source) => !['lock', 'quorum'].includes(basename(source)),
  });
  return copy;
}

export function ioError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** Lets promises and file calls settle until `isDone`. */
export async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise((resolve) => setImmediate(resolve));
}
