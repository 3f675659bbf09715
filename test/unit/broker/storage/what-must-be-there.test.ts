/** The checkpoint names what must be found (P7, P9); files that belong to no log do not end one. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PartitionLog } from '../../../../broker/runtime/ports.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import {
  bytesOf,
  crashCopy,
  fileSystemWith,
  frame,
  frames,
  headersOf,
  LOG_OPTIONS,
  openTestDisk,
  startTestDisk,
  TOPIC,
} from './fixture.ts';
import type { TestDisk } from './fixture.ts';

const OPTIONS = { ...LOG_OPTIONS, segmentBytes: 250 };
const FOLDER = join('partitions', `${TOPIC}-0`);

const nameOf = (offset: number): string => `${String(offset).padStart(20, '0')}.log`;

/** What a killed broker leaves: frames 0 to 6 in three segments, the log start at 1. */
async function killed(): Promise<string> {
  const { disk, dataDir } = await startTestDisk();
  const log = await disk.openPartition(TOPIC, 0, OPTIONS);
  for (const one of frames(0, 6)) await log.append([one.bytes], [one.header]);
  await log.retire(1, 1);
  return crashCopy(dataDir);
}

async function opened(dataDir: string): Promise<TestDisk & { log: PartitionLog }> {
  const test = await openTestDisk({ dataDir });
  return { ...test, log: await test.disk.openPartition(TOPIC, 0, OPTIONS) };
}

describe('a partition that has vanished', () => {
  it.each([
    { what: 'its folder', path: FOLDER },
    { what: 'its last segment', path: join(FOLDER, nameOf(4)) },
    { what: 'a segment in the middle', path: join(FOLDER, nameOf(2)) },
    { what: 'its first segment', path: join(FOLDER, nameOf(0)) },
  ])('is damage, and every later start lossy: $what', async ({ path }) => {
    const dataDir = await killed();
    rmSync(join(dataDir, path), { recursive: true });
    const { disk, log } = await opened(dataDir);
    expect(disk.start.restartClass).toBe('warm');
    expect(disk.listPartitions()).toEqual([{ topicId: TOPIC, partition: 0 }]);
    expect(log.recovery.damage).not.toBeNull();
    const again = await openTestDisk({ dataDir: crashCopy(dataDir) });
    expect(again.disk.start.restartClass).toBe('lossy');
  });

  it('is damage where it had taken nothing that was synced, from its first moment on', async () => {
    const { disk, dataDir } = await startTestDisk();
    await disk.openPartition(TOPIC, 0, OPTIONS);
    const copy = crashCopy(dataDir);
    rmSync(join(copy, FOLDER), { recursive: true });
    expect((await opened(copy)).log.recovery.damage).not.toBeNull();
  });

  it('is damage in a part that was written and not synced', async () => {
    const { disk, dataDir, clock } = await startTestDisk({ flushIntervalMs: 1_000_000 });
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await log.append(bytesOf(frames(0, 4)), headersOf(frames(0, 4)));
    clock.advance(3000);
    // Any later write of the checkpoint holds it.
    await disk.openPartition(TOPIC, 1, LOG_OPTIONS);
    const copy = crashCopy(dataDir);
    const path = join(copy, FOLDER, nameOf(0));
    writeFileSync(path, readFileSync(path).subarray(0, 2 * 108));
    expect((await opened(copy)).log.recovery.damage).toMatchObject({ fromOffset: 2 });
  });

  it.each(['checkpoint.json'])('makes the start lossy: %s', async (name) => {
    const dataDir = await killed();
    rmSync(join(dataDir, name));
    const { disk } = await opened(dataDir);
    expect(disk.start).toMatchObject({
      restartClass: 'lossy',
      reason: 'the checkpoint is absent',
    });
    const again = await openTestDisk({ dataDir: crashCopy(dataDir) });
    expect(again.disk.start.restartClass).toBe('lossy');
  });

  it('is trusted nowhere when it comes back from elsewhere', async () => {
    const dataDir = await killed();
    const { disk, dataDir: other } = await startTestDisk();
    await disk.close();
    mkdirSync(join(other, FOLDER), { recursive: true });
    for (const name of readdirSync(join(dataDir, FOLDER)))
      copyFileSync(join(dataDir, FOLDER, name), join(other, FOLDER, name));
    expect((await opened(other)).log.recovery.damage).toMatchObject({
      reason: 'the checkpoint names no such log',
    });
  });
});

describe('a file that is no part of the log', () => {
  const whole = frames(0, 1)[0]?.bytes ?? new Uint8Array(0);
  it.each([
    { what: 'an empty one within a segment', offset: 3, bytes: new Uint8Array(0) },
    { what: 'an empty one within the last segment', offset: 5, bytes: new Uint8Array(0) },
    { what: 'an empty one beyond the end', offset: 50, bytes: new Uint8Array(0) },
    { what: 'garbage within a segment', offset: 3, bytes: new Uint8Array(300).fill(7) },
    { what: 'garbage within the last segment', offset: 5, bytes: new Uint8Array(300).fill(7) },
    { what: 'a frame within a segment', offset: 3, bytes: frame(3).bytes },
    { what: 'a frame of another place within a segment', offset: 3, bytes: whole },
  ])('ends no log and is moved aside: $what', async ({ offset, bytes }) => {
    for (const hasIndexes of [true, false]) {
      const dataDir = await killed();
      const folder = join(dataDir, FOLDER);
      writeFileSync(join(folder, nameOf(offset)), bytes);
      const indexes = readdirSync(folder).filter((name) => name.endsWith('index'));
      if (!hasIndexes) for (const name of indexes) rmSync(join(folder, name));
      const { disk, log } = await opened(dataDir);
      expect(log.recovery.damage).toBeNull();
      expect(log.recovery.state).toMatchObject({ startOffset: 1, endOffset: 6 });
      expect(existsSync(join(folder, nameOf(offset)))).toBe(false);
      expect(readdirSync(join(folder, 'aside'))).toHaveLength(1);
      const next = frames(6, 9, { epoch: 2 });
      await log.append(bytesOf(next), headersOf(next));
      expect((await log.headers(1)).at(-1)?.baseOffset).toBe(8);
      await disk.close();
    }
  });

  it('is damage beyond the end, where it may be what is left of the log', async () => {
    const dataDir = await killed();
    writeFileSync(join(dataDir, FOLDER, nameOf(50)), new Uint8Array(300).fill(7));
    expect((await opened(dataDir)).log.recovery).toMatchObject({
      damage: { fromOffset: 6 },
      state: { endOffset: 6 },
    });
  });
});

describe('a partition that was deleted', () => {
  it('is no damage, at whatever file call the process was killed', async () => {
    let left = Number.POSITIVE_INFINITY;
    let calls = 0;
    const counted = <T>(run: () => Promise<T>): Promise<T> => {
      calls += 1;
      left -= 1;
      // Never returns: the process is gone.
      return left < 0 ? new Promise<never>(() => {}) : run();
    };
    const files = fileSystemWith({
      rename: (...args) => counted(() => nodeFileSystem.rename(...args)),
      remove: (...args) => counted(() => nodeFileSystem.remove(...args)),
      writev: (...args) => counted(() => nodeFileSystem.writev(...args)),
      datasync: (...args) => counted(() => nodeFileSystem.datasync(...args)),
      syncFolder: (...args) => counted(() => nodeFileSystem.syncFolder(...args)),
    });
    for (let survived = 0; ; survived += 1) {
      left = Number.POSITIVE_INFINITY;
      const { disk, dataDir } = await startTestDisk({ files });
      const log = await disk.openPartition(TOPIC, 0, OPTIONS);
      await log.append(bytesOf(frames(0, 6)), headersOf(frames(0, 6)));
      await log.close();
      left = survived;
      calls = 0;
      const deleted = disk.deletePartition(TOPIC, 0).then(() => 'deleted');
      const outcome = await Promise.race([
        deleted,
        new Promise<string>((resolve) => {
          const look = (): void => {
            if (left < 0) resolve('killed');
            else setImmediate(look);
          };
          look();
        }),
      ]);
      const copy = crashCopy(dataDir);
      left = Number.POSITIVE_INFINITY;
      const again = await openTestDisk({ dataDir: copy });
      expect(again.disk.start.restartClass).toBe('warm');
      for (const { topicId, partition } of again.disk.listPartitions()) {
        const found = await again.disk.openPartition(topicId, partition, OPTIONS);
        expect(found.recovery.damage).toBeNull();
        expect(found.recovery.state.endOffset).toBe(6);
      }
      await again.disk.markClean();
      await again.disk.close();
      if (outcome === 'deleted') break;
    }
    expect(calls).toBeGreaterThan(3);
  });

  it('leaves nothing that ends one of the same name made later', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, OPTIONS);
    await log.close();
    await disk.deletePartition(TOPIC, 0);
    const made = await disk.openPartition(TOPIC, 0, OPTIONS);
    await made.append(bytesOf(frames(0, 3)), headersOf(frames(0, 3)));
    expect((await opened(crashCopy(dataDir))).log.recovery).toMatchObject({
      damage: null,
      state: { endOffset: 3 },
    });
  });
});
