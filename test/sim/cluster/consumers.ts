/**
 * Queues whose consumers come and go while the cluster is struck, and what is promised of them:
 * every acknowledged record is accepted or dead-lettered once, what was accepted never comes again,
 * numbers of deliveries are right, and keys are in order (docs/rules.md#queues).
 */
import type { Random } from '../../../base/random.ts';
import { BrokerError } from '../../../base/errors.ts';
import { QUEUES_TOPIC } from '../../../base/internal-topics.ts';
import type { QueueSettings } from '../../../base/queues.ts';
import type { Admin, Tidemark } from '../../../client/index.ts';
import { ConsumerProcess, type Delivered, type Wish } from './consumer-process.ts';
import type { Ground } from './ground.ts';
import type { History } from './history.ts';
import type { SimBroker } from './sim-broker.ts';

const CONSUMERS = 3;
const LEASE_MS = 2_000;
const LETTERS = 'letters';
const ORIGIN = 'tidemark-origin';
const MAKE_DEADLINE_MS = 5_000;
/** After that an owner that was cut off knows it. */
const CUT_OFF_MS = 30_000;

/** Stored leases say each delivery's number exactly. */
interface SimQueue {
  readonly name: string;
  readonly config: Partial<QueueSettings>;
}

export const SIM_QUEUES: readonly SimQueue[] = [
  { name: 'in-memory', config: { leaseMs: LEASE_MS } },
  { name: 'limited', config: { leaseMs: LEASE_MS, deliveriesMax: 4, deadLetterTopic: LETTERS } },
  {
    name: 'ordered',
    config: {
      ...{ leaseMs: LEASE_MS, deliveriesMax: 4, deadLetterTopic: LETTERS },
      ...{ isKeyOrdered: true, delayMsMin: 50 },
    },
  },
];

export interface ConsumersParts {
  readonly ground: Ground;
  readonly history: History;
  readonly random: Random;
  /** None of its records is retired, or lost. */
  readonly topic: string;
  readonly brokers: readonly SimBroker[];
  readonly meanTurnMs: number;
  readonly admin: Admin;
}

/** What is known of one record in one queue. */
interface Known {
  readonly numbers: Map<number, string>;
  readonly key: string | null;
  firstMs: number;
  isAcceptTried: boolean;
  /** Deliveries whose acceptance was asked for, and not refused for certain. */
  readonly acceptances: Set<number>;
  /** It was asked to be anything that ends it, or was delivered as often as it may be. */
  isSettledTried: boolean;
  acceptedMs: number | null;
  /** The delivery that was accepted. */
  acceptedDelivery: number;
  isRejected: boolean;
}

/** Letters of one record. */
interface Buried {
  readonly count: number;
  readonly deliveries: number;
  readonly isRejected: boolean;
}

export class Consumers {
  readonly #parts: ConsumersParts;
  readonly #processes: ConsumerProcess[] = [];
  /** By queue, then partition and offset. */
  readonly #known = new Map<string, Map<string, Known>>();
  readonly #ids = new Map<string, string>();
  readonly #faults: string[] = [];
  deliveries = 0;
  accepted = 0;
  letters = 0;

  constructor(parts: ConsumersParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#make().catch((error: unknown) => {
      this.#parts.ground.fail(`queues could not be made: ${String(error)}`);
    });
  }

  calm(): void {
    for (const process of this.#processes) process.calm();
  }

  /** Why not everything is settled yet; null: it is. */
  whyOpen(): string | null {
    const { ground, topic, brokers } = this.#parts;
    if (this.#processes.length === 0) return 'no queue was made';
    const image = brokers.find(({ isServing }) => isServing)?.broker?.image();
    const topicId = image?.topicIdsByName.get(topic);
    const partitions = image?.topics.get(topicId ?? '')?.partitions ?? [];
    for (const { name } of SIM_QUEUES)
      for (const { partition } of partitions) {
        const why = this.#whyPartitionOpen(this.#ids.get(name) ?? '', partition);
        if (why !== null) return `queue ${name}/${partition} at ${ground.time.nowMs} ms: ${why}`;
      }
    return partitions.length === 0 ? 'there is no topic' : null;
  }

  #whyPartitionOpen(queueId: string, partition: number): string | null {
    let why = 'nobody owns it';
    for (const { broker } of this.#parts.brokers) {
      try {
        const owned = broker?.queues().owned(queueId, partition);
        if (owned === undefined || broker === null) continue;
        const { topicId } = owned.place;
        const stands = owned.report();
        const end = this.#endOf(topicId, partition);
        const open = stands.leased + stands.waiting + stands.delayed + stands.dying + stands.parked;
        return open === 0 && end !== null && stands.next >= end
          ? null
          : `${open} are open, next is ${stands.next} of ${String(end)}`;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        if (error.code !== 'NOT_LEADER') why = error.message;
      }
    }
    return why;
  }

  /** Of what a leader is sure of; null: none is. */
  #endOf(topicId: string, partition: number): number | null {
    for (const { broker } of this.#parts.brokers)
      try {
        const lag = broker?.groups().lagOf(topicId, partition, 0);
        if (lag !== undefined) return lag.endOffset;
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
      }
    return null;
  }

  /**
   * Acknowledged records that have no fate, and letters that are none or two. Rejects while that
   * cannot be said.
   */
  async check(tidemark: Tidemark): Promise<string[]> {
    const letters = await this.#lettersIn(tidemark);
    const faults = [...this.#faults];
    // All was settled before the logs were read; an owner may be about to hand over at this moment.
    const open = this.whyOpen();
    if (open !== null) throw new Error(open);
    for (const { name, config } of SIM_QUEUES) {
      const queueId = this.#ids.get(name) ?? '';
      const known = this.#known.get(name) ?? new Map<string, Known>();
      const buried = letters.get(queueId) ?? new Map<string, Buried>();
      for (const [key, { count, deliveries, isRejected }] of buried) {
        this.letters += 1;
        if (count > 1) faults.push(`${name} ${key} has ${count} letters`);
        const { isSettledTried = false } = known.get(key) ?? {};
        if (isRejected && !isSettledTried)
          faults.push(`${name} ${key} has a letter, and nobody rejected it`);
        // Some deliveries may have been lost on their way.
        if (!isRejected && deliveries !== config.deliveriesMax)
          faults.push(`${name} ${key} died of ${deliveries} deliveries`);
      }
      // What comes after the end of its record is answered as if it were that end: a rejection,
      // too, where the answer to an acceptance was lost.
      for (const [key, { isRejected, acceptances }] of known)
        if (isRejected && acceptances.size === 0 && !buried.has(key))
          faults.push(`${name} ${key} died without a letter`);
      if (config.deadLetterTopic === undefined && buried.size > 0)
        faults.push(`${name} has letters`);
      faults.push(...this.#missing(name, known, buried));
    }
    return faults.slice(0, 20);
  }

  #missing(
    name: string,
    known: ReadonlyMap<string, Known>,
    buried: ReadonlyMap<string, Buried>,
  ): string[] {
    const { history, topic } = this.#parts;
    return history.sent.flatMap(({ value, topic: sentTo, fate }) => {
      if (sentTo !== topic || fate?.kind !== 'acknowledged') return [];
      const key = `${fate.partition}/${fate.offset}`;
      if (known.get(key)?.isAcceptTried === true || buried.has(key)) return [];
      return [`${value} at ${topic}/${key} has no fate in queue ${name}`];
    });
  }

  /** By queue id, then partition and offset. */
  async #lettersIn(tidemark: Tidemark): Promise<ReadonlyMap<string, Map<string, Buried>>> {
    const found = new Map<string, Map<string, Buried>>();
    await using consumer = tidemark.consumer({ topic: LETTERS, follow: false, onLoss: 'yield' });
    for await (const item of consumer.records()) {
      if ('kind' in item) continue;
      const texts = new Map(
        item.headers.map(({ key, value }) => [key, Buffer.from(value).toString()]),
      );
      const [queueId = '', , partition = '', offset = ''] = (texts.get(ORIGIN) ?? '').split('/');
      const buried = found.get(queueId) ?? new Map<string, Buried>();
      const key = `${partition}/${offset}`;
      buried.set(key, {
        count: (buried.get(key)?.count ?? 0) + 1,
        deliveries: Number(texts.get('tidemark-deliveries')),
        isRejected: texts.get('tidemark-cause') === 'rejected',
      });
      found.set(queueId, buried);
    }
    return found;
  }

  // Making them

  async #make(): Promise<void> {
    const { ground, admin, topic } = this.#parts;
    await this.#untilDone(() =>
      admin.createTopic({
        ...{ name: LETTERS, partitions: 2, replicationFactor: 3 },
        config: { minInSyncReplicas: 2, batchBytesMax: 262_144, retentionMs: -1 },
      }),
    );
    await this.#untilDone(() =>
      this.#decide({
        ...{ kind: 'make-internal-topic', topicId: ground.newUuid(), name: QUEUES_TOPIC },
      }),
    );
    for (const { name, config } of SIM_QUEUES) {
      const queueId = ground.newUuid();
      this.#ids.set(name, queueId);
      this.#known.set(name, new Map());
      await this.#untilDone(() =>
        this.#decide({
          ...{ kind: 'create-queue', queueId, name, topic, config, isFromLatest: false },
        }),
      );
      this.#startConsumers(name, config);
    }
  }

  async #decide(
    request: Parameters<NonNullable<SimBroker['broker']>['decide']>[0],
  ): Promise<unknown> {
    const broker = this.#parts.brokers.find(({ isServing }) => isServing)?.broker;
    if (broker === undefined || broker === null)
      throw new BrokerError('BROKER_NOT_READY', 'nobody serves');
    return broker.decide(request, MAKE_DEADLINE_MS);
  }

  async #untilDone(act: () => Promise<unknown>): Promise<void> {
    const { ground } = this.#parts;
    for (;;) {
      try {
        await act();
        return;
      } catch (error) {
        const code = (error as { readonly code?: string }).code ?? String(error);
        if (code === 'TOPIC_EXISTS' || code === 'QUEUE_EXISTS') return;
        ground.note(`making queues: ${code} ${String(error).slice(0, 200)}`);
        await new Promise<void>((resolve) => {
          ground.time.after(300, resolve);
        });
      }
    }
  }

  #startConsumers(queue: string, config: Partial<QueueSettings>): void {
    const { ground, random, brokers, meanTurnMs } = this.#parts;
    for (let index = 0; index < CONSUMERS; index += 1) {
      const name = `${queue}.${index}`;
      const process = new ConsumerProcess(name, {
        ...{ ground, brokers: brokers.length, queue, meanTurnMs, random: random.fork(name) },
        mayReject: config.deadLetterTopic !== undefined,
        onDelivered: (delivered) => {
          this.#onDelivered(queue, config, delivered);
        },
        onAsked: (delivered, wish) => {
          this.#onAsked(queue, config, delivered, wish);
        },
        onLost: (delivered, wish) => {
          if (wish === 'accept')
            this.#of(queue, delivered).acceptances.delete(delivered.record.delivery);
        },
        onDone: (delivered, wish) => {
          this.#onDone(queue, delivered, wish);
        },
      });
      this.#processes.push(process);
      process.start();
    }
  }

  // What consumers see

  #onDelivered(queue: string, config: Partial<QueueSettings>, delivered: Delivered): void {
    const { consumer, partition, record } = delivered;
    const { offset, delivery } = record;
    const known = this.#of(queue, delivered);
    this.deliveries += 1;
    const nowMs = this.#parts.ground.time.nowMs;
    const what = `${queue} ${partition}/${offset}#${delivery} to ${consumer}`;
    const max = config.deliveriesMax ?? 0;
    const isExact = max > 0 || config.isKeyOrdered === true;
    // A process that stood still may find an earlier delivery in its socket.
    const isLater = isExact && delivery > known.acceptedDelivery;
    if (known.acceptedMs !== null && (isLater || nowMs - known.acceptedMs > CUT_OFF_MS))
      this.#fault(`${what}: delivery ${known.acceptedDelivery} was accepted`);
    if (!isExact) return;
    const other = known.numbers.get(delivery);
    if (other !== undefined) this.#fault(`${what}: ${other} had this delivery`);
    known.numbers.set(delivery, consumer);
    if (max > 0 && delivery > max) this.#fault(`${what}: at most ${max} are allowed`);
    if (delivery >= max && max > 0) known.isSettledTried = true;
    if (config.isKeyOrdered === true) this.#checkOrder(queue, partition, record.offset, known);
  }

  /** Whatever came before under its key was to be settled by somebody. */
  #checkOrder(queue: string, partition: number, offset: number, known: Known): void {
    if (known.key === null) return;
    for (const [place, each] of this.#known.get(queue) ?? []) {
      const [otherPartition, otherOffset] = place.split('/').map(Number);
      if (otherPartition !== partition || each.key !== known.key || each === known) continue;
      if ((otherOffset ?? 0) < offset && !each.isSettledTried)
        this.#fault(`${queue} ${partition}/${offset} came before ${place} of its key was settled`);
      if ((otherOffset ?? 0) > offset && each.acceptedMs !== null)
        this.#fault(`${queue} ${partition}/${offset} came after ${place} of its key was accepted`);
    }
  }

  #onAsked(queue: string, config: Partial<QueueSettings>, delivered: Delivered, wish: Wish): void {
    const known = this.#of(queue, delivered);
    if (wish === 'accept') known.isAcceptTried = true;
    if (wish === 'accept') known.acceptances.add(delivered.record.delivery);
    if (wish === 'accept' || wish === 'reject') known.isSettledTried = true;
    const max = config.deliveriesMax ?? 0;
    if (wish === 'release' && max > 0 && delivered.record.delivery >= max)
      known.isSettledTried = true;
  }

  #onDone(queue: string, delivered: Delivered, wish: Wish): void {
    const known = this.#of(queue, delivered);
    if (wish === 'accept') {
      // The same may have been asked of a record that died meanwhile, by the number of deliveries.
      if (known.isRejected) return;
      if (known.acceptedMs === null) known.acceptedDelivery = delivered.record.delivery;
      known.acceptedMs ??= this.#parts.ground.time.nowMs;
      this.accepted += 1;
    }
    if (wish === 'reject' && known.acceptedMs === null) known.isRejected = true;
  }

  #of(queue: string, { partition, record }: Delivered): Known {
    const records = this.#known.get(queue)!;
    const place = `${partition}/${record.offset}`;
    let known = records.get(place);
    if (known === undefined) {
      known = {
        ...{ numbers: new Map(), firstMs: this.#parts.ground.time.nowMs },
        key: record.key === undefined ? null : Buffer.from(record.key).toString('hex'),
        ...{
          isAcceptTried: false,
          acceptances: new Set(),
          isSettledTried: false,
          acceptedMs: null,
        },
        ...{ acceptedDelivery: 0, isRejected: false },
      };
      records.set(place, known);
    }
    return known;
  }

  #fault(text: string): void {
    this.#faults.push(text);
    this.#parts.ground.note(`FAULT ${text}`);
  }
}
