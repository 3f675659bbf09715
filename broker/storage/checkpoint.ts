/**
 * The group-synced journal of a broker's partitions: what must be found of each log. Log start,
 * high-water mark, recovery point (everything below it has passed fdatasync), the end that write(2)
 * had returned for, and the epoch map up to the recovery point. One file for all partitions, so
 * that failover syncs nothing per partition (docs/rules.md#what-a-sync-may-not-hold-up); the epoch
 * map above the recovery point follows from batch headers (rule 4). Written every few seconds, and
 * synced where a rule demands it: when a log is made, before a truncation, reset, retirement or
 * deletion is carried out, and at an orderly close. So a partition with a line has files, and one
 * without a line has never answered.
 *
 * Format: the CRC of the body in eight hex digits, a newline, the body in JSON. A body that does
 * not match names nothing, so the start is lossy.
 */
import { crc32 } from 'node:zlib';
import {
  type Check,
  count,
  defaulted,
  listOf,
  mapOf,
  oneOf,
  parseJson,
  refuseValue,
  shape,
  string,
} from '../../base/shape.ts';
import type { CompactionOrder } from '../../base/compaction-order.ts';
import type { LeaderEpoch, Offset, PartitionKey } from '../../base/units.ts';
import type { ControlMark, EpochStart, LogStart } from '../replication/types.ts';
import { COMPACTION_FIELDS, type CompactionMark } from '../../wire/batch/control.ts';
import { readFile, replaceFile, storageError } from './file-system.ts';
import type { FileSystem } from './file-system.ts';

/** One partition's line. */
export interface PartitionCheckpoint {
  /**
   * The log start as far as retention is known to have reached: a log that starts above it has lost
   * its beginning.
   */
  readonly startOffset: Offset;
  /**
   * Where the log itself starts, when it was made to start above: nothing before it is missed.
   */
  readonly logStartOffset?: Offset;
  /** Epoch of the batch before the start of the log itself; 0: none, or unknown. */
  readonly startEpoch: LeaderEpoch;
  readonly highWaterMark: Offset;
  /** The recovery point. */
  readonly syncedOffset: Offset;
  /** End of what passed write(2): what a process that died left in the page cache, at least. */
  readonly writtenOffset: Offset;
  /** A reset to `writtenOffset` was begun: whatever files there are do not count. */
  readonly isResetting?: true;
  /** Epochs that start below `syncedOffset`. */
  readonly epochs: readonly EpochStart[];
  /** Trims and orders to compact that stand below `syncedOffset`, the newest ones; absent: none. */
  readonly controls?: readonly ControlMark[];
  /** How far the log is compacted; absent: never. */
  readonly compacted?: CompactionState | undefined;
  /** D that a copy was begun with: see `LogStart`. Absent: 0. */
  readonly tombstonesBelow?: Offset;
  /** Segments become one; absent: none do. */
  readonly merging?: MergedRange | undefined;
}

/**
 * Offsets of segments that one of their first name is to hold, or holds. Once it does, files that
 * begin further inside are left over.
 */
export interface MergedRange {
  readonly baseOffset: Offset;
  readonly endOffset: Offset;
}

/** Compaction of a log. Stated before anything of it takes effect (K10). */
export interface CompactionState {
  /** The largest order that was begun. */
  readonly order: CompactionOrder;
  /** Segments that end at or below are as the order says, durably. */
  readonly doneTo: Offset;
}

/** The line of a log that is cut to end at `endOffset`. */
export function cutLine(line: PartitionCheckpoint, endOffset: Offset): PartitionCheckpoint {
  return {
    ...line,
    highWaterMark: Math.min(line.highWaterMark, endOffset),
    syncedOffset: Math.min(line.syncedOffset, endOffset),
    writtenOffset: endOffset,
    epochs: line.epochs.filter(({ startOffset }) => startOffset < endOffset),
    controls: line.controls?.filter(({ baseOffset }) => baseOffset < endOffset) ?? [],
    compacted: doneUpTo(line.compacted, endOffset),
  };
}

/** Of a log that ends at `endOffset`: what is put in the place of what went is not compacted. */
export function doneUpTo(
  mark: CompactionState | undefined,
  endOffset: Offset,
): CompactionState | undefined {
  return mark === undefined
    ? undefined
    : { order: mark.order, doneTo: Math.min(mark.doneTo, endOffset) };
}

/** Where a log starts, and what retention reached. */
export function startLine(
  logStartOffset: Offset,
  retiredTo: Offset,
): Pick<PartitionCheckpoint, 'startOffset' | 'logStartOffset'> {
  return { startOffset: retiredTo, ...(logStartOffset > retiredTo ? { logStartOffset } : {}) };
}

/** The line of a log that is being made empty at `start`. */
export function resetLine(start: LogStart): PartitionCheckpoint {
  const { offset, epoch, retiredTo, tombstonesBelow = 0 } = start;
  return {
    ...startLine(offset, retiredTo),
    startEpoch: epoch,
    highWaterMark: offset,
    syncedOffset: offset,
    writtenOffset: offset,
    epochs: [],
    isResetting: true,
    tombstonesBelow,
  };
}

/** Gives a live log's present line. */
export type CheckpointSource = () => PartitionCheckpoint;

/**
 * In the order of {@link PartitionCheckpoint}. Earlier builds read the first four, and wrote no
 * more.
 */
type Packed = [
  Offset,
  Offset,
  Offset,
  [number, Offset][],
  startEpoch?: LeaderEpoch,
  writtenOffset?: Offset,
  state?: 'resetting' | null,
  logStartOffset?: Offset | null,
  trims?: [baseOffset: Offset, dataEnd: Offset, trimTo: Offset][] | null,
  compacted?:
    | [upTo: Offset, tombstonesBelow: Offset, producersBelow: Offset, doneTo: Offset]
    | null,
  orders?: number[][] | null,
  tombstonesBelow?: Offset | null,
  merging?: [baseOffset: Offset, endOffset: Offset],
];

interface Body {
  readonly version: 1;
  readonly partitions: Record<PartitionKey, Packed>;
  /** Partitions whose files are being deleted. */
  readonly deleting?: readonly PartitionKey[];
}

interface Found {
  readonly partitions: ReadonlyMap<PartitionKey, PartitionCheckpoint>;
  readonly deleting: readonly PartitionKey[];
}

/**
 * What was found at the start. `damaged`: there is a file, but its checksum does not match, or what
 * it says is no checkpoint.
 */
export type CheckpointFile = 'whole' | 'absent' | 'damaged';

/** The checkpoint file of one data directory. */
export class Checkpoint {
  /** What the start found. */
  readonly file: CheckpointFile;
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #stored = new Map<PartitionKey, PartitionCheckpoint>();
  readonly #sources = new Map<PartitionKey, CheckpointSource>();
  readonly #deleting = new Set<PartitionKey>();
  #isChanged = false;
  #writing: Promise<void> | null = null;
  /** The write that waits for the one in flight; it will hold every change made until it begins. */
  #next: { durable: boolean; done: Promise<void> } | null = null;

  private constructor(files: FileSystem, path: string, file: CheckpointFile) {
    this.file = file;
    this.#files = files;
    this.#path = path;
  }

  /** Reads the file. */
  static async load(files: FileSystem, path: string): Promise<Checkpoint> {
    const bytes = await readFile(files, path);
    if (bytes === null) return new Checkpoint(files, path, 'absent');
    const body = decode(bytes);
    if (body === null) return new Checkpoint(files, path, 'damaged');
    const checkpoint = new Checkpoint(files, path, 'whole');
    for (const [key, line] of body.partitions) checkpoint.#stored.set(key, line);
    for (const key of body.deleting) checkpoint.#deleting.add(key);
    return checkpoint;
  }

  /** Partitions with a line. */
  keys(): PartitionKey[] {
    return [...this.#stored.keys(), ...this.#sources.keys()];
  }

  isDeleting(key: PartitionKey): boolean {
    return this.#deleting.has(key);
  }

  /** Partitions whose deletion was begun. */
  deleting(): PartitionKey[] {
    return [...this.#deleting];
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

  /**
   * The partition is to be deleted. Once this is durable, neither its files nor their absence mean
   * anything.
   */
  beginDelete(key: PartitionKey): void {
    this.#sources.delete(key);
    this.#stored.delete(key);
    this.#deleting.add(key);
    this.#isChanged = true;
  }

  /** Its files are gone. */
  endDelete(key: PartitionKey): void {
    this.#deleting.delete(key);
    this.#isChanged = true;
  }

  /** Some line changed; it goes out with the next write. */
  noteChange(): void {
    this.#isChanged = true;
  }

  /** Writes when something changed. After power loss the earlier one may be back. */
  writeIfChanged(): Promise<void> {
    return this.#isChanged ? this.#write(false) : Promise.resolve();
  }

  /**
   * Resolves when every line as it is now is durable. Calls made while a write runs share the next
   * one.
   */
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
    // An earlier failure was told to whoever asked for that write. Waiting also lets calls of this
    // turn share the write.
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
      const body = encode({ version: 1, partitions, deleting: [...this.#deleting] });
      // Never a hint: it takes the place of lines that were synced.
      const durability = durable ? 'durable' : 'whole';
      await replaceFile(this.#files, this.#path, body, durability);
    } catch (error) {
      this.#isChanged = true;
      throw storageError(`write "${this.#path}"`, error);
    }
  }
}

function pack(line: PartitionCheckpoint): Packed {
  const { startOffset, startEpoch, highWaterMark, syncedOffset, writtenOffset, epochs } = line;
  const pairs = epochs
    .filter((start) => start.startOffset < syncedOffset)
    .map((start): [number, Offset] => [start.epoch, start.startOffset]);
  const state = line.isResetting === true ? 'resetting' : null;
  const packed: Packed = [startOffset, highWaterMark, syncedOffset, pairs, startEpoch];
  packed.push(writtenOffset);
  const { logStartOffset = null, controls = [], compacted, tombstonesBelow = 0, merging } = line;
  const trims = controls.filter(({ trimTo }) => trimTo !== undefined);
  const orders = controls.filter(({ compaction }) => compaction !== undefined);
  const rest = [
    state,
    logStartOffset,
    trims.length > 0 ? trims.map(packTrim) : null,
    compacted === undefined ? null : packState(compacted),
    orders.length > 0 ? orders.map(packOrder) : null,
    tombstonesBelow > 0 ? tombstonesBelow : null,
    merging === undefined ? null : [merging.baseOffset, merging.endOffset],
  ] as const;
  // A line says no more than it must: earlier builds read what they know.
  const length = rest.findLastIndex((field) => field !== null) + 1;
  packed.push(...(rest.slice(0, length) as []));
  return packed;
}

function packTrim({ baseOffset, dataEnd = 0, trimTo = 0 }: ControlMark): [Offset, Offset, Offset] {
  return [baseOffset, dataEnd, trimTo];
}

function packState({ order, doneTo }: CompactionState): NonNullable<Packed[9]> {
  return [order.upTo, order.tombstonesBelow, order.producersBelow, doneTo];
}

function packOrder({ baseOffset, dataEnd = 0, compaction }: ControlMark): number[] {
  return [baseOffset, dataEnd, ...COMPACTION_FIELDS.map((field) => compaction?.[field] ?? 0)];
}

/** A line as it is read: each field is judged. */
const readLine: Check<PartitionCheckpoint> = (value, path) => {
  const packed = listOf<unknown>((each) => each)(value, path);
  const field = (at: number): Offset => count(packed[at], `${path}[${at}]`);
  const [startOffset, highWaterMark, syncedOffset] = [field(0), field(1), field(2)];
  const epochs = listOf(epochStart)(packed[3], `${path}[3]`);
  const startEpoch = packed[4] === undefined ? 0 : field(4);
  const writtenOffset = packed[5] === undefined ? syncedOffset : field(5);
  const line = { startOffset, startEpoch, highWaterMark, syncedOffset, writtenOffset, epochs };
  return {
    ...line,
    ...(isAbsent(packed[7]) ? {} : { logStartOffset: field(7) }),
    ...(packed[6] === 'resetting' ? { isResetting: true } : {}),
    ...(isAbsent(packed[8]) && isAbsent(packed[10])
      ? {}
      : { controls: readControls(packed, path) }),
    ...(isAbsent(packed[9]) ? {} : { compacted: compactionState(packed[9], `${path}[9]`) }),
    ...(isAbsent(packed[11]) ? {} : { tombstonesBelow: field(11) }),
    ...(isAbsent(packed[12]) ? {} : { merging: mergedRange(packed[12], `${path}[12]`) }),
  };
};

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function readControls(packed: readonly unknown[], path: string): ControlMark[] {
  const trims = listOf(trimMark)(packed[8] ?? [], `${path}[8]`);
  return [...trims, ...listOf(orderMark)(packed[10] ?? [], `${path}[10]`)];
}

const orderMark: Check<ControlMark> = (value, path) => {
  const numbers = listOf(count)(value, path);
  const [baseOffset = 0, dataEnd = 0, ...fields] = numbers;
  if (numbers.length !== 2 + COMPACTION_FIELDS.length)
    refuseValue(path, value, `${2 + COMPACTION_FIELDS.length} numbers`);
  const pairs = COMPACTION_FIELDS.map((field, index) => [field, fields[index] ?? 0] as const);
  return {
    baseOffset,
    dataEnd,
    compaction: Object.fromEntries(pairs) as unknown as CompactionMark,
  };
};

const trimMark: Check<ControlMark> = (value, path) => {
  const [baseOffset, dataEnd, trimTo] = listOf(count)(value, path);
  return baseOffset === undefined || dataEnd === undefined || trimTo === undefined
    ? refuseValue(path, value, 'three offsets')
    : { baseOffset, dataEnd, trimTo };
};

const compactionState: Check<CompactionState> = (value, path) => {
  const [upTo, tombstonesBelow, producersBelow, doneTo] = listOf(count)(value, path);
  return upTo === undefined ||
    tombstonesBelow === undefined ||
    producersBelow === undefined ||
    doneTo === undefined
    ? refuseValue(path, value, 'four offsets')
    : { order: { upTo, tombstonesBelow, producersBelow }, doneTo };
};

const mergedRange: Check<MergedRange> = (value, path) => {
  const [baseOffset, endOffset] = listOf(count)(value, path);
  return baseOffset === undefined || endOffset === undefined
    ? refuseValue(path, value, 'two offsets')
    : { baseOffset, endOffset };
};

const epochStart: Check<EpochStart> = (value, path) => {
  const [epoch, startOffset] = listOf(count)(value, path);
  return epoch === undefined || startOffset === undefined
    ? refuseValue(path, value, 'an epoch and an offset')
    : { epoch, startOffset };
};

const readKey: Check<PartitionKey> = (value, path) => {
  const key = string(value, path);
  return /^.+\/\d+$/.test(key) ? key : refuseValue(path, key, 'a topic id and a partition');
};

function encode(body: Body): Uint8Array {
  const text = Buffer.from(JSON.stringify(body));
  return Buffer.concat([Buffer.from(`${crc32(text).toString(16).padStart(8, '0')}\n`), text]);
}

function decode(bytes: Uint8Array): Found | null {
  const text = bytes.subarray(9);
  if (
    Buffer.from(bytes.subarray(0, 9)).toString() !==
    `${crc32(text).toString(16).padStart(8, '0')}\n`
  )
    return null;
  try {
    return readBody(parseJson(Buffer.from(text).toString(), 'the checkpoint'));
  } catch {
    return null;
  }
}

function readBody(value: unknown): Found {
  const { partitions, deleting } = shape({
    version: oneOf([1]),
    partitions: mapOf(readLine),
    deleting: defaulted(listOf(readKey), []),
  })(value, 'checkpoint');
  for (const key of partitions.keys()) readKey(key, 'checkpoint.partitions');
  return { partitions, deleting };
}
