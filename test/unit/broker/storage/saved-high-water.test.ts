/**
 * The high-water mark that a start finds never covers what came to stand below it later: that is
 * not known to be committed (rule 9).
 */
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PartitionLog } from '../../../../broker/runtime/ports.ts';
import { crashCopy, frames, LOG_OPTIONS, openTestDisk, startTestDisk, TOPIC } from './fixture.ts';

const FILE = join('partitions', `${TOPIC}-0`, `${'0'.repeat(20)}.log`);
const FRAME_BYTES = 108;
const UNSYNCED = { flushIntervalMs: 1_000_000 };

async function append(log: PartitionLog, from: number, to: number, epoch: number): Promise<void> {
  for (const one of frames(from, to, { epoch })) await log.append([one.bytes], [one.header]);
}

/** A killed broker's directory: 8 frames, 3 of them synced, the high-water mark at 8. */
async function killed(): Promise<string> {
  const { disk, dataDir } = await startTestDisk(UNSYNCED);
  let log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
  await append(log, 0, 3, 1);
  await log.close();
  log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
  await append(log, 3, 8, 1);
  log.noteHighWaterMark(8);
  // Making any log writes the lines of all.
  await disk.openPartition(TOPIC, 1, LOG_OPTIONS);
  return crashCopy(dataDir);
}

/** The broker is killed, and starts again in the same boot. */
async function highWaterMarkAfterCrash(dataDir: string, bootId: string): Promise<number> {
  const { disk } = await openTestDisk({ dataDir: crashCopy(dataDir), bootId });
  const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
  expect(log.recovery.state.endOffset).toBe(8);
  return log.recovery.state.highWaterMark;
}

describe('A saved high-water mark', () => {
  it.each([
    { what: 'down to what was synced', kept: 4 },
    { what: 'and some of what was synced', kept: 2 },
  ])('falls with what a power loss took, $what', async ({ kept }) => {
    const dataDir = await killed();
    truncateSync(join(dataDir, FILE), kept * FRAME_BYTES);
    const { disk } = await startTestDisk({ ...UNSYNCED, dataDir, bootId: 'next' });
    expect(disk.start.restartClass).toBe('lossy');
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(log.recovery.state).toMatchObject({ endOffset: kept, highWaterMark: kept });
    await append(log, kept, 8, 2);
    expect(await highWaterMarkAfterCrash(dataDir, 'next')).toBe(kept);
  });

  it('falls with a cut', async () => {
    const dataDir = await killed();
    const { disk } = await startTestDisk({ ...UNSYNCED, dataDir });
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    expect(log.recovery.state.highWaterMark).toBe(8);
    await log.truncate(4, false);
    await append(log, 4, 8, 2);
    expect(await highWaterMarkAfterCrash(dataDir, 'boot')).toBe(4);
  });

  it('falls with a reset', async () => {
    const dataDir = await killed();
    const { disk } = await startTestDisk({ ...UNSYNCED, dataDir });
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await log.reset({ offset: 2, epoch: 0, retiredTo: 2 }, false);
    await append(log, 2, 8, 2);
    expect(await highWaterMarkAfterCrash(dataDir, 'boot')).toBe(2);
  });
});
