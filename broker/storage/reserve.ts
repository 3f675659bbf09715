/**
 * Space held back for what must not fail on a full volume: the quorum log, checkpoint and session,
 * control batches. Appends of data leave `bytes` free, but others write to the volume too. So a
 * part of the reserve is a real file: when a call finds no space, the file shrinks and the call is
 * made again. It grows again once the volume has room.
 */
import { Turns } from './turns.ts';
import { codeOf, isOutOfSpace, writeFully } from './file-system.ts';
import type { FileSystem } from './file-system.ts';
import type { StorageLogger } from './storage-logger.ts';

/** Largest size of the file: some growths of the quorum log and many checkpoints. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
/** By which it shrinks and grows. */
const STEP_BYTES = 1024 * 1024;

export interface ReserveOptions {
  readonly files: FileSystem;
  /** The file. */
  readonly path: string;
  readonly logger: StorageLogger;
  /** Whole reserve: see {@link Reserve.bytes}. */
  readonly bytes: number;
}

/** The reserve of one volume. */
export class Reserve {
  /** The file system, with room made for calls that find no space. */
  readonly files: FileSystem;
  readonly #options: ReserveOptions;
  #bytes: number;
  /** Size of the file; null before it was looked at. */
  #heldBytes: number | null = null;
  readonly #turns = new Turns();

  constructor(options: ReserveOptions) {
    this.#options = options;
    this.#bytes = options.bytes;
    this.files = this.#withRoom(options.files);
  }

  /** Bytes that appends of data leave to everything else, what the file holds included. */
  get bytes(): number {
    return this.#bytes;
  }

  setBytes(bytes: number): void {
    this.#bytes = bytes;
  }

  /** Bytes of the reserve that must be free on the volume, since the file does not hold them. */
  get missingBytes(): number {
    return Math.max(0, this.#bytes - (this.#heldBytes ?? 0));
  }

  /** Learns the size of the file that an earlier process left. Rejects as the file system does. */
  async look(): Promise<void> {
    await this.#turns.take(() => this.#look());
  }

  /** Resolves when nothing runs. */
  async settle(): Promise<void> {
    await this.#turns.take(() => Promise.resolve());
  }

  /**
   * Lets the file grow, or shrink, to its size if the volume has room: `freeBytes` are free on it.
   */
  refill(freeBytes: number): Promise<void> {
    return this.#turns.take(async () => {
      const held = await this.#look();
      const wanted = Math.min(FILE_BYTES_MAX, Math.floor(this.#bytes / 2));
      if (held > wanted) await this.#resize(wanted);
      else if (held < wanted && freeBytes >= this.missingBytes + STEP_BYTES) {
        await this.#fill(held, wanted);
      }
    });
  }

  /** Gives a step back to the volume. @returns false when there is none */
  #release(): Promise<boolean> {
    return this.#turns.take(async () => {
      const held = await this.#look();
      if (held === 0) return false;
      await this.#resize(Math.max(0, held - STEP_BYTES));
      if ((await this.#look()) >= held) return false;
      this.#options.logger.warn(
        { heldBytes: this.#heldBytes },
        'the volume is full: room was made from the reserve',
      );
      return true;
    });
  }

  async #look(): Promise<number> {
    if (this.#heldBytes !== null) return this.#heldBytes;
    const { files, path } = this.#options;
    const held = await files.stat(path).then(
      ({ bytes }) => bytes,
      (error: unknown) => {
        if (codeOf(error) === 'ENOENT') return 0;
        throw error;
      },
    );
    this.#heldBytes = held;
    return held;
  }

  async #resize(bytes: number): Promise<void> {
    await this.#change(async (file) => {
      await this.#options.files.truncate(file, bytes);
      this.#heldBytes = bytes;
    });
  }

  async #fill(from: number, to: number): Promise<void> {
    const block = noise(STEP_BYTES);
    await this.#change(async (file) => {
      for (let at = from; at < to; at += STEP_BYTES) {
        const part = block.subarray(0, Math.min(STEP_BYTES, to - at));
        await writeFully(this.#options.files, file, [part], at);
        this.#heldBytes = at + part.length;
      }
    });
  }

  /**
   * Nothing of the file is worth anything but its size: what fails is tried again at the next look.
   */
  async #change(work: (file: number) => Promise<void>): Promise<void> {
    const { files, path } = this.#options;
    try {
      const file = await files.open(path, 'write');
      try {
        await work(file);
      } finally {
        await files.close(file);
      }
    } catch (error) {
      this.#heldBytes = null;
      this.#options.logger.warn({ err: error, path }, 'the reserve was not changed');
    }
  }

  async #makeRoom<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (!isOutOfSpace(error) || !(await this.#release())) throw error;
      }
    }
  }

  /**
   * A sync is never repeated: what it could not write is lost, and a second one would not say so
   * (P3).
   */
  #withRoom(files: FileSystem): FileSystem {
    return {
      open: (path, mode) => this.#makeRoom(() => files.open(path, mode)),
      writev: (file, buffers, position) =>
        this.#makeRoom(() => files.writev(file, buffers, position)),
      read: (file, into, position) => files.read(file, into, position),
      datasync: (file) => files.datasync(file),
      truncate: (file, bytes) => this.#makeRoom(() => files.truncate(file, bytes)),
      close: (file) => files.close(file),
      stat: (path) => files.stat(path),
      volume: (path) => files.volume(path),
      rename: (from, to) => this.#makeRoom(() => files.rename(from, to)),
      remove: (path) => this.#makeRoom(() => files.remove(path)),
      makeFolder: (path) => this.#makeRoom(() => files.makeFolder(path)),
      list: (path) => files.list(path),
      syncFolder: (path) => files.syncFolder(path),
    };
  }
}

/** Bytes that no file system compresses: of zeros it would hold nothing. */
function noise(length: number): Uint8Array {
  const words = new Uint32Array(length / Uint32Array.BYTES_PER_ELEMENT);
  let state = 1;
  for (let index = 0; index < words.length; index += 1) {
    // Xorshift (Marsaglia, 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer);
}
