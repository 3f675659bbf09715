/**
 * `tidemark.v1.ProduceRequest` on the wire with one copy of each frame, from where it was encoded
 * into the gRPC message: the client's hot path. Byte for byte what generated code writes, and
 * tested against it.
 */
import {
  type AckLevel,
  ExpectedEnd,
  LogServiceService,
  type ProduceBatch,
  type ProduceRequest,
  type ProduceResponse,
  AckLevel as WireAcks,
} from '../../proto/gen/tidemark/v1/log.ts';
import { MessageParts } from '../../wire/grpc/message-parts.ts';
import type { UnaryMethod } from '../connections.ts';
import type { Acks } from './types.ts';

/** Acknowledgements as they travel. */
export const ACK_LEVELS: Readonly<Record<Acks, AckLevel>> = {
  none: WireAcks.ACK_LEVEL_NONE,
  leader: WireAcks.ACK_LEVEL_LEADER,
  all: WireAcks.ACK_LEVEL_ALL,
};

/** The Produce stream with this module's serializer. */
export const PRODUCE_METHOD: UnaryMethod<ProduceRequest, ProduceResponse> = {
  path: LogServiceService.produce.path,
  requestSerialize: (request) => produceRequestParts(request).asBuffer(),
  responseDeserialize: LogServiceService.produce.responseDeserialize,
};

/** Fields of ProduceRequest and ProduceBatch. */
const FIELDS = { acks: 1, batches: 2 };
const BATCH_FIELDS = { batchId: 1, topicId: 2, partition: 3, frame: 4, expectedEnd: 5 };

/** The message. Numbers are safe integers of 0 or more. */
export function produceRequestParts(request: ProduceRequest): MessageParts {
  const message = new MessageParts().number(FIELDS.acks, request.acks);
  for (const batch of request.batches) message.message(FIELDS.batches, batchParts(batch));
  return message;
}

function batchParts({ batchId, topicId, partition, frame, condition }: ProduceBatch): MessageParts {
  const message = new MessageParts()
    .number(BATCH_FIELDS.batchId, batchId)
    .bytes(BATCH_FIELDS.topicId, [topicId])
    .number(BATCH_FIELDS.partition, partition)
    .bytes(BATCH_FIELDS.frame, [frame]);
  return condition === undefined
    ? message
    : message.encoded(BATCH_FIELDS.expectedEnd, ExpectedEnd.encode(condition.value).finish());
}
