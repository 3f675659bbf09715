/**
 * What every public call needs to know of the cluster: topics by name, who leads, and how to hand a
 * call on to the broker that can answer it.
 */
import { Metadata, type MethodDefinition } from '@grpc/grpc-js';

import { callUnary } from '../../wire/grpc/calls.ts';
import type { Channel } from '../../wire/grpc/channel.ts';
import type { Clock } from '../../base/clock.ts';
import { BrokerError } from '../../base/errors.ts';
import { internalAddress } from '../../base/host-port.ts';
import { type BrokerId, NO_BROKER } from '../../base/units.ts';
import type { BrokerState, MetadataImage, PartitionState, TopicState } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import type { Address } from '../runtime/ports.ts';
import { refuse } from '../messages/fields.ts';
import { remainingMs } from '../messages/deadline.ts';
import { FORWARDED_HEADER, onBehalfOf, principalOf, setPrincipal } from '../messages/principal.ts';

/**
 * Reaches other brokers; `data` is the connection for frames, and `relay` that of streams which
 * stand as long as a client's. Implemented by the pool of `network`.
 */
export type Dial = (address: Address, lane: Lane, brokerId: BrokerId) => Channel;

type Lane = 'control' | 'data' | 'relay';

export class Cluster {
  readonly broker: BrokerApi;
  readonly #dial: Dial;

  constructor(broker: BrokerApi, dial: Dial) {
    this.broker = broker;
    this.#dial = dial;
  }

  get clock(): Clock {
    return this.broker.clock;
  }

  image(): MetadataImage {
    return this.broker.image();
  }

  /** Throws UNKNOWN_TOPIC, or BROKER_NOT_READY while this broker has no metadata to know by. */
  topic(name: string): TopicState {
    const image = this.broker.image();
    const topicId = image.topicIdsByName.get(name);
    const topic = topicId === undefined ? undefined : image.topics.get(topicId);
    if (topic !== undefined) return topic;
    throw this.#absent('UNKNOWN_TOPIC', `No topic is named "${name}"`);
  }

  /** Throws BROKER_NOT_READY where "nothing" could mean "not known yet". */
  requireMetadata(): void {
    if (this.broker.isInformed()) return;
    throw new BrokerError(
      'BROKER_NOT_READY',
      `Broker ${this.broker.brokerId} is ${this.broker.phase()}`,
    );
  }

  /**
   * Only a broker in service knows what is not there: before, its metadata may be as old as its
   * last stop.
   */
  #absent(code: 'UNKNOWN_TOPIC' | 'UNKNOWN_BROKER', message: string): BrokerError {
    this.requireMetadata();
    return new BrokerError(code, message);
  }

  /** Throws UNKNOWN_PARTITION. */
  partition(topic: TopicState, partition: number): PartitionState {
    const state = topic.partitions[partition];
    if (state !== undefined) return state;
    throw new BrokerError(
      'UNKNOWN_PARTITION',
      `Topic "${topic.name}" has no partition ${partition}, must be 0 to ${topic.partitions.length - 1}`,
    );
  }

  /**
   * The partitions asked for; all of them when none is named. Throws UNKNOWN_PARTITION, and
   * INVALID_ARGUMENT for one named twice.
   */
  partitions(topic: TopicState, asked: readonly number[]): readonly number[] {
    if (asked.length === 0) return topic.partitions.map(({ partition }) => partition);
    for (const partition of asked) this.partition(topic, partition);
    if (new Set(asked).size !== asked.length)
      refuse('partitions', asked.join(', '), 'each at most once');
    return asked;
  }

  /**
   * Leader of a partition by the newest metadata. Throws UNKNOWN_TOPIC, UNKNOWN_PARTITION or
   * LEADER_UNKNOWN.
   */
  leader(topicId: string, partition: number): BrokerId {
    const topic = this.broker.image().topics.get(topicId);
    if (topic === undefined) throw this.#absent('UNKNOWN_TOPIC', `No topic has id "${topicId}"`);
    const { leader } = this.partition(topic, partition);
    if (leader === NO_BROKER)
      throw new BrokerError(
        'LEADER_UNKNOWN',
        `Partition ${topic.name}/${partition} has no leader at the moment`,
      );
    return leader;
  }

  /** Throws UNKNOWN_BROKER. */
  brokerState(brokerId: BrokerId): BrokerState {
    const state = this.broker.image().brokers.get(brokerId);
    if (state === undefined)
      throw this.#absent('UNKNOWN_BROKER', `Broker ${brokerId} is not registered`);
    return state;
  }

  isSelf(brokerId: BrokerId): boolean {
    return brokerId === this.broker.brokerId;
  }

  /**
   * Connection to another broker. Throws UNKNOWN_BROKER. Use it at once: the pool may replace it.
   */
  client(brokerId: BrokerId, lane: Lane): Channel {
    return this.#dial(internalAddress(this.brokerState(brokerId)), lane, brokerId);
  }

  /**
   * Hands a call on, for whoever made it: that broker judges it again. Rejects with what it
   * answered, or UNREACHABLE.
   *
   * @param principal empty: nobody was asked for a name
   */
  async forward<Request, Response>(
    brokerId: BrokerId,
    method: MethodDefinition<Request, Response>,
    request: Request,
    { deadlineMs, principal }: { readonly deadlineMs: number; readonly principal: string },
  ): Promise<Response> {
    const metadata = setPrincipal(new Metadata(), principal);
    metadata.set(FORWARDED_HEADER, '1');
    return callUnary(this.client(brokerId, 'control'), method, request, {
      deadlineMs,
      metadata,
      clock: this.clock,
    });
  }
}

/** What goes with a call that is handed on. */
export function handedOn(
  call: Parameters<typeof remainingMs>[0] & { readonly metadata: Metadata },
  clock: Clock,
): {
  readonly deadlineMs: number;
  readonly principal: string;
  /** The same, as requests to the controller have it. */
  readonly behalf: { readonly principal?: string };
} {
  const [principal, behalf] = [principalOf(call), onBehalfOf(call)];
  return { deadlineMs: remainingMs(call, clock), principal, behalf };
}

/** Whether another broker handed this call on. */
export function isForwarded(call: { readonly metadata: Metadata }): boolean {
  return call.metadata.get(FORWARDED_HEADER).length > 0;
}

/** Whether the same thing may succeed a little later, at this leader or another. */
export function isRetriable(error: BrokerError): boolean {
  return error.retry !== 'no';
}

/** Resolves after `pauseMs`, or as soon as metadata changed. */
export function imageChangeOr(broker: BrokerApi, pauseMs: number): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      cancelTimer();
      cancel();
      resolve();
    };
    const cancelTimer = broker.clock.after(pauseMs, finish);
    const cancel = broker.watchImage(finish);
  });
}

/**
 * Pauses between tries: doubling, from short enough for a failover that is a matter of
 * milliseconds.
 */
export class Backoff {
  static readonly #firstMs = 20;
  static readonly #lastMs = 500;
  #nextMs = Backoff.#firstMs;

  nextMs(): number {
    const pauseMs = this.#nextMs;
    this.#nextMs = Math.min(pauseMs * 2, Backoff.#lastMs);
    return pauseMs;
  }
}
