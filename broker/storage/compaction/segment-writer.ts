/**
 * The file that is to take the place of segments. It is begun where something changes for the first
 * time: a segment that loses nothing is only read. Never written from the reserve.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { Volume } from '../volume.ts';

const COPY_BYTES = 1024 * 1024;

/** What there is in its place. */
export interface WrittenAnew {
  readonly path: string;
  /** Of all that it is to hold, at most. */
  readonly bytes: number;
  /** See `Segment`. Of what was added before the file was begun. */
  readonly load: (position: number, length: number) => Promise<Uint8Array>;
}

export class SegmentWriter {
  readonly path: string;
  readonly #volume: Volume;
  readonly #old: WrittenAnew;
  #file: number | null = null;
  #bytes = 0;

  constructor(volume: Volume, old: WrittenAnew) {
    this.#volume = volume;
    this.#old = old;
    this.path = `${old.path}.tmp`;
  }

  /** There is a file. */
  get isBegun(): boolean {
    return this.#file !== null;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * These frames are as they were. Copies nothing until one is not.
   *
   * @param isChanged something of the segment is not as it was from here on, at the latest
   */
  async add(frames: Uint8Array, isChanged: boolean): Promise<void> {
    if (isChanged && this.#file === null) await this.#begin();
    if (this.#file !== null && frames.length > 0)
      await this.#volume.writeBeside(this.#file, frames, this.#bytes);
    this.#bytes += frames.length;
  }

  /** What was written is durable, under a name that does not count yet. */
  async sync(): Promise<void> {
    if (this.#file === null) return;
    await this.#volume.sync(this.#file);
    await this.#close();
  }

  /** Removes what there is. Never rejects: the next start removes what stays. */
  async abandon(): Promise<void> {
    const { logger, control } = this.#volume;
    try {
      await this.#close();
      this.#volume.dropReader(this.path);
      await control.remove(this.path);
    } catch (error) {
      logger.warn({ err: error, path: this.path }, 'an unfinished file stays for now');
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    if (file !== null) await this.#volume.files.close(file);
  }

  async #begin(): Promise<void> {
    const { bytes } = this.#old;
    const freeBytes = this.#volume.freeBytes();
    if (freeBytes < bytes) {
      const message = `Cannot rewrite "${this.#old.path}": it needs ${bytes} bytes, ${freeBytes} are free beyond the reserve`;
      throw new BrokerError('DISK_FULL', message);
    }
    await this.#volume.files.remove(this.path);
    this.#file = await this.#volume.files.open(this.path, 'write');
    for (let position = 0; position < this.#bytes; position += COPY_BYTES) {
      const length = Math.min(COPY_BYTES, this.#bytes - position);
      const part = await this.#old.load(position, length);
      await this.#volume.writeBeside(this.#file, part, position);
    }
  }
}
