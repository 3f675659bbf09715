/**
 * Appends records: gathers them into batches for each partition, sends the batches to the partitions' leaders, and sees them through any
 * single broker's death, which callers notice as latency only. Source: Kafka's producer (KIP-98, KIP-360, KIP-480) for the guarantees.
 */
import { HEADER_BYTES } from '../../proto/batch/frame.ts';
import {
  type AckLevel,
  LogServiceService,
  AckLevel as WireAcks,
} from '../../proto/gen/tidemark/v1/log.ts';
import { recordBytes } from '../../proto/records/record-set.ts';
import { backoffMs, type Cluster, sleep, type TopicView } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { fromCall, fromWire, TidemarkError } from '../errors.ts';
import { producerSettings } from './options.ts';
import {
  noLeader,
  PartitionQueue,
  type ProducerIdentity,
  type Settlement,
  type Settler,
} from './partition-queue.ts';
import { Partitioner } from './partitioner.ts';
import { PRODUCE_METHOD } from './produce-request.ts';
import { ProduceStream, type Sending } from './produce-stream.ts';
import { SendBuffer } from './send-buffer.ts';
import { newTopicState, type TopicState, type Waiting } from './topic-state.ts';
import type {
  Acks,
  ProducerCounters,
  ProducerOptions,
  ProducerRecord,
  ProducerSettings,
  RecordMetadata,
} from './types.ts';

/** Frames of one message: enough to make HTTP/2's cost per message small, little enough to be handled in one go. */
const MESSAGE_BYTES = 1024 * 1024;
const TICK_MS = 100;
/** A broker that leaves batches unanswered for so long may have been replaced: look up the leader. */
const SILENCE_MS = 500;
/** A broker that still leads but says nothing for so long: give the connection up and make another. */
const SILENCE_MS_MAX = 20_000;
/** How soon partitions that were added are used, where nothing else asks for a look-up before. */
const LOOK_UP_MS = 5_000;

const ACK_LEVELS: Readonly<Record<Acks, AckLevel>> = {
  none: WireAcks.ACK_LEVEL_NONE,
  leader: WireAcks.ACK_LEVEL_LEADER,
  all: WireAcks.ACK_LEVEL_ALL,
};

/** Made by `Tidemark.producer()`. All methods may be called at any time until {@link close}. */
export class Producer {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #settings: ProducerSettings;
  readonly #buffer: SendBuffer;
  readonly #topics = new Map<string, TopicState>();
  readonly #streams = new Map<number, ProduceStream>();
  /** Queues with anything in them, and the stream each was last sent on. */
  readonly #active = new Map<PartitionQueue, ProduceStream | undefined>();
  readonly #stopListening: () => void;
  readonly #identityWaiters = new Set<PartitionQueue>();
  #firstIdentity: ProducerIdentity | undefined;
  #isPumpScheduled = false;
  #wakeTimer: NodeJS.Timeout | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #ticker: NodeJS.Timeout | undefined;
  #isClosed = false;
  #recordsDelivered = 0;
  #recordsFailed = 0;
  #batchesDelivered = 0;
  #retries = 0;

  /** Throws INVALID_ARGUMENT. Use `Tidemark.producer()`. */
  constructor(connections: Connections, cluster: Cluster, options: ProducerOptions) {
    this.#settings = producerSettings(options);
    this.#buffer = new SendBuffer(this.#settings.bufferBytesMax);
    this.#connections = connections;
    this.#cluster = cluster;
    this.#stopListening = cluster.onChange((topic) => this.#onTopic(topic));
  }

  /**
   * Appends one record. Resolves when it is acknowledged. Rejects with BUFFER_FULL when more than `bufferBytesMax` waits (await {@link ready}
   * before sending so much), with OUTCOME_UNKNOWN when nobody knows whether it was appended, and with whatever the cluster refuses it for.
   */
  send(record: ProducerRecord): Promise<RecordMetadata> {
    return new Promise((resolve, reject) => {
      if (!this.#accept(record, { resolve, reject })) {
        const { bufferBytesMax } = this.#settings;
        reject(
          new TidemarkError(
            'BUFFER_FULL',
            `Cannot send: ${this.#buffer.bytes} bytes are waiting, must be below ${bufferBytesMax}; await ready() first`,
            'same',
          ),
        );
      }
    });
  }

  /**
   * Appends one record without a promise: its fate is told to `onDelivery`. False: the buffer is full and the record was *not* taken; await
   * {@link ready} and hand it in again. Throws CLOSED.
   */
  enqueue(record: ProducerRecord): boolean {
    return this.#accept(record, undefined);
  }

  /** Resolves when there is room in the buffer. */
  ready(): Promise<void> {
    return this.#buffer.ready();
  }

  /** Looks the topic up before anything is appended to it. Resolves to its number of partitions. Rejects with UNKNOWN_TOPIC, or UNREACHABLE. */
  async lookUp(topic: string): Promise<number> {
    const { partitions } = await this.#cluster.refresh(topic);
    return partitions.length;
  }

  /** Resolves when the fate of every record handed in so far, and since, is known. */
  flush(): Promise<void> {
    return this.#buffer.empty();
  }

  /** Flushes, then closes. With `isAborted`, what waits fails with CLOSED (or OUTCOME_UNKNOWN, where it was sent). */
  async close(options: { readonly isAborted?: boolean } = {}): Promise<void> {
    if (this.#isClosed) return;
    if (options.isAborted !== true) await this.flush();
    this.#isClosed = true;
    this.#stopListening();
    clearInterval(this.#ticker);
    clearTimeout(this.#wakeTimer);
    const error = new TidemarkError('CLOSED', 'Cannot append: the producer was closed');
    for (const topic of this.#topics.values()) this.#failTopic(topic, error);
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#buffer.wake();
  }

  /** What has happened so far. */
  counters(): ProducerCounters {
    return {
      recordsDelivered: this.#recordsDelivered,
      recordsFailed: this.#recordsFailed,
      batchesDelivered: this.#batchesDelivered,
      retries: this.#retries,
      bufferedBytes: this.#buffer.bytes,
    };
  }

  #accept(record: ProducerRecord, settler: Settler | undefined): boolean {
    if (this.#isClosed) throw new TidemarkError('CLOSED', 'Cannot send: the producer is closed');
    const nowMs = Date.now();
    const { key, value, headers, timestampMs = nowMs } = record;
    const input = { key, value, headers, timestampMs };
    const bytes = recordBytes(input);
    const bytesMax = this.#settings.batchBytesMax - HEADER_BYTES;
    if (bytes > bytesMax) {
      throw new TidemarkError(
        'BATCH_TOO_LARGE',
        `Cannot send record: it has ${bytes} bytes, must have ${bytesMax} (batchBytesMax less the header) or fewer`,
      );
    }
    if (!(Number.isSafeInteger(timestampMs) && timestampMs >= 0)) {
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Cannot send record: timestampMs is ${timestampMs}, must be an integer of 0 or more`,
      );
    }
    if (!this.#buffer.reserve(bytes)) return false;
    const topic = this.#topicState(record.topic);
    // Kept as it came while the topic is unknown, and behind those that did.
    const waiting = { record, input, bytes, settler, createdAtMs: nowMs };
    if (topic.partitioner === undefined) {
      topic.waiting.push(waiting);
      void this.#refresh(topic);
    } else {
      this.#assignOrRelease(topic, topic.partitioner, waiting);
    }
    this.#schedulePump();
    return true;
  }

  #assignOrRelease(topic: TopicState, partitioner: Partitioner, waiting: Waiting): void {
    try {
      this.#assign(topic, partitioner, waiting);
    } catch (error) {
      this.#buffer.release(waiting.bytes, 1);
      throw error;
    }
  }

  #assign(topic: TopicState, partitioner: Partitioner, waiting: Waiting): void {
    const { record, input, bytes, settler, createdAtMs } = waiting;
    const queue = topic.queues[partitioner.choose(record, bytes)]!;
    queue.append(input, bytes, record.context, settler, createdAtMs);
    if (!this.#active.has(queue)) this.#active.set(queue, undefined);
  }

  #topicState(name: string): TopicState {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = newTopicState(name);
      this.#topics.set(name, topic);
      const known = this.#cluster.topic(name);
      if (known !== undefined) this.#onTopic(known);
    }
    this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
    return topic;
  }

  /** Takes what was learnt about a topic: new partitions, new leaders, or that it is another topic of the same name. */
  #onTopic(view: TopicView): void {
    const topic = this.#topics.get(view.name);
    if (topic === undefined) return;
    if (topic.topicId !== undefined && topic.topicId !== view.topicId) {
      this.#failTopic(
        topic,
        new TidemarkError(
          'UNKNOWN_TOPIC',
          `Cannot append to "${topic.name}": the topic was deleted and made again`,
        ),
      );
      topic.queues = [];
    }
    topic.topicId = view.topicId;
    for (let partition = topic.queues.length; partition < view.partitions.length; partition += 1) {
      const place = { topic: topic.name, topicIdBytes: view.topicIdBytes, partition };
      topic.queues.push(new PartitionQueue(place, this.#settings));
    }
    for (const { partition, leader } of view.partitions) {
      if (leader !== undefined && this.#leads(topic.queues[partition]!) !== leader)
        topic.queues[partition]!.unblock();
    }
    topic.partitioner ??= new Partitioner(this.#settings.batchBytes);
    topic.partitioner.learn(view.partitions);
    for (const waiting of topic.waiting.splice(0))
      this.#assignWaiting(topic, topic.partitioner, waiting);
    this.#schedulePump();
  }

  #assignWaiting(topic: TopicState, partitioner: Partitioner, waiting: Waiting): void {
    try {
      this.#assign(topic, partitioner, waiting);
    } catch (error) {
      this.#failWaiting(topic, waiting, fromCall(error, 'the cluster'));
    }
  }

  /** The broker that the queue's batches were last sent to. */
  #leads(queue: PartitionQueue): number | undefined {
    return this.#active.get(queue)?.brokerId;
  }

  async #refresh(topic: TopicState): Promise<void> {
    if (topic.isRefreshing || this.#isClosed) return;
    topic.isRefreshing = true;
    try {
      const view = await this.#cluster.refresh(topic.name);
      topic.refreshFailures = 0;
      if (topic.topicId === undefined) this.#onTopic(view);
    } catch (cause) {
      const error = fromCall(cause, 'the cluster');
      if (error.retry === 'no') this.#failTopic(topic, error);
      topic.refreshFailures += 1;
      await sleep(backoffMs(topic.refreshFailures));
    } finally {
      topic.isRefreshing = false;
      topic.lookedUpAtMs = Date.now();
    }
  }

  #schedulePump(): void {
    if (this.#isPumpScheduled) return;
    this.#isPumpScheduled = true;
    // After the caller's turn: everything that it hands in together can travel together.
    setImmediate(() => {
      this.#isPumpScheduled = false;
      if (!this.#isClosed) this.#pump();
    });
  }

  /** Sends whatever may be sent. */
  #pump(): void {
    const nowMs = Date.now();
    const byStream = new Map<ProduceStream, PartitionQueue[]>();
    for (const queue of this.#active.keys()) {
      if (queue.isEmpty) {
        this.#active.delete(queue);
        continue;
      }
      if (queue.needsIdentity && nowMs >= queue.blockedUntilMs) this.#requestIdentity(queue);
      const stream = this.#streamFor(queue, nowMs);
      if (stream === undefined) continue;
      const queues = byStream.get(stream);
      if (queues === undefined) byStream.set(stream, [queue]);
      else queues.push(queue);
    }
    for (const [stream, queues] of byStream) this.#fill(stream, queues, nowMs);
    this.#scheduleWake(nowMs);
  }

  /** The stream to the queue's leader; where the leader changed, everything unanswered goes there again. */
  #streamFor(queue: PartitionQueue, nowMs: number): ProduceStream | undefined {
    const topic = this.#topics.get(queue.topic);
    const leader = this.#cluster.topic(queue.topic)?.partitions[queue.partition]?.leader;
    const address = leader === undefined ? undefined : this.#cluster.address(leader);
    if (leader === undefined || address === undefined) {
      if (nowMs >= queue.blockedUntilMs && topic !== undefined) {
        this.#settleAll(queue, queue.rewind(nowMs, noLeader(queue)).settled);
        void this.#refresh(topic);
      }
      return undefined;
    }
    if (nowMs < queue.blockedUntilMs) return undefined;
    const stream = this.#streams.get(leader) ?? this.#open(leader, address);
    const before = this.#active.get(queue);
    if (before !== stream) {
      if (before !== undefined) this.#settleAll(queue, queue.rewind(nowMs).settled);
      this.#active.set(queue, stream);
    }
    return stream;
  }

  /** Fills messages for one broker, one batch of each partition in turn so that none waits behind another's backlog. */
  #fill(stream: ProduceStream, queues: readonly PartitionQueue[], nowMs: number): void {
    let sendings: Sending[] = [];
    let bytes = 0;
    for (let wasSent = true; wasSent; ) {
      wasSent = false;
      for (const queue of queues) {
        const room = stream.room(bytes);
        const sending = this.#takeFrom(
          queue,
          nowMs,
          bytes === 0 ? room : Math.min(room, MESSAGE_BYTES),
        );
        if (sending === undefined) continue;
        wasSent = true;
        if (bytes > 0 && bytes + sending.frame.length > MESSAGE_BYTES) {
          stream.send(ACK_LEVELS[this.#settings.acks], sendings);
          sendings = [];
          bytes = 0;
        }
        sendings.push(sending);
        bytes += sending.frame.length;
      }
    }
    if (sendings.length > 0) stream.send(ACK_LEVELS[this.#settings.acks], sendings);
  }

  #takeFrom(queue: PartitionQueue, nowMs: number, roomBytes: number): Sending | undefined {
    const batch = queue.take(nowMs, roomBytes);
    if (batch?.frame === undefined) return undefined;
    if (batch.attempts > 1) this.#retries += 1;
    return { queue, batch, attempt: batch.attempts, frame: batch.frame };
  }

  #open(brokerId: number, address: string): ProduceStream {
    const stream = new ProduceStream(
      brokerId,
      address,
      this.#connections.stream(address, PRODUCE_METHOD),
      {
        onResult: (sending, { baseOffset, error }) => {
          const { queue, batch, attempt } = sending;
          if (error === undefined) {
            const known = this.#settings.acks === 'none' ? -1 : baseOffset;
            this.#onVerdict(
              queue,
              queue.onResult(batch, attempt, { kind: 'delivered', baseOffset: known }, Date.now()),
            );
            return;
          }
          const failure = fromWire(error);
          const { leader, leaderEpoch } = failure.details;
          this.#onVerdict(
            queue,
            queue.onResult(batch, attempt, { kind: 'failed', error: failure }, Date.now()),
          );
          if (leader !== undefined && leaderEpoch !== undefined)
            this.#cluster.hint(queue.topic, queue.partition, { leader, leaderEpoch });
          this.#goOnElsewhere(queue, stream);
        },
        onProgress: () => this.#schedulePump(),
        onLost: (lost, _sendings, error) => this.#onLost(lost, error),
      },
    );
    this.#streams.set(brokerId, stream);
    return stream;
  }

  /** The pause after a refusal is for asking the same broker again: where another is known to lead, it is asked at once. */
  #goOnElsewhere(queue: PartitionQueue, refusedBy: ProduceStream): void {
    const leader = this.#cluster.topic(queue.topic)?.partitions[queue.partition]?.leader;
    const isElsewhere = leader !== undefined && leader !== refusedBy.brokerId;
    if (isElsewhere && this.#active.get(queue) === refusedBy) queue.unblock();
  }

  #onVerdict(queue: PartitionQueue, verdict: ReturnType<PartitionQueue['onResult']>): void {
    this.#settleAll(queue, verdict.settled);
    const topic = this.#topics.get(queue.topic);
    if (verdict.needsRefresh && topic !== undefined) void this.#refresh(topic);
  }

  #onLost(stream: ProduceStream, error: TidemarkError): void {
    if (this.#streams.get(stream.brokerId) === stream) this.#streams.delete(stream.brokerId);
    const nowMs = Date.now();
    for (const [queue, last] of this.#active) {
      if (last !== stream) continue;
      this.#active.set(queue, undefined);
      this.#onVerdict(queue, { settled: queue.rewind(nowMs, error).settled, needsRefresh: true });
    }
    this.#schedulePump();
  }

  #requestIdentity(queue: PartitionQueue): void {
    if (queue.identityCount === 0 && this.#firstIdentity !== undefined) {
      queue.setIdentity(this.#firstIdentity);
      return;
    }
    if (this.#identityWaiters.has(queue)) return;
    this.#identityWaiters.add(queue);
    if (this.#identityWaiters.size === 1) void this.#initProducer();
  }

  /** One id serves every partition that waits for one; a partition that gave one up never gets the same again. */
  async #initProducer(): Promise<void> {
    try {
      const identity = await this.#cluster.call(LogServiceService.initProducer, { name: '' });
      this.#firstIdentity ??= identity;
      for (const queue of this.#identityWaiters) queue.setIdentity(identity);
    } catch (error) {
      // The next pump after the pause asks again, until the records' time is up.
      const failure = fromCall(error, 'the cluster');
      for (const queue of this.#identityWaiters) queue.rewind(Date.now(), failure);
    }
    this.#identityWaiters.clear();
    this.#schedulePump();
  }

  #scheduleWake(nowMs: number): void {
    let atMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#active.keys()) {
      const wakeAtMs = queue.wakeAtMs(nowMs);
      if (wakeAtMs !== undefined && wakeAtMs > nowMs) atMs = Math.min(atMs, wakeAtMs);
    }
    if (atMs === this.#wakeAtMs) return;
    clearTimeout(this.#wakeTimer);
    this.#wakeAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#wakeTimer = setTimeout(
      () => {
        this.#wakeAtMs = Number.POSITIVE_INFINITY;
        this.#pump();
      },
      Math.max(1, atMs - nowMs),
    );
  }

  /** Everything that only time brings about: timeouts, and brokers that fell silent. */
  #tick(): void {
    const nowMs = Date.now();
    for (const topic of this.#topics.values()) {
      this.#expireWaiting(topic, nowMs);
      for (const queue of topic.queues) this.#settleAll(queue, queue.expire(nowMs));
      const isDue = topic.waiting.length > 0 || nowMs - topic.lookedUpAtMs > LOOK_UP_MS;
      if (isDue) void this.#refresh(topic);
    }
    for (const stream of this.#streams.values()) {
      const silentMs = stream.hasUnanswered ? nowMs - stream.heardAtMs : 0;
      if (silentMs > SILENCE_MS_MAX) {
        stream.lose(
          new TidemarkError(
            'TIMED_OUT',
            `Cannot append at broker ${stream.brokerId}: no answer for ${silentMs} ms`,
            'refresh',
          ),
        );
      } else if (silentMs > SILENCE_MS) {
        this.#refreshTopicsOf(stream);
      }
    }
    if (this.#active.size > 0) this.#schedulePump();
    else if (this.#buffer.isEmpty) this.#stopTicking();
  }

  #stopTicking(): void {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  #refreshTopicsOf(stream: ProduceStream): void {
    for (const [queue, last] of this.#active) {
      const topic = last === stream ? this.#topics.get(queue.topic) : undefined;
      if (topic !== undefined) void this.#refresh(topic);
    }
  }

  #expireWaiting(topic: TopicState, nowMs: number): void {
    const { deliveryTimeoutMs } = this.#settings;
    const expired = topic.waiting.findLastIndex(
      ({ createdAtMs }) => nowMs - createdAtMs > deliveryTimeoutMs,
    );
    if (expired < 0) return;
    const message = `Cannot append to "${topic.name}" within ${deliveryTimeoutMs} ms: no server answered; nothing was appended`;
    const error = new TidemarkError('TIMED_OUT', message, 'same');
    for (const waiting of topic.waiting.splice(0, expired + 1))
      this.#failWaiting(topic, waiting, error);
  }

  #failTopic(topic: TopicState, error: TidemarkError): void {
    for (const waiting of topic.waiting.splice(0)) this.#failWaiting(topic, waiting, error);
    for (const queue of topic.queues) this.#settleAll(queue, queue.abandon(error));
  }

  #failWaiting(topic: TopicState, { record, bytes, settler }: Waiting, error: TidemarkError): void {
    this.#recordsFailed += 1;
    this.#settings.onDelivery?.({
      topic: topic.name,
      partition: record.partition ?? -1,
      baseOffset: -1,
      contexts: [record.context],
      recordCount: 1,
      bytes,
      attempts: 0,
      error,
    });
    settler?.reject(error);
    this.#buffer.release(bytes, 1);
  }

  #settleAll(queue: PartitionQueue, settled: readonly Settlement[]): void {
    for (const one of settled) this.#settle(queue, one);
  }

  #settle(queue: PartitionQueue, { batch, fate }: Settlement): void {
    const recordCount = batch.records.length;
    if (fate.kind === 'delivered') {
      this.#recordsDelivered += recordCount;
      this.#batchesDelivered += 1;
    } else {
      this.#recordsFailed += recordCount;
    }
    this.#settings.onDelivery?.({
      topic: queue.topic,
      partition: queue.partition,
      baseOffset: fate.kind === 'delivered' ? fate.baseOffset : -1,
      contexts: batch.contexts,
      recordCount,
      bytes: batch.bytes,
      attempts: batch.attempts,
      error: fate.kind === 'failed' ? fate.error : undefined,
    });
    batch.settlers.forEach((settler, index) => {
      if (fate.kind === 'failed') {
        settler?.reject(fate.error);
        return;
      }
      const offset = fate.baseOffset < 0 ? -1 : fate.baseOffset + index;
      settler?.resolve({
        partition: queue.partition,
        offset,
        timestampMs: batch.records[index]!.timestampMs,
      });
    });
    this.#buffer.release(batch.bytes, recordCount);
  }
}
