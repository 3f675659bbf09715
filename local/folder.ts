/** The data folder of `npm start`: usable, and not in use. */
import { accessSync, constants, mkdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { reasonOf } from '../base/reason.ts';

/** Path of a unix socket: the kernel allows 108 bytes. */
const SOCKET_PATH_BYTES_MAX = 100;
/** A launcher answers at once, or is not there. */
const ANSWER_MS_MAX = 2_000;

/** Path of the launcher's socket in a folder. */
export function socketOf(dataDir: string): string {
  return join(dataDir, 'control.sock');
}

/** Makes the folder where it is missing. Rejects with a sentence where it cannot be used. */
export async function takeFolder(dataDir: string): Promise<void> {
  const socket = socketOf(dataDir);
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
    throw new Error(
      `Cannot use the folder ${dataDir}: its control socket would have a path over ${SOCKET_PATH_BYTES_MAX} bytes, choose a shorter one with --data`,
    );
  }
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Error(
      `Cannot use the folder ${dataDir}: ${whyNot(error, dataDir)}, choose another with --data`,
      { cause: error },
    );
  }
  if (await isAnswered(socket))
    throw new Error(`Brokers run in ${dataDir} already: ${launcherOf(dataDir)} started them`);
}

function whyNot(error: unknown, dataDir: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'EEXIST' || code === 'ENOTDIR') return 'a file is in its place';
  if (code === 'ENOSPC') return 'the disk is full';
  if (code === 'EROFS') return 'its file system is read-only';
  if (code !== 'EACCES' && code !== 'EPERM') return reasonOf(error);
  return `it belongs to user ${ownerOf(dataDir)}, this is user ${process.getuid?.() ?? 'unknown'}`;
}

/** Of the folder, or of the one that it would be made in. */
function ownerOf(folder: string): number | string {
  try {
    return statSync(folder).uid;
  } catch {
    return folder === dirname(folder) ? 'unknown' : ownerOf(dirname(folder));
  }
}

/** Does somebody listen? A socket outlives a launcher that was killed. */
function isAnswered(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const end = (isThere: boolean): void => {
      connection.destroy();
      resolve(isThere);
    };
    connection.setTimeout(ANSWER_MS_MAX);
    connection.once('connect', () => end(true));
    connection.once('timeout', () => end(true));
    connection.once('error', () => end(false));
  });
}

function launcherOf(dataDir: string): string {
  try {
    const { launcherPid } = JSON.parse(readFileSync(join(dataDir, 'local.json'), 'utf8')) as {
      readonly launcherPid?: unknown;
    };
    if (typeof launcherPid === 'number') return `process ${launcherPid}`;
  } catch {
    // It is writing the file, or removes it.
  }
  return 'another process';
}
