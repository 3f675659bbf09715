/**
 * What is synced before what: the two orders that no later look can tell apart, until power fails.
 */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';
import {
  bytesOf,
  crashCopy,
  fileSystemWith,
  frames,
  headersOf,
  LOG_OPTIONS,
  openTestDisk,
  startTestDisk,
  TOPIC,
} from './fixture.ts';

const OPTIONS = { ...LOG_OPTIONS, segmentBytes: 250 };

/** The real file system, which writes down what is done to which file, and when. */
function noting(note: (call: string, name: string, path: string) => void): FileSystem {
  const paths = new Map<number, string>();
  const of = (call: string, file: number): void => {
    const path = paths.get(file) ?? '';
    note(call, basename(path), path);
  };
  return fileSystemWith({
    open: async (path, mode) => {
      const file = await nodeFileSystem.open(path, mode);
      paths.set(file, path);
      return file;
    },
    datasync: async (file) => {
      await nodeFileSystem.datasync(file);
      of('sync', file);
    },
    truncate: async (file, bytes) => {
      of('truncate', file);
      await nodeFileSystem.truncate(file, bytes);
    },
    remove: async (path) => {
      note('remove', basename(path), path);
      await nodeFileSystem.remove(path);
    },
    syncFolder: async (path) => {
      await nodeFileSystem.syncFolder(path);
      note('sync', basename(path), path);
    },
  });
}

const nameOf = (offset: number): string => `${String(offset).padStart(20, '0')}.log`;

describe('openPartition', () => {
  it('has synced what it found above the recovery point, and its names, before it answers (P6)', async () => {
    const { disk, dataDir } = await startTestDisk({ flushIntervalMs: 1e9 });
    const log = await disk.openPartition(TOPIC, 0, OPTIONS);
    for (const one of frames(0, 6)) await log.append([one.bytes], [one.header]);
    const synced = new Set<string>();
    const files = noting((call, name) => {
      if (call === 'sync') synced.add(name);
    });
    const again = await openTestDisk({ dataDir: crashCopy(dataDir), files });
    expect(again.disk.start.restartClass).toBe('warm');
    synced.clear();
    const found = await again.disk.openPartition(TOPIC, 0, OPTIONS);
    expect(found.recovery.state).toMatchObject({ endOffset: 6, syncedOffset: 6 });
    expect([...synced]).toEqual(
      expect.arrayContaining([nameOf(0), nameOf(2), nameOf(4), `${TOPIC}-0`, 'partitions']),
    );
  });
});

describe('a cut', () => {
  it.each([
    { what: 'truncation', run: 'truncate' as const, bound: 3 },
    { what: 'reset', run: 'reset' as const, bound: 9 },
  ])('has its recovery point durable before the first byte goes: $what', async ({ run, bound }) => {
    let dataDir = '';
    const faults: string[] = [];
    let isChecking = false;
    let synced = '';
    const checkpoint = (): string => readFileSync(join(dataDir, 'checkpoint.json'), 'utf8');
    const files = noting((call, name, path) => {
      if (!isChecking) return;
      // The folder's sync makes the new checkpoint's name durable.
      if (call === 'sync' && path === dataDir) synced = checkpoint();
      if (call === 'sync' || !name.endsWith('.log')) return;
      const line = (
        JSON.parse(synced === '' ? '{"partitions":{}}' : synced.slice(9)) as {
          partitions: Record<string, [number, number, number, unknown, number, number]>;
        }
      ).partitions[`${TOPIC}/0`];
      if (line === undefined || line[2] > bound || line[5] !== bound)
        faults.push(`${call} ${name} with ${JSON.stringify(line)}`);
    });
    const opened = await startTestDisk({ files });
    dataDir = opened.dataDir;
    const log = await opened.disk.openPartition(TOPIC, 0, OPTIONS);
    await log.append(bytesOf(frames(0, 6)), headersOf(frames(0, 6)));
    await log.close();
    const again = await opened.disk.openPartition(TOPIC, 0, OPTIONS);
    isChecking = true;
    if (run === 'truncate') await again.truncate(bound, false);
    else await again.reset({ offset: bound, epoch: 1, retiredTo: bound });
    expect(faults).toEqual([]);
    expect(synced).not.toBe('');
  });
});

describe('a reset that was interrupted', () => {
  it('takes nothing that was appended since the start that completed it', async () => {
    let copy = '';
    let isArmed = false;
    const files = fileSystemWith({
      remove: async (path) => {
        // The reset is journalled, and nothing of it is carried out.
        if (isArmed && path.endsWith('.log') && copy === '') copy = crashCopy(dataDir);
        await nodeFileSystem.remove(path);
      },
    });
    const { disk, dataDir } = await startTestDisk({ files });
    const log = await disk.openPartition(TOPIC, 0, OPTIONS);
    for (const one of frames(0, 6)) await log.append([one.bytes], [one.header]);
    isArmed = true;
    await log.reset({ offset: 3, epoch: 1, retiredTo: 3 });
    const second = await openTestDisk({ dataDir: copy, flushIntervalMs: 1e9 });
    const reset = await second.disk.openPartition(TOPIC, 0, OPTIONS);
    expect(reset.recovery.state).toMatchObject({ startOffset: 3, endOffset: 3 });
    for (const one of frames(3, 5)) await reset.append([one.bytes], [one.header]);
    const third = await openTestDisk({ dataDir: crashCopy(copy) });
    const found = await third.disk.openPartition(TOPIC, 0, OPTIONS);
    expect(third.disk.start.restartClass).toBe('warm');
    expect(found.recovery.state).toMatchObject({ startOffset: 3, endOffset: 5 });
  });
});
