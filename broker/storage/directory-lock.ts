/**
 * One process per data directory. The lock is the kernel's byte-range lock on the file `lock`, taken through Node's SQLite, the only part of
 * Node that can take one: it goes when the process goes, however it ends, and it is seen by every container on the node that mounts the
 * volume, where process ids and abstract sockets are not. Nothing is ever stored in that file.
 */
import { DatabaseSync } from 'node:sqlite';
import { BrokerError } from '../base/errors.ts';

/** Gives the lock back. */
export type ReleaseLock = () => void;

/** Takes the lock of a directory, or throws REFUSED when another process, or another opener in this one, has it. */
export function lockDirectory(dataDir: string): ReleaseLock {
  const path = `${dataDir}/lock`;
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    // The journal in memory keeps a second file from appearing beside the lock.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const detail = error instanceof Error ? error.message : String(error);
    throw new BrokerError(
      'REFUSED',
      `Cannot open data directory "${dataDir}": its lock is taken by another process (${detail})`,
      {},
      error,
    );
  }
  const taken = database;
  return () => taken.close();
}
