/**
 * Reads one topic as it is committed: one stream per broker that is read, frames checked end to
 * end, in order within each partition, without gaps or repetitions over any change of the replica
 * that is read. Holds a bounded number of bytes for a caller that does not read.
 */
import { crc32 } from 'node:zlib';
import { checkStamp, frameLastOffset, frameLength } from '../../wire/batch/frame.ts';
import type { FetchPartition } from '../../proto/gen/tidemark/v1/log.ts';
import { decodeBatch } from '../../wire/records/batch.ts';
import type { Cancel } from '../../base/clock.ts';
import type { Cluster, TopicView } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { fromCall, fromCodec, fromWire, TidemarkError } from '../errors.ts';
import { type Chunk, Chunks } from './chunks.ts';
import { deletionsOf } from './deletions.ts';
import { FETCH_METHOD, FetchStream } from './fetch-stream.ts';
import { lossesOf, type LossRange } from '../losses.ts';
import { Losses, type ReadLoss, untold, withLosses } from './losses.ts';
import { findOffsets } from './offsets.ts';
import { Resets } from './resets.ts';
import { chooseSource, type Source } from './source.ts';
import {
  avoid,
  fromTime,
  gap,
  isBehind,
  moveTo,
  newReader,
  otherTopic,
  positionOf,
  type Place,
  type ReadBatch,
  type Reader,
  rewind,
  stateOf,
} from './partition-reader.ts';
import type { ConsumerPosition, PartitionState, ReadOptions } from './types.ts';
import { tellSkipped, undecodable } from './undecodable.ts';

const CREDIT_BYTES_DEFAULT = 8 * 1024 * 1024;
/**
 * Silence is normal at the end of a log; this often a look-up makes sure that the leaders are still
 * the leaders.
 */
const LOOK_UP_MS = 2_000;
const TICK_MS = 100;
/**
 * Damaged frames are fetched again; so many in a row at one offset are no accident of the network.
 */
const DAMAGED_MAX = 3;

/** What is read, and how. */
export type TopicReaderOptions = ReadOptions & { readonly topic: string };

/** Used by a consumer, which asks for batches and is woken when there may be one. */
export class TopicReader {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #options: TopicReaderOptions;
  readonly #creditBytes: number;
  readonly #readers = new Map<number, Reader>();
  readonly #streams = new Map<number, FetchStream>();
  readonly #chunks = new Chunks();
  readonly #losses: Losses;
  readonly #resets = new Resets();
  readonly #onNews: () => void;
  #failure: TidemarkError | undefined;
  #started: Promise<void> | undefined;
  #topicId: string | undefined;
  #stopListening: (() => void) | undefined;
  #cancelTicks: Cancel | undefined;
  #lookedUpAtMs = 0;
  #isLookingUp = false;
  #isClosed = false;
  /** Nobody iterates: nothing runs, and positions stay. */
  #isSuspended = false;

  /** `onNews` is called whenever {@link next} may say something else than before. */
  constructor(
    connections: Connections,
    cluster: Cluster,
    options: TopicReaderOptions,
    onNews: () => void,
  ) {
    this.#connections = connections;
    this.#cluster = cluster;
    this.#options = options;
    this.#onNews = onNews;
    this.#losses = new Losses(options, (error) => this.#fail(error));
    this.#creditBytes = options.bufferBytesMax ?? CREDIT_BYTES_DEFAULT;
  }

  get topic(): string {
    return this.#options.topic;
  }

  /** Finds the start of every partition, once. */
  start(): Promise<void> {
    this.#started ??= this.#begin();
    return this.#started;
  }

  /** Where each partition is to be resumed after what was handed out. */
  positions(): ConsumerPosition[] {
    const [topic, topicId] = [this.topic, this.#topicId ?? ''];
    return [...this.#readers.values()].map((reader) => positionOf(topic, topicId, reader));
  }

  /** What is known of each partition's reading. */
  states(): PartitionState[] {
    return [...this.#readers.values()].map((reader) => stateOf(this.topic, reader));
  }

  /** Of the topic that is read; absent before {@link start} has ended. */
  get topicId(): string | undefined {
    return this.#topicId;
  }

  /** Reads one more partition, of those that `partitions` does not name. Only once started. */
  add(place: Place): void {
    const view = this.#cluster.topic(this.topic)!;
    this.#addReader(view, place, Number.POSITIVE_INFINITY);
    this.#connect();
  }

  /** Reads a partition no more. */
  remove(partition: number): void {
    const reader = this.#readers.get(partition);
    if (reader === undefined) return;
    reader.stream?.unsubscribe(partition);
    this.#chunks.drop(reader);
    this.#losses.drop(partition);
    this.#resets.drop(reader);
    this.#readers.delete(partition);
  }

  /** What was handed out of a partition: everything before `offset`, appended in that epoch. */
  handOut(partition: number, offset: number, leaderEpoch: number): void {
    const reader = this.#readers.get(partition);
    if (reader === undefined) return;
    reader.offset = offset;
    reader.leaderEpoch = leaderEpoch;
  }

  /** What is told of places that were passed without handing out a record. */
  onPassed: (partition: number, offset: number, leaderEpoch: number) => void = (...place) =>
    this.handOut(...place);

  /** Why nothing more comes. */
  get failure(): TidemarkError | undefined {
    return this.#failure;
  }

  /** Everything was read that was to be read. */
  get isAtEnd(): boolean {
    return [...this.#readers.values()].every(({ isDone }) => isDone);
  }

  /** Nothing is buffered, so that only news can change what {@link next} says. */
  get isDry(): boolean {
    return this.#chunks.isEmpty && this.#losses.isEmpty && this.#resets.isEmpty;
  }

  /** Ends streams and timers; {@link resume} goes on behind what was handed out. */
  suspend(): void {
    if (this.#isClosed || this.#isSuspended) return;
    this.#isSuspended = true;
    this.#stop();
    this.rewind();
  }

  /** Suspended, goes on behind what was handed out since. */
  rewind(): void {
    if (this.#isSuspended) for (const reader of this.#readers.values()) rewind(reader);
  }

  /** Goes on after {@link suspend}. */
  resume(): void {
    if (!this.#isSuspended || this.#isClosed) return;
    this.#isSuspended = false;
    this.#run();
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  #stop(): void {
    this.#stopListening?.();
    this.#cancelTicks?.();
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#chunks.clear();
    this.#resets.clear();
  }

  #run(): void {
    this.#lookedUpAtMs = this.#connections.clock.monotonicMs();
    this.#stopListening = this.#cluster.onChange((changed) => this.#onTopic(changed));
    this.#cancelTicks = this.#connections.clock.every(TICK_MS, () => this.#tick());
    const view = this.#cluster.topic(this.topic);
    if (view !== undefined) this.#onTopic(view);
    else this.#connect();
  }

  async #begin(): Promise<void> {
    const { topic, partitions, positions = [], from = 'earliest', follow = true } = this.#options;
    const view = await this.#cluster.refresh(topic);
    this.#topicId = view.topicId;
    const wanted = partitions ?? view.partitions.map(({ partition }) => partition);
    for (const partition of wanted) {
      if (view.partitions[partition] !== undefined) continue;
      const message = `Cannot read "${topic}": partition is ${partition}, must be 0 to ${view.partitions.length - 1}`;
      throw new TidemarkError('UNKNOWN_PARTITION', message);
    }
    const [starts, ends] = await Promise.all([
      findOffsets(this.#connections, this.#cluster, topic, wanted, from),
      findOffsets(this.#connections, this.#cluster, topic, follow ? [] : wanted, 'latest'),
    ]);
    for (const partition of wanted) {
      const { offset, logStart, highWaterMark } = starts.get(partition)!;
      const resumed = positions.find((one) => one.partition === partition);
      const asked = typeof from === 'object' && 'offset' in from ? from.offset : offset;
      const position = resumed ?? { partition, offset: asked ?? logStart, leaderEpoch: 0 };
      const isByTime = resumed === undefined && typeof from === 'object' && 'timestampMs' in from;
      const end = ends.get(partition)?.offset ?? Number.POSITIVE_INFINITY;
      const time = isByTime ? from.timestampMs : undefined;
      const reader = this.#addReader(view, position, end, time);
      reader.highWaterMark = highWaterMark;
      if (resumed?.topicId !== undefined && resumed.topicId !== view.topicId)
        await this.#reset(reader, otherTopic(topic, resumed, view.topicId));
    }
    this.#goOn();
    if (!this.#isClosed && !this.#isSuspended) this.#run();
  }

  #addReader(view: TopicView, place: Place, end: number, fromTimestampMs?: number): Reader {
    const target = { topicIdBytes: view.topicIdBytes, partition: place.partition };
    const reader = newReader(target, place, end, fromTimestampMs);
    this.#readers.set(place.partition, reader);
    return reader;
  }

  /** Subscribes every reader that is without a stream and may try. */
  #connect(): void {
    if (this.#isClosed || this.#isSuspended) return;
    const nowMs = this.#connections.clock.monotonicMs();
    const view = this.#cluster.topic(this.topic);
    for (const reader of this.#readers.values()) {
      if (reader.isDone || reader.stream !== undefined || nowMs < reader.blockedUntilMs) continue;
      const source = this.#sourceOf(reader, view);
      const address = source === undefined ? undefined : this.#cluster.address(source.brokerId);
      if (source === undefined || address === undefined) {
        this.#pause(reader);
        void this.#lookUp();
        continue;
      }
      const stream =
        this.#streams.get(source.brokerId) ??
        this.#open(source.brokerId, address, reader.target.topicIdBytes);
      reader.stream = stream;
      reader.source = source;
      reader.behindSinceMs = source.isFollower ? nowMs : undefined;
      // What is buffered comes again, so it is not held twice.
      this.#chunks.drop(reader);
      const { partition, nextOffset, nextEpoch } = reader;
      const position = { partition, offset: nextOffset, leaderEpoch: nextEpoch };
      stream.subscribe(position, source.isFollower);
    }
  }

  #sourceOf(reader: Reader, view: TopicView | undefined): Source | undefined {
    const found = view?.partitions[reader.partition];
    if (found === undefined) return undefined;
    const nowMs = this.#connections.clock.monotonicMs();
    return chooseSource(found, {
      rack: this.#options.rack ?? '',
      broker: (brokerId) => this.#cluster.broker(brokerId),
      isAvoided: (brokerId) => (reader.avoidedUntilMs.get(brokerId) ?? 0) > nowMs,
      present: reader.stream === undefined ? undefined : reader.source?.brokerId,
    });
  }

  /** Leaves a follower alone for a while; its partition goes on elsewhere. */
  #avoid(reader: Reader, follower: number): void {
    avoid(reader, follower, this.#connections.clock.monotonicMs());
  }

  #open(brokerId: number, address: string, topicIdBytes: Uint8Array): FetchStream {
    const call = this.#connections.stream(address, FETCH_METHOD);
    const stream = new FetchStream(call, { brokerId, address, topicIdBytes }, this.#creditBytes, {
      onPart: (from, part) => this.#onPart(from, part),
      onLost: (lost, error) => this.#onLost(lost, error),
    });
    this.#streams.set(brokerId, stream);
    return stream;
  }

  #onPart(stream: FetchStream, part: FetchPartition): void {
    const reader = this.#readers.get(part.partition);
    if (reader === undefined || reader.stream !== stream) {
      // Still on its way when the partition was moved or finished.
      stream.release(part.frames.length);
      return;
    }
    if (part.error !== undefined) {
      stream.release(part.frames.length);
      this.#onPartError(reader, fromWire(part.error), lossesOf(part.losses));
      return;
    }
    reader.failures = 0;
    reader.highWaterMark = Math.max(reader.highWaterMark ?? 0, part.highWaterMark);
    if (part.highWaterMark >= reader.nextOffset) reader.behindSinceMs = undefined;
    if (part.frames.length === 0) {
      // Read elsewhere up to a mark that this leader has yet to reach: nothing before the end is
      // missing.
      if (reader.nextOffset < reader.endOffset) return;
      this.#finish(reader);
      this.#rouse();
      return;
    }
    this.#chunks.add({
      reader,
      stream,
      frames: part.frames,
      highWaterMark: part.highWaterMark,
      losses: lossesOf(part.losses),
      deletions: deletionsOf(part),
      at: 0,
    });
    this.#rouse();
  }

  #onPartError(reader: Reader, error: TidemarkError, losses: readonly LossRange[]): void {
    reader.stream = undefined;
    if (reader.source?.isFollower === true) {
      // Whatever a follower says, the leader has the last word: on the position, and on whether
      // there is such a partition.
      this.#avoid(reader, reader.source.brokerId);
      this.#connect();
      void this.#lookUp();
      return;
    }
    if (error.code === 'OFFSET_OUT_OF_RANGE' || error.code === 'POSITION_DIVERGED') {
      void this.#reset(reader, error, losses);
      return;
    }
    const { leader, leaderEpoch } = error.details;
    if (leader !== undefined && leaderEpoch !== undefined) {
      this.#cluster.hint(this.topic, reader.partition, { leader, leaderEpoch });
    }
    // A leader just elected may not have heard of the topic; the look-up tells whether the topic is
    // gone.
    const mayBeStale = error.code === 'UNKNOWN_TOPIC' || error.code === 'UNKNOWN_PARTITION';
    if (error.retry === 'no' && !mayBeStale) {
      this.#fail(error);
      return;
    }
    this.#pause(reader);
    void this.#lookUp();
  }

  /** The position is gone: starts again where the policy says, or fails. */
  async #reset(
    reader: Reader,
    error: TidemarkError,
    losses: readonly LossRange[] = [],
  ): Promise<void> {
    const policy = this.#options.onReset ?? 'fail';
    const lost = untold(reader, losses);
    if (policy === 'fail') {
      this.#fail(lost.length === 0 ? error : withLosses(error, lost));
      return;
    }
    if (!this.#losses.mayPass(reader, lost)) return;
    reader.blockedUntilMs = Number.POSITIVE_INFINITY;
    try {
      const found = (
        await findOffsets(this.#connections, this.#cluster, this.topic, [reader.partition], policy)
      ).get(reader.partition);
      // It was given up meanwhile, or is begun anew.
      if (this.#readers.get(reader.partition) !== reader || this.#isSuspended) return;
      const offset = found?.offset ?? found?.logStart ?? 0;
      this.#resets.add({ reader, offset, losses: lost });
      this.#rouse();
    } catch (failure) {
      this.#fail(fromCall(failure, 'the cluster'));
    }
  }

  #onLost(stream: FetchStream, _error: TidemarkError): void {
    if (this.#streams.get(stream.brokerId) === stream) this.#streams.delete(stream.brokerId);
    for (const reader of this.#readers.values()) {
      if (reader.stream !== stream) continue;
      reader.stream = undefined;
      // The leader stands elsewhere, so there is nothing to wait for.
      if (reader.source?.isFollower === true) this.#avoid(reader, reader.source.brokerId);
      else this.#pause(reader);
    }
    this.#connect();
    void this.#lookUp();
  }

  #pause(reader: Reader): void {
    const pauseMs = Math.ceil(this.#connections.backoffMs(reader.failures));
    reader.blockedUntilMs = this.#connections.clock.monotonicMs() + pauseMs;
    reader.failures += 1;
    // A timer may fire a millisecond before the clock says so; then nobody would try again until
    // the next look-up.
    this.#connections.clock.after(pauseMs + 2, () => this.#connect());
  }

  async #lookUp(): Promise<void> {
    if (this.#isLookingUp || this.#isClosed || this.#isSuspended) return;
    this.#isLookingUp = true;
    try {
      await this.#cluster.refresh(this.topic);
    } catch (cause) {
      const error = fromCall(cause, 'the cluster');
      if (error.retry === 'no' && !this.#isClosed) this.#fail(error);
    } finally {
      this.#lookedUpAtMs = this.#connections.clock.monotonicMs();
      this.#isLookingUp = false;
    }
    // Brokers may have been fenced, or come back, without a change of the topic.
    const view = this.#cluster.topic(this.topic);
    if (view !== undefined && view.topicId === this.#topicId) this.#moveReaders(view);
    this.#connect();
  }

  /** Moves readers whose leader changed, and takes partitions that were added. */
  #onTopic(view: TopicView): void {
    const { topic, partitions, follow = true } = this.#options;
    if (view.name !== topic || this.#isClosed) return;
    if (view.topicId !== this.#topicId) {
      this.#fail(
        new TidemarkError(
          'UNKNOWN_TOPIC',
          `Cannot go on reading "${topic}": it was deleted and made again`,
        ),
      );
      return;
    }
    for (const { partition } of view.partitions) {
      if (this.#readers.has(partition) || partitions !== undefined || !follow) continue;
      this.#addReader(view, { partition, offset: 0, leaderEpoch: 0 }, Number.POSITIVE_INFINITY);
    }
    for (const reader of this.#readers.values()) {
      const isPaused = reader.stream === undefined && Number.isFinite(reader.blockedUntilMs);
      if (isPaused && view.partitions[reader.partition]?.leader !== undefined)
        reader.blockedUntilMs = 0;
    }
    this.#moveReaders(view);
    this.#connect();
  }

  /** Takes readers off the brokers that they should no longer read. */
  #moveReaders(view: TopicView): void {
    for (const reader of this.#readers.values()) {
      const source = this.#sourceOf(reader, view);
      if (source === undefined || reader.stream === undefined) continue;
      if (reader.stream.brokerId === source.brokerId) {
        reader.source = source;
        continue;
      }
      reader.stream.unsubscribe(reader.partition);
      reader.stream = undefined;
      reader.blockedUntilMs = 0;
    }
  }

  #tick(): void {
    this.#leaveFollowersBehind();
    if (this.#connections.clock.monotonicMs() - this.#lookedUpAtMs > LOOK_UP_MS)
      void this.#lookUp();
  }

  #leaveFollowersBehind(): void {
    const nowMs = this.#connections.clock.monotonicMs();
    const behind = [...this.#readers.values()].filter((reader) => isBehind(reader, nowMs));
    for (const reader of behind)
      if (reader.source !== undefined) this.#avoid(reader, reader.source.brokerId);
    if (behind.length > 0) this.#connect();
  }

  /** The next batch with records out of what is buffered, or what may be lost before it. */
  next(): ReadBatch | ReadLoss | undefined {
    this.#goOn();
    do {
      const found = this.#losses.next() ?? this.#nextBuffered();
      if (found !== undefined) return found;
    } while (this.#goOn());
    return undefined;
  }

  #nextBuffered(): ReadBatch | ReadLoss | undefined {
    while (this.#failure === undefined) {
      const chunk = this.#chunks.first();
      if (chunk === undefined) break;
      const batch = this.#decode(chunk);
      if (batch !== undefined) return batch;
    }
    return undefined;
  }

  /**
   * The frame at the chunk's position; undefined for a control batch, one that was read before, or
   * a damaged one.
   */
  #decode(chunk: Chunk): ReadBatch | ReadLoss | undefined {
    const { reader, frames, at } = chunk;
    try {
      const { header, records } = decodeBatch(frames, at, crc32);
      checkStamp(frames, at, reader.target, crc32);
      chunk.at += frameLength(frames, at);
      const end = frameLastOffset(frames, at) + 1;
      if (end <= reader.nextOffset) return undefined;
      if (header.baseOffset > reader.nextOffset) throw gap(this.topic, reader, header.baseOffset);
      const lost = untold(reader, chunk.losses, header.leaderEpoch);
      if (lost.length > 0) {
        chunk.at = at;
        return this.#losses.cross(reader, lost);
      }
      if (!this.#losses.mayGoOn(reader, chunk.deletions)) return undefined;
      const from = reader.nextOffset;
      const { leaderEpoch } = header;
      Object.assign(reader, { nextOffset: end, nextEpoch: leaderEpoch, damaged: 0 });
      if (end >= reader.endOffset) this.#finish(reader);
      const fresh = fromTime(
        reader,
        from === header.baseOffset ? records : records.filter(({ offset }) => offset >= from),
      );
      const { partition } = reader;
      if (fresh.length === 0) {
        this.onPassed(partition, end, leaderEpoch);
        return undefined;
      }
      const { highWaterMark } = chunk;
      return { partition, leaderEpoch, records: fresh, highWaterMark, endOffset: end };
    } catch (cause) {
      this.#onDamaged(chunk, fromCodec(cause));
      return undefined;
    }
  }

  /** Moves those whose position is gone, once all that was read before is handed out. */
  #goOn(): boolean {
    const due = this.#resets.due((reader) => this.#chunks.has(reader));
    for (const { reader, offset, losses } of due) {
      moveTo(reader, offset);
      this.onPassed(reader.partition, offset, 0);
      this.#losses.passed(reader, losses);
    }
    if (due.length > 0) this.#connect();
    return due.length > 0;
  }

  #finish(reader: Reader): void {
    reader.isDone = true;
    reader.stream?.unsubscribe(reader.partition);
    reader.stream = undefined;
  }

  /** Bytes that fail a check: fetched again on a new stream, since more of the old may be wrong. */
  #onDamaged(chunk: Chunk, error: TidemarkError): void {
    const { reader, stream } = chunk;
    reader.damaged += 1;
    if (reader.damaged >= DAMAGED_MAX) {
      const found = undecodable(this.topic, reader, chunk, error);
      const { nextOffset } = found.details;
      if (this.#options.onUndecodable !== 'skip' || nextOffset === undefined) this.#fail(found);
      else this.#skip(chunk, found, nextOffset);
    }
    this.#chunks.dropOf(stream);
    stream.lose(error);
  }

  /** Goes on behind what nobody can read, whose epoch is not known for certain. */
  #skip({ reader, losses }: Chunk, error: TidemarkError, nextOffset: number): void {
    // Its epoch being doubtful, a range may lie before it as well as behind.
    const lost = untold(reader, losses);
    if (!this.#losses.mayPass(reader, lost)) return;
    moveTo(reader, nextOffset);
    this.onPassed(reader.partition, nextOffset, 0);
    this.#losses.passed(reader, lost);
    reader.damaged = 0;
    tellSkipped(error);
  }

  #fail(error: TidemarkError): void {
    this.#failure ??= error;
    this.#rouse();
  }

  #rouse(): void {
    this.#onNews();
  }
}
