/**
 * The group-synced journal of a broker's partitions: log start, high-water mark, recovery point (everything below it has passed fdatasync)
 * and the epoch map up to there. One file for all partitions, so that failover syncs nothing per partition (DESIGN.md section 6); the epoch
 * map above the recovery point follows from batch headers (rule 4). Written every few seconds, and synced where a rule demands it: before a
 * truncation or retirement is carried out, and at an orderly close.
 *
 * Format: the CRC of the body in eight hex digits, a newline, the body in JSON. A body that does not match is taken as absent: every log is
 * then scanned from its start, as after power loss.
 */
import { crc32 } from 'node:zlib';
import type { Offset, PartitionKey } from '../base/units.ts';
import type { EpochStart } from '../replication/types.ts';
import { readFile, replaceFile, storageError } from './file-system.ts';
import type { FileSystem } from './file-system.ts';

/** One partition's line. */
export interface PartitionCheckpoint {
  readonly startOffset: Offset;
  readonly highWaterMark: Offset;
  /** The recovery point. */
  readonly syncedOffset: Offset;
  /** Epochs that start below `syncedOffset`. */
  readonly epochs: readonly EpochStart[];
}

/** Gives a live log's present line. */
export type CheckpointSource = () => PartitionCheckpoint;

interface Body {
  readonly version: 1;
  readonly partitions: Record<PartitionKey, [Offset, Offset, Offset, [number, Offset][]]>;
}

/** The checkpoint file of one data directory. */
export class Checkpoint {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #stored = new Map<PartitionKey, PartitionCheckpoint>();
  readonly #sources = new Map<PartitionKey, CheckpointSource>();
  #isChanged = false;
  #writing: Promise<void> | null = null;
  /** The write that waits for the one in flight; it will hold every change made until it begins. */
  #next: { durable: boolean; done: Promise<void> } | null = null;

  private constructor(files: FileSystem, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** Reads the file. `isLost`: there was one, but its checksum does not match. */
  static async load(
    files: FileSystem,
    path: string,
  ): Promise<{ readonly checkpoint: Checkpoint; readonly isLost: boolean }> {
    const checkpoint = new Checkpoint(files, path);
    const bytes = await readFile(files, path);
    if (bytes === null) return { checkpoint, isLost: false };
    const body = decode(bytes);
    if (body === null) return { checkpoint, isLost: true };
    for (const [key, [startOffset, highWaterMark, syncedOffset, epochs]] of Object.entries(
      body.partitions,
    )) {
      const line = {
        startOffset,
        highWaterMark,
        syncedOffset,
        epochs: epochs.map(([epoch, start]) => ({ epoch, startOffset: start })),
      };
      checkpoint.#stored.set(key, line);
    }
    return { checkpoint, isLost: false };
  }

  /** The line as it was read, or as its log left it. */
  get(key: PartitionKey): PartitionCheckpoint | null {
    return this.#stored.get(key) ?? null;
  }

  /** From now on the log itself says its line. */
  attach(key: PartitionKey, source: CheckpointSource): void {
    this.#sources.set(key, source);
  }

  /** The log has closed: its last line stays. */
  detach(key: PartitionKey): void {
    const source = this.#sources.get(key);
    if (source !== undefined) this.#stored.set(key, source());
    this.#sources.delete(key);
  }

  /** The partition is gone. */
  remove(key: PartitionKey): void {
    this.#sources.delete(key);
    this.#stored.delete(key);
    this.#isChanged = true;
  }

  /** Some line changed; it goes out with the next write. */
  noteChange(): void {
    this.#isChanged = true;
  }

  /** Writes when something changed, unsynced. */
  writeIfChanged(): Promise<void> {
    return this.#isChanged ? this.#write(false) : Promise.resolve();
  }

  /** Resolves when every line as it is now is durable. Calls made while a write runs share the next one. */
  sync(): Promise<void> {
    return this.#write(true);
  }

  #write(durable: boolean): Promise<void> {
    if (this.#next !== null) {
      this.#next.durable ||= durable;
      return this.#next.done;
    }
    const next = { durable, done: Promise.resolve() };
    next.done = this.#writeAfter(this.#writing, next);
    this.#next = next;
    return next.done;
  }

  async #writeAfter(earlier: Promise<void> | null, request: { durable: boolean }): Promise<void> {
    // An earlier failure was told to whoever asked for that write. Waiting also lets calls of this turn share the write.
    await earlier?.catch(() => undefined);
    const writing = this.#writeNow(request.durable);
    this.#next = null;
    this.#writing = writing;
    await writing;
  }

  async #writeNow(durable: boolean): Promise<void> {
    this.#isChanged = false;
    const partitions: Body['partitions'] = {};
    for (const [key, line] of this.#stored) partitions[key] = pack(line);
    for (const [key, source] of this.#sources) partitions[key] = pack(source());
    try {
      await replaceFile(this.#files, this.#path, encode({ version: 1, partitions }), durable);
    } catch (error) {
      this.#isChanged = true;
      throw storageError(`write "${this.#path}"`, error);
    }
  }
}

function pack({
  startOffset,
  highWaterMark,
  syncedOffset,
  epochs,
}: PartitionCheckpoint): Body['partitions'][string] {
  const pairs = epochs
    .filter((start) => start.startOffset < syncedOffset)
    .map((start): [number, Offset] => [start.epoch, start.startOffset]);
  return [startOffset, highWaterMark, syncedOffset, pairs];
}

function encode(body: Body): Uint8Array {
  const text = Buffer.from(JSON.stringify(body));
  return Buffer.concat([Buffer.from(`${crc32(text).toString(16).padStart(8, '0')}\n`), text]);
}

function decode(bytes: Uint8Array): Body | null {
  const text = bytes.subarray(9);
  if (
    Buffer.from(bytes.subarray(0, 9)).toString() !==
    `${crc32(text).toString(16).padStart(8, '0')}\n`
  )
    return null;
  const body = JSON.parse(Buffer.from(text).toString()) as Body;
  return body.version === 1 ? body : null;
}
