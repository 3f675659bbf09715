/** No space, no free descriptor, no memory: nothing is lost, so nobody may be condemned (P3). */
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import type { PartitionLog } from '../../../../broker/runtime/ports.ts';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import {
  bytesOf,
  crashCopy,
  frames,
  headersOf,
  ioError,
  LOG_OPTIONS,
  openTestDisk,
  startTestDisk,
  TOPIC,
  until,
} from './fixture.ts';
import type { TestDisk } from './fixture.ts';

/** Calls that take space, and those that take a descriptor. */
const SPACE_CALLS = ['create', 'writev', 'truncate', 'rename', 'remove', 'makeFolder'] as const;
const DESCRIPTOR_CALLS = ['open', 'list', 'syncFolder'] as const;
type RefusedCall = (typeof SPACE_CALLS)[number] | (typeof DESCRIPTOR_CALLS)[number];

/** The real file system, some of whose calls are refused while `refused` says so. */
class ShortFileSystem {
  readonly refused = new Set<RefusedCall>();
  code = 'ENOSPC';
  readonly files: FileSystem = {
    ...nodeFileSystem,
    open: async (path, mode) => {
      if (this.refused.has('open')) throw ioError(this.code);
      if (this.refused.has('create') && mode === 'write') {
        const isThere = await nodeFileSystem.stat(path).then(
          () => true,
          () => false,
        );
        if (!isThere) throw ioError(this.code);
      }
      return await nodeFileSystem.open(path, mode);
    },
    writev: (...args) => this.#pass('writev', () => nodeFileSystem.writev(...args)),
    truncate: (...args) => this.#pass('truncate', () => nodeFileSystem.truncate(...args)),
    rename: (...args) => this.#pass('rename', () => nodeFileSystem.rename(...args)),
    remove: (...args) => this.#pass('remove', () => nodeFileSystem.remove(...args)),
    makeFolder: (...args) => this.#pass('makeFolder', () => nodeFileSystem.makeFolder(...args)),
    list: (...args) => this.#pass('list', () => nodeFileSystem.list(...args)),
    syncFolder: (...args) => this.#pass('syncFolder', () => nodeFileSystem.syncFolder(...args)),
  };

  async #pass<T>(call: RefusedCall, run: () => Promise<T>): Promise<T> {
    if (this.refused.has(call)) throw ioError(this.code);
    return await run();
  }
}

const SHORTAGES = [
  ...SPACE_CALLS.map((call) => ({ code: 'ENOSPC', call })),
  { code: 'EDQUOT', call: 'writev' as const },
  ...DESCRIPTOR_CALLS.map((call) => ({ code: 'EMFILE', call })),
  { code: 'ENFILE', call: 'open' as const },
  { code: 'ENOMEM', call: 'open' as const },
];

const OPTIONS = { ...LOG_OPTIONS, segmentBytes: 500 };

interface Scene extends TestDisk {
  readonly short: ShortFileSystem;
  readonly log: PartitionLog;
  readonly failures: Error[];
}

/** A log of ten records in three segments, on a disk that can run short. */
async function scene(): Promise<Scene> {
  const short = new ShortFileSystem();
  const opened = await startTestDisk({ files: short.files, tailCacheBytes: 0 });
  const failures: Error[] = [];
  opened.disk.onFailure((error) => failures.push(error));
  const log = await opened.disk.openPartition(TOPIC, 0, OPTIONS);
  for (const one of frames(0, 10)) await log.append([one.bytes], [one.header]);
  return { ...opened, short, log, failures };
}

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
  );

const CHANGES: readonly { what: string; run: (log: PartitionLog) => Promise<unknown> }[] = [
  {
    what: 'an append',
    run: (log) => log.append(bytesOf(frames(10, 20)), headersOf(frames(10, 20))),
  },
  { what: 'a truncation', run: (log) => log.truncate(3, false) },
  { what: 'a truncation that keeps bytes', run: (log) => log.truncate(3, true) },
  { what: 'a reset', run: (log) => log.reset({ offset: 50, epoch: 1, retiredTo: 50 }) },
  { what: 'a retirement', run: (log) => log.retire(7, 1) },
  { what: 'a close', run: (log) => log.close() },
  { what: 'a read', run: async (log) => await log.read(2, 10, 1000) },
];

describe.each(SHORTAGES)('a disk that answers $code to $call', ({ code, call }) => {
  it.each(CHANGES)('condemns nobody for $what', async ({ run }) => {
    const { short, log, failures, disk, dataDir, clock } = await scene();
    short.code = code;
    short.refused.add(call);
    const isFull = code === 'ENOSPC' || code === 'EDQUOT';
    expect(['ok', isFull ? 'DISK_FULL' : 'OVERLOADED']).toContain(await outcome(run(log)));
    expect(failures).toEqual([]);
    // What a crash leaves at this moment, and what an orderly close and a look again find.
    const crashed = await openTestDisk({ dataDir: crashCopy(dataDir) });
    expect(crashed.disk.start.restartClass).toBe('warm');
    expect((await crashed.disk.openPartition(TOPIC, 0, OPTIONS)).recovery.damage).toBeNull();
    short.refused.clear();
    clock.advance(1000);
    await until(() => disk.shortage() === null);
    await log.close();
    const again = await disk.openPartition(TOPIC, 0, OPTIONS);
    expect(again.recovery.damage).toBeNull();
    const { endOffset } = again.recovery.state;
    const next = frames(endOffset, endOffset + 2, { epoch: 2 });
    await again.append(bytesOf(next), headersOf(next));
    await disk.markClean();
    expect(failures).toEqual([]);
  });

  it('opens logs later, when it cannot now', async () => {
    const { short, disk, failures } = await scene();
    short.code = code;
    short.refused.add(call);
    await outcome(disk.openPartition(TOPIC, 1, OPTIONS));
    short.refused.clear();
    expect(failures).toEqual([]);
  });

  it('flushes later, when it cannot now', async () => {
    const { short, disk, failures, clock } = await scene();
    short.code = code;
    short.refused.add(call);
    clock.advance(1000);
    for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
    short.refused.clear();
    clock.advance(1000);
    await disk.markClean();
    expect(failures).toEqual([]);
  });
});

describe('a retirement that could not be journalled', () => {
  it('removes no file by a start of which the journal does not know', async () => {
    const { short, log, disk, dataDir } = await scene();
    short.refused.add('writev');
    await log.retire(7, 1);
    await log.close();
    expect(await outcome(disk.openPartition(TOPIC, 0, OPTIONS))).toBe('DISK_FULL');
    const crashed = await openTestDisk({ dataDir: crashCopy(dataDir) });
    expect((await crashed.disk.openPartition(TOPIC, 0, OPTIONS)).recovery).toMatchObject({
      state: { startOffset: 0, endOffset: 10 },
      damage: null,
    });
    short.refused.clear();
    const again = await disk.openPartition(TOPIC, 0, OPTIONS);
    expect(again.recovery).toMatchObject({
      state: { startOffset: 7, endOffset: 10 },
      damage: null,
    });
  });
});
