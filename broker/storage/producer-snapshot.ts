/**
 * The producer table saved beside a log: opaque text as of an offset, with a checksum. A shortcut
 * for recovery, never the truth: when it is missing, damaged or not within the log, the table is
 * rebuilt from batch headers (rule 20).
 */
import { crc32 } from 'node:zlib';
import type { LeaderEpoch, Offset } from '../../base/units.ts';
import { readFile, replaceFile } from './file-system.ts';
import type { FileSystem } from './file-system.ts';
import type { Volume } from './volume.ts';

export interface ProducerSnapshot {
  readonly offset: Offset;
  /**
   * Of the last batch below the offset, 0 for none; null: an older build does not say. Together
   * they name one log (rule 2).
   */
  readonly epoch: LeaderEpoch | null;
  readonly text: string;
}

const HEAD = /^([0-9a-f]{8}) (\d{1,16})(?: (\d{1,16}))?\n/;

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
  const epoch = head[3] === undefined ? null : Number(head[3]);
  const snapshot = { offset: Number(head[2]), epoch, text: content.slice(head[0].length) };
  return head[1] === checksum(snapshot) ? snapshot : null;
}

/** Saves the snapshots of one log, one after the other. */
export class ProducerSnapshots {
  readonly #volume: Pick<Volume, 'files' | 'control' | 'logger'>;
  readonly #path: string;
  #turn: Promise<void> = Promise.resolve();

  constructor(volume: Pick<Volume, 'files' | 'control' | 'logger'>, folder: string) {
    this.#volume = volume;
    this.#path = producerSnapshotPath(folder);
  }

  /** Replaces the file, unsynced, if that `isWanted` still when its turn comes. */
  save(snapshot: ProducerSnapshot, isWanted: () => boolean): void {
    const { files, logger } = this.#volume;
    this.#turn = this.#turn.then(async () => {
      if (!isWanted()) return;
      const { offset, epoch } = snapshot;
      const head = `${checksum(snapshot)} ${offset} ${epoch ?? 0}\n`;
      try {
        await replaceFile(files, this.#path, Buffer.from(head + snapshot.text), 'hint');
      } catch (error) {
        logger.warn(
          { err: error, path: this.#path },
          'producer snapshot was not saved; the next start reads headers instead',
        );
      }
    });
  }

  /** Resolves when nothing is being saved. */
  settle(): Promise<void> {
    return this.#turn;
  }

  /** Removes the file, after what is being saved. Rejects as the file system does. */
  async remove(): Promise<void> {
    await this.#turn;
    await this.#volume.control.remove(this.#path);
  }
}

function checksum({ offset, epoch, text }: ProducerSnapshot): string {
  return crc32(epoch === null ? `${offset}\n${text}` : `${offset} ${epoch}\n${text}`)
    .toString(16)
    .padStart(8, '0');
}
