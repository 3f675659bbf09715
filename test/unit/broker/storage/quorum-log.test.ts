import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Durable, Entry, RaftWrite, Snapshot } from '../../../../broker/raft/types.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';
import { BLOCK_BYTES, FRAMES_AT } from '../../../../broker/storage/quorum-file.ts';
import { FileQuorumLog } from '../../../../broker/storage/quorum-log.ts';
import { fileSystemWith, ioError, temporaryFolder } from './fixture.ts';

const PEER = { brokerId: 1, directoryId: '11111111-2222-4333-8444-555555555555' };

function entry(index: number, term = 1): Entry {
  return { index, term, kind: 'data', data: `entry ${index} of ${term}` };
}

function appendOf(firstIndex: number, count: number, term = 1): RaftWrite {
  return {
    id: 0,
    kind: 'append',
    firstIndex,
    entries: Array.from({ length: count }, (_, offset) => entry(firstIndex + offset, term)),
  };
}

function voteOf(term: number): RaftWrite {
  return { id: 0, kind: 'hard-state', hardState: { term, vote: PEER } };
}

function snapshotOf(index: number, keepSuffix: boolean): RaftWrite {
  return {
    id: 0,
    kind: 'snapshot',
    snapshot: { index, term: 1, voters: [PEER], data: `image at ${index}` },
    keepSuffix,
  };
}

function open(folder: string, files: FileSystem = nodeFileSystem): FileQuorumLog {
  return new FileQuorumLog({
    files,
    folder,
    isFormatted: true,
    onFailure: () => {},
    onShortage: () => {},
  });
}

async function created(folder: string, files: FileSystem = nodeFileSystem): Promise<FileQuorumLog> {
  const log = open(folder, files);
  await log.create();
  return log;
}

async function loaded(folder: string): Promise<Durable> {
  const log = open(folder);
  try {
    return await log.load();
  } finally {
    await log.close();
  }
}

/** Copies a log, changes the file's bytes, and loads what is left. */
async function loadChanged(
  folder: string,
  change: (file: Buffer) => void,
): Promise<Durable | string> {
  const copy = temporaryFolder();
  cpSync(folder, copy, { recursive: true });
  const file = readFileSync(join(copy, 'log'));
  change(file);
  writeFileSync(join(copy, 'log'), file);
  try {
    return await loaded(copy);
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    rmSync(copy, { recursive: true });
  }
}

describe('FileQuorumLog', () => {
  it('gives back what was written, in order', async () => {
    const folder = temporaryFolder();
    const log = await created(folder);
    await log.write([voteOf(2), appendOf(1, 3)]);
    await log.write([appendOf(2, 1, 2)]);
    await log.close();
    expect(await loaded(folder)).toEqual({
      hardState: { term: 2, vote: PEER },
      snapshot: null,
      entries: [entry(1), entry(2, 2)],
    });
  });

  it('is empty before the directory is formatted and damaged when it is missing after', async () => {
    const folder = temporaryFolder();
    const log = new FileQuorumLog({
      files: nodeFileSystem,
      folder,
      isFormatted: false,
      onFailure: () => {},
      onShortage: () => {},
    });
    expect(await log.load()).toEqual({
      hardState: { term: 0, vote: null },
      snapshot: null,
      entries: [],
    });
    await expect(open(folder).load()).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
  });

  it('forgets what an unfinished format left', async () => {
    const folder = temporaryFolder();
    const first = await created(folder);
    await first.write([voteOf(7)]);
    await first.close();
    const second = new FileQuorumLog({
      files: nodeFileSystem,
      folder,
      isFormatted: false,
      onFailure: () => {},
      onShortage: () => {},
    });
    await second.write([snapshotOf(1, false)]);
    expect(await second.load()).toMatchObject({
      hardState: { term: 0 },
      snapshot: { index: 1 },
      entries: [],
    });
    await second.close();
  });

  it.each([
    { keepSuffix: true, entries: [entry(3), entry(4)] },
    { keepSuffix: false, entries: [] },
  ])(
    'begins again after a snapshot, keeping the suffix: $keepSuffix',
    async ({ keepSuffix, entries }) => {
      const folder = temporaryFolder();
      const log = await created(folder);
      await log.write([appendOf(1, 4), voteOf(3), snapshotOf(1, true), snapshotOf(2, keepSuffix)]);
      await log.close();
      const snapshot: Partial<Snapshot> = { index: 2, data: 'image at 2' };
      expect(await loaded(folder)).toMatchObject({ hardState: { term: 3 }, snapshot, entries });
      rmSync(join(folder, 'snapshot-2-1'));
      await expect(loaded(folder)).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
    },
  );

  it('syncs writes that queue behind a sync together', async () => {
    let syncs = 0;
    const files = fileSystemWith({
      datasync: (file) => {
        syncs += 1;
        return nodeFileSystem.datasync(file);
      },
    });
    const log = await created(temporaryFolder(), files);
    syncs = 0;
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => log.write([appendOf(index + 1, 1)])),
    );
    expect(syncs).toBe(2);
    await log.close();
  });

  it('grows when its chunk is full', async () => {
    const folder = temporaryFolder();
    const log = await created(folder);
    const big = 'x'.repeat(1_500_000);
    for (let index = 1; index <= 5; index += 1) {
      await log.write([
        { id: 0, kind: 'append', firstIndex: index, entries: [{ ...entry(index), data: big }] },
      ]);
    }
    await log.close();
    expect((await loaded(folder)).entries).toHaveLength(5);
  });

  it('counts starts and broker epochs in one rising incarnation', async () => {
    const folder = temporaryFolder();
    const log = await created(folder);
    expect(await log.beginIncarnation()).toBe(1);
    expect(await log.noteBrokerEpoch(5)).toBe(5 * 65_536);
    await log.close();
    const again = open(folder);
    await again.load();
    expect(await again.beginIncarnation()).toBe(5 * 65_536 + 1);
    await again.write([snapshotOf(1, false)]);
    await again.close();
    const last = open(folder);
    await last.load();
    expect(await last.beginIncarnation()).toBe(5 * 65_536 + 2);
    await last.close();
  });

  it('queues what comes while a snapshot changes the file', async () => {
    const folder = temporaryFolder();
    const late: Promise<void>[] = [];
    const files = fileSystemWith({
      open: (path, mode) => {
        if (log !== null && path.endsWith('/log') && mode === 'write')
          late.push(log.write([voteOf(late.length + 2)]));
        return nodeFileSystem.open(path, mode);
      },
    });
    let log: FileQuorumLog | null = null;
    log = await created(folder, files);
    await log.write([appendOf(1, 3), snapshotOf(2, true)]);
    await log.write([snapshotOf(3, true)]);
    await Promise.all(late);
    await log.close();
    expect(late.length).toBe(2);
    expect((await loaded(folder)).hardState.term).toBe(3);
  });

  it('rejects every write after a failed sync', async () => {
    let isBroken = false;
    const failures: unknown[] = [];
    const files = fileSystemWith({
      datasync: (file) =>
        isBroken ? Promise.reject(ioError('EIO')) : nodeFileSystem.datasync(file),
    });
    const log = new FileQuorumLog({
      files,
      folder: temporaryFolder(),
      isFormatted: true,
      onFailure: (error) => failures.push(error),
      onShortage: () => {},
    });
    await log.create();
    isBroken = true;
    await expect(log.write([voteOf(1)])).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    isBroken = false;
    await expect(log.write([voteOf(1)])).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(failures).toHaveLength(1);
    await log.close();
  });
});

describe('FileQuorumLog.load', () => {
  /**
   * Three groups of writes; the last may be torn because its confirmation is taken away, as power
   * loss can.
   */
  async function threeGroups(): Promise<string> {
    const folder = temporaryFolder();
    const log = await created(folder);
    for (let index = 1; index <= 3; index += 1)
      await log.write([
        voteOf(index),
        {
          id: 0,
          kind: 'append',
          firstIndex: index,
          entries: [{ ...entry(index), data: 'x'.repeat(3000 * index) }],
        },
      ]);
    await log.close();
    return folder;
  }
  // Head, then frames of 1, 2 and 3 blocks.
  const third = FRAMES_AT + 4 * BLOCK_BYTES;
  const end = FRAMES_AT + 7 * BLOCK_BYTES;
  /** Sequence 4 was confirmed in slot 0; slot 1 still confirms 3. */
  const unconfirm = (file: Buffer): void => void file.fill(0, 0, BLOCK_BYTES);

  it('cuts a last frame that was torn at any byte and not confirmed', async () => {
    const folder = await threeGroups();
    const used =
      20 +
      JSON.stringify([
        voteOf(3),
        {
          id: 0,
          kind: 'append',
          firstIndex: 3,
          entries: [{ ...entry(3), data: 'x'.repeat(9000) }],
        },
      ]).length;
    const cuts = [
      ...Array.from({ length: 40 }, (_, cut) => cut),
      4095,
      4096,
      8191,
      8192,
      used - 2,
      used - 1,
    ];
    for (const cut of cuts) {
      const left = await loadChanged(folder, (file) => {
        unconfirm(file);
        file.fill(0, third + cut, end);
      });
      expect([cut, left]).toMatchObject([
        cut,
        { hardState: { term: 2 }, entries: [{ index: 1 }, { index: 2 }] },
      ]);
    }
  });

  it('goes on after a torn frame as if it had never been', async () => {
    const folder = await threeGroups();
    const file = readFileSync(join(folder, 'log'));
    unconfirm(file);
    file.fill(0xaa, third + 100, third + 200);
    writeFileSync(join(folder, 'log'), file);
    const log = open(folder);
    await log.load();
    await log.write([voteOf(9)]);
    await log.close();
    expect(await loaded(folder)).toMatchObject({
      hardState: { term: 9 },
      entries: [{ index: 1 }, { index: 2 }],
    });
  });

  it('rejects a confirmed frame with any flipped bit', async () => {
    const folder = await threeGroups();
    const used = [
      [FRAMES_AT, 100],
      [FRAMES_AT + BLOCK_BYTES, 3000],
      [FRAMES_AT + 2 * BLOCK_BYTES, 6000],
      [third, 9000],
    ] as const;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...used),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer({ min: 0, max: 7 }),
        async ([from, bytes], at, bit) => {
          const left = await loadChanged(folder, (file) => {
            const position = from + Math.floor(at * bytes);
            file[position] = (file[position] ?? 0) ^ (1 << bit);
          });
          expect(left).toBe('DATA_CORRUPT');
        },
      ),
      { numRuns: 30 },
    );
  });

  it('rejects a zeroed page in the middle, confirmed or not', async () => {
    const folder = await threeGroups();
    const left = await loadChanged(folder, (file) => {
      file.fill(0, 0, FRAMES_AT);
      file.fill(0, FRAMES_AT + BLOCK_BYTES, FRAMES_AT + 2 * BLOCK_BYTES);
    });
    expect(left).toBe('DATA_CORRUPT');
  });

  it('rejects a damaged snapshot', async () => {
    const folder = temporaryFolder();
    const log = await created(folder);
    await log.write([snapshotOf(1, false)]);
    await log.close();
    const path = join(folder, 'snapshot-1-1');
    const bytes = readFileSync(path);
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    mkdirSync(join(folder, 'unrelated'));
    await expect(loaded(folder)).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
  });
});
