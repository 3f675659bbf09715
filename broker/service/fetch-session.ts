/**
 * One reader of many partitions: subscriptions and credit in, whole committed frames out, fairly in
 * turn. Knows no transport: a Fetch stream and a plain Read on the leader's own broker both drive
 * it. Memory is bounded by the reader's credit, and by what the sink takes before it says stop.
 */
import { CREDIT_BYTES_MAX, PARTITIONS_PER_TOPIC_MAX } from '../../base/limits.ts';
import type { FetchRequest, FetchSubscribe } from '../../proto/gen/tidemark/v1/log.ts';
import { frameEpoch, frameLength } from '../../wire/batch/frame.ts';
import { errorToMessage } from '../../wire/grpc/errors.ts';
import type { FetchParts } from '../../wire/grpc/frame-messages.ts';
import { BrokerError, type ErrorCode } from '../../base/errors.ts';
import {
  type LeaderEpoch,
  type Offset,
  partitionKey,
  type PartitionKey,
  type TopicId,
} from '../../base/units.ts';
import type { BrokerApi, ReplicaRead } from '../runtime/api.ts';
import type { Cancel } from '../../base/clock.ts';
import { integerField, topicIdBytes, topicIdField } from '../messages/fields.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import type { CrossedLoss } from '../../proto/gen/tidemark/v1/losses.ts';
import { describeCrossing } from './describe.ts';
import type { Traffic } from './traffic.ts';

/** Partitions of one reader. */
const SUBSCRIPTIONS_MAX = 10_000;
/** Bytes of one message, about; shared between the partitions that have something. */
const MESSAGE_BYTES_TARGET = 1024 * 1024;
/**
 * Least that one partition is read for at a time: below it the cost is the call's, not the bytes'.
 */
const READ_BYTES_MIN = 64 * 1024;
/** Left subscriptions that may stand in the queue besides. */
const QUEUE_SLACK = 64;
/** Reads that wait for the disk at a time. */
const DISK_READS_MAX = 8;

/** The log does not hold the reader's position: an unclean election may be why. */
const POSITION_GONE: readonly ErrorCode[] = ['POSITION_DIVERGED', 'OFFSET_OUT_OF_RANGE'];

/** Where frames go. */
export interface FetchSink {
  /** False: nothing more until {@link FetchSession.onDrain}. */
  send(parts: FetchParts): boolean;
}

interface Subscription {
  readonly key: PartitionKey;
  readonly topicId: TopicId;
  readonly partition: number;
  readonly allowFollower: boolean;
  readonly inSyncOnly: boolean;
  offset: Offset;
  epoch: LeaderEpoch;
  cancelWatch: Cancel;
  /** In the queue of those to look at. */
  isQueued: boolean;
  /** A read waits for the disk. */
  isReading: boolean;
  /** Something changed since the read began. */
  isDirty: boolean;
  /** As told last; -1: never. */
  highWaterMark: Offset;
  logStart: Offset;
}

type Part = FetchParts['partitions'][number];

export class FetchSession {
  readonly #broker: BrokerApi;
  readonly #sink: FetchSink;
  readonly #traffic: Traffic;
  readonly #report: ReportDefect;
  readonly #subscriptions = new Map<PartitionKey, Subscription>();
  #queue: Subscription[] = [];
  #parts: Part[] = [];
  #partsBytes = 0;
  #creditBytes = 0;
  #diskReads = 0;
  #isScheduled = false;
  #isFull = false;
  #isClosed = false;

  constructor(broker: BrokerApi, sink: FetchSink, traffic: Traffic, report: ReportDefect) {
    this.#broker = broker;
    this.#sink = sink;
    this.#traffic = traffic;
    this.#report = report;
  }

  /**
   * Takes a request. Throws INVALID_ARGUMENT for what no client should send; what fails for one
   * partition is told in its place.
   */
  take({ subscribe, unsubscribe, creditBytes }: FetchRequest): void {
    for (const { topicId, partition } of unsubscribe)
      this.#drop(partitionKey(topicIdField('unsubscribe.topic_id', topicId), partition));
    for (const request of subscribe) this.#subscribe(request);
    this.#creditBytes = integerField(
      'credit_bytes, in sum',
      this.#creditBytes + creditBytes,
      Number.MIN_SAFE_INTEGER,
      CREDIT_BYTES_MAX,
    );
    this.#schedule();
  }

  /** The sink takes more. */
  onDrain(): void {
    this.#isFull = false;
    this.#schedule();
  }

  /** Ends everything; the sink hears no more. */
  close(): void {
    this.#isClosed = true;
    for (const key of [...this.#subscriptions.keys()]) this.#drop(key);
    this.#queue = [];
    this.#parts = [];
  }

  #subscribe(request: FetchSubscribe): void {
    const topicId = topicIdField('subscribe.topic_id', request.topicId);
    const partition = integerField(
      'subscribe.partition',
      request.partition,
      0,
      PARTITIONS_PER_TOPIC_MAX - 1,
    );
    const key = partitionKey(topicId, partition);
    this.#drop(key);
    integerField('subscriptions', this.#subscriptions.size + 1, 1, SUBSCRIPTIONS_MAX);
    const subscription: Subscription = {
      key,
      topicId,
      partition,
      allowFollower: request.allowFollower,
      inSyncOnly: request.inSyncOnly,
      offset: request.offset,
      epoch: request.leaderEpoch,
      cancelWatch: () => undefined,
      isQueued: false,
      isReading: false,
      isDirty: false,
      highWaterMark: -1,
      logStart: -1,
    };
    this.#subscriptions.set(key, subscription);
    try {
      subscription.cancelWatch = this.#broker.watch(topicId, partition, () =>
        this.#look(subscription),
      );
      this.#look(subscription);
    } catch (error) {
      this.#fail(subscription, error);
    }
  }

  #drop(key: PartitionKey): void {
    const subscription = this.#subscriptions.get(key);
    if (subscription === undefined) return;
    this.#subscriptions.delete(key);
    subscription.cancelWatch();
  }

  #isCurrent(subscription: Subscription): boolean {
    return this.#subscriptions.get(subscription.key) === subscription;
  }

  /** Queues a partition to be read in its turn. */
  #look(subscription: Subscription): void {
    if (subscription.isReading) subscription.isDirty = true;
    if (subscription.isReading || subscription.isQueued || !this.#isCurrent(subscription)) return;
    subscription.isQueued = true;
    this.#queue.push(subscription);
    // A reader without credit may subscribe again and again: what it left is swept out, at a cost
    // that its own calls have paid.
    if (this.#queue.length > 2 * this.#subscriptions.size + QUEUE_SLACK)
      this.#queue = this.#queue.filter((queued) => this.#isCurrent(queued));
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    this.#broker.clock.soon(() => {
      this.#isScheduled = false;
      if (!this.#isClosed) this.#pump();
    });
  }

  /**
   * Reads each queued partition once, as far as credit, sink and disk allow; what has more queues
   * again behind the others.
   */
  #pump(): void {
    const turn = this.#queue;
    this.#queue = [];
    const bytesMax = Math.max(
      READ_BYTES_MIN,
      Math.floor(MESSAGE_BYTES_TARGET / Math.max(1, turn.length)),
    );
    let taken = 0;
    while (
      taken < turn.length &&
      this.#creditBytes > 0 &&
      !this.#isFull &&
      this.#diskReads < DISK_READS_MAX
    ) {
      const subscription = turn[taken]!;
      taken += 1;
      subscription.isQueued = false;
      if (this.#isCurrent(subscription))
        this.#read(subscription, Math.min(bytesMax, this.#creditBytes));
      if (this.#partsBytes >= MESSAGE_BYTES_TARGET) this.#flush();
    }
    this.#queue = [...turn.slice(taken), ...this.#queue];
    this.#flush();
  }

  #read(subscription: Subscription, bytesMax: number): void {
    const { topicId, partition, offset, epoch, allowFollower, inSyncOnly } = subscription;
    const startedMs = this.#broker.clock.monotonicMs();
    try {
      const read = this.#broker.read(topicId, partition, {
        offset,
        epoch,
        bytesMax,
        allowFollower,
        inSyncOnly,
      });
      if (read instanceof Promise) this.#awaitDisk(subscription, read, bytesMax, startedMs);
      else this.#deliver(subscription, read, startedMs);
    } catch (error) {
      this.#fail(subscription, error);
    }
  }

  #awaitDisk(
    subscription: Subscription,
    read: Promise<ReplicaRead>,
    bytesMax: number,
    startedMs: number,
  ): void {
    subscription.isReading = true;
    subscription.isDirty = false;
    this.#diskReads += 1;
    this.#creditBytes -= bytesMax;
    const settle = (act: () => void): void => {
      subscription.isReading = false;
      this.#diskReads -= 1;
      this.#creditBytes += bytesMax;
      if (!this.#isClosed && this.#isCurrent(subscription)) act();
      if (subscription.isDirty) this.#look(subscription);
      this.#schedule();
    };
    read.then(
      (result) => settle(() => this.#deliver(subscription, result, startedMs)),
      (error: unknown) => settle(() => this.#fail(subscription, error)),
    );
  }

  #deliver(
    subscription: Subscription,
    { chunks, nextOffset, marks, deletions }: ReplicaRead,
    startedMs: number,
  ): void {
    const { highWaterMark, logStart } = marks;
    const isNews =
      highWaterMark !== subscription.highWaterMark || logStart !== subscription.logStart;
    const last = chunks.at(-1);
    if (last === undefined && !isNews) return;
    subscription.highWaterMark = highWaterMark;
    subscription.logStart = logStart;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const epoch = last === undefined ? subscription.epoch : lastEpoch(last);
    this.#add(
      {
        topicId: topicIdBytes(subscription.topicId),
        partition: subscription.partition,
        frames: chunks,
        highWaterMark,
        logStart,
        error: undefined,
        losses: epoch > subscription.epoch ? this.#losses(subscription, epoch) : [],
        ...(deletions.compactedTo > 0 || deletions.tombstonesBelow > 0 ? deletions : {}),
      },
      bytes,
    );
    if (last === undefined) return;
    subscription.offset = nextOffset;
    subscription.epoch = epoch;
    this.#creditBytes -= bytes;
    this.#traffic.fetched(bytes, this.#broker.clock.monotonicMs() - startedMs);
    this.#look(subscription);
  }

  /** What a reader comes across on its way to records of `upToEpoch`. */
  #losses(subscription: Subscription, upToEpoch: LeaderEpoch): CrossedLoss[] {
    const { topicId, partition, offset, epoch } = subscription;
    const way = { offset, epoch, upToEpoch };
    return this.#broker
      .crossedLosses(topicId, partition, way)
      .map((loss) => describeCrossing(loss, this.#broker.image()));
  }

  #fail(subscription: Subscription, thrown: unknown): void {
    const error = expected(thrown, this.#report);
    this.#drop(subscription.key);
    const { topicId, partition } = subscription;
    const isGone = POSITION_GONE.includes(error.code);
    const part = {
      topicId: topicIdBytes(topicId),
      partition,
      frames: [],
      highWaterMark: 0,
      logStart: 0,
      error: errorToMessage(error),
      losses: isGone ? this.#losses(subscription, Number.MAX_SAFE_INTEGER) : [],
    };
    this.#add(part, 0);
    this.#schedule();
  }

  #add(part: Part, bytes: number): void {
    this.#parts.push(part);
    this.#partsBytes += bytes;
  }

  #flush(): void {
    if (this.#parts.length === 0 || this.#isFull) return;
    const partitions = this.#parts;
    this.#parts = [];
    this.#partsBytes = 0;
    this.#isFull = !this.#sink.send({ partitions });
  }
}

/** Epoch of the last frame of a chunk. Headers only: 12 bytes of each frame. */
function lastEpoch(chunk: Uint8Array): LeaderEpoch {
  let epoch = 0;
  for (let at = 0; at < chunk.length; at += frameLength(chunk, at)) {
    if (frameLength(chunk, at) === 0)
      throw new BrokerError('DATA_CORRUPT', `Frame at byte ${at} of a read has no length`);
    epoch = frameEpoch(chunk, at);
  }
  return epoch;
}
