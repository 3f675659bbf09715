/** Orders to compact, carried out on files (K1 to K3, K8 to K10, P9). */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SlicedBackground } from '../../../../broker/background/sliced.ts';
import type { PartitionLog } from '../../../../broker/runtime/ports.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import type { FileSystem } from '../../../../broker/storage/file-system.ts';
import { checkDirectory } from '../../../../broker/storage/verify/directory-check.ts';
import type { PartitionReport } from '../../../../broker/storage/verify/partition-check.ts';
import { Random } from '../../../../base/random.ts';
import { endOffsetOf } from '../../../../wire/batch/frame.ts';
import { framesOf } from '../../../fixtures/frames.ts';
import {
  contentOf,
  drawLog,
  expectedContent,
  isGapHeader,
  keyedFrame,
} from '../../../fixtures/keyed-log.ts';
import {
  bytesOf,
  crashCopy,
  fileSystemWith,
  headersOf,
  ioError,
  LOG_OPTIONS,
  startTestDisk,
  type TestDisk,
  type TestFrame,
  TOPIC,
  until,
} from './fixture.ts';

const SMALL = { ...LOG_OPTIONS, segmentBytes: 4_000 };
const MERGING = { ...LOG_OPTIONS, segmentBytes: 2_000, mergesSegments: true };
const COMPACTION = {
  background: new SlicedBackground({
    drawSeed: () => [1, 2, 3, 4],
    memoryBytes: 1 << 20,
    turn: () => Promise.resolve(),
  }),
  bytesPerSecond: 1e9,
};

interface Opened extends TestDisk {
  readonly log: PartitionLog;
}

async function open(
  options: Parameters<typeof startTestDisk>[0] = {},
  logOptions = SMALL,
): Promise<Opened> {
  const opened = await startTestDisk({ compaction: COMPACTION, ...options });
  return { ...opened, log: await opened.disk.openPartition(TOPIC, 0, logOptions) };
}

/** Appends all, and has them synced. */
async function fill({ log, clock, disk }: Opened, frames: readonly TestFrame[]): Promise<void> {
  for (const frame of frames) await log.append([frame.bytes], [frame.header]);
  const end = endOffsetOf(frames.at(-1)!.header);
  const isSynced = new Promise<void>((resolve) => {
    disk.onSynced((_topic, _partition, offset) => {
      if (offset === end) resolve();
    });
  });
  clock.advance(1_000);
  await isSynced;
}

async function readAll(log: PartitionLog, from: number, end: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for (let offset = from; offset < end; ) {
    const read = await log.read(offset, end, 500);
    if (read.nextOffset <= offset) throw new Error(`nothing is read at ${offset}`);
    frames.push(...framesOf(read).map(({ bytes }) => bytes));
    offset = read.nextOffset;
  }
  return frames;
}

/** Few keys, one epoch, a few segments of {@link SMALL}. */
function someFrames(count = 200): TestFrame[] {
  return Array.from({ length: count }, (_, at) =>
    keyedFrame(at, [{ key: `k${at % 7}`, value: `value ${at}` }]),
  );
}

const folderOf = ({ dataDir }: TestDisk): string => `${dataDir}/partitions/${TOPIC}-0`;

describe('FilePartitionLog.compact()', () => {
  it('leaves what the rule says, also after a restart, and log verify finds no fault', async () => {
    for (let seed = 1; seed <= 6; seed += 1) {
      const random = new Random(seed);
      const frames = drawLog(random, 150, [0, 1]);
      const end = endOffsetOf(frames.at(-1)!.header);
      const opened = await open();
      await fill(opened, frames);
      const upTo = 1 + random.below(end);
      const order = {
        upTo,
        tombstonesBelow: random.below(upTo + 1),
        producersBelow: random.below(upTo + 1),
      };
      const outcome = await opened.log.compact(order);
      expect(outcome).toMatchObject({ isComplete: true, bytesAfter: opened.log.sizeBytes() });
      expect(outcome.bytesAfter).toBeLessThan(outcome.bytesBefore);
      const expected = expectedContent(frames, order);
      expect(contentOf(await readAll(opened.log, 0, end))).toEqual(expected);
      const copy = crashCopy(opened.dataDir);
      const reports: PartitionReport[] = [];
      await checkDirectory({ path: copy, onPartition: (report) => reports.push(report) });
      expect(reports[0]!.findings.list.filter(({ grade }) => grade === 'fault')).toEqual([]);
      expect(reports[0]).toMatchObject({ startOffset: 0, endOffset: end });
      const again = await open({ dataDir: copy });
      expect(again.log.recovery).toMatchObject({
        state: { endOffset: end, compacted: order },
        damage: null,
      });
      expect(contentOf(await readAll(again.log, 0, end))).toEqual(expected);
      expect(await again.log.compact(order)).toMatchObject({ isComplete: true });
    }
  });

  it('takes appends, reads and flushes beside it, and reads the new file from then on', async () => {
    const opened = await open({ tailCacheBytes: 0 });
    const frames = someFrames();
    await fill(opened, frames);
    const { log } = opened;
    const order = { upTo: 190, tombstonesBelow: 0, producersBelow: 0 };
    const done = log.compact(order);
    let isDone = false;
    void done.then(() => (isDone = true));
    let end = 200;
    const more: TestFrame[] = [];
    while (!isDone) {
      const next = keyedFrame(end, [{ key: 'k1', value: 'later' }]);
      more.push(next);
      await log.append([next.bytes], [next.header]);
      end += 1;
      const found = contentOf(await readAll(log, 0, end));
      expect(found.at(-1)).toContain('k1 = later');
    }
    await done;
    expect(contentOf(await readAll(log, 0, end))).toEqual(
      expectedContent([...frames, ...more], order),
    );
  });

  it('serves a position inside a gap a cut one', async () => {
    const opened = await open({ tailCacheBytes: 0 });
    await fill(opened, someFrames());
    const order = { upTo: 200, tombstonesBelow: 0, producersBelow: 0 };
    await opened.log.compact(order);
    for (const from of [0, 1, 50, 120, 192]) {
      const { chunks, nextOffset } = await opened.log.read(from, 200, 1);
      const [first] = framesOf({ chunks });
      expect(first!.header.baseOffset, `${from}`).toBe(from);
      expect(isGapHeader(first!.header)).toBe(true);
      expect(nextOffset).toBe(endOffsetOf(first!.header));
      expect(contentOf(chunks)).toEqual([
        expect.stringMatching(`^gap ${from}-${nextOffset} of 1, `),
      ]);
    }
  });

  it('finds times, headers and producers as before', async () => {
    const opened = await open({ tailCacheBytes: 0 });
    const frames = someFrames();
    await fill(opened, frames);
    await opened.log.compact({ upTo: 200, tombstonesBelow: 0, producersBelow: 0 });
    // 193 to 199 are the last of their keys.
    expect(await opened.log.offsetForTimestamp(0, 200)).toBe(193);
    expect(await opened.log.offsetForTimestamp(1_196, 200)).toBe(196);
    const headers = await opened.log.headers(100);
    expect(headers.at(-1)!.baseOffset).toBe(199);
    expect(
      headers.every((each, at) => at === 0 || each.baseOffset === endOffsetOf(headers[at - 1]!)),
    ).toBe(true);
  });

  it('refuses an order above the synced offset, or below one before it', async () => {
    const opened = await open();
    const frames = someFrames(20);
    await opened.log.append(bytesOf(frames), headersOf(frames));
    const order = { upTo: 10, tombstonesBelow: 5, producersBelow: 0 };
    await expect(opened.log.compact(order)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    const more = [keyedFrame(20, [{ key: 'k', value: 'v' }])];
    await fill(opened, more);
    await opened.log.compact(order);
    for (const wrong of [
      { ...order, upTo: 9 },
      { ...order, tombstonesBelow: 4 },
      { ...order, upTo: 22 },
      { ...order, tombstonesBelow: 11 },
      { ...order, producersBelow: 11 },
      { ...order, upTo: 10.5 },
    ])
      await expect(opened.log.compact(wrong), JSON.stringify(wrong)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
  });

  it('waits for space beyond the reserve, writes nothing, and goes on when there is some', async () => {
    let freeBytes = 1e9;
    const files = fileSystemWith({
      volume: () => Promise.resolve({ type: 1, freeBytes, totalBytes: 1e12 }),
    });
    const opened = await open({ files, reserveBytes: 0 });
    const frames = someFrames();
    await fill(opened, frames);
    freeBytes = 100;
    opened.clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const order = { upTo: 200, tombstonesBelow: 0, producersBelow: 0 };
    const outcome = await opened.log.compact(order);
    expect(outcome).toMatchObject({ isComplete: false, waitsFor: 'space' });
    expect(outcome.bytesNeeded).toBeGreaterThan(3_000);
    expect(outcome.bytesAfter).toBe(outcome.bytesBefore);
    expect(readdirSync(folderOf(opened)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    freeBytes = 1e9;
    opened.clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await opened.log.compact(order)).toMatchObject({ isComplete: true });
    expect(contentOf(await readAll(opened.log, 0, 200))).toEqual(expectedContent(frames, order));
  });

  it.each([
    ['ENOSPC', 'space'],
    ['EMFILE', 'descriptors'],
  ] as const)('takes %s in the middle for a state, and leaves no file', async (code, waitsFor) => {
    let isShort = false;
    const strike = (path: string): void => {
      if (isShort && path.endsWith('.log.tmp')) throw ioError(code);
    };
    const files: FileSystem = fileSystemWith({
      open: async (path, mode) => {
        strike(path);
        return await nodeFileSystem.open(path, mode);
      },
    });
    const opened = await open({ files });
    const frames = someFrames();
    await fill(opened, frames);
    isShort = true;
    const order = { upTo: 200, tombstonesBelow: 0, producersBelow: 0 };
    expect(await opened.log.compact(order)).toMatchObject({ isComplete: false, waitsFor });
    isShort = false;
    await opened.log.append(
      [keyedFrame(200, [{ key: 'k', value: 'v' }]).bytes],
      [keyedFrame(200, [{ key: 'k', value: 'v' }]).header],
    );
    expect(await opened.log.compact(order)).toMatchObject({ isComplete: true });
  });

  it('never writes over damage: it tells, and the file stays as it is', async () => {
    const opened = await open({ tailCacheBytes: 0 });
    await fill(opened, someFrames());
    const [, second] = readdirSync(folderOf(opened))
      .filter((name) => name.endsWith('.log'))
      .sort();
    const path = `${folderOf(opened)}/${second}`;
    const bytes = readFileSync(path);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(path, bytes);
    const order = { upTo: 200, tombstonesBelow: 0, producersBelow: 0 };
    await expect(opened.log.compact(order)).rejects.toMatchObject({ code: 'DATA_CORRUPT' });
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  it('journals the order before the first segment changes', async () => {
    const states: string[] = [];
    const renamed: string[] = [];
    const files = fileSystemWith({
      rename: async (from, to) => {
        if (to.endsWith('.log')) {
          renamed.push(to);
          states.push(readFileSync(`${opened.dataDir}/checkpoint.json`, 'utf8'));
        }
        await nodeFileSystem.rename(from, to);
      },
    });
    const opened = await open({ files });
    await fill(opened, someFrames());
    await opened.log.compact({ upTo: 199, tombstonesBelow: 17, producersBelow: 3 });
    expect(renamed.length).toBeGreaterThan(3);
    expect(renamed).toEqual(renamed.toSorted());
    for (const state of states) expect(state).toContain('[199,17,3,0]');
  });

  it('gives way to retirement, truncation, reset and close', async () => {
    const order = { upTo: 150, tombstonesBelow: 0, producersBelow: 0 };
    const frames = someFrames();
    const start = async (): Promise<Opened> => {
      const opened = await open();
      await fill(opened, frames);
      return opened;
    };
    const retired = await start();
    const first = retired.log.segments()[0]!.endOffset;
    const [outcome] = await Promise.all([retired.log.compact(order), retired.log.retire(first, 1)]);
    expect(outcome.isComplete).toBe(true);
    const left = contentOf(await readAll(retired.log, first, 200), first);
    expect(left.slice(1)).toEqual(expectedContent(frames, order).slice(1));
    const cut = await start();
    const cutting = cut.log.compact(order);
    await cut.log.truncate(60, false);
    expect((await cutting).isComplete).toBe(false);
    expect(endOffsetOf(framesOf({ chunks: await readAll(cut.log, 0, 60) }).at(-1)!.header)).toBe(
      60,
    );
    const reset = await start();
    const resetting = reset.log.compact(order);
    await reset.log.reset({ offset: 7, epoch: 1, retiredTo: 7 });
    expect((await resetting).isComplete).toBe(false);
    const closed = await start();
    const closing = closed.log.compact(order);
    await new Promise((resolve) => setImmediate(resolve));
    await closed.log.close();
    expect((await closing).isComplete).toBe(false);
    for (const opened of [retired, cut, reset, closed])
      expect(readdirSync(folderOf(opened)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('takes no file that retention is about to remove for a failure', async () => {
    let onRead: (path: string) => void = () => {};
    const files = goneForLong((path) => {
      onRead(path);
    });
    const opened = await open({ files });
    await fill(opened, someFrames());
    const [, second, third] = opened.log.segments();
    let retiring: Promise<void> | undefined;
    onRead = (path) => {
      if (path.endsWith('.log')) retiring ??= opened.log.retire(third!.endOffset, 1);
    };
    const order = { upTo: 150, tombstonesBelow: 0, producersBelow: 0 };
    expect(await opened.log.compact(order)).toMatchObject({ isComplete: true });
    await retiring;
    expect(opened.log.segments()[0]!.startOffset).toBeGreaterThan(second!.startOffset);
  });

  it('removes at a start what an interrupted pass has left', async () => {
    const opened = await open();
    await fill(opened, someFrames(20));
    const copy = crashCopy(opened.dataDir);
    const path = `${copy}/partitions/${TOPIC}-0/00000000000000000000.log.tmp`;
    writeFileSync(path, 'half a file');
    await open({ dataDir: copy });
    expect(existsSync(path)).toBe(false);
    expect(statSync(path.replace('.tmp', '')).size).toBeGreaterThan(0);
  });
});

/** Of some frames, below an X that leaves segments above it: one that is compacted, not merged. */
/** A file that is removed is gone for a while before its remover knows. */
function goneForLong(onOpen: (path: string) => void = () => {}): FileSystem {
  return fileSystemWith({
    open: async (path, mode) => {
      onOpen(path);
      return await nodeFileSystem.open(path, mode);
    },
    remove: async (path) => {
      await nodeFileSystem.remove(path);
      await new Promise((resolve) => setTimeout(resolve, 50));
    },
  });
}

async function openCompacted(options: Parameters<typeof open>[0] = {}): Promise<Opened> {
  const opened = await open({ tailCacheBytes: 0, ...options }, MERGING);
  await fill(opened, someFrames());
  await opened.log.compact(ORDER);
  return opened;
}

const ORDER = { upTo: 150, tombstonesBelow: 0, producersBelow: 0 };
const EXPECTED = expectedContent(someFrames(), ORDER);

function filesOf(opened: Pick<Opened, 'dataDir'>): string[] {
  const folder = `${opened.dataDir}/partitions/${TOPIC}-0`;
  return readdirSync(folder).sort();
}

const logsOf = (opened: Pick<Opened, 'dataDir'>): string[] =>
  filesOf(opened).filter((name) => name.endsWith('.log'));

async function findingsOf(dataDir: string): Promise<string[]> {
  const reports: PartitionReport[] = [];
  await checkDirectory({ path: dataDir, onPartition: (report) => reports.push(report) });
  return reports[0]!.findings.list.map(({ grade, found }) => `${grade}: ${found}`);
}

describe('FilePartitionLog.merge()', () => {
  it('merges what stands below X, byte for byte, and a restart and log verify agree', async () => {
    const opened = await openCompacted();
    const { log } = opened;
    const before = log.segments();
    const frames = (await readAll(log, 0, 200)).filter((bytes) => bytes.length > 68);
    const outcome = await log.merge();
    const after = log.segments();
    expect(outcome).toMatchObject({
      segments: after.length,
      removed: before.length - after.length,
    });
    expect(outcome.removed).toBeGreaterThan(2);
    const above = before.filter(({ endOffset }) => endOffset > 150);
    expect(after.slice(1)).toEqual(above);
    expect(after[0]).toMatchObject({ startOffset: 0, endOffset: above[0]!.startOffset });
    expect(logsOf(opened)).toHaveLength(after.length);
    expect((await readAll(log, 0, 200)).filter((bytes) => bytes.length > 68)).toEqual(frames);
    expect(contentOf(await readAll(log, 0, 200))).toEqual(EXPECTED);
    expect(await log.merge()).toMatchObject({ removed: 0, bytes: 0 });
    const copy = crashCopy(opened.dataDir);
    expect(await findingsOf(copy)).toEqual([]);
    const again = await open({ dataDir: copy }, MERGING);
    expect(again.log.segments()).toEqual(after);
    expect(again.log.recovery.damage).toBeNull();
    expect(contentOf(await readAll(again.log, 0, 200))).toEqual(EXPECTED);
    expect(await again.log.offsetForTimestamp(1_150, 200)).toBe(150);
  });

  it('leaves all as it is where the options do not ask, or nothing was compacted', async () => {
    const silent = await openCompacted();
    silent.log.configure(SMALL);
    const files = filesOf(silent);
    expect(await silent.log.merge()).toMatchObject({ removed: 0 });
    expect(filesOf(silent)).toEqual(files);
    silent.log.configure(MERGING);
    expect((await silent.log.merge()).removed).toBeGreaterThan(2);
    const whole = await open({}, MERGING);
    await fill(whole, someFrames());
    expect(await whole.log.merge()).toMatchObject({ removed: 0 });
  });

  it('takes appends, reads and flushes beside it', async () => {
    const opened = await openCompacted();
    const { log } = opened;
    let isDone = false;
    const done = log.merge().then(({ removed }) => {
      isDone = true;
      return removed;
    });
    let [end, looks] = [200, 0];
    while (!isDone) {
      const next = keyedFrame(end, [{ key: 'k1', value: 'later' }]);
      await log.append([next.bytes], [next.header]);
      end += 1;
      looks += 1;
      expect(contentOf(await readAll(log, 0, end)).slice(0, EXPECTED.length - 2)).toEqual(
        EXPECTED.slice(0, -2),
      );
    }
    expect(await done).toBeGreaterThan(2);
    expect(looks).toBeGreaterThan(1);
  });

  it('leaves, wherever it ends, the old files or the new one', async () => {
    const copies: string[] = [];
    let isOn = false;
    const look = (path: string): void => {
      if (isOn && path.endsWith('.log')) copies.push(crashCopy(opened.dataDir));
    };
    const files = fileSystemWith({
      rename: async (from, to) => {
        look(to);
        await nodeFileSystem.rename(from, to);
        look(to);
      },
      remove: async (path) => {
        await nodeFileSystem.remove(path);
        look(path);
      },
    });
    const opened: Opened = await openCompacted({ files });
    const before = logsOf(opened);
    isOn = true;
    await opened.log.merge();
    isOn = false;
    expect(copies.length).toBeGreaterThan(4);
    for (const [at, dataDir] of copies.entries()) {
      const isRenamed = at > 0;
      const left = isRenamed ? before.length - at + 1 : before.length;
      expect(logsOf({ dataDir }), `${at}`).toHaveLength(left);
      const findings = await findingsOf(dataDir);
      expect(findings.filter((found) => found.startsWith('fault'))).toEqual([]);
      const leftOver = findings.filter((found) => found.includes('it was merged into'));
      expect(leftOver).toHaveLength(isRenamed ? left - logsOf(opened).length : 0);
      const again = await open({ dataDir }, MERGING);
      expect(again.log.recovery.damage).toBeNull();
      expect(contentOf(await readAll(again.log, 0, 200)), `${at}`).toEqual(EXPECTED);
      expect(logsOf({ dataDir })).toEqual(isRenamed ? logsOf(opened) : before);
      expect(filesOf({ dataDir })).not.toContain('aside');
    }
  });

  it('waits for space beyond the reserve, and writes nothing', async () => {
    let freeBytes = 1e9;
    const files = fileSystemWith({
      volume: () => Promise.resolve({ type: 1, freeBytes, totalBytes: 1e12 }),
    });
    const opened = await openCompacted({ files, reserveBytes: 0 });
    const { disk, clock, log } = opened;
    const looked = async (bytes: number): Promise<void> => {
      freeBytes = bytes;
      clock.advance(1_000);
      await until(() => disk.freeBytes() <= bytes && disk.freeBytes() > bytes - 1e6);
    };
    await looked(100);
    const before = filesOf(opened);
    const outcome = await log.merge();
    expect(outcome).toMatchObject({ removed: 0, waitsFor: 'space' });
    const below = log.segments().filter(({ endOffset }) => endOffset <= 150);
    expect(outcome.bytesNeeded).toBe(below.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(filesOf(opened)).toEqual(before);
    await looked(1e9);
    expect((await log.merge()).removed).toBe(below.length - 1);
  });

  it('leaves a file that begins below the log start to go as a whole', async () => {
    const opened = await openCompacted();
    const { log } = opened;
    const [first, second] = log.segments();
    const middle = first!.startOffset + 1;
    await log.retire(middle, 1);
    await log.merge();
    expect(log.segments()[0]).toEqual(first);
    expect(log.segments()[1]!.startOffset).toBe(second!.startOffset);
    await log.retire(second!.startOffset, 1);
    expect(log.segments()[0]!.startOffset).toBe(second!.startOffset);
  });

  it('gives way to truncation, reset, retirement and close', async () => {
    const cut = await openCompacted();
    const cutting = cut.log.merge();
    await cut.log.truncate(120, false);
    expect((await cutting).removed).toBe(0);
    const reset = await openCompacted();
    const resetting = reset.log.merge();
    await reset.log.reset({ offset: 7, epoch: 1, retiredTo: 7 });
    expect((await resetting).removed).toBe(0);
    const retired = await openCompacted();
    const to = retired.log.segments()[1]!.endOffset;
    const [outcome] = await Promise.all([retired.log.merge(), retired.log.retire(to, 1)]);
    expect(outcome.removed).toBeGreaterThan(0);
    expect(retired.log.segments()[0]!.startOffset).toBe(to);
    const closed = await openCompacted();
    const closing = closed.log.merge();
    await new Promise((resolve) => setImmediate(resolve));
    await closed.log.close();
    expect((await closing).removed).toBe(0);
    for (const opened of [cut, reset, retired, closed])
      expect(filesOf(opened).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('takes no file that retention is about to remove for a failure', async () => {
    const opened = await openCompacted({ files: goneForLong() });
    const to = opened.log.segments()[1]!.endOffset;
    const [outcome] = await Promise.all([opened.log.merge(), opened.log.retire(to, 1)]);
    expect(outcome.removed).toBeGreaterThan(0);
    expect(opened.log.segments()[0]!.startOffset).toBe(to);
  });

  it('has the log opened again where a file that was merged cannot be removed', async () => {
    let isShort = false;
    const files = fileSystemWith({
      remove: async (path) => {
        if (isShort && path.endsWith('.log')) throw ioError('ENOSPC');
        await nodeFileSystem.remove(path);
      },
    });
    const opened = await openCompacted({ files });
    isShort = true;
    await opened.log.merge();
    const next = keyedFrame(200, [{ key: 'k', value: 'v' }]);
    await expect(opened.log.append([next.bytes], [next.header])).rejects.toMatchObject({
      code: 'DISK_FULL',
    });
    isShort = false;
    await opened.log.close();
    const log = await opened.disk.openPartition(TOPIC, 0, MERGING);
    expect(contentOf(await readAll(log, 0, 200))).toEqual(EXPECTED);
    expect(logsOf(opened)).toHaveLength(log.segments().length);
    expect(filesOf(opened)).not.toContain('aside');
  });
});
