/**
 * The leader's end of a Replicate stream: pushes frames of many partitions in few large messages,
 * and counts the follower's credit. What waits to be sent is bounded by that credit: marks are
 * merged, frames are paid for.
 */
import { CREDIT_BYTES_MAX, PARTITIONS_PER_TOPIC_MAX } from '../../base/limits.ts';
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';

import type {
  ReplicaPosition,
  ReplicateRequest,
} from '../../proto/gen/tidemark/internal/v1/replication.ts';
import type { ReplicateParts } from '../../wire/grpc/frame-messages.ts';
import type { Clock } from '../../base/clock.ts';
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import {
  type BrokerEpoch,
  type BrokerId,
  partitionKey,
  type PartitionKey,
  type TopicId,
} from '../../base/units.ts';
import type { FollowerMessage } from '../replication/types.ts';
import type { FollowerLink, PeerHandler, PushedFrames } from '../runtime/ports.ts';
import { integerField, topicIdBytes, topicIdField } from '../messages/fields.ts';
import { failCall } from '../messages/handlers.ts';
import { brokerIdField } from '../messages/topics.ts';
import { requireSpeaker } from '../messages/speaker.ts';
import type { Link, Presence } from './presence.ts';

/**
 * A message is sent once it holds this much: large enough that its cost is the bytes', small enough
 * not to hold up the next partition.
 */
const MESSAGE_BYTES_TARGET = 1024 * 1024;

/** The call, as its serializer takes it. */
export type LeaderCall = ServerDuplexStream<ReplicateRequest, ReplicateParts>;

/** Frames of one partition and epoch that wait, with the newest marks. */
interface PendingFrames {
  newest: PushedFrames;
  readonly chunks: Uint8Array[];
}

/** What a handler of Replicate needs besides the call. */
export interface TakeFollowerParts {
  readonly presence: Presence;
  readonly clock: Pick<Clock, 'soon'>;
}

/**
 * Handler of Replicate. `handler` throws BROKER_NOT_READY while the runtime has not begun to serve.
 */
export function takeFollower(
  call: LeaderCall,
  handler: () => PeerHandler,
  { presence, clock }: TakeFollowerParts,
): void {
  let stream: LeaderStream | null = null;
  let link: Link | null = null;
  let isEnded = false;
  call.on('data', (request: ReplicateRequest) => {
    if (stream === null) {
      stream = greet(call, request, handler(), clock);
      link = presence.established(stream.brokerId);
      call.sendMetadata(new Metadata());
    } else if (request.hello !== undefined) {
      throw new BrokerError(
        'INVALID_ARGUMENT',
        'hello is present again, must be in the first message only',
      );
    }
    stream.take(request, handler());
  });
  call.on('end', () => {
    isEnded = true;
    call.end();
  });
  call.on('drain', () => stream?.onDrain());
  call.on('error', () => undefined);
  // Also follows an orderly end.
  call.on('cancelled', () => {
    if (isEnded || stream?.isEnded === true) presence.ended(link);
    else presence.lost(link);
    stream?.onClosed(handler());
  });
}

function greet(
  call: LeaderCall,
  { hello }: ReplicateRequest,
  handler: PeerHandler,
  clock: Pick<Clock, 'soon'>,
): LeaderStream {
  if (hello === undefined)
    throw new BrokerError('INVALID_ARGUMENT', 'hello is absent, must be in the first message');
  const { clusterId } = handler.nodeInfo();
  if (hello.clusterId !== clusterId || clusterId === '') {
    throw new BrokerError(
      'WRONG_CLUSTER',
      `Cannot replicate: cluster is "${hello.clusterId}", must be "${clusterId}"`,
    );
  }
  const brokerId = brokerIdField('hello.broker_id', hello.brokerId);
  requireSpeaker(call, brokerId);
  const stream = new LeaderStream(call, brokerId, hello.brokerEpoch, clock);
  handler.onFollower(stream, hello.targetEpoch);
  return stream;
}

class LeaderStream implements FollowerLink {
  readonly brokerId: BrokerId;
  readonly brokerEpoch: BrokerEpoch;
  /** We ended it. */
  isEnded = false;
  readonly #call: LeaderCall;
  readonly #clock: Pick<Clock, 'soon'>;
  #creditBytes = 0;
  #pending: PendingFrames[] = [];
  readonly #newestByPartition = new Map<PartitionKey, PendingFrames>();
  #diverged: ReplicateParts['diverged'][number][] = [];
  #resets: ReplicateParts['resets'][number][] = [];
  #isScheduled = false;
  #isFull = false;
  #isClosed = false;

  constructor(
    call: LeaderCall,
    brokerId: BrokerId,
    brokerEpoch: BrokerEpoch,
    clock: Pick<Clock, 'soon'>,
  ) {
    this.#call = call;
    this.#clock = clock;
    this.brokerId = brokerId;
    this.brokerEpoch = brokerEpoch;
  }

  creditBytes(): number {
    return this.#creditBytes;
  }

  push(frames: readonly PushedFrames[]): void {
    if (this.#isClosed) return;
    // Within a message frames come first: what was said before must not be overtaken.
    if (this.#diverged.length > 0 || this.#resets.length > 0) this.#flush();
    for (const pushed of frames) this.#queue(pushed);
    this.#schedule();
  }

  send(topicId: TopicId, partition: number, message: FollowerMessage): void {
    if (this.#isClosed) return;
    const target = { topicId: topicIdBytes(topicId), partition, leaderEpoch: message.leaderEpoch };
    if (message.kind === 'diverged') {
      this.#diverged.push({ ...target, epoch: message.epoch, endOffset: message.endOffset });
    } else {
      const { startOffset, startEpoch = 0, tombstonesBelow = 0 } = message;
      this.#resets.push({ ...target, startOffset, startEpoch, tombstonesBelow });
    }
    this.#schedule();
  }

  close(reason: string): void {
    if (this.#isClosed || this.isEnded) return;
    this.isEnded = true;
    failCall(this.#call, new BrokerError('STALE_EPOCH', `Replication stream was ended: ${reason}`));
  }

  take({ positions, creditBytes }: ReplicateRequest, handler: PeerHandler): void {
    for (const position of positions) this.#takePosition(position, handler);
    if (creditBytes === 0) return;
    this.#creditBytes += creditBytes;
    integerField(
      'credit_bytes, in sum',
      this.#creditBytes,
      Number.MIN_SAFE_INTEGER,
      CREDIT_BYTES_MAX,
    );
    handler.onCredit(this);
  }

  onDrain(): void {
    this.#isFull = false;
    this.#schedule();
  }

  onClosed(handler: PeerHandler): void {
    assert(!this.#isClosed, 'a replication stream closed twice');
    this.#isClosed = true;
    this.#pending = [];
    this.#newestByPartition.clear();
    handler.onFollowerClosed(this);
  }

  #takePosition(
    { topicId, partition, start, resend, ...ends }: ReplicaPosition,
    handler: PeerHandler,
  ): void {
    const id = topicIdField('positions.topic_id', topicId);
    integerField('positions.partition', partition, 0, PARTITIONS_PER_TOPIC_MAX - 1);
    handler.onPosition(this, id, partition, {
      from: this.brokerId,
      brokerEpoch: this.brokerEpoch,
      ...ends,
      ...(start === undefined ? {} : { start }),
      ...(resend ? { resend } : {}),
    });
  }

  #queue(pushed: PushedFrames): void {
    for (const chunk of pushed.chunks) this.#creditBytes -= chunk.length;
    const key = partitionKey(pushed.topicId, pushed.partition);
    const waiting = this.#newestByPartition.get(key);
    if (waiting?.newest.leaderEpoch === pushed.leaderEpoch) {
      waiting.chunks.push(...pushed.chunks);
      waiting.newest = pushed;
      return;
    }
    const entry = { newest: pushed, chunks: [...pushed.chunks] };
    this.#pending.push(entry);
    this.#newestByPartition.set(key, entry);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFull || this.#isClosed) return;
    this.#isScheduled = true;
    this.#clock.soon(() => {
      this.#isScheduled = false;
      if (!this.#isFull) this.#flush();
    });
  }

  /** Sends everything that waits. gRPC buffers at most what the follower's credit allows. */
  #flush(): void {
    if (this.#isClosed || this.isEnded) return;
    let frames: ReplicateParts['frames'][number][] = [];
    let bytes = 0;
    for (const { newest, chunks } of this.#pending) {
      for (const part of splitChunks(chunks)) {
        if (bytes > 0 && bytes + part.bytes > MESSAGE_BYTES_TARGET) {
          this.#write({ frames, diverged: [], resets: [] });
          frames = [];
          bytes = 0;
        }
        const { topicId, partition, leaderEpoch, highWaterMark, logStartOffset } = newest;
        frames.push({
          topicId: topicIdBytes(topicId),
          partition,
          leaderEpoch,
          highWaterMark,
          logStart: logStartOffset,
          frames: part.chunks,
        });
        bytes += part.bytes;
      }
    }
    const [diverged, resets] = [this.#diverged, this.#resets];
    this.#pending = [];
    this.#newestByPartition.clear();
    this.#diverged = [];
    this.#resets = [];
    if (frames.length + diverged.length + resets.length > 0)
      this.#write({ frames, diverged, resets });
  }

  #write(parts: ReplicateParts): void {
    if (!this.#call.write(parts)) this.#isFull = true;
  }
}

/**
 * Groups of whole chunks of about the target; one chunk may exceed it. Without chunks: one empty
 * group, for news of the marks.
 */
function splitChunks(
  chunks: readonly Uint8Array[],
): { readonly chunks: Uint8Array[]; readonly bytes: number }[] {
  const groups = [{ chunks: [] as Uint8Array[], bytes: 0 }];
  for (const chunk of chunks) {
    let group = groups.at(-1)!;
    if (group.bytes > 0 && group.bytes + chunk.length > MESSAGE_BYTES_TARGET) {
      group = { chunks: [], bytes: 0 };
      groups.push(group);
    }
    group.chunks.push(chunk);
    group.bytes += chunk.length;
  }
  return groups;
}
