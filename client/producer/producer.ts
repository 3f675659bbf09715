/**
 * Appends records: gathers them into batches for each partition, sends the batches to the
 * partitions' leaders, and sees them through any single broker's death, which callers notice as
 * latency only. Source: Kafka's producer (KIP-98, KIP-360, KIP-480) for the guarantees.
 */
import type { Cancel } from '../../base/clock.ts';
import type { Cluster, TopicView } from '../cluster.ts';
import type { Connections } from '../connections.ts';
import { type CallControl, CONTROL, orAborted } from '../abort.ts';
import { checkArgument, flag, named, optional, shape } from '../check.ts';
import { fromCall, fromWire, notAppended, TidemarkError } from '../errors.ts';
import { Deliveries } from './deliveries.ts';
import { Identities } from './identities.ts';
import { producerSettings } from './options.ts';
import { noLeader, PartitionQueue, type Settlement, type Settler } from './partition-queue.ts';
import { Partitioner } from './partitioner.ts';
import { type PreparedRecord, prepare, recordCountOf, recordsOf, sizeOf } from './prepare.ts';
import { appendedOf, prepareTogether } from './prepare-together.ts';
import { ACK_LEVELS, PRODUCE_METHOD } from './produce-request.ts';
import { ProduceStream, type Sending } from './produce-stream.ts';
import { refusal } from '../values.ts';
import { AbortableSettler } from './abortable-settler.ts';
import { SendBuffer } from './send-buffer.ts';
import { SendQueue } from './send-queue.ts';
import { writableOf } from './writable.ts';
import { newTopicState, type TopicState, type Waiting } from './topic-state.ts';
import type {
  AppendedBatch,
  AppendOptions,
  ProducerCounters,
  ProducerOptions,
  ProducerRecord,
  ProducerSettings,
  RecordMetadata,
  TypedRecord,
} from './types.ts';

/**
 * Frames of one message: enough to make HTTP/2's cost per message small, little enough to be
 * handled in one go.
 */
const MESSAGE_BYTES = 1024 * 1024;
const TICK_MS = 100;
/**
 * A broker that leaves batches unanswered for so long may have been replaced: look up the leader.
 */
const SILENCE_MS = 500;
/**
 * A broker that still leads but says nothing for so long: give the connection up and make another.
 */
const SILENCE_MS_MAX = 20_000;
/** How soon partitions that were added are used, where nothing else asks for a look-up before. */
const LOOK_UP_MS = 5_000;

const CLOSE = shape({ isAborted: optional(flag) });

/** Made by `Tidemark.producer()`. All methods may be called at any time until {@link close}. */
export class Producer {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #settings: ProducerSettings;
  readonly #buffer: SendBuffer;
  readonly #sends = new SendQueue<PreparedRecord>(() => this.#buffer.ready());
  readonly #deliveries: Deliveries;
  readonly #topics = new Map<string, TopicState>();
  readonly #streams = new Map<number, ProduceStream>();
  /** Queues with anything in them, and the stream each was last sent on. */
  readonly #active = new Map<PartitionQueue, ProduceStream | undefined>();
  readonly #stopListening: () => void;
  readonly #identities: Identities;
  #isPumpScheduled = false;
  #cancelWake: Cancel | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #cancelTicks: Cancel | undefined;
  #isClosed = false;

  /** Throws INVALID_ARGUMENT. Use `Tidemark.producer()`. */
  constructor(connections: Connections, cluster: Cluster, options: ProducerOptions) {
    this.#settings = producerSettings(options);
    this.#buffer = new SendBuffer(this.#settings.bufferBytesMax);
    this.#deliveries = new Deliveries(this.#buffer, this.#settings.onDelivery);
    this.#connections = connections;
    this.#cluster = cluster;
    this.#identities = new Identities(cluster, () => this.#nowMs(), {
      answer: () => this.#schedulePump(),
      refused: (queue, error) => this.#settleAll(queue, queue.abandon(error)),
    });
    this.#stopListening = cluster.onChange((topic) => this.#onTopic(topic));
  }

  /**
   * Appends one record. Resolves when it is acknowledged; waits while more than `bufferBytesMax` is
   * waiting (or, with `whenFull: 'fail'`, rejects with BUFFER_FULL). Rejects with OUTCOME_UNKNOWN
   * when nobody knows whether it was appended, with whatever it is refused for, and with ABORTED,
   * whose effect is `unknown` once the record was taken. What was handed in is copied first.
   */
  send(record: ProducerRecord, control?: CallControl): Promise<RecordMetadata>;
  send<K, V>(record: TypedRecord<K, V>, control?: CallControl): Promise<RecordMetadata>;
  send(record: unknown, control?: CallControl): Promise<RecordMetadata> {
    return new Promise((resolve, reject) => {
      if (control !== undefined) checkArgument('send record', CONTROL, control);
      const createdAtMs = this.#nowMs();
      const item = prepare(record, this.#connections.clock.wallMs());
      const settler = new AbortableSettler(resolve, reject, control?.signal);
      this.#hand(item, settler, createdAtMs);
    });
  }

  /**
   * Appends records to one partition as one batch, all of them or none, and only if no record
   * stands at or above `ifOffset`: of programs that expect the same end at most one appends. A try
   * that comes again is known as the first. Rejects with OFFSET_TAKEN, which is certain, where
   * others came first (`details.dataEnd`, `details.holder`); otherwise as {@link send} does. After
   * OUTCOME_UNKNOWN the same append may be made again: both are never appended. Needs acks `all`,
   * feature level 6 of the cluster, and of each record its partition or a key.
   */
  append(records: readonly ProducerRecord[], options: AppendOptions): Promise<AppendedBatch>;
  append<K, V>(
    records: readonly TypedRecord<K, V>[],
    options: AppendOptions,
  ): Promise<AppendedBatch>;
  append(records: unknown, options: AppendOptions): Promise<AppendedBatch> {
    return new Promise((resolve, reject) => {
      const createdAtMs = this.#nowMs();
      const wallMs = this.#connections.clock.wallMs();
      const item = prepareTogether(records, options, this.#settings, wallMs);
      const { length } = records as readonly unknown[];
      const settler = new AbortableSettler(
        (first) => resolve(appendedOf(first, length)),
        reject,
        options.signal,
      );
      const ready = this.#cluster.requireExpectedEnds(this.#settings.deliveryTimeoutMs);
      this.#hand(ready === undefined ? item : ready.then(() => item), settler, createdAtMs);
    });
  }

  /**
   * Appends one record without a promise: its fate is told to `onDelivery`. False: the buffer is
   * full and the record was *not* taken; await {@link ready} and hand it in again. Throws CLOSED,
   * and INVALID_ARGUMENT, as for a codec that takes time: {@link send} waits for it.
   */
  enqueue(record: ProducerRecord): boolean;
  enqueue<K, V>(record: TypedRecord<K, V>): boolean;
  enqueue(record: unknown): boolean {
    const prepared = prepare(record, this.#connections.clock.wallMs());
    if (!(prepared instanceof Promise)) return this.#accept(prepared, undefined, this.#nowMs());
    prepared.catch(() => undefined);
    throw refusal('its codec takes time; use send(), which waits for it');
  }

  /** A Web stream of records to append: closed when all are, failed with the first that is not. */
  writable(control: CallControl = {}): WritableStream<ProducerRecord> {
    checkArgument('write', CONTROL, control);
    return writableOf(this, control);
  }

  /** Resolves when there is room in the buffer. */
  async ready(control: CallControl = {}): Promise<void> {
    checkArgument('wait for room', CONTROL, control);
    await orAborted(this.#buffer.ready(), control.signal, 'wait for room');
  }

  /**
   * Looks the topic up before anything is appended to it. Resolves to its number of partitions.
   * Rejects with UNKNOWN_TOPIC, or UNREACHABLE.
   */
  async lookUp(topic: string, control: CallControl = {}): Promise<number> {
    checkArgument('look up topic', named, topic, 'topic');
    checkArgument('look up topic', CONTROL, control);
    const looking = this.#cluster.refresh(topic);
    const { partitions } = await orAborted(looking, control.signal, `look up "${topic}"`);
    return partitions.length;
  }

  /** Resolves when the fate of every record handed in so far, and since, is known. */
  async flush(control: CallControl = {}): Promise<void> {
    checkArgument('flush', CONTROL, control);
    await orAborted(this.#flushed(), control.signal, 'flush');
  }

  async #flushed(): Promise<void> {
    while (!this.#sends.isEmpty || !this.#buffer.isEmpty) {
      await this.#sends.empty();
      await this.#buffer.empty();
    }
  }

  /**
   * Flushes, then closes. With `isAborted`, what waits fails with CLOSED (or OUTCOME_UNKNOWN, where
   * it was sent).
   */
  async close(options: { readonly isAborted?: boolean } = {}): Promise<void> {
    checkArgument('close producer', CLOSE, options);
    if (this.#isClosed) return;
    if (options.isAborted !== true) await this.flush();
    this.#isClosed = true;
    this.#stopListening();
    this.#stopTicking();
    this.#cancelWake?.();
    const error = new TidemarkError('CLOSED', 'Cannot append: the producer was closed');
    for (const topic of this.#topics.values()) this.#failTopic(topic, error);
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
    this.#buffer.wake();
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #nowMs(): number {
    return this.#connections.clock.monotonicMs();
  }

  /** What has happened so far. */
  counters(): ProducerCounters {
    return this.#deliveries.counters();
  }

  #hand(
    item: PreparedRecord | Promise<PreparedRecord>,
    settler: AbortableSettler,
    createdAtMs: number,
  ): void {
    this.#sends.add({
      item: this.#connections.tracing?.sent(item, settler) ?? item,
      take: (sending) => {
        const isTaken = this.#accept(sending, settler, createdAtMs);
        if (isTaken) settler.isTaken = true;
        else if (this.#settings.whenFull === 'fail') throw this.#buffer.full();
        return isTaken;
      },
      isGivenUp: () => settler.isSettled,
      refuse: (error) => settler.reject(error),
    });
  }

  #accept(record: PreparedRecord, settler: Settler | undefined, createdAtMs: number): boolean {
    if (this.#isClosed) throw new TidemarkError('CLOSED', 'Cannot send: the producer is closed');
    const bytes = sizeOf(record, this.#settings.batchBytesMax);
    if (!this.#buffer.reserve(bytes, recordCountOf(record))) return false;
    const topic = this.#topicState(record.topic);
    // Kept as it came while the topic is unknown, and behind those that did.
    const waiting = { record, bytes, settler, createdAtMs };
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
      this.#buffer.release(waiting.bytes, recordCountOf(waiting.record));
      throw error;
    }
  }

  #assign(topic: TopicState, partitioner: Partitioner, waiting: Waiting): void {
    const { record, bytes, settler, createdAtMs } = waiting;
    const queue = topic.queues[partitioner.choose(record, bytes)]!;
    if (record.group === undefined) {
      queue.append(record, bytes, record.context, settler, createdAtMs);
    } else {
      const records = recordsOf(record);
      partitioner.requireOne(records, queue.partition);
      queue.appendTogether(records, bytes, settler, record.group.expectedEnd, createdAtMs);
    }
    if (!this.#active.has(queue)) this.#active.set(queue, undefined);
  }

  #topicState(name: string): TopicState {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = newTopicState(name, this.#nowMs());
      this.#topics.set(name, topic);
      const known = this.#cluster.topic(name);
      if (known !== undefined) this.#onTopic(known);
    }
    this.#cancelTicks ??= this.#connections.clock.every(TICK_MS, () => this.#tick());
    return topic;
  }

  /**
   * Takes what was learnt about a topic: new partitions, new leaders, or that it is another topic
   * of the same name.
   */
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
      // A server that lags may name the older topic again, and then the newer one: rule 20.
      this.#identities.forget();
    }
    topic.topicId = view.topicId;
    for (let partition = topic.queues.length; partition < view.partitions.length; partition += 1) {
      const place = { topic: topic.name, topicIdBytes: view.topicIdBytes, partition };
      topic.queues.push(
        new PartitionQueue(place, this.#settings, (attempt) =>
          this.#connections.backoffMs(attempt),
        ),
      );
    }
    for (const queue of topic.queues) queue.hasRecordCrc = view.isCompacted;
    for (const { partition, leader } of view.partitions) {
      if (leader !== undefined && this.#leads(topic.queues[partition]!) !== leader)
        topic.queues[partition]!.unblock();
    }
    topic.partitioner ??= new Partitioner(this.#settings.batchBytes);
    topic.partitioner.learn(view);
    for (const waiting of topic.waiting.splice(0))
      this.#assignWaiting(topic, topic.partitioner, waiting);
    this.#schedulePump();
  }

  #assignWaiting(topic: TopicState, partitioner: Partitioner, waiting: Waiting): void {
    try {
      this.#assign(topic, partitioner, waiting);
    } catch (error) {
      this.#deliveries.failed(topic.name, waiting, fromCall(error, 'the cluster'));
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
      if (error.retry === 'no') this.#failTopic(topic, notAppended(error));
      topic.refreshFailures += 1;
      await this.#connections.sleep(this.#connections.backoffMs(topic.refreshFailures));
    } finally {
      topic.isRefreshing = false;
      topic.lookedUpAtMs = this.#nowMs();
    }
  }

  #schedulePump(): void {
    if (this.#isPumpScheduled) return;
    this.#isPumpScheduled = true;
    // After the caller's turn: everything that it hands in together can travel together.
    this.#connections.clock.soon(() => {
      this.#isPumpScheduled = false;
      if (!this.#isClosed) this.#pump();
    });
  }

  /** Sends whatever may be sent. */
  #pump(): void {
    const nowMs = this.#nowMs();
    const byStream = new Map<ProduceStream, PartitionQueue[]>();
    for (const queue of this.#active.keys()) {
      if (queue.isEmpty) {
        this.#active.delete(queue);
        continue;
      }
      if (queue.needsIdentity && nowMs >= queue.blockedUntilMs) this.#identities.request(queue);
      const stream = this.#streamFor(queue, nowMs);
      if (stream === undefined) continue;
      const queues = byStream.get(stream);
      if (queues === undefined) byStream.set(stream, [queue]);
      else queues.push(queue);
    }
    for (const [stream, queues] of byStream) this.#fill(stream, queues, nowMs);
    this.#scheduleWake(nowMs);
  }

  /**
   * The stream to the queue's leader; where the leader changed, everything unanswered goes there
   * again.
   */
  #streamFor(queue: PartitionQueue, nowMs: number): ProduceStream | undefined {
    const topic = this.#topics.get(queue.topic);
    const leader = this.#cluster.topic(queue.topic)?.partitions[queue.partition]?.leader;
    const address = leader === undefined ? undefined : this.#cluster.address(leader);
    if (leader === undefined || address === undefined) {
      if (nowMs >= queue.blockedUntilMs && topic !== undefined) {
        const why = leader === undefined ? undefined : this.#cluster.whyUnreachable(leader);
        this.#settleAll(queue, queue.rewind(nowMs, noLeader(queue, why)).settled);
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

  /**
   * Fills messages for one broker, one batch of each partition in turn so that none waits behind
   * another's backlog.
   */
  #fill(stream: ProduceStream, queues: readonly PartitionQueue[], nowMs: number): void {
    let sendings: Sending[] = [];
    let bytes = 0;
    for (let wasSent = true; wasSent; ) {
      wasSent = false;
      for (const queue of queues) {
        const roomBytes = Math.min(stream.room(bytes), bytes === 0 ? Infinity : MESSAGE_BYTES);
        const sending = this.#takeFrom(queue, nowMs, roomBytes, stream.batchBytesMax);
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

  #takeFrom(
    queue: PartitionQueue,
    ...room: Parameters<PartitionQueue['take']>
  ): Sending | undefined {
    const batch = queue.take(...room);
    if (batch?.frame === undefined) return undefined;
    if (batch.attempts > 1) this.#deliveries.retried();
    return { queue, batch, attempt: batch.attempts, frame: batch.frame };
  }

  #open(brokerId: number, address: string): ProduceStream {
    const stream = new ProduceStream(
      brokerId,
      address,
      this.#connections.stream(address, PRODUCE_METHOD),
      this.#connections.clock,
      {
        onResult: (sending, { baseOffset, error }) => {
          const { queue, batch, attempt } = sending;
          if (error === undefined) {
            const known = this.#settings.acks === 'none' ? -1 : baseOffset;
            this.#onVerdict(
              queue,
              queue.onResult(
                batch,
                attempt,
                { kind: 'delivered', baseOffset: known },
                this.#nowMs(),
              ),
            );
            return;
          }
          const failure = fromWire(error);
          const { leader, leaderEpoch } = failure.details;
          this.#onVerdict(
            queue,
            queue.onResult(batch, attempt, { kind: 'failed', error: failure }, this.#nowMs()),
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

  /**
   * The pause after a refusal is for asking the same broker again: where another is known to lead,
   * it is asked at once.
   */
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
    const nowMs = this.#nowMs();
    for (const [queue, last] of this.#active) {
      if (last !== stream) continue;
      this.#active.set(queue, undefined);
      this.#onVerdict(queue, { settled: queue.rewind(nowMs, error).settled, needsRefresh: true });
    }
    this.#schedulePump();
  }

  #scheduleWake(nowMs: number): void {
    let atMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#active.keys()) {
      const wakeAtMs = queue.wakeAtMs(nowMs);
      if (wakeAtMs !== undefined && wakeAtMs > nowMs) atMs = Math.min(atMs, wakeAtMs);
    }
    if (atMs === this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#wakeAtMs = atMs;
    if (atMs === Number.POSITIVE_INFINITY) return;
    this.#cancelWake = this.#connections.clock.after(Math.max(1, atMs - nowMs), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  /** Everything that only time brings about: timeouts, and brokers that fell silent. */
  #tick(): void {
    const nowMs = this.#nowMs();
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
    this.#cancelTicks?.();
    this.#cancelTicks = undefined;
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
      this.#deliveries.failed(topic.name, waiting, error);
  }

  #failTopic(topic: TopicState, error: TidemarkError): void {
    for (const waiting of topic.waiting.splice(0))
      this.#deliveries.failed(topic.name, waiting, error);
    for (const queue of topic.queues) this.#settleAll(queue, queue.abandon(error));
  }

  #settleAll(queue: PartitionQueue, settled: readonly Settlement[]): void {
    for (const one of settled) this.#deliveries.settled(queue, one);
  }
}
