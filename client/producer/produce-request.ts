/**
 * `tidemark.v1.ProduceRequest` on the wire with one allocation and one copy of each frame: the
 * client's hot path. Byte for byte what generated code writes, and tested against it. Source: the
 * Protocol Buffers encoding guide.
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
  requestSerialize: encodeProduceRequest,
  responseDeserialize: LogServiceService.produce.responseDeserialize,
};

// A tag is the field's number times 8, plus 2 for bytes or 0 for a varint.
const TAG_ACKS = 0x08;
const TAG_BATCHES = 0x12;
const TAG_BATCH_ID = 0x08;
const TAG_TOPIC_ID = 0x12;
const TAG_PARTITION = 0x18;
const TAG_FRAME = 0x22;
const TAG_EXPECTED_END = 0x2a;

/** The message's bytes. Numbers are safe integers of 0 or more. */
export function encodeProduceRequest(request: ProduceRequest): Buffer {
  let bytes = request.acks === 0 ? 0 : 1 + varintBytes(request.acks);
  for (const batch of request.batches) {
    const length = batchBytes(batch);
    bytes += 1 + varintBytes(length) + length;
  }
  const out = Buffer.allocUnsafe(bytes);
  let at = request.acks === 0 ? 0 : writeVarintField(out, 0, TAG_ACKS, request.acks);
  for (const batch of request.batches) {
    at = writeVarintField(out, at, TAG_BATCHES, batchBytes(batch));
    if (batch.batchId !== 0) at = writeVarintField(out, at, TAG_BATCH_ID, batch.batchId);
    if (batch.topicId.length > 0) at = writeBytesField(out, at, TAG_TOPIC_ID, batch.topicId);
    if (batch.partition !== 0) at = writeVarintField(out, at, TAG_PARTITION, batch.partition);
    if (batch.frame.length > 0) at = writeBytesField(out, at, TAG_FRAME, batch.frame);
    if (batch.condition !== undefined)
      at = writeBytesField(out, at, TAG_EXPECTED_END, endBytes(batch.condition));
  }
  return out;
}

function batchBytes(batch: ProduceBatch): number {
  const { batchId, topicId, partition, frame, condition } = batch;
  let bytes = batchId === 0 ? 0 : 1 + varintBytes(batchId);
  if (topicId.length > 0) bytes += 1 + varintBytes(topicId.length) + topicId.length;
  if (partition !== 0) bytes += 1 + varintBytes(partition);
  if (frame.length > 0) bytes += 1 + varintBytes(frame.length) + frame.length;
  if (condition !== undefined) {
    const { length } = endBytes(condition);
    bytes += 1 + varintBytes(length) + length;
  }
  return bytes;
}

function endBytes(condition: NonNullable<ProduceBatch['condition']>): Uint8Array {
  return ExpectedEnd.encode(condition.value).finish();
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

function writeVarintField(out: Uint8Array, start: number, tag: number, value: number): number {
  out[start] = tag;
  let at = start + 1;
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) {
    out[at] = (rest % 0x80) | 0x80;
    at += 1;
  }
  out[at] = rest;
  return at + 1;
}

function writeBytesField(out: Uint8Array, start: number, tag: number, bytes: Uint8Array): number {
  const at = writeVarintField(out, start, tag, bytes.length);
  out.set(bytes, at);
  return at + bytes.length;
}
