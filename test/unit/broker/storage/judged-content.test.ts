/**
 * What is read from a disk is judged like what comes from the wire: bytes whose checksum is right
 * and whose content is wrong are damage, told with file and place.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../../broker/storage/file-system.ts';
import { encodeQuorumFrame, FRAMES_AT } from '../../../../broker/storage/quorum-file.ts';
import { FileQuorumLog } from '../../../../broker/storage/quorum-log.ts';
import {
  bytesOf,
  crashCopy,
  frames,
  headersOf,
  LOG_OPTIONS,
  openTestDisk,
  startTestDisk,
  temporaryFolder,
  TOPIC,
} from './fixture.ts';

const PEER = { brokerId: 1, directoryId: '11111111-2222-4333-8444-555555555555' };
const HEAD = {
  hardState: { term: 3, vote: PEER },
  snapshot: null,
  entries: [{ index: 1, term: 2, kind: 'data', data: '[]' }],
  incarnation: { brokerEpoch: 1, starts: 1 },
};

function quorumLog(folder: string, isFormatted = true): FileQuorumLog {
  return new FileQuorumLog({
    files: nodeFileSystem,
    folder,
    isFormatted,
    onFailure: () => {},
    onShortage: () => {},
  });
}

function withChecksum(text: string): string {
  return `${crc32(text).toString(16).padStart(8, '0')}\n${text}`;
}

/** A quorum log of these payloads, each with its checksum. */
function quorumFolder(payloads: readonly string[]): string {
  const folder = temporaryFolder();
  const written = payloads.map((payload, index) => encodeQuorumFrame(index + 1, payload));
  writeFileSync(join(folder, 'log'), Buffer.concat([Buffer.alloc(FRAMES_AT), ...written]));
  return folder;
}

const head = (changes: object): string => JSON.stringify({ ...HEAD, ...changes });
const append = (firstIndex: number, entries: unknown): string =>
  JSON.stringify([{ id: 0, kind: 'append', firstIndex, entries }]);
const entry = (index: number, term = 3): object => ({ index, term, kind: 'data', data: '' });

describe('a quorum log whose checksums are right', () => {
  it.each([
    { what: 'a head that is not JSON', payloads: ['{'], at: FRAMES_AT },
    { what: 'a head that is a number', payloads: ['7'], at: FRAMES_AT },
    { what: 'a head without entries', payloads: [head({ entries: null })], at: FRAMES_AT },
    { what: 'a term below 0', payloads: [head({ hardState: { term: -1, vote: null } })] },
    { what: 'a vote for nobody', payloads: [head({ hardState: { term: 3, vote: {} } })] },
    { what: 'a gap in the head', payloads: [head({ entries: [entry(2)] })], at: FRAMES_AT },
    { what: 'terms that fall', payloads: [head({ entries: [entry(1, 3), entry(2, 2)] })] },
    {
      what: 'voters that cannot be read',
      payloads: [head({ entries: [{ index: 1, term: 1, kind: 'voters', data: 'nobody' }] })],
    },
    { what: 'a frame that is not JSON', payloads: [head({}), 'x'], at: FRAMES_AT + 4096 },
    { what: 'a write of no kind', payloads: [head({}), '[{"kind":"vow"}]'] },
    { what: 'a gap', payloads: [head({}), append(9, [entry(9)])], at: FRAMES_AT + 4096 },
    { what: 'an append below the log', payloads: [head({}), append(0, [entry(0)])] },
    { what: 'entries elsewhere', payloads: [head({}), append(2, [entry(5)])] },
    { what: 'entries that are none', payloads: [head({}), append(2, [null])] },
    { what: 'a term that falls behind', payloads: [head({}), append(2, [entry(2, 1)])] },
  ])('is damaged where it holds $what', async ({ payloads, at }) => {
    const folder = quorumFolder(payloads);
    const where = at ?? FRAMES_AT + (payloads.length - 1) * 4096;
    await expect(quorumLog(folder).load()).rejects.toMatchObject({
      code: 'DATA_CORRUPT',
      message: expect.stringMatching(new RegExp(`${folder}/log.*frame at byte ${where}`)) as string,
    });
  });

  it('is damaged where its snapshot is of another index, or none', async () => {
    for (const body of ['7', '{"index":4,"term":2,"voters":[],"data":""}', 'x']) {
      const folder = quorumFolder([head({ snapshot: { index: 9, term: 2 }, entries: [] })]);
      writeFileSync(join(folder, 'snapshot-9-2'), withChecksum(body));
      await expect(quorumLog(folder).load()).rejects.toMatchObject({
        code: 'DATA_CORRUPT',
        message: expect.stringContaining(`${folder}/snapshot-9-2`) as string,
      });
    }
  });

  it('is loaded where it holds what was written', async () => {
    const log = quorumLog(quorumFolder([head({}), append(2, [entry(2)])]));
    expect((await log.load()).entries).toEqual([HEAD.entries[0], entry(2)]);
    await log.close();
  });
});

describe('FileQuorumLog.ensure', () => {
  it('begins one log for two callers at once', async () => {
    const folder = temporaryFolder();
    const log = quorumLog(folder, false);
    const hardState = { term: 4, vote: PEER };
    await Promise.all([
      log.ensure(),
      log.write([{ id: 0, kind: 'hard-state', hardState }]),
      log.ensure(),
    ]);
    await log.close();
    const again = quorumLog(folder);
    expect((await again.load()).hardState).toEqual(hardState);
    await again.close();
  });

  it('keeps what was written while another caller waits for it', async () => {
    const folder = temporaryFolder();
    let begun = 0;
    const files = {
      ...nodeFileSystem,
      rename: async (from: string, to: string) => {
        begun += 1;
        await nodeFileSystem.rename(from, to);
      },
    };
    const log = new FileQuorumLog({
      files,
      folder,
      isFormatted: false,
      onFailure: () => {},
      onShortage: () => {},
    });
    await Promise.all([log.ensure(), log.ensure(), log.ensure()]);
    expect(begun).toBe(1);
    await log.close();
  });
});

describe('files of partitions whose checksums are right', () => {
  it.each([
    '7',
    'x',
    '{"version":1}',
    '{"version":1,"partitions":{"a":7}}',
    `{"version":1,"partitions":{"${TOPIC}/0":[0,1,1,[[1]],0,1]}}`,
    `{"version":1,"partitions":{"${TOPIC}/0":[0,-1,1,[],0,1]}}`,
    '{"version":1,"partitions":{},"deleting":[7]}',
  ])('make the start lossy where the checkpoint holds %s', async (body) => {
    const { disk, dataDir } = await startTestDisk();
    await disk.close();
    writeFileSync(join(dataDir, 'checkpoint.json'), withChecksum(body));
    const again = await openTestDisk({ dataDir: crashCopy(dataDir) });
    expect(again.disk.start).toMatchObject({
      restartClass: 'lossy',
      reason: 'the checkpoint is damaged',
    });
  });
});

describe('a log that was reset above what retention reached', () => {
  it('is not damaged at any later start, and still lacks its beginning', async () => {
    const { disk, dataDir } = await startTestDisk();
    const log = await disk.openPartition(TOPIC, 0, LOG_OPTIONS);
    await log.append(bytesOf(frames(0, 4)), headersOf(frames(0, 4)));
    await log.reset({ offset: 10, epoch: 2, retiredTo: 5 }, false);
    const first = await openTestDisk({ dataDir: crashCopy(dataDir) });
    for (const { disk: later } of [
      first,
      await openTestDisk({ dataDir: crashCopy(first.dataDir) }),
    ]) {
      expect(later.start.restartClass).toBe('warm');
      const { damage, state } = (await later.openPartition(TOPIC, 0, LOG_OPTIONS)).recovery;
      expect(damage).toBeNull();
      expect(state).toMatchObject({ startOffset: 10, startEpoch: 2, retiredTo: 5, endOffset: 10 });
    }
  });

  it('is damaged where its beginning went after that', async () => {
    const { disk, dataDir } = await startTestDisk();
    const options = { ...LOG_OPTIONS, segmentBytes: 250 };
    const log = await disk.openPartition(TOPIC, 0, options);
    await log.reset({ offset: 10, epoch: 1, retiredTo: 5 }, false);
    for (const one of frames(10, 16)) await log.append([one.bytes], [one.header]);
    const copy = crashCopy(dataDir);
    const name = `${'10'.padStart(20, '0')}.log`;
    rmSync(join(copy, 'partitions', `${TOPIC}-0`, name));
    const { disk: later } = await openTestDisk({ dataDir: copy });
    expect((await later.openPartition(TOPIC, 0, options)).recovery.damage).not.toBeNull();
  });
});
