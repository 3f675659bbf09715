import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Checkpoint } from '../../../../broker/storage/checkpoint.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import { fileSystemWith, ioError, temporaryFolder } from './fixture.ts';

const LINE = {
  startOffset: 2,
  startEpoch: 1,
  highWaterMark: 8,
  syncedOffset: 6,
  writtenOffset: 9,
  epochs: [{ epoch: 1, startOffset: 2 }],
};

describe('Checkpoint', () => {
  it('keeps lines of open and closed logs, and epochs up to the recovery point only', async () => {
    const path = join(temporaryFolder(), 'checkpoint.json');
    const checkpoint = await Checkpoint.load(nodeFileSystem, path);
    checkpoint.attach('open/0', () => ({
      ...LINE,
      epochs: [...LINE.epochs, { epoch: 2, startOffset: 6 }],
    }));
    checkpoint.attach('closed/0', () => LINE);
    checkpoint.detach('closed/0');
    checkpoint.attach('gone/0', () => LINE);
    checkpoint.beginDelete('gone/0');
    await checkpoint.sync();
    const again = await Checkpoint.load(nodeFileSystem, path);
    expect([again.keys(), again.deleting()]).toEqual([['closed/0', 'open/0'], ['gone/0']]);
    checkpoint.endDelete('gone/0');
    await checkpoint.writeIfChanged();
    expect((await Checkpoint.load(nodeFileSystem, path)).deleting()).toEqual([]);
    expect(['open/0', 'closed/0', 'gone/0'].map((key) => again.get(key))).toEqual([
      LINE,
      LINE,
      null,
    ]);
  });

  it('takes nothing from a changed file and says so', async () => {
    const path = join(temporaryFolder(), 'checkpoint.json');
    const checkpoint = await Checkpoint.load(nodeFileSystem, path);
    checkpoint.attach('a/0', () => LINE);
    await checkpoint.sync();
    writeFileSync(path, readFileSync(path, 'utf8').replace('8', '9'));
    const again = await Checkpoint.load(nodeFileSystem, path);
    expect([again.file, again.get('a/0')]).toEqual(['damaged', null]);
  });

  it('holds, when a sync resolves, every change made before it was asked', async () => {
    const path = join(temporaryFolder(), 'checkpoint.json');
    let syncs = 0;
    const files = fileSystemWith({
      datasync: (file) => {
        syncs += 1;
        return nodeFileSystem.datasync(file);
      },
    });
    const checkpoint = await Checkpoint.load(files, path);
    let highWaterMark = 0;
    checkpoint.attach('a/0', () => ({ ...LINE, highWaterMark }));
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        highWaterMark = index + 1;
        const wanted = highWaterMark;
        await checkpoint.sync();
        const stored = await Checkpoint.load(nodeFileSystem, path);
        expect(stored.get('a/0')?.highWaterMark).toBeGreaterThanOrEqual(wanted);
      }),
    );
    expect(syncs).toBeLessThanOrEqual(2);
  });

  it('writes again after a failure', async () => {
    const path = join(temporaryFolder(), 'checkpoint.json');
    let isBroken = true;
    const files = fileSystemWith({
      rename: (from, to) =>
        isBroken ? Promise.reject(ioError('ENOSPC')) : nodeFileSystem.rename(from, to),
    });
    const checkpoint = await Checkpoint.load(files, path);
    checkpoint.attach('a/0', () => LINE);
    await expect(checkpoint.sync()).rejects.toMatchObject({ code: 'DISK_FULL' });
    isBroken = false;
    await checkpoint.writeIfChanged();
    expect((await Checkpoint.load(nodeFileSystem, path)).get('a/0')).toEqual(LINE);
  });
});
