/**
 * The `FileSystem` port: what storage counts on, of the machine's file system and of the simulated
 * one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  nodeFileSystem,
  readFile,
  readFully,
  replaceFile,
  writeFully,
} from '../../broker/storage/file-system.ts';
import type { FileSystem } from '../../broker/storage/file-system.ts';
import { simulatedDisk } from './simulated.ts';

interface Subject {
  readonly files: FileSystem;
  /** An empty folder. */
  readonly folder: string;
  readonly end: () => void;
}

const SUBJECTS: Record<string, () => Subject> = {
  'of the machine': () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-contract-'));
    return {
      files: nodeFileSystem,
      folder,
      end: () => rmSync(folder, { recursive: true, force: true }),
    };
  },
  simulated: () => {
    const { disk, end } = simulatedDisk(1);
    disk.volume.makeFolder('/data');
    return { files: disk.mount(), folder: '/data', end };
  },
};

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe.each(Object.keys(SUBJECTS))('file system %s', (name) => {
  let subject: Subject;
  let files: FileSystem;
  let at: (name: string) => string;

  beforeEach(() => {
    subject = SUBJECTS[name]!();
    files = subject.files;
    at = (path) => `${subject.folder}/${path}`;
  });

  afterEach(() => subject.end());

  async function textOf(path: string): Promise<string | null> {
    const content = await readFile(files, path);
    return content === null ? null : Buffer.from(content).toString();
  }

  async function make(path: string, text: string): Promise<void> {
    await replaceFile(files, path, bytes(text), 'durable');
  }

  it('writes several buffers at a position, and reads what is there', async () => {
    const file = await files.open(at('a'), 'write');
    await writeFully(files, file, [bytes('one '), bytes(''), bytes('two')], 0);
    await writeFully(files, file, [bytes('ONE')], 0);
    const into = new Uint8Array(5);
    expect(await readFully(files, file, into, 2)).toBe(5);
    expect(Buffer.from(into).toString()).toBe('E two');
    expect(await files.read(file, into, 7)).toBe(0);
    expect(await files.read(file, into, 1000)).toBe(0);
    expect(await readFully(files, file, into, 5)).toBe(2);
    await files.datasync(file);
    await files.close(file);
    expect(await textOf(at('a'))).toBe('ONE two');
  });

  it('fills what was never written with zeros, behind the end and after a cut', async () => {
    const file = await files.open(at('a'), 'write');
    await writeFully(files, file, [bytes('abcdef')], 0);
    await files.truncate(file, 3);
    expect((await files.stat(at('a'))).bytes).toBe(3);
    await writeFully(files, file, [bytes('x')], 5000);
    await files.truncate(file, 5002);
    await files.close(file);
    const expected = new Uint8Array(5002);
    expected.set(bytes('abc'));
    expected.set(bytes('x'), 5000);
    const found = await readFile(files, at('a'));
    expect(Buffer.compare(found!, expected)).toBe(0);
  });

  it('tells what is not there, and what a descriptor cannot do', async () => {
    await expect(files.open(at('a'), 'read')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(files.open(at('no/a'), 'write')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(files.stat(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(files.list(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(files.syncFolder(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(files.rename(at('a'), at('b'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(files.volume(at('a'))).rejects.toMatchObject({ code: 'ENOENT' });
    await files.remove(at('a'));
    await files.remove(at('no/a'));
    await make(at('a'), 'text');
    const reader = await files.open(at('a'), 'read');
    await expect(files.writev(reader, [bytes('x')], 0)).rejects.toMatchObject({ code: 'EBADF' });
    await expect(files.truncate(reader, 0)).rejects.toMatchObject({ code: 'EINVAL' });
    await files.close(reader);
    await expect(files.open(subject.folder, 'write')).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(files.list(at('a'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(files.makeFolder(at('a'))).rejects.toMatchObject({ code: 'EEXIST' });
    await expect(files.makeFolder(at('a/b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await files.close(await files.open(at('a'), 'write'));
    expect(await textOf(at('a'))).toBe('text');
  });

  it('renames over what is there, and keeps what is open', async () => {
    await make(at('a'), 'old');
    const reader = await files.open(at('a'), 'read');
    await make(at('a'), 'new!');
    const into = new Uint8Array(8);
    expect(await readFully(files, reader, into, 0)).toBe(3);
    await files.close(reader);
    expect(await textOf(at('a'))).toBe('new!');
    await files.rename(at('a'), at('a'));
    await files.rename(at('a'), at('b'));
    expect([...(await files.list(subject.folder))]).toEqual(['b']);
    await files.makeFolder(at('folder/inner'));
    await expect(files.rename(at('b'), at('folder'))).rejects.toMatchObject({ code: 'EISDIR' });
    await expect(files.rename(at('folder'), at('b'))).rejects.toMatchObject({ code: 'ENOTDIR' });
    await files.makeFolder(at('full/inner'));
    await expect(files.rename(at('folder'), at('full'))).rejects.toMatchObject({
      code: 'ENOTEMPTY',
    });
    await files.remove(at('full/inner'));
    await files.rename(at('folder'), at('full'));
    expect([...(await files.list(at('full')))]).toEqual(['inner']);
  });

  it('makes folders with all that leads to them, and removes them with all that is in them', async () => {
    await files.makeFolder(at('a/b/c'));
    await files.makeFolder(at('a/b/c'));
    await make(at('a/b/file'), 'text');
    expect([...(await files.list(at('a/b')))].sort()).toEqual(['c', 'file']);
    await files.syncFolder(at('a/b'));
    await files.syncFolder(at('a'));
    const file = await files.open(at('a/b/file'), 'write');
    await files.remove(at('a'));
    expect([...(await files.list(subject.folder))]).toEqual([]);
    await writeFully(files, file, [bytes('TEXT')], 0);
    await files.close(file);
    await expect(files.stat(at('a/b/file'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('gives every file an identity that stays, and times that follow its changes', async () => {
    await make(at('a'), 'one');
    const first = await files.stat(at('a'));
    expect(await files.stat(at('a'))).toEqual(first);
    await make(at('b'), 'two');
    const other = await files.stat(at('b'));
    expect(other.device).toBe(first.device);
    expect(other.inode).not.toBe(first.inode);
    expect(other.changedMs).toBeGreaterThanOrEqual(first.changedMs);
    await make(at('a'), 'three');
    const second = await files.stat(at('a'));
    expect(second.inode).not.toBe(first.inode);
    expect(second.bytes).toBe(5);
    expect(second.createdMs).toBeGreaterThanOrEqual(first.createdMs);
  });

  it('says how much of the volume is free, the same wherever it is asked', async () => {
    await make(at('a'), 'one');
    const whole = await files.volume(subject.folder);
    expect(whole.freeBytes).toBeGreaterThan(0);
    expect((await files.volume(at('a'))).type).toBe(whole.type);
  });
});
