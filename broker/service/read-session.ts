/**
 * One plain Read call: decoded records of many partitions, merged, in order within each. Follows
 * leaders from broker to broker and resumes where it was, by offset and epoch (rule 21). Memory is
 * bounded by the credit of its feeds, which returns only once records have left, and one batch that
 * is being decoded: record by record, into messages of one size, however many records its bytes
 * hold.
 */
import { crc32 } from 'node:zlib';

import type { Cursor, ReadRecord, ReadResponse } from '../../proto/gen/tidemark/v1/log.ts';
import type { CrossedLoss } from '../../proto/gen/tidemark/v1/losses.ts';
import { endOffsetOf, frameLastOffset, frameLength } from '../../wire/batch/frame.ts';
import { errorFromMessage } from '../../wire/grpc/errors.ts';
import { openBatch, type OpenedBatch } from '../../wire/records/batch.ts';
import { type DecodedRecord, recordBytes } from '../../wire/records/record-set.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerId, LeaderEpoch, Offset } from '../../base/units.ts';
import type { TopicState } from '../metadata/types.ts';
import type { Cancel } from '../../base/clock.ts';
import type { Held } from '../messages/held.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import { Backoff, type Cluster, isRetriable } from './cluster.ts';
import { type FedPartition, Feeds } from './feeds.ts';
import { recordFields } from './frames.ts';
import type { Traffic } from './traffic.ts';

/**
 * Credit of one feed: bytes of frames that may wait for a slow client, for each broker read from.
 */
const FEED_CREDIT_BYTES = 4 * 1024 * 1024;
/** Bytes of records after which a message is sent. */
const MESSAGE_BYTES_TARGET = 256 * 1024;
/** Records of one message: small records cost more than their bytes. */
const MESSAGE_RECORDS_MAX = 5_000;

/** Where one partition begins, and ends unless the reader follows. */
export interface ReadRange {
  readonly partition: number;
  readonly offset: Offset;
  readonly leaderEpoch: LeaderEpoch;
  /** Exclusive; null: never. */
  readonly endOffset: Offset | null;
}

export interface ReadOptions {
  readonly cluster: Cluster;
  /** Who reads; absent or empty: nobody was asked for a name. */
  readonly principal?: string;
  readonly topic: TopicState;
  readonly ranges: readonly ReadRange[];
  /** 0: no limit. */
  readonly recordsMax: number;
  readonly traffic: Traffic;
  readonly report: ReportDefect;
  /** Where frames are counted that wait for the client. */
  readonly held: Held;
  /** False: nothing more until {@link ReadSession.onDrain}. */
  readonly send: (response: ReadResponse) => boolean;
  /** Called once, after the last message; null when all was read. */
  readonly finish: (error: BrokerError | null) => void;
}

interface PartitionCursor {
  readonly partition: number;
  offset: Offset;
  leaderEpoch: LeaderEpoch;
  /** Reports of epochs up to this one were told, or lie behind. */
  toldEpoch: LeaderEpoch;
  readonly endOffset: Offset | null;
  /** Broker whose feed carries it; null while none does. */
  source: BrokerId | null;
  readonly backoff: { current: Backoff };
  cancelRetry: Cancel | null;
}

interface QueuedFrames {
  readonly cursor: PartitionCursor;
  readonly source: BrokerId;
  readonly chunk: Uint8Array;
  /** What its frames come across. */
  readonly losses: readonly CrossedLoss[];
}

/** The batch that is being sent. */
interface Sending extends OpenedBatch {
  readonly cursor: PartitionCursor;
  readonly source: BrokerId;
}

export class ReadSession {
  readonly #options: ReadOptions;
  readonly #cursors: Map<number, PartitionCursor>;
  readonly #feeds: Feeds;
  readonly #cancelWatch: Cancel;
  #queue: QueuedFrames[] = [];
  #heldBytes = 0;
  #sending: Sending | null = null;
  #recordsLeft: number;
  #isFull = false;
  #isScheduled = false;
  #isClosed = false;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#recordsLeft = options.recordsMax === 0 ? Number.POSITIVE_INFINITY : options.recordsMax;
    const cursors = options.ranges.map((range) => ({
      ...range,
      toldEpoch: range.leaderEpoch,
      source: null,
      backoff: { current: new Backoff() },
      cancelRetry: null,
    }));
    this.#cursors = new Map(cursors.map((cursor) => [cursor.partition, cursor]));
    this.#feeds = new Feeds(options, FEED_CREDIT_BYTES, {
      onPartition: (brokerId, part) => {
        this.#receive(brokerId, part);
      },
      onClosed: (brokerId, error) => {
        for (const cursor of this.#cursors.values())
          if (cursor.source === brokerId) this.#failed(cursor, error);
      },
    });
    this.#cancelWatch = options.cluster.broker.watchImage(() => this.#assignAll());
    this.#assignAll();
    this.#schedule();
  }

  onDrain(): void {
    this.#isFull = false;
    this.#schedule();
  }

  /** Stops without a word to the client. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelWatch();
    this.#feeds.close();
    for (const { cancelRetry } of this.#cursors.values()) cancelRetry?.();
    this.#queue = [];
    this.#sending = null;
    this.#hold(-this.#heldBytes);
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#options.held.add(bytes);
  }

  #finish(error: BrokerError | null): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.finish(error);
  }

  #assignAll(): void {
    for (const cursor of this.#cursors.values()) {
      if (cursor.source !== null) continue;
      // New metadata may name the leader that a pause is waiting for.
      cursor.cancelRetry?.();
      cursor.cancelRetry = null;
      this.#assign(cursor);
    }
  }

  /** Subscribes at the present leader. */
  #assign(cursor: PartitionCursor): void {
    if (this.#isClosed || isDone(cursor)) return;
    const { cluster, topic } = this.#options;
    const { topicId } = topic;
    const { partition, offset, leaderEpoch } = cursor;
    try {
      cursor.source = cluster.leader(topicId, partition);
      this.#feeds.subscribe(cursor.source, { topicId, partition, offset, leaderEpoch });
    } catch (error) {
      this.#failed(cursor, expected(error, this.#options.report));
    }
  }

  #receive(brokerId: BrokerId, { partition, frames, losses, error }: FedPartition): void {
    const cursor = this.#cursors.get(partition);
    if (this.#isClosed || cursor?.source !== brokerId) return;
    if (error !== undefined) return this.#failed(cursor, errorFromMessage(error));
    for (const chunk of frames) {
      this.#queue.push({ cursor, source: brokerId, chunk, losses });
      this.#hold(chunk.length);
    }
    this.#schedule();
  }

  /**
   * Tries again at whoever leads then, unless it would never help. What was received before is
   * delivered first: the cursor follows it.
   */
  #failed(cursor: PartitionCursor, error: BrokerError): void {
    if (!isRetriable(error)) return this.#finish(error);
    const source = cursor.source;
    cursor.source = null;
    // Frames of the lost source are fetched again; they must not be delivered twice, but their
    // credit goes back.
    if (this.#sending?.cursor === cursor) {
      this.#returnCredit(this.#sending.source, this.#sending.header.length);
      this.#sending = null;
    }
    this.#queue = this.#queue.filter((queued) => {
      if (queued.cursor !== cursor) return true;
      if (source !== null) this.#returnCredit(source, queued.chunk.length);
      return false;
    });
    cursor.cancelRetry ??= this.#options.cluster.clock.after(
      cursor.backoff.current.nextMs(),
      () => {
        cursor.cancelRetry = null;
        this.#assign(cursor);
      },
    );
  }

  #returnCredit(brokerId: BrokerId, bytes: number): void {
    this.#hold(-bytes);
    this.#feeds.returnCredit(brokerId, bytes);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    this.#options.cluster.clock.soon(() => {
      this.#isScheduled = false;
      if (this.#isClosed) return;
      try {
        this.#pump();
      } catch (error) {
        this.#finish(expected(error, this.#options.report));
      }
    });
  }

  /** Decodes and sends one message's worth, then lets others have the loop. */
  #pump(): void {
    const records: ReadRecord[] = [];
    const losses: CrossedLoss[] = [];
    const moved = new Set<PartitionCursor>();
    const fault = this.#gather(records, losses, moved);
    if (moved.size > 0) {
      const cursors = Array.from(moved, ({ partition, offset, leaderEpoch }): Cursor => {
        return { partition, offset, leaderEpoch };
      });
      this.#isFull = !this.#options.send({ records, cursors, losses });
    }
    // What cannot be decoded withholds nothing before it.
    if (fault !== null) return this.#finish(fault);
    const isIdle = this.#sending === null && this.#queue.length === 0;
    const isRead = this.#sending === null && [...this.#cursors.values()].every(isDone);
    if (this.#recordsLeft === 0 || isRead) this.#finish(null);
    else if (!isIdle) this.#schedule();
  }

  /** Fills a message. Returns what cannot be decoded behind it; null: nothing, as yet. */
  #gather(
    records: ReadRecord[],
    losses: CrossedLoss[],
    moved: Set<PartitionCursor>,
  ): BrokerError | null {
    try {
      this.#fill(records, losses, moved);
      return null;
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      const [queued] = this.#queue;
      const cursor = this.#sending?.cursor ?? queued?.cursor;
      if (cursor === undefined) throw error;
      const header = this.#sending?.header;
      const last = queued === undefined ? cursor.offset : frameLastOffset(queued.chunk, 0);
      const next = header === undefined ? last + 1 : endOffsetOf(header);
      const place = `${this.#options.topic.name}/${cursor.partition} offset ${cursor.offset}`;
      const message = `Cannot decode the batch at ${place} (next is ${next}): ${error.message}`;
      return new BrokerError('UNDECODABLE', message, {}, error);
    }
  }

  #fill(records: ReadRecord[], losses: CrossedLoss[], moved: Set<PartitionCursor>): void {
    let bytes = 0;
    while (
      bytes < MESSAGE_BYTES_TARGET &&
      records.length < MESSAGE_RECORDS_MAX &&
      this.#recordsLeft > 0
    ) {
      this.#sending ??= this.#open(losses);
      if (this.#sending === null) break;
      moved.add(this.#sending.cursor);
      const record = this.#sending.records?.next() ?? null;
      if (record === null) this.#finishBatch(this.#sending);
      else bytes += this.#take(this.#sending, record, records);
    }
  }

  /** The next batch that was received; what it comes across is told with its first record. */
  #open(losses: CrossedLoss[]): Sending | null {
    const [next] = this.#queue;
    if (next === undefined) return null;
    const batch = openBatch(next.chunk, 0, crc32);
    const length = frameLength(next.chunk, 0);
    if (next.chunk.length === length) this.#queue.shift();
    else this.#queue[0] = { ...next, chunk: next.chunk.subarray(length) };
    const { cursor, source } = next;
    const { leaderEpoch } = batch.header;
    const crossed = next.losses.filter(({ report }) => {
      const epoch = report?.leaderEpoch ?? 0;
      return epoch > cursor.toldEpoch && epoch <= leaderEpoch;
    });
    losses.push(...crossed);
    cursor.toldEpoch = Math.max(cursor.toldEpoch, leaderEpoch);
    return { ...batch, cursor, source };
  }

  /** All of it was sent, or is not to be: the cursor moves behind it. */
  #finishBatch({ cursor, source, header }: Sending): void {
    this.#sending = null;
    this.#returnCredit(source, header.length);
    const endOffset = endOffsetOf(header);
    if (endOffset > cursor.offset) advance(cursor, endOffset, header.leaderEpoch);
  }

  /**
   * Adds a record unless it was sent before, and moves the cursor behind it. Returns bytes added.
   */
  #take({ cursor, header }: Sending, record: DecodedRecord, out: ReadRecord[]): number {
    const { offset } = record;
    if (offset < cursor.offset) return 0;
    const { leaderEpoch } = header;
    out.push({ partition: cursor.partition, ...recordFields(record, leaderEpoch) });
    this.#recordsLeft -= 1;
    advance(cursor, offset + 1, leaderEpoch);
    return recordBytes(record);
  }
}

function advance(cursor: PartitionCursor, offset: Offset, leaderEpoch: LeaderEpoch): void {
  cursor.offset = offset;
  cursor.leaderEpoch = leaderEpoch;
  cursor.backoff.current = new Backoff();
}

function isDone({ offset, endOffset }: PartitionCursor): boolean {
  return endOffset !== null && offset >= endOffset;
}
