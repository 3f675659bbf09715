/** What storage tests share: frames, a clock that stands still until it is told, and data directories of their own. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach } from 'vitest';
import {
  encodeFrame,
  NO_SEQUENCE,
  readHeader,
  stampFrame,
  topicIdToBytes,
} from '../../../../proto/batch/frame.ts';
import type { BatchHeader } from '../../../../proto/batch/frame.ts';
import type { Cancel, DirectoryMeta, Disk } from '../../../../broker/runtime/ports.ts';
import { openDisk } from '../../../../broker/storage/disk.ts';
import type { DiskOptions } from '../../../../broker/storage/disk.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';

export const TOPIC = '01234567-89ab-4cde-8f01-23456789abcd';
export const META: DirectoryMeta = {
  formatVersion: 1,
  clusterId: 'cluster',
  brokerId: 0,
  directoryId: '11111111-2222-4333-8444-555555555555',
};
export const LOG_OPTIONS = { segmentBytes: 1 << 20, segmentMs: 3_600_000 };
export const MOUNT = { device: 1, fileSystemType: 2, metaInode: 3, metaChangedMs: 4 };
export const SILENT = { info: () => {}, warn: () => {}, error: () => {} };

const folders: string[] = [];
const disks: Disk[] = [];

afterEach(async () => {
  for (const disk of disks.splice(0)) await disk.close().catch(() => undefined);
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-storage-'));
  folders.push(folder);
  return folder;
}

/** Time that moves when told; timers run in {@link TestClock.advance}. */
export class TestClock {
  nowMs = 1_700_000_000_000;
  #timers: { periodMs: number; dueMs: number; callback: () => void }[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }

  every(periodMs: number, callback: () => void): Cancel {
    const timer = { periodMs, dueMs: this.nowMs + periodMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
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

export interface TestFrame {
  readonly bytes: Uint8Array;
  readonly header: BatchHeader;
}

/** A stamped frame. The payload is filled with a pattern of the offset. */
export function frame(
  baseOffset: number,
  options: {
    records?: number;
    payloadBytes?: number;
    epoch?: number;
    timestampMs?: number;
    partition?: number;
    fill?: number;
  } = {},
): TestFrame {
  const {
    records = 1,
    payloadBytes = 40,
    epoch = 1,
    timestampMs = 1000 + baseOffset,
    partition = 0,
    fill = baseOffset,
  } = options;
  const bytes = encodeFrame(
    {
      codec: 0,
      isControl: false,
      lastOffsetDelta: records - 1,
      recordCount: records,
      baseSequence: NO_SEQUENCE,
      baseTimestampMs: timestampMs,
      maxTimestampMs: timestampMs,
      producerId: 0,
      producerEpoch: 0,
    },
    new Uint8Array(payloadBytes).fill(fill & 0xff),
    crc32,
  );
  stampFrame(
    bytes,
    0,
    { baseOffset, leaderEpoch: epoch, topicIdBytes: topicIdToBytes(TOPIC), partition },
    crc32,
  );
  return { bytes, header: readHeader(bytes, 0) };
}

/** Frames of one record each, from `from` to `to` (exclusive). */
export function frames(
  from: number,
  to: number,
  options: Parameters<typeof frame>[1] = {},
): TestFrame[] {
  return Array.from({ length: to - from }, (_, index) => frame(from + index, options));
}

export function bytesOf(list: readonly TestFrame[]): Uint8Array[] {
  return list.map(({ bytes }) => bytes);
}

export function headersOf(list: readonly TestFrame[]): BatchHeader[] {
  return list.map(({ header }) => header);
}

/** The real file system with some calls replaced. */
export function fileSystemWith(replaced: Partial<FileSystem>): FileSystem {
  return { ...nodeFileSystem, ...replaced };
}

/** What a crash of the process leaves: a copy of the files as they are now, without the lock and the (large) quorum log. */
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
