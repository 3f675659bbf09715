/**
 * Programs that use the cluster: the real client's producers and consumers, and plain calls as any
 * generated client makes them.
 */
import type { Random } from '../../../base/random.ts';
import { Cluster } from '../../../client/cluster.ts';
import { Connections } from '../../../client/connections.ts';
import {
  type ConsumedRecord,
  type LossRange,
  type Position,
  type Producer,
  Tidemark,
  TidemarkError,
} from '../../../client/index.ts';
import { AckLevel, LogServiceService } from '../../../proto/gen/tidemark/v1/log.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { BrokerError } from '../../../base/errors.ts';
import { errorFromMessage } from '../../../wire/grpc/errors.ts';
import { SimChannel } from '../kit/sim-channel.ts';
import { SimProcess } from '../kit/sim-process.ts';
import type { Ground } from './ground.ts';
import type { History, Passage, Seen, Sent, Table } from './history.ts';
import {
  type Draft,
  drawKeyed,
  type KeyedFields,
  keyedDraft,
  keyOf,
  nameOf,
  plainDraft,
} from './keyed.ts';
import { addressOf } from './sim-broker.ts';
import type { SimTopic } from './topics.ts';

const DELIVERY_TIMEOUT_MS = 20_000;
const READER_PAUSE_MS = 500;

export interface WorkloadOptions {
  readonly topics: readonly SimTopic[];
  readonly brokers: number;
  readonly appendEveryMs: number;
  readonly valueBytesMax: number;
}

export class Workload {
  readonly #ground: Ground;
  readonly #history: History;
  readonly #options: WorkloadOptions;
  readonly #random: Random;
  readonly #clients: Tidemark[] = [];
  #isOn = false;
  #sequence = 0;

  constructor(ground: Ground, history: History, options: WorkloadOptions) {
    this.#ground = ground;
    this.#history = history;
    this.#options = options;
    this.#random = ground.random.fork('workload');
  }

  /** A program on a host of its own, which knows every broker's address. */
  client(host: string): { readonly tidemark: Tidemark; readonly process: SimProcess } {
    const { time, network } = this.#ground;
    const process = new SimProcess(host, time, {
      wallMs: () => this.#ground.wallMs(),
      onThrow: (error) => {
        this.#ground.fail(
          `${host} threw: ${error instanceof Error ? String(error.stack) : String(error)}`,
        );
      },
    });
    const random = this.#random.fork(host);
    const connections = new Connections({
      clock: process.clock,
      random: () => random.below(1_000_000) / 1_000_000,
      dial: (address) => new SimChannel(network, process, host, address).channel,
    });
    const servers = Array.from({ length: this.#options.brokers }, (_, index) =>
      addressOf(index + 1),
    );
    const tidemark = new Tidemark(connections, new Cluster(connections, servers));
    this.#clients.push(tidemark);
    return { tidemark, process };
  }

  start(): void {
    this.#isOn = true;
    for (const host of ['p1', 'p2']) this.#produce(host);
    this.#callPlainly('a1');
    for (const [index, topic] of this.#options.topics.entries())
      void this.#read(`r${index + 1}`, topic);
  }

  /** Nothing new is handed in; readers go on. */
  stopSending(): void {
    this.#isOn = false;
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  /** @param record what it is, where that is not for chance to say */
  #draft(host: string, topic: string, partition: number, record?: KeyedFields): Draft {
    this.#sequence += 1;
    const name = `${host}-${this.#sequence}`;
    const filler = 'x'.repeat(this.#random.below(this.#options.valueBytesMax));
    const isKeyed = this.#options.topics.some((each) => each.name === topic && each.isKeyed);
    if (!isKeyed) return plainDraft(name, filler);
    const place = { topic, partition };
    const keyed = record === undefined ? drawKeyed(this.#random, place) : { ...place, ...record };
    this.#history.keyed.set(name, keyed);
    return keyedDraft(name, filler, keyed);
  }

  #produce(host: string): void {
    const { tidemark, process } = this.client(host);
    const producer = tidemark.producer({ deliveryTimeoutMs: DELIVERY_TIMEOUT_MS, acks: 'all' });
    const next = (): void => {
      if (!this.#isOn) return;
      this.#sendOne(host, producer);
      process.after(this.#random.below(2 * this.#options.appendEveryMs) + 1, next);
    };
    next();
  }

  #sendOne(host: string, producer: Producer): void {
    const topic = this.#random.pick(this.#options.topics);
    const partition = this.#random.below(topic.partitions);
    void this.send(host, producer, { topic: topic.name, partition });
  }

  /** Sends one record through the library's queues. Resolves with what became of it. */
  async send(
    host: string,
    producer: Producer,
    {
      topic,
      partition,
      timestampMs,
    }: {
      readonly topic: string;
      readonly partition: number;
      readonly timestampMs?: number;
    },
  ): Promise<Sent> {
    const { name, ...record } = this.#draft(host, topic, partition);
    const sent = this.#history.send(name, topic, 'producer', this.#ground.time.nowMs);
    const call = producer.send({ topic, partition, ...record, timestampMs });
    await this.#history.follow(`send ${name}`, this.#ground.time.nowMs, call).then(
      ({ offset }) => {
        this.#acknowledge(sent, partition, offset);
      },
      (error: unknown) => {
        this.#refuse(sent, error);
      },
    );
    return sent;
  }

  /** Append calls to any broker, with deadlines short and long. */
  #callPlainly(host: string): void {
    const { process } = this.client(host);
    const channels = new Map<string, SimChannel>();
    const next = (): void => {
      if (!this.#isOn) return;
      const address = addressOf(1 + this.#random.below(this.#options.brokers));
      const channel =
        channels.get(address) ?? new SimChannel(this.#ground.network, process, host, address);
      channels.set(address, channel);
      this.#appendOnce(channel, process);
      process.after(this.#random.below(4 * this.#options.appendEveryMs) + 1, next);
    };
    next();
  }

  #appendOnce(channel: SimChannel, process: SimProcess): void {
    const topic = this.#random.pick(this.#options.topics);
    const partition = this.#random.below(topic.partitions);
    const draft = this.#draft(process.name, topic.name, partition);
    const deadlineMs = this.#random.pick([100, 500, 2_000, 10_000]);
    void this.append({ channel, process }, { topic: topic.name, partition, deadlineMs }, draft);
  }

  /** One plain Append of one record. Resolves with what became of it. */
  async append(
    { channel, process }: { readonly channel: SimChannel; readonly process: SimProcess },
    {
      topic,
      partition,
      deadlineMs,
      timestampMs = 0,
      record: fields,
    }: {
      readonly topic: string;
      readonly partition: number;
      readonly deadlineMs: number;
      readonly timestampMs?: number;
      readonly record?: KeyedFields | undefined;
    },
    { name, key, value, headers } = this.#draft(process.name, topic, partition, fields),
  ): Promise<Sent> {
    const sent = this.#history.send(name, topic, 'append', this.#ground.time.nowMs);
    const record = {
      partition,
      key,
      value: value ?? new Uint8Array(0),
      headers: [...headers],
      timestampMs,
      tombstone: value === null,
    };
    const call = callUnary(
      channel.channel,
      LogServiceService.append,
      { topic, records: [record], acks: AckLevel.ACK_LEVEL_ALL, condition: undefined },
      { deadlineMs, clock: process.clock },
    );
    await this.#history.follow(`append ${name}`, this.#ground.time.nowMs, call).then(
      ({ results }) => {
        const [result] = results;
        if (result === undefined) this.#ground.fail(`append ${name} was answered without a result`);
        else if (result.error !== undefined) this.#refuse(sent, errorFromMessage(result.error));
        else this.#acknowledge(sent, result.partition, result.offset ?? -1);
      },
      (error: unknown) => {
        this.#refuse(sent, error);
      },
    );
    return sent;
  }

  #acknowledge(sent: Sent, partition: number, offset: number): void {
    const atMs = this.#ground.time.nowMs;
    sent.fate = { kind: 'acknowledged', partition, offset, atMs };
    this.#history.acknowledgeKeyed(sent.value, offset);
    this.#ground.note(`ack ${sent.value} ${sent.topic}/${partition} ${offset}`);
  }

  #refuse(sent: Sent, error: unknown): void {
    const isExpected = error instanceof BrokerError || error instanceof TidemarkError;
    if (!isExpected) {
      this.#ground.fail(`${sent.value} failed with ${String(error)}`);
      return;
    }
    sent.fate = { kind: 'refused', code: error.code, effect: error.effect };
    this.#ground.note(`refused ${sent.value} ${error.code} ${error.message.slice(0, 120)}`);
  }

  #note(
    { reader, topic, records }: Table,
    item: ConsumedRecord | LossRange,
    passing: Passing,
  ): void {
    if ('kind' in item) {
      passing.told(item);
      return;
    }
    passing.read(item);
    const { partition, offset } = item;
    const value = nameOf(item);
    const seen = { reader, topic, partition, offset, value };
    this.#history.seen.push(seen);
    if (keyOf(item) !== undefined) records.set(`${partition}/${keyOf(item)}`, seen);
    const key = this.#history.keyed.get(value)?.key;
    if (key !== keyOf(item))
      this.#ground.fail(`${reader} read "${value}" with key ${keyOf(item)}, sent was ${key}`);
  }

  /**
   * One reader of a topic, from the beginning; where it fails for a passing reason it resumes where
   * it was.
   */
  async #read(host: string, topic: SimTopic): Promise<void> {
    const { tidemark } = this.client(host);
    let positions: readonly Position[] = [];
    const passing = new Passing(host, topic.name, this.#history.passages);
    const table = { reader: host, topic: topic.name, records: new Map<string, Seen>() };
    if (topic.isKeyed) this.#history.tables.push(table);
    for (;;) {
      const consumer = tidemark.consumer({ topic: topic.name, positions, onLoss: 'yield' });
      try {
        for await (const item of consumer.records()) {
          positions = consumer.positions();
          this.#note(table, item, passing);
        }
        return;
      } catch (error) {
        if (!(error instanceof TidemarkError)) {
          this.#ground.fail(`${host} failed with ${String(error)}`);
          return;
        }
        if (error.code === 'CLOSED') return;
        this.#ground.note(`${host} ${error.code} ${error.message.slice(0, 160)}`);
        if (mayStartOver(topic, error.code)) {
          positions = [];
          passing.startOver();
          table.records.clear();
        } else if (error.retry === 'no')
          this.#history.readFaults.push(
            `${host} of ${topic.name}: ${error.code}: ${error.message}`,
          );
      } finally {
        await consumer.close();
      }
      await new Promise<void>((resolve) => this.#ground.time.after(READER_PAUSE_MS, resolve));
    }
  }
}

/** Whether a reader of the topic may find that what it had read is gone. */
function mayStartOver({ isRetired, isRemade, mayLose, isKeyed }: SimTopic, code: string): boolean {
  if (code === 'DELETIONS_MISSED') return isKeyed;
  if (code === 'OFFSET_OUT_OF_RANGE') return isRetired || isRemade;
  if (code === 'POSITION_DIVERGED') return isRemade || mayLose;
  return code === 'UNKNOWN_TOPIC' && isRemade;
}

/** Notes where one reader passes from epoch to epoch, and what it is told of there. */
class Passing {
  readonly #place: { readonly reader: string; readonly topic: string };
  readonly #passages: Passage[];
  /** By partition. */
  readonly #epochs = new Map<number, number>();
  readonly #told = new Map<number, number[]>();

  constructor(reader: string, topic: string, passages: Passage[]) {
    this.#place = { reader, topic };
    this.#passages = passages;
  }

  told({ partition, leaderEpoch }: LossRange): void {
    this.#told.set(partition, [...(this.#told.get(partition) ?? []), leaderEpoch]);
  }

  read({ partition, leaderEpoch: toEpoch }: ConsumedRecord): void {
    const fromEpoch = this.#epochs.get(partition) ?? 0;
    const told = this.#told.get(partition) ?? [];
    if (fromEpoch === toEpoch && told.length === 0) return;
    this.#passages.push({ ...this.#place, partition, fromEpoch, toEpoch, told });
    this.#epochs.set(partition, toEpoch);
    this.#told.delete(partition);
  }

  startOver(): void {
    this.#epochs.clear();
    this.#told.clear();
  }
}
