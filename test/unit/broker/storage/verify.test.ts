import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkDirectory } from '../../../../broker/storage/verify/directory-check.ts';
import type { DirectoryReport } from '../../../../broker/storage/verify/directory-check.ts';
import type { Finding } from '../../../../broker/storage/verify/findings.ts';
import type { PartitionReport } from '../../../../broker/storage/verify/partition-check.ts';
import {
  bytesOf,
  control,
  crashCopy,
  frame,
  headersOf,
  startTestDisk,
  temporaryFolder,
  TOPIC,
} from './fixture.ts';

const PARTITION = `partitions/${TOPIC}-0`;
const SEGMENT_BYTES = 4096;
const PAYLOAD_BYTES = 132;
const FRAME_BYTES = 200;
const FRAMES = 100;

interface Verified {
  readonly directory: DirectoryReport;
  readonly partitions: readonly PartitionReport[];
  readonly faults: readonly Finding[];
  readonly notes: readonly Finding[];
}

async function verify(path: string): Promise<Verified> {
  const partitions: PartitionReport[] = [];
  const directory = await checkDirectory({ path, onPartition: (each) => partitions.push(each) });
  const all = [directory, ...partitions].flatMap(({ findings }) => findings.list);
  return {
    directory,
    partitions,
    faults: all.filter(({ grade }) => grade === 'fault'),
    notes: all.filter(({ grade }) => grade === 'note'),
  };
}

/** What a broker leaves that wrote segments of two epochs, and stopped in order. */
async function stopped(): Promise<string> {
  const { disk, dataDir } = await startTestDisk();
  const log = await disk.openPartition(TOPIC, 0, { segmentBytes: SEGMENT_BYTES, segmentMs: 1e9 });
  await log.append(bytesOf([control(0, 1, 0)]), headersOf([control(0, 1, 0)]));
  for (let offset = 1; offset < FRAMES; offset += 1) {
    const one = frame(offset, { epoch: offset < 40 ? 1 : 2, payloadBytes: PAYLOAD_BYTES });
    await log.append(bytesOf([one]), headersOf([one]));
  }
  log.noteHighWaterMark(FRAMES);
  await disk.quorum.write([
    { kind: 'hard-state', id: 1, hardState: { term: 3, vote: null } },
    {
      kind: 'append',
      id: 2,
      firstIndex: 1,
      entries: [{ index: 1, term: 3, kind: 'data', data: 'x' }],
    },
  ]);
  await disk.markClean();
  await disk.close();
  return dataDir;
}

describe('checkDirectory', () => {
  let whole = '';
  let logs: readonly string[] = [];
  beforeAll(async () => {
    const dataDir = await stopped();
    // Each test's own folder is removed behind it.
    whole = `${dataDir}-whole`;
    cpSync(dataDir, whole, { recursive: true });
    logs = readdirSync(join(whole, PARTITION))
      .filter((name) => name.endsWith('.log'))
      .sort();
    return () => rmSync(whole, { recursive: true, force: true });
  });

  function copy(): string {
    const folder = join(temporaryFolder(), 'data');
    cpSync(whole, folder, { recursive: true });
    return folder;
  }

  function flip(path: string, at: number): void {
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }

  const log = (folder: string, index: number): string =>
    join(folder, PARTITION, logs[index] ?? 'none');
  const shown = (index: number): string => `${PARTITION}/${logs[index]}`;

  it('finds no fault in what a broker left that stopped in order, and changes nothing', async () => {
    const state = (): string[] =>
      readdirSync(whole, { recursive: true, encoding: 'utf8' })
        .sort()
        .map((name) => {
          const { size, mtimeMs, ctimeMs } = statSync(join(whole, name));
          return `${name} ${size} ${mtimeMs} ${ctimeMs}`;
        });
    const before = state();
    const { directory, partitions, faults, notes } = await verify(whole);
    expect({ faults, notes }).toEqual({ faults: [], notes: [] });
    expect(logs.length).toBeGreaterThan(3);
    expect(partitions).toMatchObject([
      {
        key: `${TOPIC}/0`,
        segments: logs.length,
        batches: FRAMES,
        records: FRAMES - 1,
        bytes: logs.reduce((sum, _, index) => sum + statSync(log(whole, index)).size, 0),
        startOffset: 0,
        endOffset: FRAMES,
        lastEpoch: 2,
      },
    ]);
    expect(directory).toMatchObject({
      kind: 'directory',
      clusterId: 'cluster',
      brokerId: 0,
      quorum: { term: 3, lastIndex: 1, snapshotIndex: 0 },
    });
    expect(state()).toEqual(before);
  });

  it('reads the folder of one partition, with or without the directory around it', async () => {
    const inside = await verify(join(copy(), PARTITION));
    expect(inside.faults).toEqual([]);
    expect(inside.directory.kind).toBe('partition');
    expect(inside.partitions).toMatchObject([{ batches: FRAMES, endOffset: FRAMES }]);
    const alone = join(temporaryFolder(), `${TOPIC}-0`);
    cpSync(join(whole, PARTITION), alone, { recursive: true });
    expect((await verify(alone)).faults).toEqual([]);
    // Its stamp is of partition 0.
    renameSync(alone, alone.replace(/0$/, '1'));
    const other = await verify(alone.replace(/0$/, '1'));
    expect(other.partitions).toMatchObject([{ batches: 0 }]);
    expect(other.faults.length).toBeGreaterThanOrEqual(logs.length);
  });

  it('notes what a process that died leaves, and finds no fault in it', async () => {
    const { disk, dataDir } = await startTestDisk();
    const opened = await disk.openPartition(TOPIC, 0, { segmentBytes: 1 << 20, segmentMs: 1e9 });
    const [first, second] = [frame(0), frame(1)];
    await opened.append(bytesOf([first]), headersOf([first]));
    const dead = crashCopy(dataDir);
    cpSync(join(dataDir, 'quorum'), join(dead, 'quorum'), { recursive: true });
    const file = join(dead, PARTITION, `${'0'.repeat(20)}.log`);
    appendFileSync(file, second.bytes.subarray(0, 70));
    const { faults, notes, partitions } = await verify(dead);
    expect(faults).toEqual([]);
    expect(notes.map(({ found }) => found)).toEqual([
      expect.stringMatching(/^a torn write: /) as string,
    ]);
    expect(partitions).toMatchObject([{ endOffset: 1 }]);
  });

  it('names every flipped bit by file and byte, and reads on behind it', async () => {
    const folder = copy();
    const position = statSync(log(folder, 1)).size - FRAME_BYTES;
    flip(log(folder, 1), 3 * FRAME_BYTES + 100);
    flip(log(folder, 1), position + 5);
    flip(log(folder, 2), 0);
    const { faults, partitions } = await verify(folder);
    expect(faults.map(({ file, position: at }) => ({ file, at }))).toEqual([
      { file: shown(1), at: 3 * FRAME_BYTES },
      { file: shown(1), at: position },
      { file: shown(2), at: 0 },
      // With the last batch of one segment the next one follows on nothing that can be read.
      { file: shown(2), at: 0 },
    ]);
    expect(faults[0]?.found).toMatch(/crc .*; 200 bytes cannot be read/);
    expect(faults[0]?.expected).toMatch(/^the batch of offset \d+, of epoch 1 or later$/);
    expect(partitions).toMatchObject([{ batches: FRAMES - 3, endOffset: FRAMES }]);
  });

  it('finds any one flipped bit of any segment', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat(7), async (which, where, bit) => {
        const folder = copy();
        const path = log(folder, which % logs.length);
        const bytes = readFileSync(path);
        const at = where % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
        writeFileSync(path, bytes);
        const { faults } = await verify(folder);
        const frameAt =
          which % logs.length === 0 ? null : Math.floor(at / FRAME_BYTES) * FRAME_BYTES;
        expect(faults[0]?.file).toBe(shown(which % logs.length));
        if (frameAt !== null) expect(faults[0]?.position).toBe(frameAt);
        rmSync(folder, { recursive: true });
      }),
      { numRuns: 25 },
    );
  });

  it('finds a file that was cut, in the middle of the log and at its end', async () => {
    const folder = copy();
    truncateSync(log(folder, 1), 2 * FRAME_BYTES + 10);
    const middle = await verify(folder);
    expect(middle.faults.map(({ file, position, found }) => ({ file, position, found }))).toEqual(
      expect.arrayContaining([
        {
          file: shown(1),
          position: 2 * FRAME_BYTES,
          found: expect.stringMatching(/^10 bytes are left/) as string,
        },
        {
          file: shown(2),
          position: 0,
          found: expect.stringMatching(/^the segment begins at offset/) as string,
        },
      ]),
    );
    const other = copy();
    const last = logs.length - 1;
    truncateSync(log(other, last), FRAME_BYTES);
    const end = await verify(other);
    expect(end.faults).toContainEqual({
      grade: 'fault',
      file: PARTITION,
      position: null,
      found: expect.stringMatching(/^the log ends at \d+$/) as string,
      expected: `synced up to ${FRAMES}`,
    });
    // A whole batch is gone without a trace in the file itself.
    expect(end.faults.filter(({ file }) => file === shown(last))).toEqual([]);
  });

  it('finds segments that changed places, and one that is missing', async () => {
    const folder = copy();
    renameSync(log(folder, 1), `${log(folder, 1)}.away`);
    renameSync(log(folder, 2), log(folder, 1));
    renameSync(`${log(folder, 1)}.away`, log(folder, 2));
    const swapped = await verify(folder);
    const atStart = swapped.faults.filter(({ position }) => position === 0);
    expect(atStart.map(({ file }) => file)).toEqual(expect.arrayContaining([shown(1), shown(2)]));
    expect(atStart[0]?.found).toMatch(/^base offset is \d+, must be \d+/);
    const missing = copy();
    rmSync(log(missing, 1));
    const { faults } = await verify(missing);
    expect(faults).toContainEqual({
      grade: 'fault',
      file: shown(2),
      position: 0,
      found: `the segment begins at offset ${Number(logs[2]?.slice(0, 20))}`,
      expected: `${Number(logs[1]?.slice(0, 20))}`,
    });
    const headless = copy();
    rmSync(log(headless, 0));
    expect((await verify(headless)).faults).toContainEqual({
      grade: 'fault',
      file: PARTITION,
      position: null,
      found: `the log starts at ${Number(logs[1]?.slice(0, 20))}`,
      expected: '0',
    });
    rmSync(join(headless, PARTITION), { recursive: true });
    expect((await verify(headless)).faults).toMatchObject([
      { file: PARTITION, found: 'no segment' },
      { file: PARTITION, found: 'the log ends at 0' },
    ]);
  });

  it('notes an index that is missing, and finds one that says something else', async () => {
    const folder = copy();
    const stem = log(folder, 0).replace(/[.]log$/, '');
    rmSync(`${stem}.index`);
    rmSync(`${stem}.timeindex`);
    const without = await verify(folder);
    expect(without.faults).toEqual([]);
    expect(without.notes).toMatchObject([{ found: 'no index' }]);
    const other = copy();
    flip(`${log(other, 0).replace(/[.]log$/, '')}.index`, 0);
    const flipped = await verify(other);
    expect(flipped.faults).toMatchObject([{ file: shown(0).replace(/log$/, 'index') }]);
    // A whole index of its own, of another log: the checksum holds, and it leads elsewhere.
    const foreign = copy();
    const path = `${log(foreign, 0).replace(/[.]log$/, '')}.timeindex`;
    const bytes = readFileSync(path);
    bytes[0] = 1;
    bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
    writeFileSync(path, bytes);
    expect((await verify(foreign)).faults).toMatchObject([
      { file: shown(0).replace(/log$/, 'timeindex'), position: 0 },
    ]);
  });

  it('finds stray files wherever they lie', async () => {
    const folder = copy();
    writeFileSync(join(folder, 'notes.txt'), '');
    writeFileSync(join(folder, PARTITION, '7.log'), '');
    writeFileSync(join(folder, 'partitions', 'orders-0'), '');
    writeFileSync(join(folder, 'quorum', 'log.bak'), '');
    const { faults } = await verify(folder);
    expect(faults.map(({ file }) => file).sort()).toEqual(
      ['notes.txt', 'partitions/orders-0', `${PARTITION}/7.log`, 'quorum/log.bak'].sort(),
    );
    expect(new Set(faults.map(({ found }) => found))).toEqual(new Set(['a stray file']));
  });

  it('finds files of another version', async () => {
    const folder = copy();
    const meta = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8')) as object;
    writeFileSync(join(folder, 'meta.json'), JSON.stringify({ ...meta, formatVersion: 2 }));
    // The version of a batch stands behind its length and checksums.
    const bytes = readFileSync(log(folder, 1));
    bytes[24] = 2;
    writeFileSync(log(folder, 1), bytes);
    const { faults } = await verify(folder);
    expect(faults).toMatchObject([
      { file: 'meta.json', found: 'formatVersion 2', expected: '1' },
      { file: shown(1), position: 0, found: expect.stringMatching(/version/) as string },
    ]);
  });

  it('finds what was changed in checkpoint, session, producer table and metadata log', async () => {
    const folder = copy();
    flip(join(folder, 'checkpoint.json'), 20);
    writeFileSync(join(folder, 'session.json'), '{');
    writeFileSync(join(folder, PARTITION, 'producers.snapshot'), '00000000 5 1\n[]');
    flip(join(folder, 'quorum', 'log'), 2 * 4096 + 30);
    const { faults } = await verify(folder);
    expect(faults.map(({ file }) => file)).toEqual([
      'session.json',
      'checkpoint.json',
      'quorum/log',
      `${PARTITION}/producers.snapshot`,
    ]);
    expect(faults[2]).toMatchObject({ position: 2 * 4096 });
  });

  it('says of a log that the checkpoint does not name, and of epochs that it does not name', async () => {
    const folder = copy();
    const path = join(folder, 'checkpoint.json');
    const rewrite = (change: (text: string) => string): void => {
      const text = Buffer.from(change(readFileSync(path, 'utf8').slice(9)));
      writeFileSync(path, `${crc32(text).toString(16).padStart(8, '0')}\n${text.toString()}`);
    };
    rewrite((text) => text.replace('[2,40]', '[2,41]'));
    const epochs = await verify(folder);
    expect(epochs.faults).toMatchObject([
      {
        file: PARTITION,
        found: 'batches of the epochs 1 from 0, 2 from 40',
        expected: '1 from 0, 2 from 41, as the checkpoint says',
      },
    ]);
    rewrite(() => '{"version":1,"partitions":{}}');
    expect((await verify(folder)).faults).toMatchObject([{ file: PARTITION, found: 'a log' }]);
  });

  it('refuses a directory that a broker has open, and what is no directory', async () => {
    const { dataDir } = await startTestDisk();
    await expect(verify(dataDir)).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('a broker has it open') as string,
    });
    const folder = temporaryFolder();
    await expect(verify(join(folder, 'none'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    mkdirSync(join(folder, 'other'));
    await expect(verify(join(folder, 'other'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(readdirSync(join(folder, 'other'))).toEqual([]);
  });
});
