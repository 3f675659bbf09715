/**
 * What the simulated disk must be able to do to a process. That it is a file system at all,
 * `test/contract` shows.
 */
import { describe, expect, it } from 'vitest';
import { readFile, replaceFile, writeFully } from '../../../broker/storage/file-system.ts';
import { openDisk } from '../../../broker/storage/disk.ts';
import { simulatedDisk } from '../../contract/simulated.ts';
import type { SimDisk, SimFileSystem } from './sim-file-system.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const SEEDS = Array.from({ length: 200 }, (_, index) => index + 1);

async function textOf(files: SimFileSystem, path: string): Promise<string | null> {
  const content = await readFile(files, path);
  return content === null ? null : Buffer.from(content).toString();
}

/** What `after` leaves of a disk on which `before` was done, for many seeds; each outcome once. */
async function outcomes(
  before: (files: SimFileSystem, disk: SimDisk) => Promise<void>,
  after: (files: SimFileSystem) => Promise<string>,
  disaster: (disk: SimDisk) => void = (disk) => disk.losePower(),
): Promise<Set<string>> {
  const found = new Set<string>();
  for (const seed of SEEDS) {
    const { disk, end } = simulatedDisk(seed);
    await before(disk.mount(), disk);
    disaster(disk);
    found.add(await after(disk.mount()));
    end();
  }
  return found;
}

const listRoot = async (files: SimFileSystem): Promise<string> =>
  [...(await files.list('/'))].sort().join();

describe('power loss', () => {
  it('keeps what was synced, and any part of what was not', async () => {
    const found = await outcomes(
      async (files) => {
        await replaceFile(files, '/a', bytes('synced'), 'durable');
        const file = await files.open('/a', 'write');
        await writeFully(files, file, [bytes('-one')], 6);
        await writeFully(files, file, [bytes('-two')], 10);
      },
      async (files) => (await textOf(files, '/a')) ?? 'none',
    );
    expect([...found].every((text) => text.startsWith('synced'))).toBe(true);
    for (const text of ['synced', 'synced-one', 'synced-one-two', 'synced-one-t'])
      expect(found).toContain(text);
  });

  it('lets pages of one file reach the disk in any order, with holes between them', async () => {
    const found = await outcomes(
      async (files) => {
        const file = await files.open('/a', 'write');
        await files.syncFolder('/');
        for (const page of [0, 1, 2])
          await writeFully(files, file, [new Uint8Array(4096).fill(page + 1)], page * 4096);
      },
      async (files) => {
        const content = (await readFile(files, '/a')) ?? new Uint8Array(0);
        return [0, 4096, 8192].map((at) => content[at] ?? '-').join('');
      },
    );
    for (const pages of ['---', '1--', '12-', '123', '023', '103', '000'])
      expect(found).toContain(pages);
  });

  it('leaves names as they were until the folder is synced', async () => {
    const found = await outcomes(async (files) => {
      await replaceFile(files, '/old', bytes('1'), 'durable');
      await replaceFile(files, '/gone', bytes('1'), 'durable');
      await files.rename('/old', '/new');
      await files.remove('/gone');
      await files.makeFolder('/folder');
    }, listRoot);
    expect([...found].sort()).toEqual(['folder,new', 'gone,new', 'gone,old', 'new']);
    const synced = await outcomes(async (files) => {
      await replaceFile(files, '/old', bytes('1'), 'durable');
      await files.rename('/old', '/new');
      await files.syncFolder('/');
    }, listRoot);
    expect([...synced]).toEqual(['new']);
  });

  it('may leave a file without its bytes where only its name was synced', async () => {
    const found = await outcomes(
      (files) => replaceFile(files, '/a', bytes('text'), 'hint').then(() => files.syncFolder('/')),
      async (files) => (await textOf(files, '/a')) ?? 'none',
    );
    expect(found).toContain('');
    expect(found).toContain('text');
    expect(found).not.toContain('none');
  });

  it('takes what a failed sync has given up, though a later one succeeds', async () => {
    const found = await outcomes(
      async (files, disk) => {
        const file = await files.open('/a', 'write');
        await files.syncFolder('/');
        await writeFully(files, file, [bytes('text')], 0);
        disk.faults.add({ kinds: ['datasync'], fault: { kind: 'error', code: 'EIO' } });
        await expect(files.datasync(file)).rejects.toMatchObject({ code: 'EIO' });
        await files.datasync(file);
      },
      async (files) => (await textOf(files, '/a')) ?? 'none',
    );
    expect([...found]).toEqual(['']);
  });
});

describe('a crash', () => {
  it('keeps what was answered, draws what was in flight, and answers no more', async () => {
    let answers = 0;
    const found = await outcomes(
      async (files) => {
        const file = await files.open('/a', 'write');
        await writeFully(files, file, [bytes('done')], 0);
        void files.writev(file, [bytes('-more')], 4).then(() => (answers += 1));
      },
      async (files) => (await textOf(files, '/a')) ?? 'none',
      (disk) => disk.crash(),
    );
    for (const text of ['done', 'done-more', 'done-mo']) expect(found).toContain(text);
    expect(answers).toBe(0);
  });

  it('strikes before, within or after the operation that it is set on', async () => {
    for (const [when, expected] of [
      ['before', ['']],
      ['after', ['text']],
      ['torn', ['', 't', 'te', 'tex']],
    ] as const) {
      const found = new Set<string>();
      for (const seed of SEEDS) {
        const { disk, end } = simulatedDisk(seed);
        const files = disk.mount();
        const file = await files.open('/a', 'write');
        const crashed = new Promise<void>((resolve) => {
          const run = (): void => {
            disk.crash();
            resolve();
          };
          disk.faults.add({ number: disk.operations + 1, fault: { kind: 'crash', when, run } });
        });
        void files.writev(file, [bytes('text')], 0);
        await crashed;
        found.add((await textOf(disk.mount(), '/a')) ?? 'none');
        end();
      }
      expect([...found].sort()).toEqual(expected);
    }
  });
});

describe('a volume', () => {
  it('fills up, says so, and has room again once files are gone', async () => {
    const { disk, end } = simulatedDisk(1, { capacityBytes: 4 * 4096 });
    const files = disk.mount();
    const file = await files.open('/a', 'write');
    expect(await files.writev(file, [new Uint8Array(6 * 4096).fill(1)], 0)).toBe(4 * 4096);
    await expect(files.writev(file, [bytes('x')], 4 * 4096)).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    expect((await files.volume('/')).freeBytes).toBe(0);
    await files.remove('/a');
    expect((await files.volume('/')).freeBytes).toBe(0);
    await files.close(file);
    expect((await files.volume('/')).freeBytes).toBe(4 * 4096);
    end();
  });

  it('is rolled back with its inodes, and copied with others', async () => {
    const { disk, end } = simulatedDisk(1);
    const files = disk.mount();
    await replaceFile(files, '/folder-less', bytes('1'), 'durable');
    const { inode, device, changedMs } = await files.stat('/folder-less');
    const snapshot = disk.volume.snapshot();
    await replaceFile(files, '/folder-less', bytes('22'), 'durable');
    disk.crash();
    const copy = disk.volume.clone({ random: { below: () => 0 } as never, wallMs: () => 7 });
    expect(copy.stat('/folder-less')).toMatchObject({ bytes: 2, device: device + 1, changedMs: 7 });
    disk.volume.restore(snapshot);
    expect(disk.volume.stat('/folder-less')).toMatchObject({ bytes: 1, inode, changedMs });
    disk.volume.empty();
    expect(disk.volume.files()).toEqual([]);
    end();
  });

  it('bears the real storage: a start after a kill is warm, after another boot lossy', async () => {
    const { disk, end } = simulatedDisk(1);
    disk.volume.makeFolder('/data');
    disk.volume.node('/').sync(1);
    const open = (bootId: string): ReturnType<typeof openDisk> =>
      openDisk({
        dataDir: '/data',
        podUid: 'pod',
        clock: {
          monotonicMs: () => 0,
          wallMs: () => 0,
          every: () => () => {},
          after: () => () => {},
        },
        logger: { info() {}, warn() {}, error() {} },
        bootId,
        files: disk.mount(),
        lock: () => () => {},
      });
    const first = await open('one');
    await first.format({ formatVersion: 1, clusterId: 'c', brokerId: 0, directoryId: 'd' });
    await first.writeSession(1);
    disk.crash();
    expect((await open('one')).start.restartClass).toBe('warm');
    disk.losePower();
    expect((await open('two')).start.restartClass).toBe('lossy');
    end();
  });

  it('does the same in every run of a seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const lines: string[] = [];
      const { disk, end } = simulatedDisk(seed, { onOperation: (line) => lines.push(line) });
      const files = disk.mount();
      for (const name of ['/a', '/b']) await replaceFile(files, name, bytes('text'), 'hint');
      disk.losePower();
      await listRoot(disk.mount());
      end();
      return lines.join('\n');
    };
    expect(await run(3)).toBe(await run(3));
    expect(await run(3)).not.toBe(await run(4));
  });
});
