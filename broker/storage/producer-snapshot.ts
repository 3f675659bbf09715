/**
 * The producer table saved beside a log: opaque text as of an offset, with a checksum. A shortcut for recovery, never the truth: when it is
 * missing, damaged or not within the log, the table is rebuilt from batch headers (rule 20).
 */
import { crc32 } from 'node:zlib';
import type { Offset } from '../base/units.ts';
import { readFile, replaceFile } from './file-system.ts';
import type { FileSystem } from './file-system.ts';

export interface ProducerSnapshot {
  readonly offset: Offset;
  readonly text: string;
}

const HEAD = /^([0-9a-f]{8}) (\d{1,16})\n/;

/** Where the snapshot of the log in a folder is. */
export function producerSnapshotPath(folder: string): string {
  return `${folder}/producers.snapshot`;
}

/** The snapshot in the file, or null. */
export async function loadProducerSnapshot(
  files: FileSystem,
  path: string,
): Promise<ProducerSnapshot | null> {
  const bytes = await readFile(files, path);
  if (bytes === null) return null;
  const content = Buffer.from(bytes).toString();
  const head = HEAD.exec(content);
  if (head === null) return null;
  const snapshot = { offset: Number(head[2]), text: content.slice(head[0].length) };
  return head[1] === checksum(snapshot) ? snapshot : null;
}

/** Replaces the file, unsynced. */
export function saveProducerSnapshot(
  files: FileSystem,
  path: string,
  snapshot: ProducerSnapshot,
): Promise<void> {
  const head = `${checksum(snapshot)} ${snapshot.offset}\n`;
  return replaceFile(files, path, Buffer.from(head + snapshot.text), false);
}

function checksum({ offset, text }: ProducerSnapshot): string {
  return crc32(`${offset}\n${text}`).toString(16).padStart(8, '0');
}
