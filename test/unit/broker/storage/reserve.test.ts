/** What must not fail on a full volume lives from a file that gives its space back. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import {
  bytesOf,
  control,
  fileSystemWith,
  frames,
  headersOf,
  ioError,
  LOG_OPTIONS,
  openTestDisk,
  startTestDisk,
  TOPIC,
  until,
} from './fixture.ts';

const MIB = 1024 * 1024;
const RESERVE_BYTES = 16 * MIB;
/** Half of it is a file. */
const HELD_BYTES = 8 * MIB;

/**
 * The real file system on a volume of a few MiB: what is free is counted by what is written and
 * cut.
 */
class SmallVolume {
  freeBytes: number;
  readonly #sizes = new Map<number, number>();
  readonly files: FileSystem = {
    ...nodeFileSystem,
    open: async (path, mode) => {
      const file = await nodeFileSystem.open(path, mode);
      this.#sizes.set(file, (await nodeFileSystem.stat(path)).bytes);
      return file;
    },
    writev: (file, buffers, position) => {
      const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
      const grows = Math.max(0, position + bytes - (this.#sizes.get(file) ?? 0));
      if (grows > this.freeBytes) return Promise.reject(ioError('ENOSPC'));
      this.#resize(file, (this.#sizes.get(file) ?? 0) + grows);
      return nodeFileSystem.writev(file, buffers, position);
    },
    truncate: (file, bytes) => {
      this.#resize(file, bytes);
      return nodeFileSystem.truncate(file, bytes);
    },
    volume: () => Promise.resolve({ type: 1, freeBytes: this.freeBytes, totalBytes: 1024 * MIB }),
  };

  constructor(freeBytes: number) {
    this.freeBytes = freeBytes;
  }

  #resize(file: number, bytes: number): void {
    this.freeBytes -= bytes - (this.#sizes.get(file) ?? 0);
    this.#sizes.set(file, bytes);
  }
}

describe('a reserve larger than its volume allows', () => {
  it.each([
    { asked: 8 * MIB, reserveBytes: 8 * MIB },
    { asked: 2 ** 40, reserveBytes: 16 * MIB },
  ])('of $asked bytes on 64 MiB is $reserveBytes', async ({ asked, reserveBytes }) => {
    const totalBytes = 64 * MIB;
    const volume = () => Promise.resolve({ type: 1, freeBytes: 40 * MIB, totalBytes });
    const files = fileSystemWith({ volume });
    const { disk } = await startTestDisk({ files, reserveBytes: asked });
    expect(disk.shortage()).toBeNull();
    expect(disk.freeBytes()).toBe(40 * MIB - reserveBytes);
    await disk.close();
  });
});

describe('a volume that others have filled', () => {
  it('has room for control batches, checkpoint, session and metadata, and none for data', async () => {
    const volume = new SmallVolume(64 * MIB);
    const { disk, dataDir, clock } = await startTestDisk({
      files: volume.files,
      reserveBytes: RESERVE_BYTES,
    });
    const held = (): number => statSync(join(dataDir, 'reserve')).size;
    clock.advance(1000);
    await until(
      () => statSync(join(dataDir, 'reserve'), { throwIfNoEntry: false })?.size === HELD_BYTES,
    );
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await log.append(bytesOf(frames(0, 4)), headersOf(frames(0, 4)));
    volume.freeBytes = 0;
    clock.advance(1000);
    await until(() => disk.shortage() !== null);
    const failures: unknown[] = [];
    disk.onFailure((error) => failures.push(error));

    await expect(log.append(bytesOf(frames(4, 5)), headersOf(frames(4, 5)))).rejects.toMatchObject({
      code: 'DISK_FULL',
    });
    const start = control(4, 2, 4);
    await log.append([start.bytes], [start.header]);
    await log.truncate(2, false);
    await disk.quorum.write([{ id: 1, kind: 'hard-state', hardState: { term: 4, vote: null } }]);
    const entries = Array.from({ length: 10 }, (_, index) => ({
      index: index + 1,
      term: 4,
      kind: 'data' as const,
      data: 'x'.repeat(350_000),
    }));
    await disk.quorum.write([{ id: 2, kind: 'append', firstIndex: 1, entries }]);
    await disk.writeSession(7);
    expect(held()).toBeLessThan(HELD_BYTES);
    await disk.markClean();
    await disk.close();
    expect(failures).toEqual([]);

    const again = await openTestDisk({ dataDir, files: volume.files, reserveBytes: RESERVE_BYTES });
    expect(again.disk.start.restartClass).toBe('clean');
    expect((await again.disk.openPartition(TOPIC, 0, LOG_OPTIONS)).recovery).toMatchObject({
      damage: null,
      state: { endOffset: 2 },
    });
    volume.freeBytes = 64 * MIB;
    again.clock.advance(1000);
    await until(() => held() === HELD_BYTES && again.disk.shortage() === null);
  });

  it('makes the metadata log wait when the reserve is used up, and go on when there is room', async () => {
    const volume = new SmallVolume(64 * MIB);
    const { disk, clock } = await startTestDisk({ files: volume.files, reserveBytes: 0 });
    const failures: unknown[] = [];
    disk.onFailure((error) => failures.push(error));
    volume.freeBytes = 0;
    const entries = [{ index: 1, term: 1, kind: 'data' as const, data: 'x'.repeat(5 * MIB) }];
    let isWritten = false;
    const written = disk.quorum
      .write([{ id: 1, kind: 'append', firstIndex: 1, entries }])
      .then(() => {
        isWritten = true;
      });
    for (let look = 0; look < 3; look += 1) {
      clock.advance(1000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(isWritten).toBe(false);
    volume.freeBytes = 64 * MIB;
    clock.advance(1000);
    await until(() => {
      clock.advance(1000);
      return isWritten;
    });
    await written;
    expect((await disk.quorum.load()).entries).toHaveLength(1);
    expect(failures).toEqual([]);
  });
});
