import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readHeader, frameLength } from '../../../../wire/batch/frame.ts';
import { BrokerError } from '../../../../base/errors.ts';
import type { LogRead, PartitionLog } from '../../../../broker/runtime/ports.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import {
  bytesOf,
  control,
  fileSystemWith,
  frame,
  frames,
  headersOf,
  ioError,
  LOG_OPTIONS,
  startTestDisk,
  TOPIC,
  until,
} from './fixture.ts';
import type { TestFrame } from './fixture.ts';

function append(log: PartitionLog, list: readonly TestFrame[]): Promise<void> {
  return log.append(bytesOf(list), headersOf(list));
}

function offsetsOf(read: LogRead): number[] {
  const offsets: number[] = [];
  for (const chunk of read.chunks) {
    for (let at = 0; at < chunk.length; at += frameLength(chunk, at))
      offsets.push(readHeader(chunk, at).baseOffset);
  }
  return offsets;
}

async function readAll(log: PartitionLog, from: number, upTo: number): Promise<number[]> {
  const offsets: number[] = [];
  for (let next = from; next < upTo; ) {
    const read = await log.read(next, upTo, 1 << 16);
    if (read.nextOffset === next) break;
    offsets.push(...offsetsOf(read));
    next = read.nextOffset;
  }
  return offsets;
}

function codeOf(error: unknown): string {
  return error instanceof BrokerError ? error.code : String(error);
}

const outcome = (promise: Promise<unknown>): Promise<string> => promise.then(() => 'ok', codeOf);

describe('FilePartitionLog.append', () => {
  it('sends everything that queued behind a write in one writev', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const sizes: number[] = [];
    const files = fileSystemWith({
      async writev(file, buffers, position) {
        if (buffers[0]?.[24] === 1) {
          sizes.push(buffers.length);
          if (sizes.length === 1) await held;
        }
        return await nodeFileSystem.writev(file, buffers, position);
      },
    });
    const { disk } = await startTestDisk({ files });
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    const first = append(log, frames(0, 1));
    await until(() => sizes.length === 1);
    const rest = [1, 2, 3].map((offset) => append(log, frames(offset, offset + 1)));
    expect(log.read(0, 4, 1000)).toEqual({ chunks: [], nextOffset: 0 });
    release();
    await Promise.all([first, ...rest]);
    expect(sizes).toEqual([1, 3]);
  });

  it('completes short writes', async () => {
    const files = fileSystemWith({
      writev: (file, buffers, position) =>
        nodeFileSystem.writev(
          file,
          (buffers[0]?.length ?? 0) > 1000
            ? buffers
            : [buffers[0]?.subarray(0, 7) ?? new Uint8Array(1)],
          position,
        ),
    });
    const { disk } = await startTestDisk({ files, tailCacheBytes: 0 });
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 5));
    expect(await readAll(log, 0, 5)).toEqual([0, 1, 2, 3, 4]);
  });

  it('rejects this and every later change after an I/O error, and reports it once', async () => {
    let isBroken = false;
    const files = fileSystemWith({
      writev: (file, buffers, position) =>
        isBroken && buffers[0]?.[24] === 1
          ? Promise.reject(ioError('EIO'))
          : nodeFileSystem.writev(file, buffers, position),
    });
    const { disk } = await startTestDisk({ files });
    const failures: string[] = [];
    disk.onFailure((error) => failures.push(codeOf(error)));
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 2));
    isBroken = true;
    const lost = append(log, frames(2, 3));
    const behind = append(log, frames(3, 4));
    expect(await Promise.all([outcome(lost), outcome(behind)])).toEqual([
      'STORAGE_FAILED',
      'STORAGE_FAILED',
    ]);
    isBroken = false;
    expect(await outcome(append(log, frames(2, 3)))).toBe('STORAGE_FAILED');
    expect(await outcome(log.truncate(0, false))).toBe('STORAGE_FAILED');
    expect(failures).toEqual(['STORAGE_FAILED']);
    expect(await readAll(log, 0, 2)).toEqual([0, 1]);
    expect(await outcome(disk.markClean())).toBe('STORAGE_FAILED');
  });

  it('refuses when the reserve is reached, keeps reading and retiring, and takes appends again when there is space', async () => {
    let freeBytes = 10_000;
    const files = fileSystemWith({
      volume: () => Promise.resolve({ type: 1, freeBytes, totalBytes: 2 ** 40 }),
    });
    const { disk, clock } = await startTestDisk({ files, reserveBytes: 9_000 });
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 2));
    expect(await outcome(append(log, [frame(2, { payloadBytes: 900 })]))).toBe('DISK_FULL');
    expect(await outcome(append(log, frames(3, 4)))).toBe('DISK_FULL');
    expect(await readAll(log, 0, 2)).toEqual([0, 1]);
    expect(await outcome(log.retire(1, 1))).toBe('ok');
    freeBytes = 100_000;
    clock.advance(1000);
    await until(() => disk.freeBytes() > 1000);
    await append(log, frames(2, 4));
    expect(await readAll(log, 1, 4)).toEqual([1, 2, 3]);
  });

  it('cuts off what was written when the disk is full in the middle of a write', async () => {
    let left = Number.POSITIVE_INFINITY;
    const files = fileSystemWith({
      async writev(file, buffers, position) {
        if (buffers[0]?.[24] !== 1 && left > 0)
          return await nodeFileSystem.writev(file, buffers, position);
        if (left === 0) throw ioError('ENOSPC');
        const part = (buffers[0] ?? new Uint8Array(0)).subarray(0, left);
        left = left === Number.POSITIVE_INFINITY ? left : 0;
        return await nodeFileSystem.writev(file, left === 0 ? [part] : buffers, position);
      },
    });
    const { disk, clock } = await startTestDisk({ files });
    const failures: unknown[] = [];
    disk.onFailure((error) => failures.push(error));
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 2));
    left = 50;
    expect(await outcome(append(log, frames(2, 3)))).toBe('DISK_FULL');
    left = Number.POSITIVE_INFINITY;
    expect(disk.shortage()).toContain('below its reserve');
    clock.advance(1000);
    await until(() => disk.shortage() === null);
    await append(log, frames(2, 5));
    expect(failures).toEqual([]);
    expect((await log.headers(0)).map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('FilePartitionLog.read', () => {
  it('answers from memory at once, without a copy', async () => {
    const { disk } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    const list = frames(0, 3);
    await append(log, list);
    const read = log.read(1, 3, 1 << 20) as LogRead;
    expect(read.chunks[0]).toBe(list[1]?.bytes);
    expect(read.nextOffset).toBe(3);
  });

  it.each([
    { from: 0, upTo: 12, bytesMax: 1, next: 3 },
    { from: 4, upTo: 12, bytesMax: 1, next: 6 },
    { from: 3, upTo: 12, bytesMax: 216, next: 9 },
    { from: 3, upTo: 12, bytesMax: 215, next: 6 },
    { from: 3, upTo: 11, bytesMax: 10_000, next: 9 },
    { from: 3, upTo: 4, bytesMax: 10_000, next: 3 },
    { from: 12, upTo: 12, bytesMax: 10_000, next: 12 },
  ])(
    'reads whole frames from $from up to $upTo within $bytesMax bytes, from memory and from disk alike',
    async ({ from, upTo, bytesMax, next }) => {
      for (const tailCacheBytes of [0, 1 << 20]) {
        const { disk } = await startTestDisk({ tailCacheBytes });
        const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
        await append(
          log,
          [0, 3, 6, 9].map((offset) => frame(offset, { records: 3 })),
        );
        expect((await log.read(from, upTo, bytesMax)).nextOffset).toBe(next);
      }
    },
  );

  it('rejects offsets outside the log with both bounds', async () => {
    const { disk } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 4));
    await log.retire(2, 1);
    await expect(log.read(1, 4, 100)).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
      details: { logStart: 2, logEnd: 4 },
    });
    await expect(log.read(5, 9, 100)).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  });
});

describe('FilePartitionLog.retire', () => {
  it('rolls by size, lists sealed segments, and removes those below the new start', async () => {
    const { disk, dataDir } = await startTestDisk({ tailCacheBytes: 0 });
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentBytes: 300 });
    for (let offset = 0; offset < 8; offset += 1) await append(log, frames(offset, offset + 1));
    expect(log.segments().slice(0, -1)).toEqual([
      { startOffset: 0, endOffset: 2, bytes: 216, maxTimestampMs: 1001 },
      { startOffset: 2, endOffset: 4, bytes: 216, maxTimestampMs: 1003 },
      { startOffset: 4, endOffset: 6, bytes: 216, maxTimestampMs: 1005 },
    ]);
    await log.retire(5, 1);
    expect(
      log
        .segments()
        .slice(0, -1)
        .map(({ startOffset }) => startOffset),
    ).toEqual([4]);
    expect(log.sizeBytes()).toBe(4 * 108);
    expect(
      readdirSync(join(dataDir, 'partitions', `${TOPIC}-0`)).filter((name) =>
        name.endsWith('.log'),
      ),
    ).toHaveLength(2);
    await log.retire(3, 1);
    expect(await readAll(log, 5, 8)).toEqual([5, 6, 7]);
  });

  it('begins a new segment where it is retired to its end, and goes on there', async () => {
    const { disk, dataDir } = await startTestDisk({ tailCacheBytes: 0 });
    let log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 4));
    await log.retire(4, 1);
    const names = readdirSync(join(dataDir, 'partitions', `${TOPIC}-0`));
    expect(names.filter((name) => name.endsWith('.log'))).toEqual([`${'4'.padStart(20, '0')}.log`]);
    expect(log.sizeBytes()).toBe(0);
    await append(log, frames(4, 6));
    await log.close();
    log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(log.recovery).toMatchObject({ damage: null, state: { startOffset: 4, endOffset: 6 } });
    expect(await readAll(log, 4, 6)).toEqual([4, 5]);
  });

  it('rolls by age', async () => {
    const { disk, clock } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentMs: 5000 });
    await append(log, frames(0, 1));
    clock.advance(4999);
    await append(log, frames(1, 2));
    clock.advance(1);
    await append(log, frames(2, 3));
    expect(
      log
        .segments()
        .slice(0, -1)
        .map(({ endOffset }) => endOffset),
    ).toEqual([2]);
  });

  it.each([-1, 1])('rolls by age, not by the wall clock: %i month', async (months) => {
    const { disk, clock } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentMs: 5000 });
    await append(log, frames(0, 1));
    clock.originMs += months * 30 * 86_400_000;
    clock.advance(4999);
    await append(log, frames(1, 2));
    clock.advance(1);
    await append(log, frames(2, 3));
    expect(
      log
        .segments()
        .slice(0, -1)
        .map(({ endOffset }) => endOffset),
    ).toEqual([2]);
  });
});

describe('FilePartitionLog.offsetForTimestamp', () => {
  it('finds the first batch at or after a timestamp, across segments and above the log start', async () => {
    const { disk } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentBytes: 300 });
    const times = [10, 30, 20, 40, 40, 60];
    for (const [offset, timestampMs] of times.entries())
      await append(log, [frame(offset, { timestampMs })]);
    const find = (timestampMs: number, upTo = 6): Promise<number | null> =>
      log.offsetForTimestamp(timestampMs, upTo);
    expect(
      await Promise.all([find(0), find(11), find(31), find(41), find(61), find(41, 5)]),
    ).toEqual([0, 1, 3, 5, null, null]);
    await log.retire(2, 1);
    expect(await find(0)).toBe(2);
  });
});

describe('FilePartitionLog.offsetForTimestamp, with control batches,', () => {
  it('names batches of records alone, from any place on', async () => {
    const { disk } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentBytes: 300 });
    // Of time 1, as an epoch start in this fixture is.
    await append(log, [control(0, 1, 0)]);
    for (const [at, timestampMs] of [0, 20, 30].entries())
      await append(log, [frame(at + 1, { timestampMs })]);
    expect(await log.offsetForTimestamp(1, 4)).toBe(2);
    expect(await log.offsetForTimestamp(1, 2)).toBeNull();
    expect(await log.offsetForTimestamp(1, 4, 3)).toBe(3);
  });
});

describe('FilePartitionLog.truncate', () => {
  it('cuts a batch as a whole, says where the log ends now, and takes appends there', async () => {
    const { disk } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, [frame(0, { records: 3 }), frame(3, { records: 4 })]);
    expect(await log.truncate(5, false)).toBe(3);
    await append(log, [frame(3, { epoch: 2 })]);
    expect(await log.truncate(9, false)).toBe(4);
    await log.close();
    const reopened = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(reopened.recovery).toMatchObject({ damage: null, state: { endOffset: 4 } });
  });

  it('keeps the cut bytes aside when asked', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 4));
    await log.truncate(2, true);
    const aside = join(dataDir, 'partitions', `${TOPIC}-0`, 'aside');
    expect(readdirSync(aside)).toHaveLength(1);
  });
});

describe('FilePartitionLog, of what may stand in no other log,', () => {
  /** Three full segments and one more, 0 to 7, with the producers saved as of the end. */
  async function written() {
    const { disk, dataDir } = await startTestDisk({ tailCacheBytes: 0 });
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentBytes: 300 });
    for (let offset = 0; offset < 8; offset += 1) await append(log, frames(offset, offset + 1));
    log.saveSnapshot(8, 1, 'producers');
    const folder = join(dataDir, 'partitions', `${TOPIC}-0`);
    const aside = (): number =>
      readdirSync(join(folder, 'aside')).reduce(
        (sum, name) => sum + statSync(join(folder, 'aside', name)).size,
        0,
      );
    return { disk, log, aside };
  }

  it('keeps the bytes below a start that no retention reached, and no table that speaks of them', async () => {
    const { disk, log, aside } = await written();

    await log.retire(4, 1, true);
    await log.close();

    expect(aside()).toBe(4 * 108);
    const { recovery } = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(recovery).toMatchObject({ snapshot: null, state: { startOffset: 4, retiredTo: 4 } });
    expect(recovery.headers.map(({ baseOffset }) => baseOffset)).toEqual([4, 5, 6, 7]);
  });

  it('keeps everything when it is emptied', async () => {
    const { log, aside } = await written();

    await log.reset({ offset: 20, epoch: 1, retiredTo: 20 }, true);

    expect(aside()).toBe(8 * 108);
    expect(log.sizeBytes()).toBe(0);
  });

  it('keeps a table of what retention took', async () => {
    const { disk, log } = await written();

    await log.retire(4, 1);
    await log.close();

    const { recovery } = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(recovery.snapshot).toEqual({ offset: 8, text: 'producers' });
  });
});

describe('FilePartitionLog', () => {
  it('flushes dirty logs when their bytes are old enough and says how far', async () => {
    const { disk, clock } = await startTestDisk({ flushIntervalMs: 1000 });
    const synced: number[] = [];
    disk.onSynced((_topic, _partition, offset) => synced.push(offset));
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 3));
    clock.advance(900);
    expect(disk.flushAgeMs()).toBe(900);
    clock.advance(100);
    await until(() => synced.length > 0);
    expect(synced).toEqual([3]);
    await until(() => disk.flushAgeMs() === 0);
  });

  it('reports a failed sync once and never syncs again', async () => {
    let syncs = 0;
    let isBroken = false;
    const files = fileSystemWith({
      datasync: (file) => {
        syncs += 1;
        return isBroken ? Promise.reject(ioError('EIO')) : nodeFileSystem.datasync(file);
      },
    });
    const { disk, clock } = await startTestDisk({ files });
    const failures: unknown[] = [];
    disk.onFailure((error) => failures.push(error));
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 3));
    isBroken = true;
    syncs = 0;
    clock.advance(1000);
    await until(() => failures.length > 0);
    clock.advance(5000);
    expect(await outcome(append(log, frames(3, 4)))).toBe('STORAGE_FAILED');
    await disk.close();
    expect(failures).toHaveLength(1);
    expect(syncs).toBe(1);
  });

  it('agrees with a list of frames over random appends, truncations, resets, retirements and restarts', async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          kind: fc.constant('append' as const),
          records: fc.integer({ min: 1, max: 4 }),
          count: fc.integer({ min: 1, max: 5 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          kind: fc.constant('truncate' as const),
          at: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
      },
      fc.record({
        kind: fc.constant('retire' as const),
        at: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ kind: fc.constant('reset' as const), skip: fc.integer({ min: 0, max: 10 }) }),
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('restart' as const), isClean: fc.boolean() }),
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 14 }),
        fc.constantFrom(0, 500, 1 << 20),
        async (steps, tailCacheBytes) => {
          const options = { ...LOG_OPTIONS, segmentBytes: 900 };
          const { disk } = await startTestDisk({ tailCacheBytes });
          let log = await disk.openPartition(TOPIC, 0, options);
          let model: TestFrame[] = [];
          let start = 0;
          let end = 0;
          let epoch = 1;
          for (const action of steps) {
            if (action.kind === 'append') {
              const list: TestFrame[] = [];
              for (let count = 0; count < action.count; count += 1) {
                list.push(frame(end, { records: action.records, epoch, fill: end + epoch }));
                end += action.records;
              }
              model.push(...list);
              await append(log, list);
            } else if (action.kind === 'truncate') {
              epoch += 1;
              const left = Math.floor(action.at * model.length);
              const cut = model[left]?.header;
              if (cut === undefined || cut.baseOffset < start) continue;
              model = model.slice(0, left);
              end = cut.baseOffset;
              const within = Math.floor(action.at * (cut.lastOffsetDelta + 1));
              expect(await log.truncate(end + within, false)).toBe(end);
            } else if (action.kind === 'retire') {
              start = Math.max(start, start + Math.floor(action.at * (end - start)));
              await log.retire(start, 0);
            } else if (action.kind === 'reset') {
              start = end + action.skip;
              end = start;
              model = [];
              await log.reset({ offset: start, epoch: 0, retiredTo: start });
            } else {
              await log.close();
              log = await disk.openPartition(TOPIC, 0, options);
              expect(log.recovery.damage).toBeNull();
              expect(log.recovery.state).toMatchObject({ startOffset: start, endOffset: end });
            }
            const readable = model.filter(
              ({ header }) => header.baseOffset + header.lastOffsetDelta >= start,
            );
            expect(await readAll(log, start, end)).toEqual(
              readable.map(({ header }) => header.baseOffset),
            );
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});
