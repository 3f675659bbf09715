/**
 * Bytes that a log must give up but nobody may lose: copied to `aside/` in the partition's folder, synced, before they are cut. For people
 * and repair; the broker never reads them again. Removed with the partition.
 */
import { writeFully } from './file-system.ts';
import type { Segment } from './segment.ts';
import type { Volume } from './volume.ts';

/** Bytes that are about to be cut: from `position` of the segment to the end of its file. */
export interface CutRange {
  readonly segment: Segment;
  readonly position: number;
}

const COPY_BYTES = 1024 * 1024;

/** Copies each range, from its position to the end of its file, and syncs the copies. */
export async function keepAside(
  volume: Volume,
  folder: string,
  ranges: readonly CutRange[],
): Promise<void> {
  const asideFolder = `${folder}/aside`;
  await volume.files.makeFolder(asideFolder);
  for (const { segment, position } of ranges) {
    const name = `${String(segment.baseOffset).padStart(20, '0')}-${position}-${volume.clock.wallMs()}.bytes`;
    const file = await volume.files.open(`${asideFolder}/${name}`, 'write');
    try {
      await copy(volume, { from: segment.path, position, file });
      await volume.sync(file);
    } finally {
      await volume.files.close(file);
    }
  }
  await volume.files.syncFolder(asideFolder);
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
