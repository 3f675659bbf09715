import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameLength, readHeader } from '../../../../wire/batch/frame.ts';
import { DataEnds } from '../../../../broker/replication/data-end.ts';
import type { PartitionLog } from '../../../../broker/runtime/ports.ts';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import { clipEpochs } from '../../../../broker/storage/recovery.ts';
import {
  bytesOf,
  control,
  crashCopy,
  fileSystemWith,
  frame,
  frames,
  headersOf,
  ioError,
  LOG_OPTIONS,
  openTestDisk,
  order,
  startTestDisk,
  TOPIC,
} from './fixture.ts';
import type { TestDisk, TestFrame } from './fixture.ts';

const FOLDER = join('partitions', `${TOPIC}-0`);
const FIRST = `${'0'.repeat(20)}.log`;
const FRAME_BYTES = 108;

async function append(log: PartitionLog, list: readonly TestFrame[]): Promise<void> {
  await log.append(bytesOf(list), headersOf(list));
}

function logPath(dataDir: string, name = FIRST): string {
  return join(dataDir, FOLDER, name);
}

/** A broker that wrote `synced` frames, was checkpointed, wrote `unsynced` more and died. */
async function crashed(synced: number, unsynced: number, options = LOG_OPTIONS): Promise<string> {
  const { disk, dataDir } = await startTestDisk();
  let log = await disk.openPartition(TOPIC, 0, options);
  if (synced > 0) {
    for (const one of frames(0, synced)) await append(log, [one]);
    log.noteHighWaterMark(synced);
    // Closing syncs, checkpoints and writes the indexes.
    await log.close();
    log = await disk.openPartition(TOPIC, 0, options);
  }
  for (const one of frames(synced, synced + unsynced, { epoch: 2 })) await append(log, [one]);
  return crashCopy(dataDir);
}

async function reopened(
  dataDir: string,
  options: Parameters<typeof openTestDisk>[0] = {},
  logOptions = LOG_OPTIONS,
): Promise<TestDisk & { log: PartitionLog }> {
  const opened = await openTestDisk({ dataDir, tailCacheBytes: 0, ...options });
  return { ...opened, log: await opened.disk.openPartition(TOPIC, 0, logOptions) };
}

async function readOffsets(log: PartitionLog): Promise<number[]> {
  const offsets: number[] = [];
  const { startOffset, endOffset } = log.recovery.state;
  for (let next = startOffset; next < endOffset; ) {
    const read = await log.read(next, endOffset, 1 << 20);
    for (const chunk of read.chunks)
      for (let at = 0; at < chunk.length; at += frameLength(chunk, at))
        offsets.push(readHeader(chunk, at).baseOffset);
    next = read.nextOffset;
  }
  return offsets;
}

const ORDER = {
  upTo: 0,
  tombstonesBelow: 0,
  producersBelow: 0,
  forgottenIdMax: 7,
  agingTo: 0,
  agingSinceMs: 5,
};

describe('recoverLog', () => {
  it('finds everything after a process crash, with epochs, high-water mark and headers', async () => {
    const { disk, log } = await reopened(await crashed(3, 2));
    expect(disk.start.restartClass).toBe('warm');
    expect(log.recovery.damage).toBeNull();
    expect(log.recovery.state).toEqual({
      startOffset: 0,
      startEpoch: 0,
      retiredTo: 0,
      endOffset: 5,
      highWaterMark: 3,
      syncedOffset: 5,
      epochs: [
        { epoch: 1, startOffset: 0 },
        { epoch: 2, startOffset: 3 },
      ],
      controls: [],
    });
    expect(log.recovery.headers.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2, 3, 4]);
    expect(await readOffsets(log)).toEqual([0, 1, 2, 3, 4]);
  });

  it('cuts a last frame torn at any byte and stays warm', async () => {
    const whole = await crashed(2, 2);
    const tornAt = async (cut: number): Promise<void> => {
      const dataDir = crashCopy(whole);
      truncateSync(logPath(dataDir), 3 * FRAME_BYTES + cut);
      const { disk, log } = await reopened(dataDir);
      expect([
        cut,
        disk.start.restartClass,
        log.recovery.state.endOffset,
        log.recovery.damage,
      ]).toEqual([cut, 'warm', 3, null]);
      await append(log, [frame(3, { epoch: 3 })]);
    };
    // Side by side: most of the time is spent waiting for syncs.
    await Promise.all(Array.from({ length: FRAME_BYTES }, (_, cut) => tornAt(cut)));
  });

  it('cuts preallocated zeros behind the last frame and stays warm', async () => {
    const dataDir = await crashed(2, 2);
    truncateSync(logPath(dataDir), 4 * FRAME_BYTES + 5000);
    const { log } = await reopened(dataDir);
    expect([log.recovery.state.endOffset, log.recovery.damage, log.sizeBytes()]).toEqual([
      4,
      null,
      4 * FRAME_BYTES,
    ]);
  });

  it('reports a log that ends below its synced offset, whatever the start', async () => {
    const whole = await crashed(4, 0);
    for (const bootId of ['boot', 'other boot']) {
      const dataDir = crashCopy(whole);
      truncateSync(logPath(dataDir), 3 * FRAME_BYTES + 10);
      const { log } = await reopened(dataDir, { bootId });
      expect(log.recovery.damage).toMatchObject({ fromOffset: 3 });
      expect(log.recovery.state.endOffset).toBe(3);
    }
  });

  it('finds any flipped bit above the synced offset, keeps the bytes aside, and makes every later start lossy', async () => {
    const whole = await crashed(2, 3);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2 * FRAME_BYTES, max: 5 * FRAME_BYTES - 1 }),
        fc.integer({ min: 0, max: 7 }),
        async (at, bit) => {
          const dataDir = crashCopy(whole);
          const bytes = readFileSync(logPath(dataDir));
          bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
          writeFileSync(logPath(dataDir), bytes);
          const { disk, log } = await reopened(dataDir);
          const damaged = Math.floor(at / FRAME_BYTES);
          expect(log.recovery.damage).toMatchObject({ fromOffset: damaged });
          expect(log.recovery.state.endOffset).toBe(damaged);
          expect(readdirSync(join(dataDir, FOLDER, 'aside'))).not.toEqual([]);
          const copy = crashCopy(dataDir);
          await disk.close();
          expect((await openTestDisk({ dataDir: copy })).disk.start.restartClass).toBe('lossy');
        },
      ),
      { numRuns: 40 },
    );
  });

  it('finds any flipped bit below the synced offset: a lossy start when it opens, every start when it is read', async () => {
    const whole = await crashed(4, 1);
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 4 * FRAME_BYTES - 1 }),
        fc.integer({ min: 0, max: 7 }),
        async (at, bit) => {
          const dataDir = crashCopy(whole);
          const bytes = readFileSync(logPath(dataDir));
          bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
          writeFileSync(logPath(dataDir), bytes);
          const damaged = Math.floor(at / FRAME_BYTES);
          const lossyDir = crashCopy(dataDir);
          const warm = await reopened(dataDir);
          const found = warm.log.recovery.damage;
          if (found === null)
            await expect(warm.log.read(damaged, 5, 1)).rejects.toMatchObject({
              code: 'DATA_CORRUPT',
            });
          else expect(found.fromOffset).toBe(damaged);
          const lossy = await reopened(lossyDir, { bootId: 'other boot' });
          expect(lossy.log.recovery.damage).toMatchObject({ fromOffset: damaged });
          await warm.disk.close();
          await lossy.disk.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('scans everything when a warm start meets a damaged header in a sealed segment', async () => {
    const options = { ...LOG_OPTIONS, segmentBytes: 250 };
    const dataDir = await crashed(8, 0, options);
    const path = logPath(dataDir, `${'2'.padStart(20, '0')}.log`);
    const bytes = readFileSync(path);
    bytes[FRAME_BYTES + 3] = 1;
    writeFileSync(path, bytes);
    const { disk, log } = await reopened(dataDir, {}, options);
    expect(disk.start.restartClass).toBe('warm');
    expect(log.recovery.damage).toMatchObject({ fromOffset: 3 });
    expect(log.recovery.state.endOffset).toBe(3);
  });

  it('refuses a whole frame of another partition', async () => {
    const dataDir = await crashed(2, 2);
    const bytes = readFileSync(logPath(dataDir));
    bytes.set(frame(3, { epoch: 2, partition: 1 }).bytes, 3 * FRAME_BYTES);
    writeFileSync(logPath(dataDir), bytes);
    const { log } = await reopened(dataDir);
    expect(log.recovery.damage).toMatchObject({ fromOffset: 3 });
  });

  it.each(['deleted', 'emptied', 'garbage', 'stale'] as const)(
    'brings back indexes that are %s',
    async (fate) => {
      const options = { ...LOG_OPTIONS, segmentBytes: 250_000 };
      const { disk, dataDir } = await startTestDisk({ tailCacheBytes: 0 });
      let log = await disk.openPartition(TOPIC, 0, options);
      for (let offset = 0; offset < 20; offset += 1)
        await append(log, [frame(offset, { payloadBytes: 30_000 })]);
      await log.close();
      const folder = join(dataDir, FOLDER);
      const indexes = readdirSync(folder).filter((name) => /index$/.test(name));
      expect(indexes.length).toBeGreaterThanOrEqual(6);
      for (const name of indexes) {
        if (fate === 'deleted') rmSync(join(folder, name));
        else if (fate === 'emptied') writeFileSync(join(folder, name), '');
        else if (fate === 'garbage')
          writeFileSync(
            join(folder, name),
            readFileSync(join(folder, name)).map((byte) => byte ^ 0x55),
          );
        else if (name > `${'0'.repeat(20)}.z`)
          writeFileSync(
            join(folder, name),
            readFileSync(join(folder, `${'0'.repeat(20)}${name.slice(20)}`)),
          );
      }
      log = await disk.openPartition(TOPIC, 0, options);
      expect(log.recovery.damage).toBeNull();
      expect(await readOffsets(log)).toEqual(Array.from({ length: 20 }, (_, offset) => offset));
      expect(await log.offsetForTimestamp(1013, 20)).toBe(13);
      expect(
        log
          .segments()
          .slice(0, -1)
          .map(({ maxTimestampMs, endOffset }) => maxTimestampMs - endOffset),
      ).toEqual([999, 999]);
    },
  );

  it('starts from headers alone when the checkpoint is gone or damaged', async () => {
    for (const damage of ['', '00000000\n{}']) {
      const dataDir = await crashed(3, 2);
      writeFileSync(join(dataDir, 'checkpoint.json'), damage);
      const { log } = await reopened(dataDir);
      expect(log.recovery.state).toMatchObject({ startOffset: 0, endOffset: 5, highWaterMark: 0 });
      expect(log.recovery.damage).toBeNull();
    }
  });

  it('ends the log before a segment that is missing in the middle, and reports it', async () => {
    const options = { ...LOG_OPTIONS, segmentBytes: 250 };
    const dataDir = crashCopy(await crashed(8, 0, options));
    rmSync(logPath(dataDir, `${'2'.padStart(20, '0')}.log`));
    const { log } = await reopened(dataDir, { bootId: 'other boot' }, options);
    expect(log.recovery.damage).toMatchObject({ fromOffset: 2 });
    expect(log.recovery.state).toMatchObject({ startOffset: 0, endOffset: 2 });
  });

  it.each([
    { name: 'the journal knows what retention reached', isJournalLost: false },
    { name: 'the journal is lost', isJournalLost: true },
  ])(
    'keeps and reports a log whose first segments are missing, where $name',
    async ({ isJournalLost }) => {
      const options = { ...LOG_OPTIONS, segmentBytes: 250 };
      const dataDir = crashCopy(await crashed(8, 0, options));
      rmSync(logPath(dataDir));
      if (isJournalLost) rmSync(join(dataDir, 'checkpoint.json'));

      const first = await reopened(dataDir, {}, options);

      const expected = { startOffset: 2, startEpoch: 0, retiredTo: 0, endOffset: 8 };
      expect(first.log.recovery.damage).toMatchObject({ fromOffset: 0 });
      expect(first.log.recovery.state).toMatchObject(expected);
      expect(await readOffsets(first.log)).toEqual([2, 3, 4, 5, 6, 7]);
      // Nothing has vouched for that start since.
      await first.disk.close();
      const second = await reopened(dataDir, {}, options);
      expect(second.log.recovery.damage).toMatchObject({ fromOffset: 0 });
      expect(second.log.recovery.state).toMatchObject(expected);
    },
  );

  it.each([
    {
      name: 'retired to its end',
      change: (log: PartitionLog) => log.retire(5, 2),
      expected: { startOffset: 5, startEpoch: 2, retiredTo: 5, endOffset: 5, epochs: [] },
    },
    {
      name: 'reset',
      change: (log: PartitionLog) => log.reset({ offset: 9, epoch: 7, retiredTo: 9 }),
      expected: { startOffset: 9, startEpoch: 7, retiredTo: 9, endOffset: 9, epochs: [] },
    },
    {
      name: 'retired, then cut to its start',
      change: async (log: PartitionLog) => {
        await log.retire(3, 1);
        await log.truncate(3, false);
      },
      expected: { startOffset: 3, startEpoch: 1, retiredTo: 3, endOffset: 3, epochs: [] },
    },
  ])('remembers the epoch before the start of a log that was $name', async (variant) => {
    const { log, disk, dataDir } = await reopened(await crashed(3, 2));
    await variant.change(log);
    await disk.close();

    const again = await reopened(crashCopy(dataDir));

    expect(again.log.recovery.damage).toBeNull();
    expect(again.log.recovery.state).toMatchObject(variant.expected);
  });

  it('reads what the control batches say of the data below them', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    for (const one of [control(0, 1, 0), frame(1), control(2, 2, 2), control(3, 3, 2)])
      await append(log, [one]);
    const again = await reopened(crashCopy(dataDir));
    expect(again.log.recovery.state.controls).toEqual([
      { baseOffset: 0, dataEnd: 0 },
      { baseOffset: 2, dataEnd: 2 },
      { baseOffset: 3, dataEnd: 2 },
    ]);
  });

  it('finds orders to compact again, and D of a copy, also below the recovery point', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    const start = { offset: 0, epoch: 0, retiredTo: 0, tombstonesBelow: 9 };
    await log.reset(start);
    const mark = { ...ORDER, upTo: 1, agingTo: 1 };
    const later = { ...ORDER, upTo: 2, tombstonesBelow: 1, agingTo: 2 };
    for (const one of [
      ...frames(0, 2),
      order(2, 1, 2, mark),
      order(3, 1, 2, later),
      order(4, 1, 2, later),
    ])
      await append(log, [one]);
    await disk.close();
    const again = await reopened(dataDir);
    expect(again.log.recovery.state).toMatchObject({
      syncedOffset: 5,
      tombstonesBelow: 9,
      // The journal names the last two.
      controls: [
        { baseOffset: 2 },
        { baseOffset: 3, compaction: later },
        { baseOffset: 4, compaction: later },
      ],
    });
    // What was cut off is not said of what takes its place.
    await again.log.truncate(4, false);
    await append(again.log, [frame(4)]);
    await again.disk.close();
    const { log: third } = await reopened(dataDir);
    expect(third.recovery.state.controls).toMatchObject([
      { baseOffset: 2 },
      { baseOffset: 3, compaction: later },
    ]);
  });

  it('finds a trim again that has not taken effect, also below the recovery point', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    for (const one of [...frames(0, 4), control(4, 1, 4, 2), frame(5), control(6, 1, 6, 3)])
      await append(log, [one]);
    // Closing syncs, so a start has no need to read what is there.
    await disk.close();
    const again = await reopened(dataDir);
    expect(again.log.recovery.state.syncedOffset).toBe(7);
    expect(again.log.recovery.state.controls).toEqual([
      { baseOffset: 4, dataEnd: 4, trimTo: 2 },
      { baseOffset: 6, dataEnd: 6, trimTo: 3 },
    ]);
    // It took effect: it still says that no data stands there.
    await again.log.retire(2, 1);
    await again.disk.close();
    const { log: third } = await reopened(dataDir);
    expect(third.recovery.state).toMatchObject({ startOffset: 2, controls: [{}, {}] });
  });

  it('knows where the data ends behind more trims than the journal names', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    for (const one of frames(0, 4)) await append(log, [one]);
    for (let offset = 4; offset < 74; offset += 1) await append(log, [control(offset, 1, 4, 2)]);
    // As an orderly stop does: then a start has no need to read headers.
    log.saveSnapshot(74, 1, 'producers');
    await disk.close();
    const { log: again } = await reopened(dataDir);
    const { state } = again.recovery;
    const ends = new DataEnds(state);
    // A leader that was not started anew states 4 with its next control batch: 5 or more would
    // refuse it for ever.
    expect(ends.knownBelow(74)).toBe(4);
    expect(ends.below(74)).toBe(4);
  });

  it.each([
    { name: 'before it was synced', isSynced: false },
    { name: 'after it was synced', isSynced: true },
  ])('forgets a trim that was cut off $name', async ({ isSynced }) => {
    const { disk, dataDir } = await startTestDisk();
    let log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    for (const one of [...frames(0, 4), control(4, 1, 4, 2)]) await append(log, [one]);
    if (isSynced) {
      await log.close();
      log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    }
    await log.truncate(4, false);
    const short = await reopened(crashCopy(dataDir));
    expect(short.log.recovery.state.controls).toEqual([]);
    // Something else stands in its place.
    for (const one of frames(4, 6, { epoch: 2 })) await append(log, [one]);
    await disk.close();
    const { log: long } = await reopened(dataDir);
    expect(long.recovery.state).toMatchObject({ endOffset: 6, controls: [] });
  });

  it('lets no record come back that was truncated, after a crash at once', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, { ...LOG_OPTIONS, segmentBytes: 250 });
    for (const one of frames(0, 6)) await append(log, [one]);
    log.saveSnapshot(6, 1, 'of six');
    await log.truncate(3, false);
    await append(log, [frame(3, { epoch: 2 })]);
    const again = await reopened(crashCopy(dataDir));
    expect(again.log.recovery.state).toMatchObject({
      endOffset: 4,
      epochs: [
        { epoch: 1, startOffset: 0 },
        { epoch: 2, startOffset: 3 },
      ],
    });
    expect(again.log.recovery.snapshot).toBeNull();
    expect(again.log.recovery.damage).toBeNull();
  });

  it('takes no producer snapshot of a log that it was cut of, should a power loss bring it back', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 6));
    log.saveSnapshot(6, 1, 'of six');
    await log.close();
    const path = logPath(dataDir, 'producers.snapshot');
    const saved = readFileSync(path);
    const cut = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await cut.truncate(3, false);
    await append(cut, frames(3, 8, { epoch: 2 }));
    writeFileSync(path, saved);
    await cut.close();
    const again = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(again.recovery.snapshot).toBeNull();
    expect(again.recovery.headers).toHaveLength(8);
  });

  it('takes the producer snapshot of a build that did not state its epoch', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 3));
    await log.close();
    const checksum = crc32('2\nof two').toString(16).padStart(8, '0');
    writeFileSync(logPath(dataDir, 'producers.snapshot'), `${checksum} 2\nof two`);
    const again = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(again.recovery.snapshot).toEqual({ offset: 2, text: 'of two' });
  });

  it('gives the producer snapshot and the headers behind it', async () => {
    const { disk } = await startTestDisk();
    let log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await append(log, frames(0, 3));
    log.saveSnapshot(3, 1, 'producers\nof three');
    await append(log, frames(3, 5));
    await log.close();
    log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(log.recovery.snapshot).toEqual({ offset: 3, text: 'producers\nof three' });
    expect(log.recovery.headers.map(({ baseOffset }) => baseOffset)).toEqual([3, 4]);
  });
});

describe('clipEpochs', () => {
  const epochs = [
    { epoch: 1, startOffset: 0 },
    { epoch: 3, startOffset: 10 },
    { epoch: 4, startOffset: 20 },
  ];
  it.each([
    [0, 30, epochs],
    [5, 30, [{ epoch: 1, startOffset: 5 }, ...epochs.slice(1)]],
    [10, 20, [{ epoch: 3, startOffset: 10 }]],
    [25, 30, [{ epoch: 4, startOffset: 25 }]],
    [30, 30, []],
  ])('keeps epochs of batches in [%i, %i)', (start, end, expected) => {
    expect(clipEpochs(epochs, start, end)).toEqual(expected);
  });
});

describe('index files of what the log has lost', () => {
  // Lost by power loss, or cut as damaged.
  it.each([0, 10])('are no index of what is appended in its place, %i bytes on', async (more) => {
    const dataDir = await crashed(6, 0);
    truncateSync(logPath(dataDir), 2 * FRAME_BYTES + more);
    const options = { ...LOG_OPTIONS, segmentBytes: 8 * FRAME_BYTES };
    const files = fileSystemWith({
      // Where the volume is full an index is not saved.
      rename: (from, to) =>
        to.endsWith('index') ? Promise.reject(ioError('ENOSPC')) : nodeFileSystem.rename(from, to),
    });
    const { log, disk } = await reopened(dataDir, { bootId: 'other boot', files }, options);
    expect(log.recovery.state.endOffset).toBe(2);
    const next = Array.from({ length: 8 }, (_, index) =>
      frame(2 + index, { epoch: 2, timestampMs: 5000 + index, payloadBytes: 70 }),
    );
    for (const one of next) await append(log, [one]);
    await log.close();
    const again = await disk.openPartition(TOPIC, 0, options);
    expect(await again.offsetForTimestamp(5001, 10)).toBe(3);
  });
});
