import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openDisk } from '../../../../broker/storage/disk.ts';
import type { DiskOptions } from '../../../../broker/storage/disk.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import {
  bytesOf,
  crashCopy,
  fileSystemWith,
  frames,
  headersOf,
  ioError,
  LOG_OPTIONS,
  META,
  openTestDisk,
  startTestDisk,
  TestClock,
  temporaryFolder,
  TOPIC,
  until,
} from './fixture.ts';

async function startOf(
  dataDir: string,
  options: Partial<DiskOptions> = {},
): Promise<{ restartClass: string; sessionEpoch: number }> {
  const { disk } = await openTestDisk({ dataDir, ...options });
  const { restartClass, sessionEpoch } = disk.start;
  await disk.close();
  return { restartClass, sessionEpoch };
}

describe('openDisk', () => {
  it('finds an empty directory new, and a formatted one without a session lossy', async () => {
    const { disk, dataDir } = await openTestDisk();
    expect(disk.start).toMatchObject({ meta: null, restartClass: 'new', sessionEpoch: 0 });
    await disk.format(META);
    await expect(disk.format(META)).rejects.toMatchObject({ code: 'CLUSTER_EXISTS' });
    await disk.close();
    const again = await openTestDisk({ dataDir });
    expect(again.disk.start).toMatchObject({ meta: META, restartClass: 'lossy' });
  });

  it('classifies by what the real machine says', async () => {
    const { disk, dataDir } = await startTestDisk();
    await disk.close();
    const options: DiskOptions = {
      dataDir,
      podUid: 'pod',
      clock: new TestClock(),
      logger: { info() {}, warn() {}, error() {} },
    };
    const first = await openDisk(options);
    await first.writeSession(2);
    await first.close();
    const second = await openDisk(options);
    expect(second.start.restartClass).toBe('warm');
    await second.close();
    const copy = await openDisk({ ...options, dataDir: crashCopy(dataDir) });
    expect(copy.start.restartClass).toBe('lossy');
    expect(copy.start.reason).toMatch(/another mount: meta(Inode|ChangedMs) was/);
    await copy.close();
  });

  it('is warm after a crash and clean after an orderly stop, until the next session', async () => {
    const { disk, dataDir } = await startTestDisk();
    expect(await startOf(crashCopy(dataDir))).toEqual({ restartClass: 'warm', sessionEpoch: 1 });
    await disk.markClean();
    await disk.close();
    expect(await startOf(crashCopy(dataDir), { bootId: 'later' })).toEqual({
      restartClass: 'clean',
      sessionEpoch: 1,
    });
    await startTestDisk({ dataDir });
    expect(await startOf(crashCopy(dataDir))).toEqual({ restartClass: 'warm', sessionEpoch: 2 });
  });

  it('does not let a lossy start turn clean by being stopped before it was registered', async () => {
    const { disk, dataDir } = await startTestDisk();
    await disk.close();
    const lossy = await openTestDisk({ dataDir, bootId: 'later' });
    expect(lossy.disk.start.restartClass).toBe('lossy');
    await lossy.disk.markClean();
    await lossy.disk.close();
    expect((await startOf(dataDir, { bootId: 'later' })).restartClass).toBe('lossy');
  });

  it('is lossy after markLossy, even when it stops in order', async () => {
    const { disk, dataDir } = await startTestDisk();
    await disk.markLossy('test');
    await disk.markClean();
    await disk.close();
    expect((await startOf(dataDir)).restartClass).toBe('lossy');
  });

  it('renews a directory: another id, no session, an empty quorum log', async () => {
    const { disk, dataDir } = await startTestDisk();
    await disk.quorum.write([{ id: 1, kind: 'hard-state', hardState: { term: 4, vote: null } }]);
    const directoryId = '99999999-2222-4333-8444-555555555555';
    await disk.renew(directoryId);
    expect((await disk.quorum.load()).hardState.term).toBe(0);
    await disk.close();
    const again = await openTestDisk({ dataDir });
    expect(again.disk.start).toMatchObject({
      meta: { ...META, directoryId },
      restartClass: 'lossy',
    });
  });

  it('refuses a meta.json that cannot be read', async () => {
    const dataDir = temporaryFolder();
    writeFileSync(join(dataDir, 'meta.json'), '{"formatVersion": 2}');
    await expect(openTestDisk({ dataDir })).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
    expect((await openTestDisk()).disk.start.restartClass).toBe('new');
  });

  it('lists partitions, deletes them, and finishes what a crash left half deleted', async () => {
    const { disk, dataDir } = await startTestDisk();
    for (const partition of [0, 1]) {
      const log = await disk.openPartition(TOPIC, partition, LOG_OPTIONS);
      const list = frames(0, 2, { partition });
      await log.append(bytesOf(list), headersOf(list));
      await log.close();
    }
    await disk.deletePartition(TOPIC, 1);
    expect(disk.listPartitions()).toEqual([{ topicId: TOPIC, partition: 0 }]);
    const fresh = await disk.openPartition(TOPIC, 1, LOG_OPTIONS);
    expect(fresh.recovery.state).toMatchObject({ startOffset: 0, endOffset: 0, highWaterMark: 0 });
    const copy = crashCopy(dataDir);
    writeFileSync(join(copy, 'partitions', `${TOPIC}-2.deleted`), '');
    const again = await openTestDisk({ dataDir: copy });
    expect(again.disk.listPartitions()).toHaveLength(2);
    expect(readdirSync(join(copy, 'partitions'))).toHaveLength(2);
  });

  it('writes the checkpoint a few seconds after something changed, without being asked', async () => {
    const { disk, dataDir, clock } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    const list = frames(0, 4);
    await log.append(bytesOf(list), headersOf(list));
    log.noteHighWaterMark(3);
    clock.advance(3000);
    const path = join(dataDir, 'checkpoint.json');
    await until(() => readFileSync(path, 'utf8').includes('[0,3,'));
    const again = await openTestDisk({ dataDir: crashCopy(dataDir) });
    expect(
      (await again.disk.openPartition(TOPIC, 0, LOG_OPTIONS)).recovery.state.highWaterMark,
    ).toBe(3);
  });

  it('reports a volume that cannot be looked at', async () => {
    let isBroken = false;
    const files = fileSystemWith({
      volume: (path) => (isBroken ? Promise.reject(ioError('EIO')) : nodeFileSystem.volume(path)),
    });
    const { disk, clock } = await startTestDisk({ files });
    const failures: Error[] = [];
    disk.onFailure((error) => failures.push(error));
    isBroken = true;
    clock.advance(1000);
    await until(() => failures.length > 0);
    expect(failures[0]).toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
