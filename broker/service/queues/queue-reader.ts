/**
 * Reads one partition for the owner of a queue: from its leader, wherever that is, as far as the
 * owner wants to know records, and no further. That the log still is the one that the owner knows
 * is asked of each leader before anything is read from it.
 */
import { crc32 } from 'node:zlib';
import { endOffsetOf, frameBaseOffset, frameLastOffset } from '../../../wire/batch/frame.ts';
import { keyHash } from '../../../wire/batch/key-hash.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { type DecodedRecord, recordBytes } from '../../../wire/records/record-set.ts';
import type { Cancel } from '../../../base/clock.ts';
import type { BrokerError } from '../../../base/errors.ts';
import type { BrokerId, LeaderEpoch, Offset } from '../../../base/units.ts';
import { expected } from '../../messages/handlers.ts';
import type { QueueNews, QueueReading } from '../../runtime/api.ts';
import { Backoff, type Cluster } from '../cluster.ts';
import { type FedPartition, type FeedParts, Feeds } from '../feeds.ts';
import { framesIn } from '../frames.ts';
import { openFrame } from './open-frame.ts';
import type { ReadAhead, ReadingAhead } from './read-ahead.ts';
import type { Turn, Turns } from './turns.ts';

/**
 * Bytes of frames that may wait for the owner, in each partition; one that is larger comes alone.
 * As many partitions are read at a time as their consumers ask for.
 */
const FEED_CREDIT_BYTES = 128 * 1024;
/** Longest time that a leader may take before others begin to be read beside. */
const TURN_MS = 250;
/** Of a second hash, beside the 32 bits of the first. */
const SECOND_HASH = 2 ** 21;

/** A place in the log, and the epoch of what stands before it; 0: not known. */
interface Position {
  readonly offset: Offset;
  readonly epoch: LeaderEpoch;
}

export interface ReaderParts extends FeedParts {
  readonly cluster: Cluster;
  readonly topicId: string;
  readonly partition: number;
  readonly take: (news: QueueNews) => void;
  /** Keeps records for a while: whoever is given them is likely to ask soon. */
  readonly keep: (record: DecodedRecord, epoch: LeaderEpoch) => void;
  /** Of all readers of the broker. */
  readonly ahead: ReadAhead;
  /** To begin to read: what comes first is as much as a batch may be. */
  readonly turns: Turns;
}

interface Subscription {
  readonly source: BrokerId;
  /** Of the subscription to this source; what was begun before counts for nothing. */
  readonly position: Position;
  /** The leader's log holds the position. */
  isVerified: boolean;
  /** Behind what was received. */
  receivedTo: Offset;
  frames: Uint8Array[];
}

/** The frame that is being looked at. */
interface Opened {
  readonly from: Offset;
  readonly end: Offset;
  readonly epoch: LeaderEpoch;
  readonly bytes: number;
  /** Of its records, which may be far more than it. */
  readonly decodedBytes: number;
  readonly records: readonly DecodedRecord[];
  /** Said to be in it, and nobody can read them. */
  readonly unreadable: number;
  /** The first of them that is wanted yet. */
  at: number;
}

export class QueueReader implements QueueReading, ReadingAhead {
  readonly #parts: ReaderParts;
  readonly #feeds: Feeds;
  readonly #cancelWatch: Cancel;
  #wanted: { readonly offset: Offset; readonly records: number } | null = null;
  #position: Position | null = null;
  #subscription: Subscription | null = null;
  #opened: Opened | null = null;
  /** Of frames that were received. */
  #heldBytes = 0;
  #backoff = new Backoff();
  #cancelRetry: Cancel | null = null;
  /** From when it wants to begin until the first of it came. */
  #turn: Turn | null = null;
  #cancelTurn: Cancel = () => {};
  #isScheduled = false;
  #isClosed = false;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    this.#feeds = new Feeds(parts, FEED_CREDIT_BYTES, {
      onPartition: (brokerId, part) => {
        this.#fed(brokerId, part);
      },
      onClosed: (brokerId, error) => {
        if (this.#subscription?.source === brokerId) this.#failed(error);
      },
    });
    this.#cancelWatch = parts.cluster.broker.watchImage(() => {
      if (this.#cancelRetry !== null) this.#again();
    });
  }

  want(
    wanted: { readonly offset: Offset; readonly records: number } | null,
    position: Position | null,
  ): void {
    const isChanged = (wanted === null) !== (this.#wanted === null);
    this.#wanted = wanted;
    this.#position = position;
    if (wanted !== null) this.#schedule();
    if (isChanged) this.#note();
  }

  /** What was under way comes no more either: the next read begins a stream of its own. */
  letGo(): void {
    this.#turnIsOver();
    this.#unsubscribe();
    this.#feeds.close();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelWatch();
    this.#cancelRetry?.();
    this.letGo();
  }

  #note(): void {
    const bytes = this.#heldBytes + (this.#opened?.decodedBytes ?? 0);
    this.#parts.ahead.note(this, bytes, this.#wanted !== null);
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#note();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    this.#isScheduled = true;
    this.#parts.cluster.clock.soon(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#goOn();
    });
  }

  /** Gives what is wanted, or asks for it. */
  #goOn(): void {
    const wanted = this.#wanted;
    const position = this.#position;
    if (wanted === null || position === null || this.#cancelRetry !== null) {
      // It came to be its turn, and nothing is wanted any more.
      if (this.#turn?.isNow === true && this.#subscription === null) this.#turnIsOver();
      return;
    }
    const subscription = this.#subscription;
    if (subscription === null) {
      this.#begin(position, false);
      return;
    }
    if (!subscription.isVerified) return;
    const from = this.#opened?.from ?? frameStart(subscription);
    if (wanted.offset < from || wanted.offset > subscription.receivedTo) {
      // The position was checked with this leader; what lies below it needs no check of its own.
      const isAtPosition = wanted.offset === position.offset;
      const place = isAtPosition ? position : { offset: wanted.offset, epoch: 0 };
      this.#begin(place, !isAtPosition);
      return;
    }
    try {
      this.#give(subscription, wanted);
    } catch (error) {
      this.#failed(expected(error, this.#parts.report));
    }
  }

  /** Once it is its turn. */
  #begin(position: Position, isVerified: boolean): void {
    const { turns, cluster } = this.#parts;
    this.#turn ??= turns.take(() => {
      this.#schedule();
    });
    if (!this.#turn.isNow) return;
    // A leader that does not answer holds up nobody for long.
    this.#cancelTurn = cluster.clock.after(TURN_MS, () => {
      this.#turnIsOver();
    });
    this.#subscribe(position, isVerified);
  }

  #turnIsOver(): void {
    const turn = this.#turn;
    this.#turn = null;
    this.#cancelTurn();
    turn?.end();
  }

  #subscribe(position: Position, isVerified: boolean): void {
    const { cluster, topicId, partition, report } = this.#parts;
    this.#unsubscribe();
    try {
      const source = cluster.leader(topicId, partition);
      const { offset, epoch: leaderEpoch } = position;
      this.#subscription = {
        ...{ source, position, isVerified, receivedTo: offset, frames: [] },
      };
      this.#feeds.subscribe(source, { topicId, partition, offset, leaderEpoch });
    } catch (error) {
      this.#failed(expected(error, report));
    }
  }

  #unsubscribe(): void {
    const { topicId, partition } = this.#parts;
    const subscription = this.#subscription;
    this.#subscription = null;
    if (subscription === null) return;
    const { source } = subscription;
    const bytes = this.#heldBytes;
    this.#opened = null;
    this.#feeds.unsubscribe(source, topicId, partition);
    if (bytes > 0) this.#feeds.returnCredit(source, bytes);
    this.#hold(-bytes);
  }

  #fed(brokerId: BrokerId, { frames, error, logStart }: FedPartition): void {
    if (this.#isClosed) return;
    this.#turnIsOver();
    const subscription = this.#subscription;
    if (subscription?.source !== brokerId) {
      for (const { length } of frames) this.#feeds.returnCredit(brokerId, length);
      return;
    }
    if (error !== undefined) {
      this.#failed(errorFromMessage(error));
      return;
    }
    subscription.isVerified = true;
    this.#backoff = new Backoff();
    try {
      // It may be let go of meanwhile.
      for (const chunk of frames)
        if (this.#subscription === subscription) this.#receive(subscription, chunk);
    } catch (thrown) {
      this.#failed(expected(thrown, this.#parts.report));
      return;
    }
    if (logStart > 0) this.#parts.take({ kind: 'log-start', offset: logStart });
    this.#schedule();
  }

  /** What does not go on where reading is, is of an earlier subscription to the same broker. */
  #receive(subscription: Subscription, chunk: Uint8Array): void {
    let bytes = 0;
    for (const frame of framesIn(chunk)) {
      const from = frameBaseOffset(frame, 0);
      const end = frameLastOffset(frame, 0) + 1;
      if (from > subscription.receivedTo || end <= subscription.receivedTo) {
        this.#feeds.returnCredit(subscription.source, frame.length);
        continue;
      }
      subscription.receivedTo = end;
      subscription.frames.push(frame);
      bytes += frame.length;
    }
    this.#hold(bytes);
  }

  /** Tells of the next frame, or of as much of it as is wanted. */
  #give(
    subscription: Subscription,
    wanted: { readonly offset: Offset; readonly records: number },
  ): void {
    const opened = this.#open(subscription, wanted.offset);
    if (opened === null) return;
    const { epoch, end, unreadable } = opened;
    const some = opened.records.slice(opened.at, opened.at + wanted.records);
    const isRest = opened.at + some.length === opened.records.length;
    const to = isRest ? end : (some.at(-1)?.offset ?? wanted.offset) + 1;
    for (const record of some) this.#parts.keep(record, epoch);
    const records = some.map((record) => ({
      ...{ offset: record.offset, epoch, bytes: recordBytes(record) },
      keyHash: record.key === undefined ? null : hashOf(record.key),
    }));
    this.#parts.take({ kind: 'data', from: wanted.offset, to, epoch, records, unreadable });
    // What is wanted next was told by now.
    this.#schedule();
  }

  /** The frame that holds the offset, decoded; null: it has not come yet. */
  #open(subscription: Subscription, offset: Offset): Opened | null {
    while (this.#opened === null || this.#opened.end <= offset) {
      if (this.#opened !== null) {
        const { bytes } = this.#opened;
        this.#opened = null;
        this.#feeds.returnCredit(subscription.source, bytes);
        this.#hold(-bytes);
      }
      const [frame] = subscription.frames;
      if (frame === undefined) return null;
      // One that is damaged stays, to be counted with what is given up.
      const { header, records, isUnreadable } = openFrame(frame);
      subscription.frames.shift();
      this.#opened = {
        ...{ from: header.baseOffset, end: endOffsetOf(header), epoch: header.leaderEpoch },
        ...{ bytes: frame.length, records, at: 0 },
        decodedBytes: records.reduce((sum, record) => sum + recordBytes(record), 0),
        unreadable: isUnreadable ? header.recordCount : 0,
      };
      this.#note();
    }
    const opened = this.#opened;
    const offsetAt = (at: number): Offset => opened.records[at]?.offset ?? Infinity;
    // It may be asked for from further back, too.
    while (opened.at > 0 && offsetAt(opened.at - 1) >= offset) opened.at -= 1;
    while (offsetAt(opened.at) < offset) opened.at += 1;
    return opened;
  }

  /** What the log is not any more is told; whatever else is tried again. */
  #failed(error: BrokerError): void {
    const subscription = this.#subscription;
    this.#turnIsOver();
    this.#unsubscribe();
    const news = subscription === null ? [] : newsOf(error, subscription.position);
    for (const each of news) this.#parts.take(each);
    const pauseMs = news.length > 0 ? 0 : this.#backoff.nextMs();
    this.#cancelRetry?.();
    this.#cancelRetry = this.#parts.cluster.clock.after(pauseMs, () => {
      this.#again();
    });
  }

  #again(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#schedule();
  }
}

/** What a refused position says of the log. */
function newsOf({ code, details }: BrokerError, { offset, epoch }: Position): QueueNews[] {
  const { logStart, logEnd, agreedEpoch } = details;
  if (code === 'POSITION_DIVERGED' && logEnd !== undefined)
    return [{ kind: 'diverged', offset: logEnd, epoch: agreedEpoch ?? epoch }];
  if (code !== 'OFFSET_OUT_OF_RANGE') return [];
  if (logStart !== undefined && offset < logStart) return [{ kind: 'log-start', offset: logStart }];
  if (logEnd !== undefined && offset > logEnd) return [{ kind: 'diverged', offset: logEnd, epoch }];
  return [];
}

function frameStart({ frames, receivedTo }: Subscription): Offset {
  const [first] = frames;
  return first === undefined ? receivedTo : frameBaseOffset(first, 0);
}

function hashOf(key: Uint8Array): number {
  return keyHash(key) * SECOND_HASH + (crc32(key) % SECOND_HASH);
}
