/**
 * What all partitions of one data directory share: the gate before libuv's pool, open files for
 * reading, the memory tail, free space, the age of writes that hang, and the one report of the
 * first I/O error (P3). Knows bytes and files, not frames.
 */
import type { MonotonicMs } from '../../base/units.ts';
import type { Clock } from '../../base/clock.ts';
import { isShortage } from '../runtime/ports.ts';
import { isOutOfSpace, readFully, storageError, syncError, writeFully } from './file-system.ts';
import type { FileSystem } from './file-system.ts';
import type { IoGate } from './io-gate.ts';
import { Reserve } from './reserve.ts';
import type { StorageLogger } from './storage-logger.ts';
import type { TailCache } from './tail-cache.ts';

export interface VolumeOptions {
  readonly files: FileSystem;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'every'>;
  readonly gate: IoGate;
  readonly tail: TailCache;
  readonly dataDir: string;
  readonly reserveBytes: number;
  readonly logger: StorageLogger;
}

/** Files open for reading at one time, over all partitions. */
const READERS_MAX = 256;
/** Largest part of a volume that is a reserve. */
const RESERVE_SHARE_MAX = 1 / 4;
/**
 * Indexes of segments in memory that were loaded for a reader, over all partitions; some 128 KiB
 * each for segments of 1 GiB.
 */
const INDEXES_MAX = 128;

/** Shared state of one data directory's volume. */
export class Volume {
  /** For data and for hints: fails where the volume is full. */
  readonly files: FileSystem;
  /** For what must not fail for want of space: it is given room from the reserve. */
  readonly control: FileSystem;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'every'>;
  readonly tail: TailCache;
  readonly logger: StorageLogger;
  readonly #reserve: Reserve;
  readonly #gate: IoGate;
  readonly #dataDir: string;
  readonly #readers: ReaderCache;
  readonly #indexes = new Set<{ unloadIndex(): void }>();
  readonly #writesSince = new Map<symbol, MonotonicMs>();
  readonly #failureCallbacks: ((error: Error) => void)[] = [];
  #failure: Error | null = null;
  #freeBytes = Number.MAX_SAFE_INTEGER;
  #totalBytes = Number.MAX_SAFE_INTEGER;
  /** As it was set, whatever the volume is. */
  #askedReserveBytes: number;
  #writtenSinceLook = 0;

  constructor(options: VolumeOptions) {
    this.files = options.files;
    this.clock = options.clock;
    this.tail = options.tail;
    this.logger = options.logger;
    this.#gate = options.gate;
    this.#dataDir = options.dataDir;
    const { files, dataDir, logger, reserveBytes } = options;
    this.#askedReserveBytes = reserveBytes;
    this.#reserve = new Reserve({ files, path: `${dataDir}/reserve`, logger, bytes: reserveBytes });
    this.control = this.#reserve.files;
    this.#readers = new ReaderCache(options.files);
  }

  /** The first I/O error, or null. */
  get failure(): Error | null {
    return this.#failure;
  }

  /**
   * Writes all buffers at `position`, control batches from the reserve. Rejects as the file system
   * does.
   */
  async write(
    file: number,
    buffers: readonly Uint8Array[],
    position: number,
    isControl: boolean,
  ): Promise<void> {
    const key = Symbol('write');
    const files = isControl ? this.control : this.files;
    this.#writesSince.set(key, this.clock.monotonicMs());
    try {
      await this.#gate.run(() => writeFully(files, file, buffers, position));
    } catch (error) {
      // Until the next look, so that whoever comes next is refused before anything is written.
      if (isOutOfSpace(error)) this.#freeBytes = 0;
      throw error;
    } finally {
      this.#writesSince.delete(key);
    }
    for (const buffer of buffers) this.#writtenSinceLook += buffer.length;
  }

  /**
   * Writes bytes that nobody waits for: where the volume is full it fails, and appends may still
   * find room once they are removed. Rejects as the file system does.
   */
  async writeBeside(file: number, bytes: Uint8Array, position: number): Promise<void> {
    await this.#gate.run(() => writeFully(this.files, file, [bytes], position));
    this.#writtenSinceLook += bytes.length;
  }

  /** Reads up to the buffer's length. Returns the bytes read. */
  read(path: string, into: Uint8Array, position: number): Promise<number> {
    return this.#reading(path, (file) => readFully(this.files, file, into, position));
  }

  /**
   * Up to so many bytes at a position, in memory of their own. It is taken when the read's turn has
   * come: however many readers wait, only reads that run hold any.
   */
  readNew(path: string, length: number, position: number): Promise<Uint8Array> {
    return this.#reading(path, async (file) => {
      const bytes = Buffer.allocUnsafeSlow(length);
      return bytes.subarray(0, await readFully(this.files, file, bytes, position));
    });
  }

  #reading<T>(path: string, work: (file: number) => Promise<T>): Promise<T> {
    return this.#gate.run(() => this.#readers.use(path, work));
  }

  /** Makes written data durable. Its failure is the disk's, for want of space too (P3). */
  async sync(file: number): Promise<void> {
    try {
      await this.#gate.run(() => this.files.datasync(file));
    } catch (error) {
      throw syncError('sync a segment', error);
    }
  }

  /** Makes names in a folder durable. Fails as {@link sync} does. */
  async syncFolder(path: string): Promise<void> {
    try {
      await this.files.syncFolder(path);
    } catch (error) {
      throw syncError(`sync the folder "${path}"`, error);
    }
  }

  /** The file is about to go: let go of it. */
  dropReader(path: string): void {
    this.#readers.drop(path);
  }

  /** The segment has loaded its index: the one that was loaded longest ago goes. */
  noteIndexLoaded(segment: { unloadIndex(): void }): void {
    this.#indexes.add(segment);
    const [oldest] = this.#indexes;
    if (this.#indexes.size <= INDEXES_MAX || oldest === undefined) return;
    this.#indexes.delete(oldest);
    oldest.unloadIndex();
  }

  /** Another reserve; in force at once. A part of the volume at most. */
  setReserve(reserveBytes: number): void {
    this.#askedReserveBytes = reserveBytes;
    this.#boundReserve();
  }

  /** As of the last look. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  get reserveBytes(): number {
    return this.#reserve.bytes;
  }

  /** Free bytes as of the last look, less what was written since, less what the reserve lacks. */
  freeBytes(): number {
    return this.#freeBytes - this.#writtenSinceLook - this.#reserve.missingBytes;
  }

  /**
   * A reserve as large as the volume would refuse every append, and one live setting is for brokers
   * with volumes of any size.
   */
  #boundReserve(): void {
    const reserveBytesMax = Math.floor(this.#totalBytes * RESERVE_SHARE_MAX);
    const reserveBytes = Math.min(this.#askedReserveBytes, reserveBytesMax);
    if (reserveBytes === this.#reserve.bytes) return;
    if (reserveBytes < this.#askedReserveBytes)
      this.logger.warn(
        { askedBytes: this.#askedReserveBytes, reserveBytes, volumeBytes: this.#totalBytes },
        'the reserve is a quarter of the volume: more was asked',
      );
    this.#reserve.setBytes(reserveBytes);
  }

  /** Looks at the volume again, and lets the reserve grow where there is room. */
  async tendSpace(): Promise<void> {
    await this.lookAtSpace();
    if (this.#failure === null)
      await this.#reserve.refill(this.#freeBytes - this.#writtenSinceLook);
  }

  /** Looks at the volume again. */
  async lookAtSpace(): Promise<void> {
    try {
      await this.#reserve.look();
      const written = this.#writtenSinceLook;
      const { freeBytes, totalBytes } = await this.files.volume(this.#dataDir);
      this.#freeBytes = freeBytes;
      this.#totalBytes = totalBytes;
      this.#boundReserve();
      // What was written while statfs ran may be missing in its answer.
      this.#writtenSinceLook -= written;
    } catch (error) {
      this.fail(storageError(`look at free space of "${this.#dataDir}"`, error));
    }
  }

  /** Age of the oldest write that has not returned, 0 when none. */
  stuckWriteMs(): number {
    // Insertion order is age order.
    const [oldest] = this.#writesSince.values();
    return oldest === undefined ? 0 : this.clock.monotonicMs() - oldest;
  }

  onFailure(callback: (error: Error) => void): void {
    this.#failureCallbacks.push(callback);
    if (this.#failure !== null) callback(this.#failure);
  }

  /**
   * Reports an I/O error, the first one only: Linux tells a write-back error once, so whoever met
   * it must leave (P3). Want of space, descriptors or memory is none: nothing was lost.
   */
  fail(error: Error): void {
    if (this.#failure !== null || isShortage(error)) return;
    this.#failure = error;
    this.logger.error({ err: error }, 'storage failed');
    for (const callback of this.#failureCallbacks) callback(error);
  }

  async close(): Promise<void> {
    await this.#reserve.settle();
    await this.#readers.close();
  }
}

interface Reader {
  readonly file: Promise<number>;
  users: number;
  isDropped: boolean;
}

/** Files open for reading, least recently used first. One in use is never closed under its user. */
class ReaderCache {
  readonly #files: FileSystem;
  readonly #readers = new Map<string, Reader>();

  constructor(files: FileSystem) {
    this.#files = files;
  }

  async use<T>(path: string, work: (file: number) => Promise<T>): Promise<T> {
    const reader = this.#readers.get(path) ?? {
      file: this.#files.open(path, 'read'),
      users: 0,
      isDropped: false,
    };
    this.#readers.delete(path);
    this.#readers.set(path, reader);
    reader.users += 1;
    try {
      return await work(await reader.file);
    } catch (error) {
      if (this.#readers.get(path) === reader) this.drop(path);
      throw error;
    } finally {
      reader.users -= 1;
      if (reader.isDropped && reader.users === 0) await this.#close(reader);
      this.#trim();
    }
  }

  drop(path: string): void {
    const reader = this.#readers.get(path);
    if (reader === undefined) return;
    this.#readers.delete(path);
    reader.isDropped = true;
    if (reader.users === 0) void this.#close(reader);
  }

  async close(): Promise<void> {
    const closing = [...this.#readers.values()]
      .filter(({ users }) => users === 0)
      .map((reader) => this.#close(reader));
    for (const reader of this.#readers.values()) reader.isDropped = true;
    this.#readers.clear();
    await Promise.all(closing);
  }

  #trim(): void {
    for (const path of this.#readers.keys()) {
      if (this.#readers.size <= READERS_MAX) return;
      if (this.#readers.get(path)?.users === 0) this.drop(path);
    }
  }

  async #close(reader: Reader): Promise<void> {
    // A file that was only read has nothing to lose: neither a failed open, already told to its
    // user, nor a failed close matters.
    await reader.file.then((file) => this.#files.close(file)).catch(() => undefined);
  }
}
