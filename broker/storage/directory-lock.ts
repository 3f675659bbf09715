/**
 * One process per data directory. The lock is the kernel's byte-range lock on the file `lock`,
 * taken through Node's SQLite, the only part of Node that can take one: it goes when the process
 * goes, however it ends, and it is seen by every container on the node that mounts the volume,
 * where process ids and abstract sockets are not. Nothing is ever stored in that file.
 */
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { BrokerError } from '../../base/errors.ts';
import { reasonOf } from '../../base/reason.ts';

/**
 * Gives the lock back. Whoever drops it does so too, as soon as it is collected: keep it for as
 * long as the directory is used.
 */
export type ReleaseLock = () => void;

/** SQLite's word for a lock that another one has. */
const SQLITE_BUSY = 5;

/**
 * Takes the lock of a directory, or throws REFUSED when another process, or another opener in this
 * one, has it.
 */
export function lockDirectory(dataDir: string): ReleaseLock {
  const path = `${dataDir}/lock`;
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    // The journal in memory keeps a second file from appearing beside the lock.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database?.close();
    const detail = reasonOf(error);
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

/**
 * Whether a process has the lock of a directory. Makes no file, and holds nobody up: the question
 * itself holds a shared lock for an instant, at which a broker that starts would be refused and
 * start again. Throws REFUSED where the lock cannot be asked for.
 */
export function isDirectoryHeld(dataDir: string): boolean {
  const path = `${dataDir}/lock`;
  if (!existsSync(path)) return false;
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    database.exec('PRAGMA schema_version');
    return false;
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY) return true;
    const detail = reasonOf(error);
    throw new BrokerError('REFUSED', `Cannot ask for the lock "${path}": ${detail}`, {}, error);
  } finally {
    database?.close();
  }
}
