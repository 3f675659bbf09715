/**
 * One broker's data directory: the `Disk` of `runtime/ports.ts`. Finds out what the last stop left, hands out the quorum log and the
 * partitions' logs, runs the background flush and the checkpoint, and reports the first I/O error. The only part that touches a disk.
 *
 *   lock                       one process at a time
 *   meta.json                  who this directory is
 *   session.json, clean        who wrote here last, and whether it stopped in order (P4)
 *   checkpoint.json            log start, high-water mark, recovery point and epochs of every partition
 *   quorum/                    the metadata log
 *   partitions/<topic>-<n>/    <first offset>.log, .index, .timeindex; producers.snapshot; aside/
 */
import { BrokerError } from '../base/errors.ts';
import { assert } from '../base/assert.ts';
import { partitionKey } from '../base/units.ts';
import type { BrokerEpoch, DirectoryId, Offset, PartitionKey, TopicId } from '../base/units.ts';
import type {
  Cancel,
  Clock,
  DirectoryMeta,
  Disk,
  DiskStart,
  PartitionLog,
  PartitionLogOptions,
} from '../runtime/ports.ts';
import { Checkpoint } from './checkpoint.ts';
import { lockDirectory } from './directory-lock.ts';
import type { ReleaseLock } from './directory-lock.ts';
import { nodeFileSystem, storageError } from './file-system.ts';
import type { FileSystem } from './file-system.ts';
import { Flusher } from './flusher.ts';
import { dataCallsMax, IoGate } from './io-gate.ts';
import { openPartitionLog } from './open-partition-log.ts';
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
import type { StorageLogger } from './volume.ts';

/** What {@link openDisk} needs. Every number has a default. */
export interface DiskOptions {
  /** Made when absent. */
  readonly dataDir: string;
  /** UID of this pod; empty outside Kubernetes. */
  readonly podUid: string;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'every'>;
  readonly logger: StorageLogger;
  /** Age at which written bytes are synced (P3). */
  readonly flushIntervalMs?: number;
  /** Unsynced bytes of one partition at which it is synced sooner (P3). */
  readonly flushBytes?: number;
  /** Frames of all partitions that stay in memory. */
  readonly tailCacheBytes?: number;
  /** Free bytes that appends must leave: for checkpoints, sessions and the metadata log. */
  readonly reserveBytes?: number;
  /** Threads of libuv's pool (UV_THREADPOOL_SIZE; libuv's own default is 4). Data gets half of them, eight at most. */
  readonly poolThreads?: number | undefined;
  /** For tests: where this start takes place. */
  readonly bootId?: string;
  readonly mountIdentity?: MountIdentity;
  readonly files?: FileSystem;
}

/** What may change while the directory is open. */
export type DiskBounds = Required<
  Pick<DiskOptions, 'flushIntervalMs' | 'flushBytes' | 'tailCacheBytes' | 'reserveBytes'>
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
/** The flusher looks ten times as often as it flushes, so that bytes are at most a tenth over their age. */
const FLUSH_LOOKS = 10;
const SPACE_LOOK_MS = 1000;
const CHECKPOINT_MS = 3000;

const DELETED_SUFFIX = '.deleted';
const PARTITION_FOLDER = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(\d{1,9})$/;

interface PartitionId {
  readonly topicId: TopicId;
  readonly partition: number;
}

/**
 * Opens a data directory and classifies the start. Rejects with REFUSED when another process has it open, with DATA_CORRUPT when `meta.json`
 * cannot be read, and with STORAGE_FAILED.
 */
export async function openDisk(options: DiskOptions): Promise<LiveDisk> {
  const files = options.files ?? nodeFileSystem;
  let unlock: ReleaseLock | null = null;
  try {
    await files.makeFolder(`${options.dataDir}/partitions`);
    unlock = lockDirectory(options.dataDir);
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
  readonly #timers: Cancel[];
  #cancelFlush: Cancel;
  readonly #bootId: string;
  readonly #partitions: Map<PartitionKey, PartitionId>;
  readonly #logs = new Map<PartitionKey, FilePartitionLog>();
  /** Partitions closed in order, or made, by this process: nothing about them is in doubt, whatever the start was. */
  readonly #settled = new Set<PartitionKey>();
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
      files,
      folder: this.#path('quorum'),
      isFormatted: meta !== null,
      onFailure,
    });
    this.#cancelFlush = this.#lookEvery(intervalMs);
    this.#timers = [
      options.clock.every(SPACE_LOOK_MS, () => void volume.lookAtSpace()),
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
    const verdict = classify({
      meta,
      session,
      cleanFlag,
      now: { bootId, mount, podUid: options.podUid },
    });
    const { checkpoint, isLost } = await Checkpoint.load(files, `${dataDir}/checkpoint.json`);
    if (isLost)
      logger.warn(
        { dataDir },
        'checkpoint fails its checksum: every log is scanned from its start',
      );
    const partitions = await listPartitionFolders(files, `${dataDir}/partitions`);
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

  setBounds({ flushIntervalMs, flushBytes, tailCacheBytes, reserveBytes }: DiskBounds): void {
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
      await saveJson(this.#files, this.#path('meta.json'), meta);
      this.#meta = meta;
    });
  }

  async renew(directoryId: DirectoryId): Promise<void> {
    const meta = this.#meta;
    assert(meta !== null, 'only a formatted directory can be renewed');
    await this.#guard('renew the data directory', async () => {
      // In this order: the old id must never stand beside an empty quorum log, which would be a voter that has forgotten its vote.
      await this.#removeSession();
      const renewed = { ...meta, directoryId };
      await saveJson(this.#files, this.#path('meta.json'), renewed);
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
      const session: Session = {
        clusterId: meta.clusterId,
        directoryId: meta.directoryId,
        brokerEpoch,
        ...now,
      };
      await saveJson(this.#files, this.#path('session.json'), session);
      // The flag of an earlier epoch says nothing any more; it goes so that no later epoch can ever match it.
      await this.#files.remove(this.#path('clean'));
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
    // Without a session of its own this process has vouched for nothing: a lossy start must not turn clean by being stopped.
    if (meta === null || brokerEpoch === null) {
      this.#volume.logger.info(
        {},
        'no clean flag: the broker was not registered in this run, or became lossy after it',
      );
      return;
    }
    await this.#guard('mark the stop as clean', async () => {
      await this.#checkpoint.sync();
      await saveJson(this.#files, this.#path('clean'), {
        directoryId: meta.directoryId,
        brokerEpoch,
      });
    });
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
    const isKnown = this.#partitions.has(key);
    const folder = this.#partitionFolder(topicId, partition);
    if (!isKnown) await this.#guard(`make "${folder}"`, () => this.#files.makeFolder(folder));
    this.#partitions.set(key, { topicId, partition });
    const isSettled = !isKnown || this.#settled.has(key);
    this.#settled.delete(key);
    const log = await openPartitionLog({
      volume: this.#volume,
      checkpoint: this.#checkpoint,
      flusher: this.#flusher,
      topicId,
      partition,
      folder,
      restartClass: isSettled ? 'clean' : this.start.restartClass,
      options,
      onDamage: () => this.#removeSession(),
      onSynced: (offset) => {
        for (const callback of this.#syncedCallbacks) callback(topicId, partition, offset);
      },
      onClosed: () => {
        this.#logs.delete(key);
        if (this.#volume.failure === null) this.#settled.add(key);
      },
    });
    this.#logs.set(key, log);
    return log;
  }

  async deletePartition(topicId: TopicId, partition: number): Promise<void> {
    const key = partitionKey(topicId, partition);
    assert(!this.#logs.has(key), `log of ${key} must be closed before it is deleted`);
    if (!this.#partitions.has(key)) return;
    const folder = this.#partitionFolder(topicId, partition);
    await this.#guard(`delete "${folder}"`, async () => {
      // Renamed first: what a crash leaves half deleted must not look like a log.
      await this.#files.remove(`${folder}${DELETED_SUFFIX}`);
      await this.#files.rename(folder, `${folder}${DELETED_SUFFIX}`);
      this.#partitions.delete(key);
      this.#settled.delete(key);
      this.#checkpoint.remove(key);
      await this.#files.remove(`${folder}${DELETED_SUFFIX}`);
    });
  }

  listPartitions(): readonly PartitionId[] {
    return [...this.#partitions.values()];
  }

  freeBytes(): number {
    return this.#volume.freeBytes();
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
    await this.#files.remove(this.#path('clean'));
    await this.#files.remove(this.#path('session.json'));
    await this.#files.syncFolder(this.#options.dataDir);
    this.#sessionEpoch = null;
  }

  #path(name: string): string {
    return `${this.#options.dataDir}/${name}`;
  }

  #partitionFolder(topicId: TopicId, partition: number): string {
    return this.#path(`partitions/${topicId}-${partition}`);
  }

  async #writeCheckpoint(): Promise<void> {
    try {
      await this.#checkpoint.writeIfChanged();
    } catch (error) {
      const failure = storageError('write the checkpoint', error);
      // On a full disk the older one stays, which is only less exact; the next round tries again.
      if (failure.code === 'DISK_FULL')
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

async function listPartitionFolders(
  files: FileSystem,
  folder: string,
): Promise<Map<PartitionKey, PartitionId>> {
  const partitions = new Map<PartitionKey, PartitionId>();
  for (const name of await files.list(folder)) {
    if (name.endsWith(DELETED_SUFFIX)) await files.remove(`${folder}/${name}`);
    const match = PARTITION_FOLDER.exec(name);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const id = { topicId: match[1], partition: Number(match[2]) };
    partitions.set(partitionKey(id.topicId, id.partition), id);
  }
  return partitions;
}
