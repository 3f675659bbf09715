/** File calls of a reader that must change nothing: those that could are refused. */
import { BrokerError } from '../../../base/errors.ts';
import { codeOf, readFully } from '../file-system.ts';
import type { FileSystem } from '../file-system.ts';

/** The same files, for reading alone. Everything else rejects with REFUSED. */
export function readOnly(files: FileSystem): FileSystem {
  const refuse = (): Promise<never> =>
    Promise.reject(new BrokerError('REFUSED', 'Cannot change a file: it is only read here'));
  return {
    open: (path, mode) => (mode === 'read' ? files.open(path, mode) : refuse()),
    read: (file, into, position) => files.read(file, into, position),
    close: (file) => files.close(file),
    stat: (path) => files.stat(path),
    volume: (path) => files.volume(path),
    list: (path) => files.list(path),
    writev: refuse,
    datasync: refuse,
    truncate: refuse,
    rename: refuse,
    remove: refuse,
    makeFolder: refuse,
    syncFolder: refuse,
  };
}

/** Runs `work` with a reader of one file, and closes it. Rejects as the file system does. */
export async function withReader<T>(
  files: FileSystem,
  path: string,
  work: (readAt: (into: Uint8Array, position: number) => Promise<number>) => Promise<T>,
): Promise<T> {
  const file = await files.open(path, 'read');
  try {
    return await work((into, position) => readFully(files, file, into, position));
  } finally {
    await files.close(file);
  }
}

/** Sorted names in a folder, or null where there is none. Rejects as the file system does. */
export async function namesIn(files: FileSystem, folder: string): Promise<string[] | null> {
  try {
    return [...(await files.list(folder))].sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
