/**
 * The file calls that storage makes, as asynchronous calls of libuv's pool, and the two loops every
 * caller needs. An interface, so that tests can make a disk fail; it must not know what the bytes
 * mean.
 *
 * Async on purpose: a synchronous write is some 40 us cheaper, but under dirty-page throttling a
 * plain write(2) hangs for seconds, and the loop that heartbeats and votes must not hang with it
 * (docs/rules.md#what-a-sync-may-not-hold-up).
 */
import fs from 'node:fs';
import { AssertionError } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import { reasonOf } from '../../base/reason.ts';

/** What stat tells that storage uses. */
export interface FileStatus {
  readonly bytes: number;
  readonly device: number;
  readonly inode: number;
  readonly changedMs: number;
  readonly createdMs: number;
}

/** A volume as statfs tells. */
export interface VolumeStatus {
  readonly type: number;
  readonly freeBytes: number;
  /** Of the whole volume. */
  readonly totalBytes: number;
}

/** `read`: must exist. `write`: read and write, made when absent. */
export type OpenMode = 'read' | 'write';

/** File calls. Each rejects with the error of Node. */
export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<number>;
  /** Bytes written, which may be fewer than asked. */
  writev(file: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Bytes read, 0 at the end of the file. */
  read(file: number, into: Uint8Array, position: number): Promise<number>;
  datasync(file: number): Promise<void>;
  truncate(file: number, bytes: number): Promise<void>;
  close(file: number): Promise<void>;
  stat(path: string): Promise<FileStatus>;
  volume(path: string): Promise<VolumeStatus>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file or a whole folder; harmless when absent. */
  remove(path: string): Promise<void>;
  makeFolder(path: string): Promise<void>;
  list(path: string): Promise<readonly string[]>;
  /** Makes names in the folder durable. */
  syncFolder(path: string): Promise<void>;
}

/** {@link FileSystem} of the machine. */
export const nodeFileSystem: FileSystem = {
  open: (path, mode) =>
    call((done) =>
      fs.open(
        path,
        mode === 'read' ? fs.constants.O_RDONLY : fs.constants.O_RDWR | fs.constants.O_CREAT,
        0o640,
        done,
      ),
    ),
  writev: (file, buffers, position) =>
    call((done) => fs.writev(file, buffers as Uint8Array[], position, done)),
  read: (file, into, position) =>
    call((done) => fs.read(file, into, 0, into.length, position, done)),
  datasync: (file) => call((done) => fs.fdatasync(file, done)),
  truncate: (file, bytes) => call((done) => fs.ftruncate(file, bytes, done)),
  close: (file) => call((done) => fs.close(file, done)),
  async stat(path) {
    const status = await fs.promises.stat(path);
    const createdMs = status.birthtimeMs > 0 ? status.birthtimeMs : status.mtimeMs;
    return {
      bytes: status.size,
      device: status.dev,
      inode: status.ino,
      changedMs: status.ctimeMs,
      createdMs,
    };
  },
  async volume(path) {
    const { type, bavail, blocks, bsize } = await fs.promises.statfs(path);
    return { type, freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  },
  rename: (from, to) => fs.promises.rename(from, to),
  remove: (path) => fs.promises.rm(path, { force: true, recursive: true }),
  async makeFolder(path) {
    await fs.promises.mkdir(path, { recursive: true, mode: 0o750 });
  },
  list: (path) => fs.promises.readdir(path),
  async syncFolder(path) {
    const folder = await fs.promises.open(path, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
};

/** The same calls, which tell of the bytes that were read and written. */
export function counted(files: FileSystem, onBytes: (bytes: number) => void): FileSystem {
  return {
    ...files,
    async writev(file, buffers, position) {
      const bytes = await files.writev(file, buffers, position);
      onBytes(bytes);
      return bytes;
    },
    async read(file, into, position) {
      const bytes = await files.read(file, into, position);
      onBytes(bytes);
      return bytes;
    },
  };
}

function call<T>(start: (done: (error: Error | null, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, result) => {
      if (error === null || error === undefined) resolve(result);
      else reject(error);
    });
  });
}

/** Writes every byte, however many calls it takes: a short write is ordinary near a full disk. */
export async function writeFully(
  files: FileSystem,
  file: number,
  buffers: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const written = await files.writev(file, rest, at);
    if (written <= 0) throw Object.assign(new Error(`writev returned ${written}`), { code: 'EIO' });
    at += written;
    rest = dropBytes(rest, written);
  }
}

/** Reads until the buffer is full or the file ends. Returns the bytes read. */
export async function readFully(
  files: FileSystem,
  file: number,
  into: Uint8Array,
  position: number,
): Promise<number> {
  let filled = 0;
  while (filled < into.length) {
    const read = await files.read(
      file,
      filled === 0 ? into : into.subarray(filled),
      position + filled,
    );
    if (read === 0) break;
    filled += read;
  }
  return filled;
}

/** The whole of a small file, or null when there is none. */
export async function readFile(files: FileSystem, path: string): Promise<Uint8Array | null> {
  let file: number;
  try {
    file = await files.open(path, 'read');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  try {
    const bytes = new Uint8Array((await files.stat(path)).bytes);
    return bytes.subarray(0, await readFully(files, file, bytes, 0));
  } finally {
    await files.close(file);
  }
}

/**
 * What a power loss may leave of a file that was replaced. `hint`: the old bytes, the new ones or,
 * on some file systems, garbage or nothing. `whole`: the old or the new bytes. `durable`: the new
 * ones.
 */
export type Durability = 'hint' | 'whole' | 'durable';

/** Replaces a file at once: readers and crashes of the process see the old or the new bytes. */
export async function replaceFile(
  files: FileSystem,
  path: string,
  bytes: Uint8Array,
  durability: Durability,
): Promise<void> {
  const temporary = `${path}.tmp`;
  // The rename may reach the disk without the bytes: what an earlier attempt left must not come to
  // stand under the name.
  if (durability === 'hint') await files.remove(temporary);
  const file = await files.open(temporary, 'write');
  try {
    await files.truncate(file, 0);
    await writeFully(files, file, [bytes], 0);
    if (durability !== 'hint') await files.datasync(file);
  } finally {
    await files.close(file);
  }
  await files.rename(temporary, path);
  if (durability === 'durable') await files.syncFolder(folderOf(path));
}

/** Where a name stands: the root and the working folder are folders as well. */
export function folderOf(path: string): string {
  const at = path.lastIndexOf('/');
  if (at < 0) return '.';
  return at === 0 ? '/' : path.slice(0, at);
}

/** Node's error code (`ENOENT`), or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

/** No space on the volume or within the quota. */
const FULL_CODES: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);
/** No descriptor or no memory for the call: it says nothing about the disk. */
const BUSY_CODES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** Whether a file call failed for want of space. */
export function isOutOfSpace(error: unknown): boolean {
  return FULL_CODES.has(codeOf(error));
}

/**
 * Converts whatever a file call threw, once: want of space becomes DISK_FULL, want of descriptors
 * or memory OVERLOADED, everything else STORAGE_FAILED. `action` completes "Cannot …". Rethrows
 * assertions.
 */
export function storageError(action: string, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  // A mistake of ours is no fault of the disk.
  if (error instanceof AssertionError) throw error;
  const text = reasonOf(error);
  const code = isOutOfSpace(error)
    ? 'DISK_FULL'
    : BUSY_CODES.has(codeOf(error))
      ? 'OVERLOADED'
      : 'STORAGE_FAILED';
  return new BrokerError(code, `Cannot ${action}: ${text}`, {}, error);
}

/**
 * Converts what a sync threw. Want of space is a failure here: bytes that were written, and maybe
 * acknowledged, found no place, and Linux says so once (P3).
 */
export function syncError(action: string, error: unknown): BrokerError {
  if (!isOutOfSpace(error)) return storageError(action, error);
  const text = reasonOf(error);
  return new BrokerError('STORAGE_FAILED', `Cannot ${action}: ${text}`, {}, error);
}

function dropBytes(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  let index = 0;
  while (index < buffers.length && left >= (buffers[index]?.length ?? 0)) {
    left -= buffers[index]?.length ?? 0;
    index += 1;
  }
  const first = buffers[index];
  if (first === undefined) return [];
  return left === 0 ? buffers.slice(index) : [first.subarray(left), ...buffers.slice(index + 1)];
}
