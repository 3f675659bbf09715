/**
 * `tidemark.v1.ProduceRequest` on the wire with one allocation and one copy of each frame: the client's hot path. Byte for byte what
 * generated code writes, and tested against it. Source: the Protocol Buffers encoding guide.
 */
import {
  LogServiceService,
  type ProduceRequest,
  type ProduceResponse,
} from '../../proto/gen/tidemark/v1/log.ts';
import type { UnaryMethod } from '../connections.ts';

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
  }
  return out;
}

function batchBytes(batch: ProduceRequest['batches'][number]): number {
  const { batchId, topicId, partition, frame } = batch;
  let bytes = batchId === 0 ? 0 : 1 + varintBytes(batchId);
  if (topicId.length > 0) bytes += 1 + varintBytes(topicId.length) + topicId.length;
  if (partition !== 0) bytes += 1 + varintBytes(partition);
  if (frame.length > 0) bytes += 1 + varintBytes(frame.length) + frame.length;
  return bytes;
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
