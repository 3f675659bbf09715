/**
 * Reads records as they are committed: one stream per broker that is read, frames checked end to end, in order within each partition, without gaps or
 * repetitions over any change of the replica that is read. Holds a bounded number of bytes for a caller that does not read.
 */
import { crc32 } from 'node:zlib';
import {
  checkStamp,
  frameLastOffset,
  frameLength,
  type StampTarget,
} from '../../proto/batch/frame.ts';
import type { FetchPartition } from '../../proto/gen/tidemark/v1/log.ts';
import { decodeBatch } from '../../proto/records/batch.ts';
import { backoffMs, type Cluster, type TopicView } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { fromCall, fromCodec, fromWire, TidemarkError } from '../errors.ts';
import { FETCH_METHOD, FetchStream } from './fetch-stream.ts';
import { findOffsets } from './offsets.ts';
import { chooseSource, type Source } from './source.ts';
import type { ConsumedRecord, ConsumerOptions, Position, RecordBatch } from './types.ts';

const CREDIT_BYTES_DEFAULT = 8 * 1024 * 1024;
/** Silence is normal at the end of a log; this often a look-up makes sure that the leaders are still the leaders. */
const LOOK_UP_MS = 2_000;
const TICK_MS = 100;
/** Damaged frames are fetched again; so many in a row at one offset are no accident of the network. */
const DAMAGED_MAX = 3;
/** A follower that has not reached, for so long, what was read elsewhere is not waited for: the leader has it. */
const FOLLOWER_BEHIND_MS = 2_000;
/** A follower that went away or lagged is not read again before this. */
const FOLLOWER_AVOID_MS = 10_000;

/** One partition's reading. */
interface Reader {
  readonly target: StampTarget;
  readonly partition: number;
  /** Next offset to hand out, and the epoch of the record before it. */
  offset: number;
  leaderEpoch: number;
  /** Position of the next frame to come, past what is buffered. */
  nextOffset: number;
  nextEpoch: number;
  /** Exclusive; reading stops here. */
  readonly endOffset: number;
  stream: FetchStream | undefined;
  /** The replica that `stream` reads, while there is one. */
  source: Source | undefined;
  /** Since when the follower that is read is behind the position; undefined: it is not, or a leader is read. */
  behindSinceMs: number | undefined;
  /** Until when these followers are left alone. */
  readonly avoidedUntilMs: Map<number, number>;
  blockedUntilMs: number;
  failures: number;
  damaged: number;
  isDone: boolean;
}

/** Frames of one partition that wait for the caller. */
interface Chunk {
  readonly reader: Reader;
  readonly stream: FetchStream;
  readonly frames: Uint8Array;
  readonly highWaterMark: number;
  at: number;
}

/** Made by `Tidemark.consumer()`. Iterate over it for batches, or over {@link records}; one iteration at a time. */
export class Consumer implements AsyncIterable<RecordBatch> {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #options: ConsumerOptions;
  readonly #creditBytes: number;
  readonly #readers = new Map<number, Reader>();
  readonly #streams = new Map<number, FetchStream>();
  #chunks: Chunk[] = [];
  #wake: (() => void) | undefined;
  #failure: TidemarkError | undefined;
  #started: Promise<void> | undefined;
  #topicId: string | undefined;
  #stopListening: (() => void) | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #lookedUpAtMs = 0;
  #isLookingUp = false;
  #isClosed = false;

  /** Throws INVALID_ARGUMENT. Use `Tidemark.consumer()`. */
  constructor(connections: Connections, cluster: Cluster, options: ConsumerOptions) {
    this.#connections = connections;
    this.#cluster = cluster;
    this.#options = options;
    this.#creditBytes = options.bufferBytesMax ?? CREDIT_BYTES_DEFAULT;
    const isAllowed = this.#creditBytes >= 64 * 1024 && this.#creditBytes <= 1024 ** 3;
    if (!isAllowed) {
      const message = `Cannot make consumer: bufferBytesMax is ${this.#creditBytes}, must be 65536 to 1073741824`;
      throw new TidemarkError('INVALID_ARGUMENT', message);
    }
  }

  /** Finds the start of every partition. Iterating does it too; call it where `latest` must mean now. */
  start(): Promise<void> {
    this.#started ??= this.#begin();
    return this.#started;
  }

  /**
   * Where to resume each partition after what was handed out so far: save it once that is processed. Partitions where nothing was read
   * yet stand at their start.
   */
  positions(): Position[] {
    return [...this.#readers.values()].map(({ partition, offset, leaderEpoch }) => ({
      partition,
      offset,
      leaderEpoch,
    }));
  }

  /** Batches, until the end (without `follow`) or {@link close}. Throws a TidemarkError for what cannot be mended by trying again. */
  async *[Symbol.asyncIterator](): AsyncGenerator<RecordBatch, void, undefined> {
    await this.start();
    while (!this.#isClosed) {
      const batch = this.#next();
      if (batch !== undefined) yield batch;
      else if (this.#failure !== undefined) throw this.#failure;
      else if (this.#isAtEnd()) return;
      else if (this.#chunks.length === 0)
        await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Records one by one; {@link positions} moves with each of them. */
  async *records(): AsyncGenerator<ConsumedRecord, void, undefined> {
    for await (const { topic, partition, leaderEpoch, records } of this) {
      const reader = this.#readers.get(partition)!;
      for (const record of records) {
        reader.offset = record.offset + 1;
        yield { topic, partition, leaderEpoch, ...record };
      }
    }
  }

  /** Ends iterations and streams. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopListening?.();
    clearInterval(this.#ticker);
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#chunks = [];
    this.#rouse();
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
      findOffsets(this.#cluster, topic, wanted, from),
      findOffsets(this.#cluster, topic, follow ? [] : wanted, 'latest'),
    ]);
    for (const partition of wanted) {
      const { offset, logStart } = starts.get(partition)!;
      const resumed = positions.find((one) => one.partition === partition);
      const asked = typeof from === 'object' && 'offset' in from ? from.offset : offset;
      const position = resumed ?? { partition, offset: asked ?? logStart, leaderEpoch: 0 };
      this.#addReader(view, position, ends.get(partition)?.offset ?? Number.POSITIVE_INFINITY);
    }
    this.#lookedUpAtMs = Date.now();
    this.#stopListening = this.#cluster.onChange((changed) => this.#onTopic(changed));
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    this.#connect();
  }

  #addReader(
    view: TopicView,
    { partition, offset, leaderEpoch }: Position,
    endOffset: number,
  ): void {
    this.#readers.set(partition, {
      target: { topicIdBytes: view.topicIdBytes, partition },
      partition,
      offset,
      leaderEpoch,
      nextOffset: offset,
      nextEpoch: leaderEpoch,
      endOffset,
      stream: undefined,
      source: undefined,
      behindSinceMs: undefined,
      avoidedUntilMs: new Map(),
      blockedUntilMs: 0,
      failures: 0,
      damaged: 0,
      // Past the end: the leader says whether there is such a position.
      isDone: offset === endOffset,
    });
  }

  /** Subscribes every reader that is without a stream and may try. */
  #connect(): void {
    if (this.#isClosed) return;
    const nowMs = Date.now();
    const view = this.#cluster.topic(this.#options.topic);
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
      this.#dropChunks(reader);
      const { partition, nextOffset, nextEpoch } = reader;
      const position = { partition, offset: nextOffset, leaderEpoch: nextEpoch };
      stream.subscribe(position, source.isFollower);
    }
  }

  #sourceOf(reader: Reader, view: TopicView | undefined): Source | undefined {
    const found = view?.partitions[reader.partition];
    if (found === undefined) return undefined;
    const nowMs = Date.now();
    return chooseSource(found, {
      rack: this.#options.rack ?? '',
      broker: (brokerId) => this.#cluster.broker(brokerId),
      isAvoided: (brokerId) => (reader.avoidedUntilMs.get(brokerId) ?? 0) > nowMs,
      present: reader.stream === undefined ? undefined : reader.source?.brokerId,
    });
  }

  /** Leaves a follower alone for a while; its partition goes on at the leader, or at another one. */
  #avoid(reader: Reader, follower: number): void {
    reader.avoidedUntilMs.set(follower, Date.now() + FOLLOWER_AVOID_MS);
    reader.stream?.unsubscribe(reader.partition);
    reader.stream = undefined;
    reader.behindSinceMs = undefined;
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
      this.#onPartError(reader, fromWire(part.error));
      return;
    }
    reader.failures = 0;
    if (part.highWaterMark >= reader.nextOffset) reader.behindSinceMs = undefined;
    if (part.frames.length === 0) {
      // Read elsewhere up to a mark that this leader has yet to reach: nothing before the end is missing.
      if (reader.nextOffset < reader.endOffset) return;
      this.#finish(reader);
      this.#rouse();
      return;
    }
    this.#chunks.push({
      reader,
      stream,
      frames: part.frames,
      highWaterMark: part.highWaterMark,
      at: 0,
    });
    this.#rouse();
  }

  #onPartError(reader: Reader, error: TidemarkError): void {
    reader.stream = undefined;
    if (reader.source?.isFollower === true) {
      // Whatever a follower says, the leader has the last word: on the position, and on whether there is such a partition.
      this.#avoid(reader, reader.source.brokerId);
      this.#connect();
      void this.#lookUp();
      return;
    }
    if (error.code === 'OFFSET_OUT_OF_RANGE' || error.code === 'POSITION_DIVERGED') {
      void this.#reset(reader, error);
      return;
    }
    const { leader, leaderEpoch } = error.details;
    if (leader !== undefined && leaderEpoch !== undefined) {
      this.#cluster.hint(this.#options.topic, reader.partition, { leader, leaderEpoch });
    }
    // A leader just elected may not have heard of the topic; the look-up tells whether the topic is gone.
    const mayBeStale = error.code === 'UNKNOWN_TOPIC' || error.code === 'UNKNOWN_PARTITION';
    if (error.retry === 'no' && !mayBeStale) {
      this.#fail(error);
      return;
    }
    this.#pause(reader);
    void this.#lookUp();
  }

  /** The position is gone: starts again where the policy says, or fails. */
  async #reset(reader: Reader, error: TidemarkError): Promise<void> {
    const policy = this.#options.onReset ?? 'fail';
    if (policy === 'fail') {
      this.#fail(error);
      return;
    }
    reader.blockedUntilMs = Number.POSITIVE_INFINITY;
    try {
      const found = (
        await findOffsets(this.#cluster, this.#options.topic, [reader.partition], policy)
      ).get(reader.partition);
      this.#moveTo(reader, found?.offset ?? found?.logStart ?? 0);
      this.#connect();
    } catch (failure) {
      this.#fail(fromCall(failure, 'the cluster'));
    }
  }

  #moveTo(reader: Reader, offset: number): void {
    reader.offset = offset;
    reader.leaderEpoch = 0;
    reader.nextOffset = offset;
    reader.nextEpoch = 0;
    reader.blockedUntilMs = 0;
    reader.isDone = offset >= reader.endOffset;
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
    const pauseMs = Math.ceil(backoffMs(reader.failures));
    reader.blockedUntilMs = Date.now() + pauseMs;
    reader.failures += 1;
    // A timer may fire a millisecond before the clock says so; then nobody would try again until the next look-up.
    setTimeout(() => this.#connect(), pauseMs + 2).unref();
  }

  async #lookUp(): Promise<void> {
    if (this.#isLookingUp || this.#isClosed) return;
    this.#isLookingUp = true;
    try {
      await this.#cluster.refresh(this.#options.topic);
    } catch (cause) {
      const error = fromCall(cause, 'the cluster');
      if (error.retry === 'no' && !this.#isClosed) this.#fail(error);
    } finally {
      this.#lookedUpAtMs = Date.now();
      this.#isLookingUp = false;
    }
    // Brokers may have been fenced, or come back, without a change of the topic.
    const view = this.#cluster.topic(this.#options.topic);
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
    if (Date.now() - this.#lookedUpAtMs > LOOK_UP_MS) void this.#lookUp();
  }

  #leaveFollowersBehind(): void {
    const nowMs = Date.now();
    const behind = [...this.#readers.values()].filter(
      ({ behindSinceMs }) => nowMs - (behindSinceMs ?? nowMs) > FOLLOWER_BEHIND_MS,
    );
    for (const reader of behind)
      if (reader.source !== undefined) this.#avoid(reader, reader.source.brokerId);
    if (behind.length > 0) this.#connect();
  }

  /** The next batch with records out of what is buffered. */
  #next(): RecordBatch | undefined {
    for (
      let chunk = this.#chunks[0];
      chunk !== undefined && this.#failure === undefined;
      chunk = this.#chunks[0]
    ) {
      if (chunk.at >= chunk.frames.length || chunk.reader.isDone) {
        this.#chunks.shift();
        chunk.stream.release(chunk.frames.length);
        continue;
      }
      const batch = this.#decode(chunk);
      if (batch !== undefined) return batch;
    }
    return undefined;
  }

  /** The frame at the chunk's position; undefined for a control batch, one that was read before, or a damaged one. */
  #decode(chunk: Chunk): RecordBatch | undefined {
    const { reader, frames, at } = chunk;
    try {
      const { header, records } = decodeBatch(frames, at, crc32);
      checkStamp(frames, at, reader.target, crc32);
      chunk.at += frameLength(frames, at);
      const end = frameLastOffset(frames, at) + 1;
      if (end <= reader.nextOffset) return undefined;
      if (header.baseOffset > reader.nextOffset)
        throw gap(this.#options.topic, reader, header.baseOffset);
      const from = reader.nextOffset;
      const { leaderEpoch } = header;
      Object.assign(reader, {
        offset: end,
        leaderEpoch,
        nextOffset: end,
        nextEpoch: leaderEpoch,
        damaged: 0,
      });
      if (end >= reader.endOffset) this.#finish(reader);
      const fresh =
        from === header.baseOffset ? records : records.filter(({ offset }) => offset >= from);
      if (fresh.length === 0) return undefined;
      const { topic } = this.#options;
      return {
        topic,
        partition: reader.partition,
        leaderEpoch,
        records: fresh,
        highWaterMark: chunk.highWaterMark,
      };
    } catch (cause) {
      this.#onDamaged(chunk, fromCodec(cause));
      return undefined;
    }
  }

  #finish(reader: Reader): void {
    reader.isDone = true;
    reader.stream?.unsubscribe(reader.partition);
    reader.stream = undefined;
  }

  /** Bytes that fail a check: fetched again on a new stream, since more of the old one may be wrong. */
  #onDamaged(chunk: Chunk, error: TidemarkError): void {
    const { reader, stream } = chunk;
    reader.damaged += 1;
    if (reader.damaged >= DAMAGED_MAX) this.#fail(error);
    this.#chunks = this.#chunks.filter((one) => one.stream !== stream);
    stream.lose(error);
  }

  #dropChunks(reader: Reader): void {
    this.#chunks = this.#chunks.filter((one) => {
      if (one.reader !== reader) return true;
      one.stream.release(one.frames.length);
      return false;
    });
  }

  #isAtEnd(): boolean {
    return [...this.#readers.values()].every(({ isDone }) => isDone);
  }

  #fail(error: TidemarkError): void {
    this.#failure ??= error;
    this.#rouse();
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function gap(topic: string, reader: Reader, baseOffset: number): TidemarkError {
  return new TidemarkError(
    'CORRUPT_BATCH',
    `Cannot read ${topic}/${reader.partition}: the broker sent offset ${baseOffset}, must be ${reader.nextOffset}`,
    'refresh',
  );
}
