/**
 * The session file and the restart class that follows from it (P4, P5;
 * docs/rules.md#restart-classes). The file names the last incarnation that may have written here
 * and where it ran; it is synced before that incarnation may be unfenced. The clean flag names the
 * incarnation that stopped in order. Only bytes and rules; no partition is looked at.
 */
import { readFile as readProcFile } from 'node:fs/promises';
import type { BrokerEpoch, DirectoryId } from '../../base/units.ts';
import type { RestartClass } from '../metadata/types.ts';
import type { DirectoryMeta } from '../runtime/ports.ts';
import type { CheckpointFile } from './checkpoint.ts';
import { readFile, replaceFile } from './file-system.ts';
import type { FileSystem } from './file-system.ts';

/**
 * Identity of the mounted directory: device, filesystem type and, of `meta.json`, inode and ctime.
 * A restored or cloned volume has other inodes or times; the mount id would change whenever the
 * container restarts, so it is no part of it.
 */
export interface MountIdentity {
  readonly device: number;
  readonly fileSystemType: number;
  readonly metaInode: number;
  readonly metaChangedMs: number;
}

/** Contents of `session.json`. */
export interface Session {
  readonly clusterId: string;
  readonly directoryId: DirectoryId;
  readonly brokerEpoch: BrokerEpoch;
  readonly bootId: string;
  readonly mount: MountIdentity;
  readonly podUid: string;
}

/** Where this process runs. */
export interface Surroundings {
  readonly bootId: string;
  readonly mount: MountIdentity;
  readonly podUid: string;
}

/** Contents of the `clean` flag. */
export interface CleanFlag {
  readonly directoryId: DirectoryId;
  readonly brokerEpoch: BrokerEpoch;
}

/** The verdict and its reason in words. */
export interface Classification {
  readonly restartClass: RestartClass;
  readonly reason: string;
}

/** The kernel's boot id: another one means that the page cache is gone. */
export async function readBootId(): Promise<string> {
  return (await readProcFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

/** Identity of the mount that holds `metaPath`. */
export async function readMountIdentity(
  files: FileSystem,
  metaPath: string,
): Promise<MountIdentity> {
  const status = await files.stat(metaPath);
  const { type } = await files.volume(metaPath);
  return {
    device: status.device,
    fileSystemType: type,
    metaInode: status.inode,
    metaChangedMs: status.changedMs,
  };
}

/** Classifies a start. Whatever cannot be shown to be clean or warm is lossy. */
export function classify(found: {
  readonly meta: DirectoryMeta | null;
  readonly session: Session | null;
  readonly cleanFlag: CleanFlag | null;
  /** Absent: there is none, though a session is written after it. */
  readonly checkpoint: CheckpointFile;
  readonly now: Surroundings;
}): Classification {
  const { meta, session, cleanFlag, checkpoint, now } = found;
  if (meta === null) return { restartClass: 'new', reason: 'directory is not formatted' };
  if (session === null) return lossy('there is no session file that can be read');
  if (session.clusterId !== meta.clusterId)
    return lossy(`session file is of cluster "${session.clusterId}", this is "${meta.clusterId}"`);
  if (session.directoryId !== meta.directoryId)
    return lossy(
      `session file is of directory ${session.directoryId}, this is ${meta.directoryId}`,
    );
  // It names the partitions that must be there: without it a vanished one would pass for a new one.
  if (checkpoint !== 'whole') return lossy(`the checkpoint is ${checkpoint}`);
  // Everything was synced: neither the boot nor the mount matters. That the flag is not an old
  // copy, the controller sees from the epoch.
  const isClean =
    cleanFlag?.directoryId === meta.directoryId && cleanFlag.brokerEpoch === session.brokerEpoch;
  if (isClean)
    return { restartClass: 'clean', reason: `orderly stop of broker epoch ${session.brokerEpoch}` };
  if (session.bootId !== now.bootId)
    return lossy(`session file is of boot ${session.bootId}, this is boot ${now.bootId}`);
  if (session.podUid !== now.podUid)
    return lossy(`session file is of pod "${session.podUid}", this is pod "${now.podUid}"`);
  const difference = mountDifference(session.mount, now.mount);
  if (difference !== null) return lossy(`session file is of another mount: ${difference}`);
  return {
    restartClass: 'warm',
    reason: `process of broker epoch ${session.brokerEpoch} ended without an orderly stop, in this boot and mount`,
  };
}

/** The session file, or null when there is none that can be read. */
export function loadSession(files: FileSystem, path: string): Promise<Session | null> {
  return loadJson<Session>(files, path, isSession);
}

/** The clean flag, or null when there is none that can be read. */
export function loadCleanFlag(files: FileSystem, path: string): Promise<CleanFlag | null> {
  return loadJson<CleanFlag>(
    files,
    path,
    (value) => typeof value['directoryId'] === 'string' && typeof value['brokerEpoch'] === 'number',
  );
}

/** Writes a small JSON file, durable when it resolves. */
export function saveJson(files: FileSystem, path: string, value: object): Promise<void> {
  return replaceFile(files, path, Buffer.from(`${JSON.stringify(value, null, 2)}\n`), 'durable');
}

/**
 * A JSON object that `isValid`, or null when the file is missing or holds something else. Rejects
 * on I/O errors.
 */
export async function loadJson<T>(
  files: FileSystem,
  path: string,
  isValid: (value: Record<string, unknown>) => boolean,
): Promise<T | null> {
  const bytes = await readFile(files, path);
  if (bytes === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  return isValid(value as Record<string, unknown>) ? (value as T) : null;
}

function lossy(reason: string): Classification {
  return { restartClass: 'lossy', reason };
}

function mountDifference(then: MountIdentity, now: MountIdentity): string | null {
  for (const key of ['device', 'fileSystemType', 'metaInode', 'metaChangedMs'] as const) {
    if (then[key] !== now[key]) return `${key} was ${then[key]} and is ${now[key]}`;
  }
  return null;
}

function isSession(value: Record<string, unknown>): boolean {
  const texts = ['clusterId', 'directoryId', 'bootId', 'podUid'].every(
    (key) => typeof value[key] === 'string',
  );
  return (
    texts &&
    Number.isSafeInteger(value['brokerEpoch']) &&
    typeof value['mount'] === 'object' &&
    value['mount'] !== null
  );
}
