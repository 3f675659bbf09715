/**
 * The three messages that carry batch frames, with serializers that copy a frame once (see
 * message-parts.ts). Field numbers are those of log.proto and replication.proto; the unit tests
 * hold each against generated code. Receivers use generated code, which copies nothing.
 */
import { ReplicaDiverged, ReplicaReset } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { Error as ErrorMessage } from '../../proto/gen/tidemark/v1/errors.ts';
import { CrossedLoss } from '../../proto/gen/tidemark/v1/losses.ts';
import { type AckLevel, ExpectedEnd } from '../../proto/gen/tidemark/v1/log.ts';
import { MessageParts } from './message-parts.ts';

/** `ProduceRequest`, its frames where they lie. */
export interface ProduceParts {
  readonly acks: AckLevel;
  readonly batches: readonly {
    readonly batchId: number;
    readonly topicId: Uint8Array;
    readonly partition: number;
    /** One whole frame, in any number of pieces. */
    readonly frame: readonly Uint8Array[];
    readonly expectedEnd?: ExpectedEnd | undefined;
  }[];
}

/** `FetchResponse`, its frames where they lie. */
export interface FetchParts {
  readonly partitions: readonly {
    readonly topicId: Uint8Array;
    readonly partition: number;
    readonly frames: readonly Uint8Array[];
    readonly highWaterMark: number;
    readonly logStart: number;
    readonly error: ErrorMessage | undefined;
    readonly losses: readonly CrossedLoss[];
    readonly compactedTo?: number | undefined;
    readonly tombstonesBelow?: number | undefined;
  }[];
}

/** `ReplicateResponse`, its frames where they lie. */
export interface ReplicateParts {
  readonly frames: readonly {
    readonly topicId: Uint8Array;
    readonly partition: number;
    readonly leaderEpoch: number;
    readonly frames: readonly Uint8Array[];
    readonly highWaterMark: number;
    readonly logStart: number;
  }[];
  readonly diverged: readonly ReplicaDiverged[];
  readonly resets: readonly ReplicaReset[];
}

/** Serializer of `ProduceRequest`. */
export function serializeProduce(request: ProduceParts): Buffer {
  const message = new MessageParts().number(1, request.acks);
  for (const { batchId, topicId, partition, frame, expectedEnd } of request.batches) {
    const batch = new MessageParts()
      .number(1, batchId)
      .bytes(2, [topicId])
      .number(3, partition)
      .bytes(4, frame);
    if (expectedEnd !== undefined) batch.encoded(5, ExpectedEnd.encode(expectedEnd).finish());
    message.message(2, batch);
  }
  return message.asBuffer();
}

/** Serializer of `FetchResponse`. */
export function serializeFetch(response: FetchParts): Buffer {
  const message = new MessageParts();
  for (const {
    topicId,
    partition,
    frames,
    highWaterMark,
    logStart,
    error,
    losses,
    compactedTo,
    tombstonesBelow,
  } of response.partitions) {
    const part = new MessageParts().bytes(1, [topicId]).number(2, partition).bytes(3, frames);
    part.number(4, highWaterMark).number(5, logStart);
    if (error !== undefined) part.encoded(6, ErrorMessage.encode(error).finish());
    for (const loss of losses) part.encoded(7, CrossedLoss.encode(loss).finish());
    if (compactedTo !== undefined) part.number(8, compactedTo);
    if (tombstonesBelow !== undefined) part.number(9, tombstonesBelow);
    message.message(1, part);
  }
  return message.asBuffer();
}

/** Serializer of `ReplicateResponse`. */
export function serializeReplicate(response: ReplicateParts): Buffer {
  const message = new MessageParts();
  for (const {
    topicId,
    partition,
    leaderEpoch,
    frames,
    highWaterMark,
    logStart,
  } of response.frames) {
    const part = new MessageParts()
      .bytes(1, [topicId])
      .number(2, partition)
      .number(3, leaderEpoch)
      .bytes(4, frames);
    message.message(1, part.number(5, highWaterMark).number(6, logStart));
  }
  for (const diverged of response.diverged)
    message.encoded(2, ReplicaDiverged.encode(diverged).finish());
  for (const reset of response.resets) message.encoded(3, ReplicaReset.encode(reset).finish());
  return message.asBuffer();
}
