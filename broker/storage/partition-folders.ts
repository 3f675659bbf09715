/**
 * The folders of a data directory: which partitions must be there, and folders whose path is
 * durable.
 */
import type { PartitionKey, TopicId } from '../../base/units.ts';
import { partitionKey } from '../../base/units.ts';
import { type FileSystem, folderOf } from './file-system.ts';
import type { Checkpoint } from './checkpoint.ts';

const DELETED_SUFFIX = '.deleted';
const PARTITION_FOLDER = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{1,9})$/;

export interface PartitionId {
  readonly topicId: TopicId;
  readonly partition: number;
}

/**
 * Partitions that have a folder, or a line in the checkpoint and so must have one. Completes
 * deletions that a crash interrupted.
 */
export async function listPartitions(
  files: FileSystem,
  folder: string,
  checkpoint: Checkpoint,
): Promise<Map<PartitionKey, PartitionId>> {
  const partitions = new Map<PartitionKey, PartitionId>();
  for (const key of checkpoint.keys()) partitions.set(key, partitionOf(key));
  for (const name of await files.list(folder)) {
    if (name.endsWith(DELETED_SUFFIX)) await files.remove(`${folder}/${name}`);
    const id = partitionOfFolder(name);
    if (id === null) continue;
    partitions.set(partitionKey(id.topicId, id.partition), id);
  }
  const deleting = checkpoint.deleting();
  for (const key of deleting) {
    const { topicId, partition } = partitionOf(key);
    await files.remove(`${folder}/${topicId}-${partition}`);
    partitions.delete(key);
  }
  if (deleting.length > 0) await files.syncFolder(folder);
  for (const key of deleting) checkpoint.endDelete(key);
  return partitions;
}

/** The partition whose folder has this name, or null for another name. */
export function partitionOfFolder(name: string): PartitionId | null {
  const match = PARTITION_FOLDER.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return { topicId: match[1], partition: Number(match[2]) };
}

/** The inverse of `partitionKey`. */
export function partitionOf(key: PartitionKey): PartitionId {
  const at = key.lastIndexOf('/');
  return { topicId: key.slice(0, at), partition: Number(key.slice(at + 1)) };
}

/**
 * Makes a folder and those above it, all durable: what is synced inside is nothing without its
 * path.
 */
export async function makeDurableFolder(files: FileSystem, path: string): Promise<void> {
  const missing: string[] = [];
  for (let at = path; at !== '/' && at !== '.'; at = folderOf(at)) {
    const isThere = await files.stat(at).then(
      () => true,
      () => false,
    );
    if (isThere) break;
    missing.push(at);
  }
  await files.makeFolder(path);
  for (const made of missing) await files.syncFolder(folderOf(made));
}
