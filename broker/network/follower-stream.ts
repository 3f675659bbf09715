/**
 * The follower's end of a Replicate stream: states positions and credit, once per turn of the loop,
 * and takes what the leader pushes.
 */
import { PARTITIONS_PER_TOPIC_MAX } from '../../base/limits.ts';
import { type ClientDuplexStream, Metadata, status as Status } from '@grpc/grpc-js';

import {
  type ReplicaPosition,
  type ReplicateRequest,
  type ReplicateResponse,
  ReplicationServiceService,
} from '../../proto/gen/tidemark/internal/v1/replication.ts';
import type { Channel } from '../../wire/grpc/channel.ts';
import { errorFromStatus } from '../../wire/grpc/errors.ts';
import type { Clock } from '../../base/clock.ts';
import { BrokerError } from '../../base/errors.ts';
import {
  type BrokerEpoch,
  type BrokerId,
  partitionKey,
  type PartitionKey,
  type TopicId,
} from '../../base/units.ts';
import type { Position } from '../replication/types.ts';
import type { ReplicaStream, ReplicaStreamEvents } from '../runtime/ports.ts';
import { integerField, topicIdBytes, topicIdField } from '../messages/fields.ts';
import { startToMessage } from '../messages/log-start.ts';
import type { Link, Presence } from './presence.ts';

/**
 * Bytes that the leader may push before the first of them are written: the bound of what this
 * follower holds in memory for the stream.
 */
export const INITIAL_CREDIT_BYTES = 16 * 1024 * 1024;

const REPLICATE = ReplicationServiceService.replicate;

/** What the first message says. */
export interface FollowerHello {
  readonly self: BrokerId;
  readonly selfEpoch: BrokerEpoch;
  readonly targetEpoch: BrokerEpoch;
  readonly clusterId: string;
}

export interface FollowerStreamOptions {
  readonly brokerId: BrokerId;
  readonly hello: FollowerHello;
  readonly events: ReplicaStreamEvents;
  readonly presence: Presence;
  /** Null: no address is known. */
  readonly client: Channel | null;
  readonly clock: Pick<Clock, 'soon'>;
  readonly onClosed: (stream: FollowerStream) => void;
}

export class FollowerStream implements ReplicaStream {
  readonly #options: FollowerStreamOptions;
  readonly #call: ClientDuplexStream<ReplicateRequest, ReplicateResponse> | null;
  /**
   * Newest position of each partition that was not sent yet: an older one says nothing more.
   * Bounded by the partitions followed.
   */
  readonly #positions = new Map<PartitionKey, ReplicaPosition>();
  #creditBytes = INITIAL_CREDIT_BYTES;
  #isScheduled = false;
  #isFull = false;
  #isClosed = false;
  #isGreeted = false;
  #link: Link | null = null;

  constructor(options: FollowerStreamOptions) {
    this.#options = options;
    const { client, brokerId } = options;
    if (client === null) {
      this.#call = null;
      this.#options.clock.soon(() => this.#end(`no address of broker ${brokerId} is known`));
      return;
    }
    const call: ClientDuplexStream<ReplicateRequest, ReplicateResponse> =
      client.makeBidiStreamRequest(
        REPLICATE.path,
        REPLICATE.requestSerialize,
        REPLICATE.responseDeserialize,
        new Metadata(),
      );
    this.#call = call;
    this.#listen(call);
    this.#schedule();
  }

  sendPosition(topicId: TopicId, partition: number, position: Position): void {
    if (this.#isClosed) return;
    const { leaderEpoch, lastEpoch, endOffset, syncedOffset, start } = position;
    const key = partitionKey(topicId, partition);
    // A newer position replaces one that waits, but not what that one asks for.
    const resend = position.resend === true || this.#positions.get(key)?.resend === true;
    const message = {
      resend,
      topicId: topicIdBytes(topicId),
      partition,
      leaderEpoch,
      lastEpoch,
      endOffset,
      syncedOffset,
      start: start && startToMessage(start),
    };
    this.#positions.set(key, message);
    this.#schedule();
  }

  sendCredit(bytes: number): void {
    if (this.#isClosed) return;
    this.#creditBytes += bytes;
    this.#schedule();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#presence.ended(this.#link);
    this.#isClosed = true;
    this.#positions.clear();
    this.#call?.cancel();
    this.#options.onClosed(this);
  }

  get #presence(): Presence {
    return this.#options.presence;
  }

  #listen(call: ClientDuplexStream<ReplicateRequest, ReplicateResponse>): void {
    const { brokerId, events } = this.#options;
    // The leader sends headers once it has accepted the hello.
    call.on('metadata', () => {
      if (this.#isClosed) return;
      this.#link = this.#presence.established(brokerId);
      events.onOpen();
    });
    call.on('data', (response: ReplicateResponse) => {
      if (this.#isClosed) return;
      try {
        this.#take(response);
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        call.cancel();
        this.#end(error.message);
      }
    });
    call.on('drain', () => {
      this.#isFull = false;
      this.#schedule();
    });
    call.on('error', () => undefined);
    call.on('status', (status) => {
      if (status.code === Status.UNAVAILABLE || status.code === Status.CANCELLED)
        this.#presence.lost(this.#link);
      this.#end(
        status.code === Status.OK ? 'the leader ended the stream' : errorFromStatus(status).message,
      );
    });
  }

  #take(response: ReplicateResponse): void {
    const { events, hello } = this.#options;
    for (const frames of response.frames) {
      events.onFrames({
        topicId: topicIdField('frames.topic_id', frames.topicId),
        partition: integerField(
          'frames.partition',
          frames.partition,
          0,
          PARTITIONS_PER_TOPIC_MAX - 1,
        ),
        leaderEpoch: frames.leaderEpoch,
        highWaterMark: frames.highWaterMark,
        logStartOffset: frames.logStart,
        chunks: frames.frames.length === 0 ? [] : [frames.frames],
      });
    }
    for (const { topicId, partition, leaderEpoch, epoch, endOffset } of response.diverged) {
      const id = topicIdField('diverged.topic_id', topicId);
      events.onMessage(id, partition, {
        kind: 'diverged',
        to: hello.self,
        leaderEpoch,
        epoch,
        endOffset,
      });
    }
    for (const { topicId, partition, ...reset } of response.resets) {
      const id = topicIdField('resets.topic_id', topicId);
      events.onMessage(id, partition, { kind: 'reset-to', to: hello.self, ...reset });
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    this.#options.clock.soon(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isClosed || this.#call === null) return;
    if (this.#isGreeted && this.#positions.size === 0 && this.#creditBytes === 0) return;
    const { self, selfEpoch, targetEpoch, clusterId } = this.#options.hello;
    const hello = this.#isGreeted
      ? undefined
      : { clusterId, brokerId: self, brokerEpoch: selfEpoch, targetEpoch };
    const request = {
      hello,
      positions: [...this.#positions.values()],
      creditBytes: this.#creditBytes,
    };
    this.#isGreeted = true;
    this.#positions.clear();
    this.#creditBytes = 0;
    this.#isFull = !this.#call.write(request);
  }

  #end(reason: string): void {
    if (this.#isClosed) return;
    this.#presence.ended(this.#link);
    this.#isClosed = true;
    this.#positions.clear();
    this.#options.onClosed(this);
    this.#options.events.onClose(reason);
  }
}
