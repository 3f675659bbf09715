/**
 * One plain Read call: decoded records of many partitions, merged, in order within each. Follows leaders from broker to broker and resumes where it
 * was, by offset and epoch (rule 21). Memory is bounded by the credit of its feeds, which returns only once records have left.
 */
import { crc32 } from 'node:zlib';

import type { Cursor, ReadRecord, ReadResponse } from '../../proto/gen/tidemark/v1/log.ts';
import { frameLength } from '../../proto/batch/frame.ts';
import { errorFromMessage } from '../../proto/grpc/errors.ts';
import { decodeBatch, type DecodedBatch } from '../../proto/records/batch.ts';
import type { BrokerError } from '../base/errors.ts';
import type { BrokerId, LeaderEpoch, Offset } from '../base/units.ts';
import type { TopicState } from '../metadata/types.ts';
import type { Cancel } from '../runtime/ports.ts';
import { topicIdBytes } from '../wire/fields.ts';
import { expected, type ReportDefect } from '../wire/handlers.ts';
import { Backoff, type Cluster, isRetriable } from './cluster.ts';
import { type Feed, type FeedEvents, openFeed } from './feeds.ts';
import type { Traffic } from './traffic.ts';

/** Credit of one feed: bytes of frames that may wait for a slow client, for each broker read from. */
const FEED_CREDIT_BYTES = 4 * 1024 * 1024;
/** Bytes of keys and values after which a message is sent. */
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
  readonly topic: TopicState;
  readonly ranges: readonly ReadRange[];
  /** 0: no limit. */
  readonly recordsMax: number;
  readonly traffic: Traffic;
  readonly report: ReportDefect;
  /** False: nothing more until {@link ReadSession.onDrain}. */
  readonly send: (response: ReadResponse) => boolean;
  /** Called once, after the last message; null when all was read. */
  readonly finish: (error: BrokerError | null) => void;
}

interface PartitionCursor {
  readonly partition: number;
  offset: Offset;
  leaderEpoch: LeaderEpoch;
  readonly endOffset: Offset | null;
  /** Broker whose feed carries it; null while none does. */
  source: BrokerId | null;
  readonly backoff: { current: Backoff };
  retryTimer: NodeJS.Timeout | null;
}

interface QueuedFrames {
  readonly cursor: PartitionCursor;
  readonly source: BrokerId;
  readonly chunk: Uint8Array;
}

export class ReadSession {
  readonly #options: ReadOptions;
  readonly #cursors: Map<number, PartitionCursor>;
  readonly #feeds = new Map<BrokerId, Feed>();
  readonly #cancelWatch: Cancel;
  #queue: QueuedFrames[] = [];
  #recordsLeft: number;
  #isFull = false;
  #isScheduled = false;
  #isClosed = false;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#recordsLeft = options.recordsMax === 0 ? Number.POSITIVE_INFINITY : options.recordsMax;
    const cursors = options.ranges.map((range) => ({
      ...range,
      source: null,
      backoff: { current: new Backoff() },
      retryTimer: null,
    }));
    this.#cursors = new Map(cursors.map((cursor) => [cursor.partition, cursor]));
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
    for (const feed of this.#feeds.values()) feed.close();
    for (const { retryTimer } of this.#cursors.values()) clearTimeout(retryTimer ?? undefined);
    this.#queue = [];
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
      clearTimeout(cursor.retryTimer ?? undefined);
      cursor.retryTimer = null;
      this.#assign(cursor);
    }
  }

  /** Subscribes at the present leader. */
  #assign(cursor: PartitionCursor): void {
    if (this.#isClosed || isDone(cursor)) return;
    const { cluster, topic } = this.#options;
    try {
      const leader = cluster.leader(topic.topicId, cursor.partition);
      const feed = this.#feed(leader);
      cursor.source = leader;
      const { partition, offset, leaderEpoch } = cursor;
      const subscribe = [
        {
          topicId: topicIdBytes(topic.topicId),
          partition,
          offset,
          leaderEpoch,
          allowFollower: false,
          inSyncOnly: false,
        },
      ];
      feed.request({ subscribe, unsubscribe: [], creditBytes: 0 });
    } catch (error) {
      this.#failed(cursor, expected(error, this.#options.report));
    }
  }

  #feed(brokerId: BrokerId): Feed {
    const present = this.#feeds.get(brokerId);
    if (present !== undefined) return present;
    const events: FeedEvents = {
      onPartition: (part) => {
        const cursor = this.#cursors.get(part.partition);
        if (this.#isClosed || cursor?.source !== brokerId) return;
        if (part.error !== undefined) return this.#failed(cursor, errorFromMessage(part.error));
        for (const chunk of part.frames) this.#queue.push({ cursor, source: brokerId, chunk });
        this.#schedule();
      },
      onClosed: (error) => {
        this.#feeds.delete(brokerId);
        for (const cursor of this.#cursors.values())
          if (cursor.source === brokerId) this.#failed(cursor, error);
      },
    };
    const feed = openFeed(
      this.#options.cluster,
      brokerId,
      events,
      this.#options.traffic,
      this.#options.report,
    );
    this.#feeds.set(brokerId, feed);
    feed.request({ subscribe: [], unsubscribe: [], creditBytes: FEED_CREDIT_BYTES });
    return feed;
  }

  /** Tries again at whoever leads then, unless it would never help. What was received before is delivered first: the cursor follows it. */
  #failed(cursor: PartitionCursor, error: BrokerError): void {
    if (!isRetriable(error)) return this.#finish(error);
    const source = cursor.source;
    cursor.source = null;
    // Frames of the lost source are fetched again; they must not be delivered twice, but their credit goes back.
    this.#queue = this.#queue.filter((queued) => {
      if (queued.cursor !== cursor) return true;
      if (source !== null) this.#returnCredit(source, queued.chunk.length);
      return false;
    });
    cursor.retryTimer ??= setTimeout(() => {
      cursor.retryTimer = null;
      this.#assign(cursor);
    }, cursor.backoff.current.nextMs());
  }

  #returnCredit(brokerId: BrokerId, bytes: number): void {
    this.#feeds.get(brokerId)?.request({ subscribe: [], unsubscribe: [], creditBytes: bytes });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    setImmediate(() => {
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
    const moved = new Map<number, Cursor>();
    let bytes = 0;
    while (
      this.#queue.length > 0 &&
      bytes < MESSAGE_BYTES_TARGET &&
      records.length < MESSAGE_RECORDS_MAX &&
      this.#recordsLeft > 0
    ) {
      const next = this.#queue[0]!;
      const batch = decodeBatch(next.chunk, 0, crc32);
      const length = frameLength(next.chunk, 0);
      if (next.chunk.length === length) this.#queue.shift();
      else this.#queue[0] = { ...next, chunk: next.chunk.subarray(length) };
      this.#returnCredit(next.source, length);
      bytes += this.#take(next.cursor, batch, records);
      const { partition, offset, leaderEpoch } = next.cursor;
      moved.set(partition, { partition, offset, leaderEpoch });
    }
    if (moved.size > 0)
      this.#isFull = !this.#options.send({ records, cursors: [...moved.values()] });
    if (this.#recordsLeft === 0 || [...this.#cursors.values()].every(isDone)) this.#finish(null);
    else if (this.#queue.length > 0) this.#schedule();
  }

  /** Adds the batch's records and moves the cursor behind it, or behind the last record that the limit lets through. Returns bytes added. */
  #take(cursor: PartitionCursor, { header, records }: DecodedBatch, out: ReadRecord[]): number {
    const { partition } = cursor;
    const endOffset = header.baseOffset + header.lastOffsetDelta + 1;
    if (endOffset <= cursor.offset) return 0;
    cursor.backoff.current = new Backoff();
    let bytes = 0;
    for (const { offset, timestampMs, key, value, headers } of records) {
      if (offset < cursor.offset) continue;
      if (this.#recordsLeft === 0) return bytes;
      out.push({
        partition,
        offset,
        leaderEpoch: header.leaderEpoch,
        timestampMs,
        key,
        value,
        headers: headers.map((each) => ({ ...each })),
      });
      bytes += value.length + (key?.length ?? 0);
      this.#recordsLeft -= 1;
      cursor.offset = offset + 1;
      cursor.leaderEpoch = header.leaderEpoch;
    }
    cursor.offset = endOffset;
    cursor.leaderEpoch = header.leaderEpoch;
    return bytes;
  }
}

function isDone({ offset, endOffset }: PartitionCursor): boolean {
  return endOffset !== null && offset >= endOffset;
}
