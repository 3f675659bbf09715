/**
 * One broker's data directory: the `Disk` of `runtime/ports.ts`. Finds out what the last stop left,
 * hands out the quorum log and the partitions' logs, runs the background flush and the checkpoint,
 * and reports the first I/O error. The only part that touches a disk.
 *
 *   lock                       one process at a time
 *   meta.json                  who this directory is
 *   session.json, clean        who wrote here last, and whether it stopped in order (P4)
 *   checkpoint.json            log start, high-water mark, recovery point and epochs of every
 *                              partition
 *   quorum/                    the metadata log
 *   partitions/<topic>-<n>/    <first offset>.log, .index, .timeindex; producers.snapshot; aside/
 */
import { BrokerError } from '../../base/errors.ts';
import { assert } from '../../base/assert.ts';
import { partitionKey } from '../../base/units.ts';
import type { BrokerEpoch, DirectoryId, Offset, PartitionKey, TopicId } from '../../base/units.ts';
import type { Cancel, Clock } from '../../base/clock.ts';
import { isShortage } from '../runtime/ports.ts';
import type {
  Background,
  DirectoryMeta,
  Disk,
  DiskStart,
  PartitionLog,
  PartitionLogOptions,
} from '../runtime/ports.ts';
import { Checkpoint } from './checkpoint.ts';
import { Pacer } from './compaction/pacer.ts';
import type { PartitionCheckpoint } from './checkpoint.ts';
import { lockDirectory } from './directory-lock.ts';
import type { ReleaseLock } from './directory-lock.ts';
import { folderOf, nodeFileSystem, storageError } from './file-system.ts';
import type { FileSystem } from './file-system.ts';
import { Flusher } from './flusher.ts';
import { dataCallsMax, IoGate } from './io-gate.ts';
import type { CompactionMeans } from './log-context.ts';
import { openPartitionLog } from './open-partition-log.ts';
import { listPartitions, makeDurableFolder, type PartitionId } from './partition-folders.ts';
import type { FilePartitionLog } from './partition-log.ts';
import { FileQuorumLog } from './quorum-log.ts';
import {
  classify,
  loadCleanFlag,
  loadJson,
  loadSession,
  readBootId,
  readMountIdentity,
  saveJson,
} from './session.ts';
import type { MountIdentity, Session, Surroundings } from './session.ts';
import { TailCache } from './tail-cache.ts';
import { Volume } from './volume.ts';
import type { StorageLogger } from './storage-logger.ts';

/** What {@link openDisk} needs. Every number has a default. */
export interface DiskOptions {
  /** Made when absent. */
  readonly dataDir: string;
  /** UID of this pod; empty outside Kubernetes. */
  readonly podUid: string;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'every' | 'after'>;
  readonly logger: StorageLogger;
  /** Age at which written bytes are synced (P3). */
  readonly flushIntervalMs?: number;
  /** Unsynced bytes of one partition at which it is synced sooner (P3). */
  readonly flushBytes?: number;
  /** Frames of all partitions that stay in memory. */
  readonly tailCacheBytes?: number;
  /** Free bytes that appends must leave: for checkpoints, sessions and the metadata log. */
  readonly reserveBytes?: number;
  /**
   * Threads of libuv's pool (UV_THREADPOOL_SIZE; libuv's own default is 4). Data gets half of them,
   * eight at most.
   */
  readonly poolThreads?: number | undefined;
  /** Absent: logs of this disk take no orders to compact. */
  readonly compaction?: {
    readonly background: Background;
  };
  /** Bytes that all passes of compaction together read and write in a second. */
  readonly compactionBytesPerSecond?: number;
  /** For tests and simulators: where this start takes place, and its file system and lock. */
  readonly bootId?: string;
  /** Else `meta.json` says it. */
  readonly mountIdentity?: MountIdentity;
  readonly files?: FileSystem;
  /** Keeps every other process out of the directory, or throws REFUSED. */
  readonly lock?: (dataDir: string) => ReleaseLock;
}

/** What may change while the directory is open. */
export type DiskBounds = Required<
  Pick<
    DiskOptions,
    | 'flushIntervalMs'
    | 'flushBytes'
    | 'tailCacheBytes'
    | 'reserveBytes'
    | 'compactionBytesPerSecond'
  >
>;

/** A disk whose bounds may change. */
export interface LiveDisk extends Disk {
  /** In force at once. */
  setBounds(bounds: DiskBounds): void;
}

const FLUSH_INTERVAL_MS = 1000;
const FLUSH_BYTES = 16 * 1024 * 1024;
const TAIL_CACHE_BYTES = 32 * 1024 * 1024;
const RESERVE_BYTES = 256 * 1024 * 1024;
const COMPACTION_BYTES_PER_SECOND = 32 * 1024 * 1024;
/**
 * The flusher looks ten times as often as it flushes, so that bytes are at most a tenth over their
 * age.
 */
const FLUSH_LOOKS = 10;
const SPACE_LOOK_MS = 1000;
const CHECKPOINT_MS = 3000;

/**
 * Opens a data directory and classifies the start. Rejects with REFUSED when another process has it
 * open, with DATA_CORRUPT when `meta.json` cannot be read, and with STORAGE_FAILED.
 */
export async function openDisk(options: DiskOptions): Promise<LiveDisk> {
  const files = options.files ?? nodeFileSystem;
  let unlock: ReleaseLock | null = null;
  try {
    await makeDurableFolder(files, `${options.dataDir}/partitions`);
    unlock = (options.lock ?? lockDirectory)(options.dataDir);
    return await FileDisk.open(options, files, unlock);
  } catch (error) {
    unlock?.();
    throw storageError(`open data directory "${options.dataDir}"`, error);
  }
}

class FileDisk implements LiveDisk {
  readonly start: DiskStart;
  readonly quorum: FileQuorumLog;
  readonly #options: DiskOptions;
  readonly #files: FileSystem;
  readonly #unlock: ReleaseLock;
  readonly #volume: Volume;
  readonly #checkpoint: Checkpoint;
  readonly #flusher: Flusher;
  readonly #compaction: CompactionMeans | null;
  readonly #timers: Cancel[];
  #cancelFlush: Cancel;
  readonly #bootId: string;
  readonly #partitions: Map<PartitionKey, PartitionId>;
  readonly #logs = new Map<PartitionKey, FilePartitionLog>();
  /**
   * Partitions closed in order, or made, by this process: nothing about them is in doubt, whatever
   * the start was.
   */
  readonly #settled = new Set<PartitionKey>();
  /** Partitions whose last line is not in the journal, for want of space or descriptors. */
  readonly #unstated = new Set<PartitionKey>();
  /** False once a log was closed without being synced, for want of space or descriptors. */
  #isClosedInFull = true;
  readonly #syncedCallbacks: ((topicId: TopicId, partition: number, offset: Offset) => void)[] = [];
  #meta: DirectoryMeta | null;
  /** Epoch of the session that this process wrote, or null. */
  #sessionEpoch: BrokerEpoch | null = null;

  private constructor(parts: {
    readonly options: DiskOptions;
    readonly files: FileSystem;
    readonly unlock: ReleaseLock;
    readonly volume: Volume;
    readonly checkpoint: Checkpoint;
    readonly meta: DirectoryMeta | null;
    readonly start: DiskStart;
    readonly bootId: string;
    readonly partitions: Map<PartitionKey, PartitionId>;
  }) {
    const { options, volume, meta, files } = parts;
    this.#options = options;
    this.#files = files;
    this.#unlock = parts.unlock;
    this.#volume = volume;
    this.#checkpoint = parts.checkpoint;
    this.#meta = meta;
    this.start = parts.start;
    this.#bootId = parts.bootId;
    this.#partitions = parts.partitions;
    const intervalMs = options.flushIntervalMs ?? FLUSH_INTERVAL_MS;
    this.#flusher = new Flusher({
      intervalMs,
      bytesMax: options.flushBytes ?? FLUSH_BYTES,
      now: () => options.clock.monotonicMs(),
    });
    const onFailure = (error: Error): void => volume.fail(error);
    this.quorum = new FileQuorumLog({
      files: volume.control,
      folder: this.#path('quorum'),
      isFormatted: meta !== null,
      onFailure,
      onShortage: (error) => {
        volume.logger.warn({ err: error }, 'the quorum log waits');
      },
    });
    const { compaction, clock } = options;
    const bytesPerSecond = options.compactionBytesPerSecond ?? COMPACTION_BYTES_PER_SECOND;
    this.#compaction =
      compaction === undefined ? null : { ...compaction, pacer: new Pacer(clock, bytesPerSecond) };
    this.#cancelFlush = this.#lookEvery(intervalMs);
    this.#timers = [
      options.clock.every(SPACE_LOOK_MS, () => void this.#tendSpace()),
      options.clock.every(CHECKPOINT_MS, () => void this.#writeCheckpoint()),
    ];
  }

  static async open(
    options: DiskOptions,
    files: FileSystem,
    unlock: ReleaseLock,
  ): Promise<FileDisk> {
    const { dataDir, clock, logger } = options;
    const volume = new Volume({
      files,
      clock,
      gate: new IoGate(dataCallsMax(options.poolThreads)),
      tail: new TailCache(options.tailCacheBytes ?? TAIL_CACHE_BYTES),
      dataDir,
      reserveBytes: options.reserveBytes ?? RESERVE_BYTES,
      logger,
    });
    await volume.lookAtSpace();
    const meta = await loadMeta(files, `${dataDir}/meta.json`);
    const bootId = options.bootId ?? (await readBootId());
    const session = await loadSession(files, `${dataDir}/session.json`);
    const cleanFlag = await loadCleanFlag(files, `${dataDir}/clean`);
    const mount = await mountOf(options, files);
    const checkpoint = await Checkpoint.load(volume.control, `${dataDir}/checkpoint.json`);
    const verdict = classify({
      meta,
      session,
      cleanFlag,
      checkpoint: checkpoint.file,
      now: { bootId, mount, podUid: options.podUid },
    });
    // Before another checkpoint is written, after which the next start would pass for warm.
    if (checkpoint.file !== 'whole' && session !== null)
      await removeSession(volume.control, dataDir);
    const partitions = await listPartitions(files, `${dataDir}/partitions`, checkpoint);
    const start = { meta, sessionEpoch: session?.brokerEpoch ?? 0, ...verdict };
    logger.info(
      {
        dataDir,
        restartClass: start.restartClass,
        reason: start.reason,
        sessionEpoch: start.sessionEpoch,
      },
      'data directory opened',
    );
    return new FileDisk({
      options,
      files,
      unlock,
      volume,
      checkpoint,
      meta,
      start,
      bootId,
      partitions,
    });
  }

  setBounds(bounds: DiskBounds): void {
    const { flushIntervalMs, flushBytes, tailCacheBytes, reserveBytes } = bounds;
    this.#compaction?.pacer.setRate(bounds.compactionBytesPerSecond);
    this.#flusher.setBounds({ intervalMs: flushIntervalMs, bytesMax: flushBytes });
    this.#cancelFlush();
    this.#cancelFlush = this.#lookEvery(flushIntervalMs);
    this.#volume.tail.setBytesMax(tailCacheBytes);
    this.#volume.setReserve(reserveBytes);
  }

  #lookEvery(flushIntervalMs: number): Cancel {
    const lookMs = Math.max(1, Math.floor(flushIntervalMs / FLUSH_LOOKS));
    return this.#options.clock.every(lookMs, () => this.#flusher.tick());
  }

  async format(meta: DirectoryMeta): Promise<void> {
    if (this.#meta !== null) {
      throw new BrokerError(
        'CLUSTER_EXISTS',
        `Cannot format "${this.#options.dataDir}": it belongs to cluster "${this.#meta.clusterId}" as directory ${this.#meta.directoryId}`,
      );
    }
    await this.#guard('format the data directory', async () => {
      // The name comes last: a directory is formatted once everything it vouches for is durable.
      await this.quorum.ensure();
      await saveJson(this.#volume.control, this.#path('meta.json'), meta);
      this.#meta = meta;
    });
  }

  async renew(directoryId: DirectoryId): Promise<void> {
    const meta = this.#meta;
    assert(meta !== null, 'only a formatted directory can be renewed');
    await this.#guard('renew the data directory', async () => {
      // In this order: the old id must never stand beside an empty quorum log, which would be a
      // voter that has forgotten its vote.
      await this.#removeSession();
      const renewed = { ...meta, directoryId };
      await saveJson(this.#volume.control, this.#path('meta.json'), renewed);
      this.#meta = renewed;
      await this.quorum.create();
    });
  }

  async writeSession(brokerEpoch: BrokerEpoch): Promise<void> {
    const meta = this.#meta;
    assert(meta !== null, 'a session needs a formatted directory');
    await this.#guard('write the session file', async () => {
      const now: Surroundings = {
        bootId: this.#bootId,
        mount: await mountOf(this.#options, this.#files),
        podUid: this.#options.podUid,
      };
      // A session without a checkpoint is damage: see `classify`.
      await this.#checkpoint.sync();
      const session: Session = {
        clusterId: meta.clusterId,
        directoryId: meta.directoryId,
        brokerEpoch,
        ...now,
      };
      await saveJson(this.#volume.control, this.#path('session.json'), session);
      // The flag of an earlier epoch says nothing any more; it goes so that no later epoch can ever
      // match it.
      await this.#volume.control.remove(this.#path('clean'));
      await this.#files.syncFolder(this.#options.dataDir);
      this.#sessionEpoch = brokerEpoch;
    });
  }

  async markClean(): Promise<void> {
    for (const log of [...this.#logs.values()]) await log.close();
    if (this.#volume.failure !== null)
      throw storageError('mark the stop as clean', this.#volume.failure);
    const meta = this.#meta;
    const brokerEpoch = this.#sessionEpoch;
    // Without a session of its own this process has vouched for nothing: a lossy start must not
    // turn clean by being stopped.
    if (meta === null || brokerEpoch === null) {
      this.#volume.logger.info(
        {},
        'no clean flag: the broker was not registered in this run, or became lossy after it',
      );
      return;
    }
    try {
      if (!this.#isClosedInFull)
        throw new BrokerError('OVERLOADED', 'Cannot mark the stop as clean: a log was not synced');
      await this.#guard('mark the stop as clean', async () => {
        await this.#checkpoint.sync();
        await saveJson(this.#volume.control, this.#path('clean'), {
          directoryId: meta.directoryId,
          brokerEpoch,
        });
      });
    } catch (error) {
      if (!isShortage(error)) throw error;
      // The next start is warm, which costs a scan.
      this.#volume.logger.warn({ err: error }, 'no clean flag');
    }
  }

  async markLossy(reason: string): Promise<void> {
    this.#volume.logger.error({ reason }, 'the next start will be lossy');
    try {
      await this.#removeSession();
    } catch (error) {
      throw storageError('delete the session file', error);
    }
  }

  async openPartition(
    topicId: TopicId,
    partition: number,
    options: PartitionLogOptions,
  ): Promise<PartitionLog> {
    const key = partitionKey(topicId, partition);
    assert(!this.#logs.has(key), `log of ${key} must not be open already`);
    if (this.#checkpoint.isDeleting(key)) await this.deletePartition(topicId, partition);
    // No file goes by a line that the journal does not hold.
    if (this.#unstated.has(key)) {
      await this.#guard('write the checkpoint', () => this.#checkpoint.sync());
      this.#unstated.delete(key);
    }
    const isKnown = this.#partitions.has(key);
    const saved = this.#checkpoint.get(key);
    const folder = this.#partitionFolder(topicId, partition);
    await this.#guard(`make "${folder}"`, () => this.#volume.control.makeFolder(folder));
    const isSettled = !isKnown || this.#settled.has(key);
    const log = await openPartitionLog({
      volume: this.#volume,
      checkpoint: this.#checkpoint,
      flusher: this.#flusher,
      topicId,
      partition,
      folder,
      restartClass: isSettled ? 'clean' : this.start.restartClass,
      options,
      compaction: this.#compaction,
      onDamage: () => this.#removeSession(),
      onSynced: (offset) => {
        for (const callback of this.#syncedCallbacks) callback(topicId, partition, offset);
      },
      onClosed: (isSynced) => {
        this.#logs.delete(key);
        this.#isClosedInFull &&= isSynced;
        if (!isSynced) this.#unstated.add(key);
        if (this.#volume.failure === null) this.#settled.add(key);
      },
    });
    if (!isKnown || isOutdated(saved, log.recovery.state.endOffset)) await this.#noteMade(log);
    this.#partitions.set(key, { topicId, partition });
    this.#settled.delete(key);
    this.#logs.set(key, log);
    return log;
  }

  /** From here on the partition must be found, and what was deleted under its name is forgotten. */
  async #noteMade(log: FilePartitionLog): Promise<void> {
    try {
      await this.#checkpoint.sync();
    } catch (error) {
      await log.close().catch(() => undefined);
      throw error;
    }
  }

  async deletePartition(topicId: TopicId, partition: number): Promise<void> {
    const key = partitionKey(topicId, partition);
    assert(!this.#logs.has(key), `log of ${key} must be closed before it is deleted`);
    if (!this.#partitions.has(key)) return;
    const folder = this.#partitionFolder(topicId, partition);
    await this.#guard(`delete "${folder}"`, async () => {
      // Journalled first: a crash must leave neither a line without files nor half a log.
      this.#checkpoint.beginDelete(key);
      await this.#checkpoint.sync();
      await this.#volume.control.remove(folder);
      // The line stays until power loss can bring nothing back.
      await this.#files.syncFolder(folderOf(folder));
      this.#partitions.delete(key);
      this.#settled.delete(key);
      this.#unstated.delete(key);
      this.#checkpoint.endDelete(key);
    });
  }

  listPartitions(): readonly PartitionId[] {
    return [...this.#partitions.values()];
  }

  freeBytes(): number {
    return this.#volume.freeBytes();
  }

  totalBytes(): number {
    return this.#volume.totalBytes;
  }

  shortage(): string | null {
    const freeBytes = this.#volume.freeBytes();
    if (freeBytes > 0) return null;
    const { reserveBytes } = this.#volume;
    return `the data volume is ${-freeBytes} bytes below its reserve of ${reserveBytes} bytes`;
  }

  onSynced(callback: (topicId: TopicId, partition: number, offset: Offset) => void): void {
    this.#syncedCallbacks.push(callback);
  }

  onFailure(callback: (error: Error) => void): void {
    this.#volume.onFailure(callback);
  }

  flushAgeMs(): number {
    return this.#flusher.ageMs();
  }

  stuckWriteMs(): number {
    return this.#volume.stuckWriteMs();
  }

  async close(): Promise<void> {
    this.#cancelFlush();
    for (const cancel of this.#timers.splice(0)) cancel();
    const errors: unknown[] = [];
    for (const log of [...this.#logs.values()])
      await log.close().catch((error: unknown) => errors.push(error));
    await this.quorum.close().catch((error: unknown) => errors.push(error));
    await this.#volume.close();
    this.#unlock();
    // A failure that was reported already is no news.
    if (errors.length > 0 && this.#volume.failure === null) throw errors[0];
  }

  async #removeSession(): Promise<void> {
    await removeSession(this.#volume.control, this.#options.dataDir);
    this.#sessionEpoch = null;
  }

  async #tendSpace(): Promise<void> {
    await this.#volume.tendSpace();
    this.quorum.retry();
  }

  #path(name: string): string {
    return `${this.#options.dataDir}/${name}`;
  }

  #partitionFolder(topicId: TopicId, partition: number): string {
    return this.#path(`partitions/${topicId}-${partition}`);
  }

  async #writeCheckpoint(): Promise<void> {
    for (const log of this.#logs.values()) log.finishRetirement();
    try {
      await this.#checkpoint.writeIfChanged();
    } catch (error) {
      const failure = storageError('write the checkpoint', error);
      // On a full disk the older one stays, which is only less exact; the next round tries again.
      if (isShortage(failure))
        this.#volume.logger.warn({ err: failure }, 'checkpoint was not written');
      else this.#volume.fail(failure);
    }
  }

  /** Runs file work; its failure is the disk's. */
  async #guard(action: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const failure = storageError(action, error);
      if (failure.code === 'STORAGE_FAILED') this.#volume.fail(failure);
      throw failure;
    }
  }
}

/**
 * The line says of a log that ends at `endOffset` what must not be said once more is appended: that
 * a reset is on its way, or that offsets are written or committed which are not there.
 */
function isOutdated(line: PartitionCheckpoint | null, endOffset: Offset): boolean {
  if (line === null) return false;
  const { isResetting = false, highWaterMark, writtenOffset } = line;
  return isResetting || Math.max(highWaterMark, writtenOffset) > endOffset;
}

async function loadMeta(files: FileSystem, path: string): Promise<DirectoryMeta | null> {
  const meta = await loadJson<DirectoryMeta>(files, path, isMeta);
  if (meta !== null) return meta;
  try {
    await files.stat(path);
  } catch {
    return null;
  }
  throw new BrokerError(
    'DATA_CORRUPT',
    `Cannot read "${path}": it must be JSON with formatVersion 1, clusterId, brokerId and directoryId`,
  );
}

function isMeta(value: Record<string, unknown>): boolean {
  const hasTexts =
    typeof value['clusterId'] === 'string' && typeof value['directoryId'] === 'string';
  return value['formatVersion'] === 1 && hasTexts && Number.isSafeInteger(value['brokerId']);
}

function mountOf(options: DiskOptions, files: FileSystem): Promise<MountIdentity> {
  if (options.mountIdentity !== undefined) return Promise.resolve(options.mountIdentity);
  const metaPath = `${options.dataDir}/meta.json`;
  // Before it is formatted a directory has no identity to compare.
  return readMountIdentity(files, metaPath).catch(() => ({
    device: 0,
    fileSystemType: 0,
    metaInode: 0,
    metaChangedMs: 0,
  }));
}

async function removeSession(files: FileSystem, dataDir: string): Promise<void> {
  await files.remove(`${dataDir}/clean`);
  await files.remove(`${dataDir}/session.json`);
  await files.syncFolder(dataDir);
}
