/**
 * One replica of a partition of a topic of the cluster's own: folds what is committed as it comes,
 * and, while it leads, writes for whoever keeps state there (docs/rules.md#cursors). What records
 * mean is the codec's matter; this file keeps their order.
 *
 * One batch is under way at a time, and each is judged by the image of all before it. It expects
 * the end of the log that the image was folded up to, so that the log itself refuses it if anybody,
 * this broker in another epoch included, has written since. A batch is never tried again here: what
 * became of it is not known where its leadership ends, and its caller is told so.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { LeaderEpoch, MonotonicMs, Offset } from '../../../base/units.ts';
import type { AppendResult } from '../../replication/types.ts';
import type { Replica } from '../partitions/replica.ts';
import type { TextRecords } from '../ports.ts';

/** A record as text; a null value deletes. */
export interface StoredRecord {
  readonly key: string;
  readonly value: string | null;
}

/** What the log holds, for one kind of state. */
export interface FoldCodec<Image, Rec> {
  readonly empty: () => Image;
  /** Takes one record into the image. Total. */
  readonly fold: (image: Image, record: Rec) => void;
  /** Throws DATA_CORRUPT for what this build does not know. */
  readonly decode: (stored: StoredRecord) => Rec;
  readonly encode: (record: Rec) => StoredRecord;
  /** Of all records that an image would be written as. */
  readonly bytes: (image: Image) => number;
}

/** Proposals that wait for the one under way; past it they are refused. */
const PROPOSALS_MAX = 10_000;
/**
 * Units that they keep in memory, 400 bytes each: a caller's connection may be closed while its
 * changes still wait here.
 */
const WAITING_UNITS_MAX = 100_000;
/** Of one batch, unless a proposal has more: far below the topic's `batchBytesMax`. */
const BATCH_RECORDS_MAX = 2_000;
const BATCH_CHARACTERS_MAX = 1024 * 1024;
const READ_BYTES = 1024 * 1024;
/** How exactly the bytes of the log are known after a trim. */
const SIZE_STEP_BYTES = 4_096;

/** As far as a folded log uses its replica. */
export type FoldedReplica = Pick<
  Replica,
  'name' | 'partition' | 'marks' | 'watch' | 'append' | 'trim'
> & { readonly log: Pick<Replica['log'], 'read'> };

export interface FoldedLogParts<Image, Rec> {
  readonly clock: Clock;
  readonly records: TextRecords;
  readonly codec: FoldCodec<Image, Rec>;
  /** What it keeps, for messages: `groups`. */
  readonly what: string;
  /** Nothing more is folded. */
  readonly onUnreadable: (reason: string) => void;
  /** P9: what the log holds is damaged. */
  readonly onDamage: (error: BrokerError) => void;
}

/** Something to be written about one subject, such as a group. */
export interface Proposal<Image, Rec> {
  /** What it is about. Two of one name are never in one batch; null: it is alone in its batch. */
  readonly subject: string | null;
  /** How many units of memory it keeps while it waits; absent: none. */
  readonly units?: number;
  /** By the image of everything before it. Throws a refusal. */
  readonly judge: (image: Image) => readonly (Rec | StoredRecord)[];
}

interface Waiting<Image, Rec> extends Proposal<Image, Rec> {
  readonly resolve: (baseOffset: Offset | null) => void;
  readonly reject: (error: BrokerError) => void;
}

interface Judged<Image, Rec> extends Waiting<Image, Rec> {
  readonly records: readonly StoredRecord[];
}

export class FoldedLog<Image, Rec extends { readonly kind: string }> {
  readonly #replica: FoldedReplica;
  readonly #parts: FoldedLogParts<Image, Rec>;
  readonly #cancelWatch: Cancel;
  #image: Image;
  #foldedTo: Offset;
  /** Why nothing more is folded; null: it goes on. */
  #fault: BrokerError | null = null;
  /** Of all frames folded since the image was empty, and how many lay below some offsets. */
  #foldedBytes = 0;
  #sizes: { readonly offset: Offset; readonly bytes: number }[] = [];
  #isFolding = false;
  #isFoldDue = false;
  #isWriting = false;
  #isClosed = false;
  #queue: Waiting<Image, Rec>[] = [];
  #waitingUnits = 0;
  #onFolded: (() => void)[] = [];
  /** The epoch that it serves in, and up to where it must have folded. */
  #term: { readonly epoch: LeaderEpoch; readonly floor: Offset; readonly sinceMs: MonotonicMs } = {
    epoch: 0,
    floor: 0,
    sinceMs: 0,
  };

  constructor(replica: FoldedReplica, parts: FoldedLogParts<Image, Rec>) {
    this.#replica = replica;
    this.#parts = parts;
    this.#image = parts.codec.empty();
    this.#foldedTo = replica.marks().logStart;
    this.#sizes = [{ offset: this.#foldedTo, bytes: 0 }];
    this.#cancelWatch = replica.watch(() => {
      this.look();
    });
    this.look();
  }

  get partition(): number {
    return this.#replica.partition;
  }

  get replica(): FoldedReplica {
    return this.#replica;
  }

  /** When it began to serve in the present epoch. */
  get sinceMs(): MonotonicMs {
    return this.#term.sinceMs;
  }

  /** Everything below is folded. */
  get foldedTo(): Offset {
    return this.#foldedTo;
  }

  /** The epoch that it serves in. */
  get epoch(): LeaderEpoch {
    return this.#term.epoch;
  }

  /** Bytes of the log, and what a snapshot of the image would take. */
  get sizes(): { readonly logBytes: number; readonly imageBytes: number } {
    const { logStart } = this.#replica.marks();
    while ((this.#sizes[1]?.offset ?? Infinity) <= logStart) this.#sizes.shift();
    const below = this.#sizes[0]?.bytes ?? 0;
    return {
      logBytes: this.#foldedBytes - below,
      imageBytes: this.#parts.codec.bytes(this.#image),
    };
  }

  /** Goes on with whatever may have become possible. */
  look(): void {
    if (this.#isClosed) return;
    this.#fold();
    this.#write();
  }

  /** Why it does not answer for what it keeps now; null: it does. */
  refusal(): BrokerError | null {
    const { name } = this.#replica;
    const { what } = this.#parts;
    if (this.#isClosed) return new BrokerError('NOT_LEADER', `This broker no longer holds ${name}`);
    const { isLeader, leader, leaderEpoch, latest, highWaterMark } = this.#replica.marks();
    if (!isLeader)
      return new BrokerError(
        'NOT_LEADER',
        `This broker does not answer for the ${what} of ${name}`,
        leader >= 0 ? { leader, leaderEpoch } : {},
      );
    if (this.#fault !== null) return this.#fault;
    if (latest === null)
      return new BrokerError(
        'BROKER_NOT_READY',
        `Who answers for the ${what} of ${name} has committed nothing in its epoch yet, hands over, or is not heard by the controller`,
      );
    if (this.#term.epoch !== leaderEpoch)
      this.#term = {
        epoch: leaderEpoch,
        floor: highWaterMark,
        sinceMs: this.#parts.clock.monotonicMs(),
      };
    if (this.#foldedTo < this.#term.floor)
      return new BrokerError(
        'BROKER_NOT_READY',
        `Who answers for the ${what} of ${name} has read ${this.#foldedTo} of ${this.#term.floor} offsets`,
      );
    return null;
  }

  /** What is committed. Throws what {@link refusal} says. */
  image(): Image {
    const refusal = this.refusal();
    if (refusal !== null) throw refusal;
    return this.#image;
  }

  /**
   * Resolves once what it writes is committed and folded, with where its batch stands; null: there
   * was nothing to write. Rejects with its refusal, or with what became of the batch.
   */
  propose(proposal: Proposal<Image, Rec>): Promise<Offset | null> {
    const units = this.#waitingUnits + (proposal.units ?? 0);
    return new Promise((resolve, reject) => {
      const isTooMuch = this.#waitingUnits > 0 && units > WAITING_UNITS_MAX;
      if (this.#queue.length >= PROPOSALS_MAX || isTooMuch) {
        reject(
          new BrokerError(
            'OVERLOADED',
            `${this.#queue.length} changes of ${this.#waitingUnits} entries wait for ${this.#replica.name}, must be ${PROPOSALS_MAX} of ${WAITING_UNITS_MAX} or fewer`,
          ),
        );
        return;
      }
      this.#queue.push({ ...proposal, resolve, reject });
      this.#waitingUnits = units;
      this.#write();
    });
  }

  /** The replica is closed, or another one is in its place. */
  close(): void {
    this.#isClosed = true;
    this.#cancelWatch();
    this.#refuseWaiting();
    for (const folded of this.#onFolded.splice(0)) folded();
  }

  #refuseWaiting(): void {
    if (this.#queue.length === 0) return;
    const refusal = this.refusal();
    if (refusal === null) return;
    this.#waitingUnits = 0;
    for (const { reject } of this.#queue.splice(0)) reject(refusal);
  }

  #write(): void {
    if (this.#isClosed) return;
    this.#refuseWaiting();
    if (this.#isWriting) return;
    const batch = this.#takeBatch();
    const records = batch.flatMap((one) => one.records);
    if (records.length === 0) return;
    this.#isWriting = true;
    const { clock, records: texts } = this.#parts;
    const frame = texts.encode(records, clock.wallMs());
    const expectedEnd = { offset: this.#foldedTo, leaderEpoch: 0, isTriedOnce: true };
    this.#replica.append(frame, { ack: 'all', expectedEnd }, (result) => {
      void this.#written(batch, result);
    });
  }

  /** The next ones of different subjects, each judged; those that write nothing are answered. */
  #takeBatch(): readonly Judged<Image, Rec>[] {
    const batch: Judged<Image, Rec>[] = [];
    const left: Waiting<Image, Rec>[] = [];
    const subjects = new Set<string>();
    let count = 0;
    let characters = 0;
    let isFull = false;
    for (const waiting of this.#queue) {
      const { subject } = waiting;
      const isAlone = subject === null;
      if (isFull || (isAlone && batch.length > 0) || (!isAlone && subjects.has(subject))) {
        // What comes later for the same subject comes behind it.
        if (!isAlone) subjects.add(subject);
        isFull ||= isAlone;
        left.push(waiting);
        continue;
      }
      const records = this.#judged(waiting);
      if (records === null) continue;
      count += records.length;
      characters += charactersOf(records);
      const isTooMuch = count > BATCH_RECORDS_MAX || characters > BATCH_CHARACTERS_MAX;
      if (batch.length > 0 && isTooMuch) {
        isFull = true;
        left.push(waiting);
        continue;
      }
      batch.push({ ...waiting, records });
      if (isAlone) isFull = true;
      else subjects.add(subject);
    }
    this.#queue = left;
    this.#waitingUnits = left.reduce((sum, { units = 0 }) => sum + units, 0);
    return batch;
  }

  /** Null: it was answered. */
  #judged(waiting: Waiting<Image, Rec>): Judged<Image, Rec>['records'] | null {
    const { encode } = this.#parts.codec;
    try {
      const records = waiting.judge(this.#image);
      if (records.length > 0)
        return records.map((record) => (isStored(record) ? record : encode(record)));
      waiting.resolve(null);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      waiting.reject(error);
    }
    return null;
  }

  async #written(batch: readonly Judged<Image, Rec>[], result: AppendResult): Promise<void> {
    if (result.ok) {
      await this.#foldedUpTo(result.lastOffset + 1);
      for (const { resolve } of batch) resolve(result.baseOffset);
    } else {
      const error = outcomeOf(result.error, this.#replica.name);
      for (const { reject } of batch) reject(error);
    }
    this.#isWriting = false;
    this.#write();
  }

  #foldedUpTo(offset: Offset): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#foldedTo >= offset || this.#isClosed || this.#fault !== null) resolve();
        else this.#onFolded.push(look);
      };
      look();
      this.#fold();
    });
  }

  #fold(): void {
    // What comes while it folds may come behind its last look.
    this.#isFoldDue = this.#isFolding;
    if (this.#isFolding) return;
    this.#isFolding = true;
    this.#foldOn()
      .catch((error: unknown) => {
        this.#failed(error);
      })
      .finally(() => {
        this.#isFolding = false;
        if (this.#isFoldDue) this.#fold();
      });
  }

  async #foldOn(): Promise<void> {
    while (!this.#isClosed && this.#fault === null) {
      const { highWaterMark, logStart } = this.#replica.marks();
      // What it has folded is gone from the log, which was reset or begins later by now: from its
      // start on it has all that counts. No election cuts what is committed here.
      if (this.#foldedTo < logStart || highWaterMark < this.#foldedTo) this.#beginAt(logStart);
      if (this.#foldedTo >= highWaterMark) break;
      const from = this.#foldedTo;
      const read = this.#replica.log.read(from, highWaterMark, READ_BYTES);
      const { chunks, nextOffset } = read instanceof Promise ? await read : read;
      // It was taken away meanwhile, or the log was reset.
      if (this.#isClosed || from < this.#replica.marks().logStart) continue;
      if (nextOffset === from) break;
      for (const chunk of chunks) this.#foldChunk(chunk);
      this.#foldedTo = nextOffset;
      this.#noteSize();
    }
    for (const folded of this.#onFolded.splice(0)) folded();
    this.#write();
  }

  #beginAt(offset: Offset): void {
    this.#image = this.#parts.codec.empty();
    this.#foldedTo = offset;
    this.#foldedBytes = 0;
    this.#sizes = [{ offset, bytes: 0 }];
    // Whatever was read before does not count for it.
    this.#term = { epoch: 0, floor: 0, sinceMs: 0 };
  }

  #noteSize(): void {
    const last = this.#sizes.at(-1)?.bytes ?? -Infinity;
    if (this.#foldedBytes - last >= SIZE_STEP_BYTES)
      this.#sizes.push({ offset: this.#foldedTo, bytes: this.#foldedBytes });
  }

  #foldChunk(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const { header, records } = this.#parts.records.decode(chunk, at);
      const { fold } = this.#parts.codec;
      // The first frame may begin below where reading began.
      for (const { offset, ...stored } of records)
        if (offset >= this.#foldedTo) fold(this.#image, this.#read(offset, stored));
      at += header.length;
      this.#foldedBytes += header.length;
    }
  }

  #read(offset: Offset, stored: StoredRecord): Rec {
    try {
      return this.#parts.codec.decode(stored);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      throw new BrokerError(
        'UNDECODABLE',
        `Record ${offset} of ${this.#replica.name} is not one that this build knows: ${error.message}`,
        {},
        error,
      );
    }
  }

  #failed(error: unknown): void {
    if (this.#isClosed) return;
    const { what, onUnreadable, onDamage } = this.#parts;
    // The log was closed or reset while it was read: the next look sees.
    if (error instanceof BrokerError && error.code === 'OFFSET_OUT_OF_RANGE') return;
    onUnreadable(String(error));
    this.#fault =
      error instanceof BrokerError && error.code === 'UNDECODABLE'
        ? error
        : new BrokerError(
            'STORAGE_FAILED',
            `The ${what} of ${this.#replica.name} cannot be read: ${String(error)}`,
            {},
            error,
          );
    if (error instanceof BrokerError && error.code === 'DATA_CORRUPT') onDamage(error);
    this.#refuseWaiting();
    for (const folded of this.#onFolded.splice(0)) folded();
  }
}

function isStored<Rec extends object>(record: Rec | StoredRecord): record is StoredRecord {
  return !('kind' in record);
}

function charactersOf(records: readonly StoredRecord[]): number {
  return records.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
}

/** What the log says of the batch, as its callers are told. */
function outcomeOf(error: BrokerError, name: string): BrokerError {
  if (error.effect === 'none')
    return error.code === 'OFFSET_TAKEN'
      ? new BrokerError('CONFLICT', `Somebody else has written to ${name} since`, {}, error)
      : error;
  return new BrokerError(
    'OUTCOME_UNKNOWN',
    `Whether the change was committed to ${name} is not known: ${error.message}`,
    {},
    error,
  );
}
