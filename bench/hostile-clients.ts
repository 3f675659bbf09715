/**
 * Clients that keep no bargain: one subscribes and never reads, one writes and never waits. The
 * broker's memory must not care.
 */
import { Client, credentials } from '@grpc/grpc-js';
import { crc32 } from 'node:zlib';
import { topicIdToBytes } from '../wire/batch/frame.ts';
import { AckLevel, LogServiceService } from '../proto/gen/tidemark/v1/log.ts';
import type {
  FetchRequest,
  FetchResponse,
  ProduceRequest,
  ProduceResponse,
} from '../proto/gen/tidemark/v1/log.ts';
import { CHANNEL_OPTIONS } from '../wire/grpc/transport.ts';
import { encodeBatch } from '../wire/records/batch.ts';

/** Credit that a client claims to have room for. */
const CREDIT_BYTES = 1024 * 1024 * 1024;
const RECORD_BYTES = 1_000;
const RECORDS_PER_BATCH = 500;

interface Place {
  readonly address: string;
  readonly topicId: string;
  readonly partition: number;
}

/**
 * Subscribes from the start with a gigabyte of credit, then leaves the socket unread. @returns a
 * function that ends it
 */
export function readNothing({ address, topicId, partition }: Place): () => void {
  const client = new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  const { path, requestSerialize, responseDeserialize } = LogServiceService.fetch;
  const call = client.makeBidiStreamRequest<FetchRequest, FetchResponse>(
    path,
    requestSerialize,
    responseDeserialize,
  );
  call.on('error', () => undefined);
  call.pause();
  const id = Buffer.from(topicIdToBytes(topicId));
  call.write({
    subscribe: [
      {
        topicId: id,
        partition,
        offset: 0,
        leaderEpoch: 0,
        allowFollower: false,
        inSyncOnly: false,
      },
    ],
    unsubscribe: [],
    creditBytes: CREDIT_BYTES,
  });
  return () => {
    call.cancel();
    client.close();
  };
}

/**
 * Writes batches as fast as the socket takes them and heeds no window. @returns a function that
 * ends it and tells what was answered
 */
export function neverWait({
  address,
  topicId,
  partition,
}: Place): () => { readonly sent: number; readonly refused: number } {
  const client = new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
  const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
  const call = client.makeBidiStreamRequest<ProduceRequest, ProduceResponse>(
    path,
    requestSerialize,
    responseDeserialize,
  );
  const records = Array.from({ length: RECORDS_PER_BATCH }, () => ({
    value: new Uint8Array(RECORD_BYTES),
    timestampMs: Date.now(),
  }));
  const frame = Buffer.from(encodeBatch(records, { codec: 0 }, crc32));
  const id = Buffer.from(topicIdToBytes(topicId));
  let sent = 0;
  let refused = 0;
  let isOver = false;
  call.on('error', () => {
    isOver = true;
  });
  call.on('data', ({ results }: ProduceResponse) => {
    refused += results.filter(({ error }) => error !== undefined).length;
  });
  const pump = (): void => {
    while (!isOver) {
      sent += 1;
      const isTaken = call.write({
        acks: AckLevel.ACK_LEVEL_ALL,
        batches: [{ batchId: sent, topicId: id, partition, frame, condition: undefined }],
      });
      // Only our own memory is spared here: what the socket takes is sent whatever the broker's
      // window says.
      if (!isTaken) return;
    }
  };
  call.on('drain', pump);
  pump();
  return () => {
    isOver = true;
    call.cancel();
    client.close();
    return { sent, refused };
  };
}
