/**
 * One replica of a partition of `__groups`: folds what is committed as it comes, and, while it
 * leads, writes for the groups of the partition (docs/rules.md#cursors). Rules of cursors are those
 * of `broker/groups`; this file keeps their order.
 *
 * One batch is under way at a time, and each is judged by the image of all before it. It expects
 * the end of the log that the image was folded up to, so that the log itself refuses it if anybody,
 * this broker in another epoch included, has written since. A batch is never tried again here: what
 * became of it is not known where its leadership ends, and its caller is told so.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { OnFact } from '../../../base/events.ts';
import type { LeaderEpoch, MonotonicMs, Offset } from '../../../base/units.ts';
import { emptyGroups, fold, type GroupsImage } from '../../groups/fold.ts';
import {
  decodeRecord,
  encodeRecord,
  type GroupsRecord,
  type StoredRecord,
} from '../../groups/records.ts';
import type { AppendResult } from '../../replication/types.ts';
import type { Replica } from '../partitions/replica.ts';
import type { TextRecords } from '../ports.ts';

/** Proposals that wait for the one under way; past it they are refused. */
const PROPOSALS_MAX = 10_000;
/**
 * Cursors that they are about, 400 bytes each: a caller's connection may be closed while its
 * changes still wait here.
 */
const WAITING_CURSORS_MAX = 100_000;
/** Records of one batch, 200 bytes each: far below the topic's `batchBytesMax`. */
const BATCH_RECORDS_MAX = 2_000;
const READ_BYTES = 1024 * 1024;
/** How exactly the bytes of the log are known after a trim. */
const SIZE_STEP_BYTES = 4_096;

/** As far as a coordinator uses its replica. */
export type GroupsReplica = Pick<
  Replica,
  'name' | 'partition' | 'marks' | 'watch' | 'append' | 'trim'
> & { readonly log: Pick<Replica['log'], 'read'> };

export interface CoordinatorParts {
  readonly clock: Clock;
  readonly records: TextRecords;
  readonly onFact: OnFact;
  /** P9: what the log holds is damaged. */
  readonly onDamage: (error: BrokerError) => void;
}

/** Something to be written for one group. */
export interface Proposal {
  /** What it is about. Two of one name are never in one batch; null: it is alone in its batch. */
  readonly group: string | null;
  /** How many cursors it keeps in memory while it waits; absent: none. */
  readonly cursors?: number;
  /** By the image of everything before it. Throws a refusal. */
  readonly judge: (image: GroupsImage) => readonly (GroupsRecord | StoredRecord)[];
}

interface Waiting extends Proposal {
  readonly resolve: (baseOffset: Offset | null) => void;
  readonly reject: (error: BrokerError) => void;
}

interface Judged extends Waiting {
  readonly records: readonly (GroupsRecord | StoredRecord)[];
}

export class Coordinator {
  readonly #replica: GroupsReplica;
  readonly #parts: CoordinatorParts;
  readonly #cancelWatch: Cancel;
  #image = emptyGroups();
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
  #queue: Waiting[] = [];
  #waitingCursors = 0;
  #onFolded: (() => void)[] = [];
  /** The epoch that it serves in, and up to where it must have folded. */
  #term: { readonly epoch: LeaderEpoch; readonly floor: Offset; readonly sinceMs: MonotonicMs } = {
    epoch: 0,
    floor: 0,
    sinceMs: 0,
  };

  constructor(replica: GroupsReplica, parts: CoordinatorParts) {
    this.#replica = replica;
    this.#parts = parts;
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

  get replica(): GroupsReplica {
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
    return { logBytes: this.#foldedBytes - below, imageBytes: this.#image.bytes };
  }

  /** Goes on with whatever may have become possible. */
  look(): void {
    if (this.#isClosed) return;
    this.#fold();
    this.#write();
  }

  /** Why it does not answer for its groups now; null: it does. */
  refusal(): BrokerError | null {
    const { name } = this.#replica;
    if (this.#isClosed) return new BrokerError('NOT_LEADER', `This broker no longer holds ${name}`);
    const { isLeader, leader, leaderEpoch, latest, highWaterMark } = this.#replica.marks();
    if (!isLeader)
      return new BrokerError(
        'NOT_LEADER',
        `This broker does not coordinate the groups of ${name}`,
        {
          ...(leader >= 0 ? { leader, leaderEpoch } : {}),
        },
      );
    if (this.#fault !== null) return this.#fault;
    if (latest === null)
      return new BrokerError(
        'BROKER_NOT_READY',
        `The coordinator of ${name} has committed nothing in its epoch yet, hands over, or is not heard by the controller`,
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
        `The coordinator of ${name} has read ${this.#foldedTo} of ${this.#term.floor} offsets`,
      );
    return null;
  }

  /** What is committed. Throws what {@link refusal} says. */
  image(): GroupsImage {
    const refusal = this.refusal();
    if (refusal !== null) throw refusal;
    return this.#image;
  }

  /**
   * Resolves once what it writes is committed and folded, with where its batch stands; null: there
   * was nothing to write. Rejects with its refusal, or with what became of the batch.
   */
  propose(proposal: Proposal): Promise<Offset | null> {
    const cursors = this.#waitingCursors + (proposal.cursors ?? 0);
    return new Promise((resolve, reject) => {
      const isTooMuch = this.#waitingCursors > 0 && cursors > WAITING_CURSORS_MAX;
      if (this.#queue.length >= PROPOSALS_MAX || isTooMuch) {
        reject(
          new BrokerError(
            'OVERLOADED',
            `${this.#queue.length} changes of ${this.#waitingCursors} cursors wait for the coordinator of ${this.#replica.name}, must be ${PROPOSALS_MAX} of ${WAITING_CURSORS_MAX} or fewer`,
          ),
        );
        return;
      }
      this.#queue.push({ ...proposal, resolve, reject });
      this.#waitingCursors = cursors;
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
    const refusal = this.refusal();
    if (refusal === null) return;
    this.#waitingCursors = 0;
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
    const { clock, records: codec } = this.#parts;
    const texts = records.map((record) => ('kind' in record ? encodeRecord(record) : record));
    const frame = codec.encode(texts, clock.wallMs());
    const expectedEnd = { offset: this.#foldedTo, leaderEpoch: 0, isTriedOnce: true };
    this.#replica.append(frame, { ack: 'all', expectedEnd }, (result) => {
      void this.#written(batch, result);
    });
  }

  /** The next ones of different groups, each judged; those that write nothing are answered. */
  #takeBatch(): readonly Judged[] {
    const batch: Judged[] = [];
    const left: Waiting[] = [];
    const groups = new Set<string>();
    let count = 0;
    let isFull = false;
    for (const waiting of this.#queue) {
      const { group } = waiting;
      const isAlone = group === null;
      if (isFull || (isAlone && batch.length > 0) || (!isAlone && groups.has(group))) {
        // What comes later for the same group comes behind it.
        if (!isAlone) groups.add(group);
        isFull ||= isAlone;
        left.push(waiting);
        continue;
      }
      const records = judged(waiting, this.#image);
      if (records === null) continue;
      if (count > 0 && count + records.length > BATCH_RECORDS_MAX) {
        isFull = true;
        left.push(waiting);
        continue;
      }
      count += records.length;
      batch.push({ ...waiting, records });
      if (isAlone) isFull = true;
      else groups.add(group);
    }
    this.#queue = left;
    this.#waitingCursors = left.reduce((sum, { cursors = 0 }) => sum + cursors, 0);
    return batch;
  }

  async #written(batch: readonly Judged[], result: AppendResult): Promise<void> {
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
    this.#image = emptyGroups();
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
      // The first frame may begin below where reading began.
      for (const { offset, ...stored } of records)
        if (offset >= this.#foldedTo) fold(this.#image, this.#read(offset, stored));
      at += header.length;
      this.#foldedBytes += header.length;
    }
  }

  #read(
    offset: Offset,
    stored: { readonly key: string; readonly value: string | null },
  ): GroupsRecord {
    try {
      return decodeRecord(stored);
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
    const { onFact, onDamage } = this.#parts;
    // The log was closed or reset while it was read: the next look sees.
    if (error instanceof BrokerError && error.code === 'OFFSET_OUT_OF_RANGE') return;
    onFact('groups-unreadable', { partition: this.#replica.name, reason: String(error) });
    this.#fault =
      error instanceof BrokerError && error.code === 'UNDECODABLE'
        ? error
        : new BrokerError(
            'STORAGE_FAILED',
            `The groups of ${this.#replica.name} cannot be read: ${String(error)}`,
            {},
            error,
          );
    if (error instanceof BrokerError && error.code === 'DATA_CORRUPT') onDamage(error);
    this.#refuseWaiting();
    for (const folded of this.#onFolded.splice(0)) folded();
  }
}

/** Null: it was answered. */
function judged(waiting: Waiting, image: GroupsImage): Judged['records'] | null {
  try {
    const records = waiting.judge(image);
    if (records.length > 0) return records;
    waiting.resolve(null);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    waiting.reject(error);
  }
  return null;
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
