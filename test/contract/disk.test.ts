/**
 * The `Disk`, `PartitionLog` and `QuorumLog` ports, over the machine's file system and over the
 * simulated one. Only what their documentation in `runtime/ports.ts` promises.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Disk, PartitionLog } from '../../broker/runtime/ports.ts';
import { openDisk } from '../../broker/storage/disk.ts';
import type { DiskOptions } from '../../broker/storage/disk.ts';
import { systemClock } from '../../process/system-clock.ts';
import { bytesOf, frame, frames, framesOf, headersOf, TOPIC } from '../fixtures/frames.ts';
import type { TestFrame } from '../fixtures/frames.ts';
import { simulatedDisk } from './simulated.ts';

interface Subject {
  /** Opens the same directory again and again. */
  readonly open: (options?: Partial<DiskOptions>) => Promise<Disk>;
  readonly end: () => void;
}

const META = {
  formatVersion: 1,
  clusterId: 'cluster',
  brokerId: 0,
  directoryId: '11111111-2222-4333-8444-555555555555',
} as const;
const COMMON = {
  podUid: 'pod',
  bootId: 'boot',
  reserveBytes: 0,
  logger: { info() {}, warn() {}, error() {} },
};
const LOG_OPTIONS = { segmentBytes: 500, segmentMs: 3_600_000 };

const SUBJECTS: Record<string, () => Subject> = {
  'files of the machine': () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'tidemark-contract-'));
    return {
      open: (options = {}) => openDisk({ ...COMMON, dataDir, clock: systemClock, ...options }),
      end: () => rmSync(dataDir, { recursive: true, force: true }),
    };
  },
  'simulated files': () => {
    const { disk, clock, end } = simulatedDisk(1);
    const common = { ...COMMON, dataDir: '/data', clock, lock: () => () => {} };
    disk.volume.makeFolder('/data');
    disk.volume.node('/').sync(1);
    return {
      open: (options = {}) => openDisk({ ...common, files: disk.mount(), ...options }),
      end,
    };
  },
};

describe.each(Object.keys(SUBJECTS))('disk on %s', (name) => {
  let subject: Subject;
  let disk: Disk;

  beforeEach(async () => {
    subject = SUBJECTS[name]!();
    disk = await subject.open();
  });

  afterEach(async () => {
    await disk.close();
    subject.end();
  });

  function openLog(partition = 0): Promise<PartitionLog> {
    return disk.openPartition(TOPIC, partition, LOG_OPTIONS);
  }

  async function reopen(options: Partial<DiskOptions> = {}): Promise<void> {
    await disk.close();
    disk = await subject.open(options);
  }

  async function start(brokerEpoch: number): Promise<void> {
    if (disk.start.meta === null) await disk.format(META);
    await disk.writeSession(brokerEpoch);
  }

  function append(log: PartitionLog, list: readonly TestFrame[]): Promise<void> {
    return log.append(bytesOf(list), headersOf(list));
  }

  async function offsetsOf(log: PartitionLog, from: number, upTo: number): Promise<number[]> {
    const offsets: number[] = [];
    for (let offset = from; offset < upTo; ) {
      const read = await log.read(offset, upTo, 300);
      if (read.chunks.length === 0) break;
      offsets.push(...framesOf(read).map(({ header }) => header.baseOffset));
      offset = read.nextOffset;
    }
    return offsets;
  }

  it('is new until it is formatted, once, and says whose it is from then on', async () => {
    expect(disk.start).toMatchObject({ meta: null, sessionEpoch: 0, restartClass: 'new' });
    await disk.format(META);
    await expect(disk.format(META)).rejects.toMatchObject({ code: 'CLUSTER_EXISTS' });
    await reopen();
    expect(disk.start).toMatchObject({ meta: META, restartClass: 'lossy' });
  });

  it('classifies a start by what the last process left', async () => {
    await start(4);
    await reopen();
    expect(disk.start).toMatchObject({ restartClass: 'warm', sessionEpoch: 4 });
    await reopen({ bootId: 'another' });
    expect(disk.start.restartClass).toBe('lossy');
    await reopen({ podUid: 'another' });
    expect(disk.start.restartClass).toBe('lossy');
    await start(5);
    await disk.markClean();
    await reopen({ bootId: 'another' });
    expect(disk.start).toMatchObject({ restartClass: 'clean', sessionEpoch: 5 });
    await reopen();
    await start(6);
    await reopen();
    expect(disk.start.restartClass).toBe('warm');
    await start(7);
    await disk.markLossy('test');
    await reopen();
    expect(disk.start.restartClass).toBe('lossy');
  });

  it('appends in order, reads whole frames up to an offset, and rolls segments', async () => {
    await start(1);
    const log = await openLog();
    expect(log.recovery).toMatchObject({
      state: { startOffset: 0, endOffset: 0, epochs: [] },
      damage: null,
    });
    const list = [
      ...frames(0, 10),
      frame(10, { records: 5, epoch: 2 }),
      ...frames(15, 18, { epoch: 2 }),
    ];
    await Promise.all([append(log, list.slice(0, 4)), append(log, list.slice(4, 6))]);
    await append(log, list.slice(6));
    expect(await offsetsOf(log, 0, 18)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17]);
    expect(await offsetsOf(log, 12, 18)).toEqual([10, 15, 16, 17]);
    expect(await offsetsOf(log, 8, 14)).toEqual([8, 9]);
    expect((await log.read(18, 100, 300)).chunks).toEqual([]);
    await expect(Promise.resolve(log.read(19, 100, 300))).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
    const sealed = log.segments().slice(0, -1);
    expect(sealed.length).toBeGreaterThan(0);
    expect(sealed[0]?.startOffset).toBe(0);
    for (const [index, segment] of sealed.entries())
      expect(segment.endOffset).toBe(sealed[index + 1]?.startOffset ?? segment.endOffset);
    expect(log.sizeBytes()).toBe(list.reduce((sum, { bytes }) => sum + bytes.length, 0));
    expect(await log.offsetForTimestamp(1009, 18)).toBe(9);
    expect(await log.offsetForTimestamp(5000, 18)).toBeNull();
    expect((await log.headers(9)).map(({ baseOffset }) => baseOffset)).toEqual([9, 10, 15, 16, 17]);
  });

  it('truncates, resets and retires, and finds it so again', async () => {
    await start(1);
    const log = await openLog();
    await append(log, frames(0, 20));
    log.noteHighWaterMark(12);
    await log.truncate(15, true);
    await append(log, frames(15, 17, { epoch: 3 }));
    await log.retire(4, 1);
    await expect(Promise.resolve(log.read(3, 17, 300))).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
    });
    const other = await openLog(1);
    await append(other, frames(0, 3, { partition: 1 }));
    await other.reset({ offset: 40, epoch: 4, retiredTo: 40 });
    await append(other, frames(40, 42, { partition: 1, epoch: 5 }));
    await disk.markClean();
    await reopen();
    const again = await openLog();
    expect(again.recovery).toMatchObject({
      state: {
        startOffset: 4,
        startEpoch: 1,
        retiredTo: 4,
        endOffset: 17,
        highWaterMark: 12,
        syncedOffset: 17,
        epochs: [
          { epoch: 1, startOffset: 4 },
          { epoch: 3, startOffset: 15 },
        ],
      },
      damage: null,
    });
    expect(await offsetsOf(again, 4, 17)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    expect((await openLog(1)).recovery.state).toMatchObject({
      startOffset: 40,
      startEpoch: 4,
      retiredTo: 40,
      endOffset: 42,
    });
  });

  it('keeps what was written by a process that did not stop in order', async () => {
    await start(1);
    const log = await openLog();
    await append(log, frames(0, 7));
    await reopen();
    const { state, headers, damage } = (await openLog()).recovery;
    expect(disk.start.restartClass).toBe('warm');
    expect(state.endOffset).toBe(7);
    expect(damage).toBeNull();
    expect(headers.map(({ baseOffset }) => baseOffset)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  });

  it('says what was synced, and gives back the snapshot that lies within the log', async () => {
    await start(1);
    const log = await openLog();
    const synced = new Promise<number>((resolve) =>
      disk.onSynced((topicId, partition, offset) => {
        expect([topicId, partition]).toEqual([TOPIC, 0]);
        resolve(offset);
      }),
    );
    await append(log, frames(0, 5));
    log.saveSnapshot(5, 1, 'table');
    expect(await synced).toBe(5);
    await append(log, frames(5, 8));
    await log.close();
    const { snapshot, headers } = (await openLog()).recovery;
    expect(snapshot).toEqual({ offset: 5, text: 'table' });
    expect(headers.map(({ baseOffset }) => baseOffset)).toEqual([5, 6, 7]);
  });

  it('lists partitions, and forgets those that are deleted', async () => {
    await start(1);
    for (const partition of [0, 1]) {
      const log = await openLog(partition);
      await append(log, frames(0, 3, { partition }));
      await log.close();
    }
    expect(disk.listPartitions().map(({ partition }) => partition)).toEqual([0, 1]);
    await disk.deletePartition(TOPIC, 0);
    await reopen();
    expect(disk.listPartitions()).toEqual([{ topicId: TOPIC, partition: 1 }]);
    expect((await openLog()).recovery).toMatchObject({ state: { endOffset: 0 }, damage: null });
  });

  it('keeps term, vote, entries and snapshot, and counts its starts upwards', async () => {
    await disk.format(META);
    const peer = { brokerId: 0, directoryId: META.directoryId };
    const entries = [1, 2, 3].map(
      (index) => ({ index, term: 1, kind: 'data', data: `${index}` }) as const,
    );
    const hardState = { term: 2, vote: peer };
    const snapshot = { index: 2, term: 1, voters: [peer], data: 'image' };
    const first = await disk.quorum.beginIncarnation();
    await Promise.all([
      disk.quorum.write([{ id: 1, kind: 'hard-state', hardState }]),
      disk.quorum.write([{ id: 2, kind: 'append', firstIndex: 1, entries }]),
      disk.quorum.write([{ id: 3, kind: 'snapshot', snapshot, keepSuffix: true }]),
    ]);
    await reopen();
    expect(await disk.quorum.load()).toEqual({ hardState, snapshot, entries: entries.slice(2) });
    const second = await disk.quorum.beginIncarnation();
    expect(second).toBeGreaterThan(first);
    expect(await disk.quorum.noteBrokerEpoch(1)).toBeGreaterThan(second);
    const directoryId = '99999999-2222-4333-8444-555555555555';
    await disk.renew(directoryId);
    await reopen();
    expect(disk.start).toMatchObject({ meta: { directoryId }, restartClass: 'lossy' });
    expect((await disk.quorum.load()).entries).toEqual([]);
  });
});
