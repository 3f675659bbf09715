/**
 * Bytes that a log must give up but nobody may lose: copied to `aside/` in the partition's folder,
 * synced, before they are cut. For people and repair; the broker never reads them again. Removed
 * with the partition.
 */
import { isOutOfSpace, writeFully } from './file-system.ts';
import type { Segment } from './segment.ts';
import type { Volume } from './volume.ts';

/** Bytes that are about to be cut: from `position` of the segment to the end of its file. */
export interface CutRange {
  readonly segment: Segment;
  readonly position: number;
}

/** All of these segments but the first `position` bytes. */
export function rangesFrom(segments: readonly Segment[], position = 0): readonly CutRange[] {
  return segments
    .map((segment, index) => ({ segment, position: index === 0 ? position : 0 }))
    .filter((range) => range.segment.bytes > range.position);
}

/**
 * Moves the file of a segment aside. Takes no space to speak of. Rejects as the file system does.
 */
export async function moveAside(volume: Volume, folder: string, segment: Segment): Promise<void> {
  const asideFolder = `${folder}/aside`;
  await volume.control.makeFolder(asideFolder);
  volume.dropReader(segment.path);
  const name = `${segment.path.slice(folder.length + 1)}-${volume.clock.wallMs()}.stray`;
  await volume.control.rename(segment.path, `${asideFolder}/${name}`);
  // What is left are its indexes.
  await segment.remove();
}

const COPY_BYTES = 1024 * 1024;

/**
 * Copies each range, from its position to the end of its file, and syncs the copies. Rejects as the
 * file system does; where there is no space for all of them, none stays.
 */
export async function keepAside(
  volume: Volume,
  folder: string,
  ranges: readonly CutRange[],
): Promise<void> {
  if (ranges.length === 0) return;
  const asideFolder = `${folder}/aside`;
  await volume.files.makeFolder(asideFolder);
  const copies: string[] = [];
  try {
    for (const { segment, position } of ranges) {
      const name = `${String(segment.baseOffset).padStart(20, '0')}-${position}-${volume.clock.wallMs()}.bytes`;
      copies.push(`${asideFolder}/${name}`);
      const file = await volume.files.open(`${asideFolder}/${name}`, 'write');
      try {
        await copy(volume, { from: segment.path, position, file });
        await volume.files.datasync(file);
      } finally {
        await volume.files.close(file);
      }
    }
    await volume.files.syncFolder(asideFolder);
  } catch (error) {
    if (isOutOfSpace(error))
      for (const path of copies) await volume.files.remove(path).catch(() => undefined);
    throw error;
  }
}

async function copy(
  volume: Volume,
  source: { readonly from: string; readonly position: number; readonly file: number },
): Promise<void> {
  const block = new Uint8Array(COPY_BYTES);
  let copied = 0;
  for (;;) {
    const read = await volume.read(source.from, block, source.position + copied);
    if (read === 0) return;
    await writeFully(volume.files, source.file, [block.subarray(0, read)], copied);
    copied += read;
  }
}
