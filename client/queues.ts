/**
 * Queues, as a program makes, changes, looks at and deletes them: records of a topic, handed out
 * one by one (docs/queues.md). Taking records is another matter.
 */
import {
  QUEUE_DELAY_MS_MAX,
  QUEUE_DELIVERIES_MAX,
  QUEUE_LEASE_MS_MAX,
  QUEUE_LEASE_MS_MIN,
} from '../base/limits.ts';
import {
  QueueBeginning,
  type QueueBlocked as WireBlocked,
  type QueueConfig as WireConfig,
  type QueueMember as WireMember,
  type QueuePartition as WirePartition,
  type Queue as WireQueue,
  QueueServiceService as Service,
} from '../proto/gen/tidemark/v1/queues.ts';
import { topicIdFromBytes } from '../wire/batch/frame.ts';
import type { CallControl } from './abort.ts';
import { ask } from './ask.ts';
import {
  checkArgument,
  count,
  flag,
  named,
  oneOf,
  optional,
  shape,
  size,
  text,
  whole,
} from './check.ts';
import type { Cluster } from './cluster.ts';
import { fromWire, TidemarkError } from './errors.ts';

/** What a queue keeps to. */
export interface QueueConfig {
  /**
   * How long a member has a record before it is handed to another, in milliseconds: 1,000 to
   * 3,600,000; default: 30,000.
   */
  readonly leaseMs: number;
  /**
   * A record that was delivered so often, and not accepted, goes to the dead-letter topic: 0 to
   * 1,000; 0, which is the default: none does.
   */
  readonly deliveriesMax: number;
  /** Topic of records that die; empty, which is the default: there is none. */
  readonly deadLetterTopic: string;
  /** The records of a key come one after the other, in the order of the log; default: false. */
  readonly isKeyOrdered: boolean;
  /** After a dead letter its key waits until it is freed; default: false. */
  readonly parksKeys: boolean;
  /** Least delay of a record that is put back, in milliseconds; default: 0. */
  readonly delayMsMin: number;
  /** Longest delay that a member may ask for, in milliseconds; default: 3,600,000. */
  readonly delayMsMax: number;
}

/** What {@link Queues.create} takes; settings that are absent have their defaults. */
export interface CreateQueueOptions extends Partial<QueueConfig> {
  readonly topic: string;
  /**
   * Where it begins; default: `earliest`. Partitions that are added later begin at their first
   * record.
   */
  readonly from?: 'earliest' | 'latest';
}

/** A queue. */
export interface Queue {
  readonly name: string;
  /** A queue that was deleted and made again has another. */
  readonly queueId: string;
  readonly topic: string;
  readonly topicId: string;
  readonly config: QueueConfig;
}

/** Why nothing is handed out of a partition: the first of the open records that fill its window. */
export interface QueueBlocked {
  readonly offset: number;
  /** Its key; absent: it has none, it was not read, or the caller may not read the topic. */
  readonly key?: Uint8Array;
  /** `leased`, `waiting`, `dying` or `parked`. */
  readonly kind: string;
  /** Member that has it; empty: none, or not known. */
  readonly memberId: string;
}

/** How a partition of a queue stands. With an error nothing but its number is known. */
export interface QueuePartition {
  readonly partition: number;
  /** Broker that hands it out. */
  readonly owner: number;
  /** At or above it nothing was handed out. */
  readonly nextOffset: number;
  /** The first record that is not settled. */
  readonly floorOffset: number;
  /** Records that are not settled. */
  readonly lagRecords: number;
  /** How old the oldest is that was never handed out, in milliseconds; 0: there is none. */
  readonly lagMs: number;
  /** Records with members. */
  readonly leased: number;
  /** Records that are to be handed out again at once. */
  readonly waiting: number;
  /** Records that are to be handed out again later. */
  readonly delayed: number;
  /** Records on their way to the dead-letter topic. */
  readonly dying: number;
  /** How long the oldest of them is, in milliseconds. */
  readonly dyingMs: number;
  /** Dead records that hold their keys. */
  readonly parked: number;
  /** The first of them, by offset. */
  readonly parkedOffsets: readonly number[];
  /** Present: its window is full. */
  readonly blocked?: QueueBlocked;
  readonly error?: TidemarkError;
}

/** A process that takes records of a queue. */
export interface QueueMember {
  readonly memberId: string;
  /** Program and host, as it says. */
  readonly client: string;
  /** Broker that it is attached to. */
  readonly broker: number;
  /** Records that it has. */
  readonly leased: number;
}

/** One queue, and how it stands. */
export interface QueueDescription extends Queue {
  readonly partitions: readonly QueuePartition[];
  /** Of owners that answered, by id. */
  readonly members: readonly QueueMember[];
}

type Control = CallControl | undefined;

const READ = { isRead: true } as const;
const SETTINGS = {
  leaseMs: optional(whole(QUEUE_LEASE_MS_MIN, QUEUE_LEASE_MS_MAX)),
  deliveriesMax: optional(whole(0, QUEUE_DELIVERIES_MAX)),
  deadLetterTopic: optional(text),
  isKeyOrdered: optional(flag),
  parksKeys: optional(flag),
  delayMsMin: optional(whole(0, QUEUE_DELAY_MS_MAX)),
  delayMsMax: optional(whole(0, QUEUE_DELAY_MS_MAX)),
};
const CREATE = shape({
  ...SETTINGS,
  topic: named,
  from: optional(oneOf('earliest', 'latest')),
});
const ALTER = shape(SETTINGS);

/**
 * Made by `Tidemark.queues()`: makes, changes, looks at and deletes queues. Every method rejects
 * with a {@link TidemarkError}, and takes a signal last. Needs feature level 15.
 */
export class Queues {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * Makes a queue; resolves once it has begun in every partition of its topic. Rejects with
   * QUEUE_EXISTS where a queue, or a group, has the name.
   */
  async create(name: string, options: CreateQueueOptions, control?: Control): Promise<Queue> {
    const doing = 'create queue';
    checkArgument(doing, named, name, 'name');
    checkArgument(doing, CREATE, options);
    const { topic, from, ...settings } = options;
    const beginning =
      from === 'latest'
        ? QueueBeginning.QUEUE_BEGINNING_LATEST
        : QueueBeginning.QUEUE_BEGINNING_EARLIEST;
    const request = { name, topic, config: configToWire(settings), from: beginning };
    const { queue } = await ask(this.#cluster, doing, Service.createQueue, request, control);
    return queueOf(queue);
  }

  /** Changes what is stated; what is leased stays leased. Rejects with UNKNOWN_QUEUE. */
  async alter(name: string, changes: Partial<QueueConfig>, control?: Control): Promise<Queue> {
    const doing = 'alter queue';
    checkArgument(doing, named, name, 'name');
    checkArgument(doing, ALTER, changes, 'changes');
    const request = { name, config: configToWire(changes) };
    const { queue } = await ask(this.#cluster, doing, Service.alterQueue, request, control);
    return queueOf(queue);
  }

  /**
   * Forgets a queue, and what became of its records; the topic stays as it is. Rejects with
   * UNKNOWN_QUEUE.
   */
  async delete(name: string, control?: Control): Promise<void> {
    const doing = 'delete queue';
    checkArgument(doing, named, name, 'name');
    await ask(this.#cluster, doing, Service.deleteQueue, { name }, control);
  }

  /** Queues by name: of this topic; default: all. */
  async list(topic?: string, control?: Control): Promise<Queue[]> {
    const doing = 'list queues';
    checkArgument(doing, optional(named), topic, 'topic');
    const request = { topic: topic ?? '' };
    const answer = await ask(this.#cluster, doing, Service.listQueues, request, control, READ);
    return answer.queues.map(queueOf);
  }

  /** One queue, and how its partitions stand. Rejects with UNKNOWN_QUEUE. */
  async describe(name: string, control?: Control): Promise<QueueDescription> {
    const doing = 'describe queue';
    checkArgument(doing, named, name, 'name');
    const method = Service.describeQueue;
    const answer = await ask(this.#cluster, doing, method, { name }, control, READ);
    return {
      ...queueOf(answer.queue),
      partitions: answer.partitions.map(partitionOf),
      members: answer.members.map(memberOf),
    };
  }

  /** The key that a parked record holds goes on. Rejects with UNKNOWN_QUEUE. */
  async freeKey(
    name: string,
    place: { readonly partition: number; readonly offset: number },
    control?: Control,
  ): Promise<void> {
    const doing = 'free key of queue';
    checkArgument(doing, named, name, 'name');
    checkArgument(doing, shape({ partition: count, offset: size }), place, 'place');
    const { partition, offset } = place;
    const request = { name, partition, offset };
    await ask(this.#cluster, doing, Service.freeQueueKey, request, control);
  }
}

function configToWire(settings: Partial<QueueConfig>): WireConfig {
  return {
    leaseMs: settings.leaseMs,
    deliveriesMax: settings.deliveriesMax,
    deadLetterTopic: settings.deadLetterTopic,
    keyOrdered: settings.isKeyOrdered,
    parksKeys: settings.parksKeys,
    delayMinMs: settings.delayMsMin,
    delayMaxMs: settings.delayMsMax,
  };
}

function queueOf(queue: WireQueue | undefined): Queue {
  const config = queue?.config;
  if (queue === undefined || config === undefined)
    throw new TidemarkError('INTERNAL', 'The answer says nothing of the queue');
  return {
    name: queue.name,
    queueId: topicIdFromBytes(queue.queueId),
    topic: queue.topic,
    topicId: topicIdFromBytes(queue.topicId),
    config: {
      leaseMs: config.leaseMs ?? 0,
      deliveriesMax: config.deliveriesMax ?? 0,
      deadLetterTopic: config.deadLetterTopic ?? '',
      isKeyOrdered: config.keyOrdered === true,
      parksKeys: config.parksKeys === true,
      delayMsMin: config.delayMinMs ?? 0,
      delayMsMax: config.delayMaxMs ?? 0,
    },
  };
}

function partitionOf({ blocked, error, ...rest }: WirePartition): QueuePartition {
  return {
    ...rest,
    ...(blocked === undefined ? {} : { blocked: blockedOf(blocked) }),
    ...(error === undefined ? {} : { error: fromWire(error) }),
  };
}

function blockedOf({ key, ...rest }: WireBlocked): QueueBlocked {
  return { ...rest, ...(key === undefined ? {} : { key }) };
}

function memberOf({ proxy: broker, ...rest }: WireMember): QueueMember {
  return { ...rest, broker };
}
