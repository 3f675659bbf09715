/**
 * Calls and streams to one broker and no other, whatever it leads: what the client library is there
 * to spare its users.
 */
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  Client,
  credentials,
} from '@grpc/grpc-js';
import { crc32 } from 'node:zlib';
import { frameLength, topicIdToBytes } from '../../../wire/batch/frame.ts';
import {
  type AckLevel,
  type FetchRequest,
  type FetchResponse,
  LogServiceService,
  type ProduceRequest,
  type ProduceResponse,
  type ProduceResult,
} from '../../../proto/gen/tidemark/v1/log.ts';
import type { Error as WireError } from '../../../proto/gen/tidemark/v1/errors.ts';
import { callUnary } from '../../../wire/grpc/calls.ts';
import { CHANNEL_OPTIONS } from '../../../wire/grpc/transport.ts';
import { decodeBatch } from '../../../wire/records/batch.ts';
import { systemClock } from '../../../process/system-clock.ts';
import type { StoredRecord } from './history.ts';

const CREDIT_BYTES = 64 * 1024 * 1024;

type Method<Request, Response> = Parameters<typeof callUnary<Request, Response>>[1];

/** A connection to one broker. */
export function dial(address: string, secure?: ChannelCredentials): Client {
  return new Client(address, secure ?? credentials.createInsecure(), CHANNEL_OPTIONS);
}

/** One call to one broker. Rejects with a BrokerError. */
export async function callAt<Request, Response>(
  address: string,
  method: Method<Request, Response>,
  request: Request,
  deadlineMs: number,
  secure?: ChannelCredentials,
): Promise<Response> {
  const client = dial(address, secure);
  try {
    return await callUnary(client, method, request, { deadlineMs, clock: systemClock });
  } finally {
    client.close();
  }
}

/** A Produce stream to one broker. */
export class DirectProduce {
  readonly results: ProduceResult[] = [];
  readonly #client: Client;
  readonly #call: ClientDuplexStream<ProduceRequest, ProduceResponse>;
  #isOver = false;

  constructor(address: string) {
    this.#client = dial(address);
    const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
    this.#call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#call.on('data', (response: ProduceResponse) => this.results.push(...response.results));
    const end = (): void => {
      this.#isOver = true;
    };
    this.#call.on('error', end);
    this.#call.on('end', end);
  }

  /** Whether the broker, or the connection, has ended the stream. */
  get isOver(): boolean {
    return this.#isOver;
  }

  send(
    place: { topicId: string; partition: number },
    batches: ReadonlyMap<number, Uint8Array>,
    acks: AckLevel,
  ): void {
    const topicId = Buffer.from(topicIdToBytes(place.topicId));
    this.#call.write({
      acks,
      batches: [...batches].map(([batchId, frame]) => ({
        batchId,
        topicId,
        partition: place.partition,
        frame: Buffer.from(frame),
        condition: undefined,
      })),
    });
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}

/** A Fetch stream from one broker, leader or not. */
export class DirectFetch {
  readonly records: StoredRecord[] = [];
  readonly errors: WireError[] = [];
  highWaterMark = 0;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<FetchRequest, FetchResponse>;
  #isOver = false;

  constructor(
    address: string,
    place: { topicId: string; partition: number },
    secure?: ChannelCredentials,
  ) {
    this.#client = dial(address, secure);
    const { path, requestSerialize, responseDeserialize } = LogServiceService.fetch;
    this.#call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#call.on('data', (response: FetchResponse) => this.#take(response));
    const end = (): void => {
      this.#isOver = true;
    };
    this.#call.on('error', end);
    this.#call.on('end', end);
    const topicId = Buffer.from(topicIdToBytes(place.topicId));
    const { partition } = place;
    this.#call.write({
      subscribe: [
        {
          topicId,
          partition,
          offset: 0,
          leaderEpoch: 0,
          allowFollower: true,
          inSyncOnly: false,
        },
      ],
      unsubscribe: [],
      creditBytes: CREDIT_BYTES,
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #take({ partitions }: FetchResponse): void {
    for (const { partition, frames, highWaterMark, error } of partitions) {
      if (error !== undefined) this.errors.push(error);
      this.highWaterMark = Math.max(this.highWaterMark, highWaterMark);
      for (let at = 0; at < frames.length; at += frameLength(frames, at)) {
        for (const { offset, key, value } of decodeBatch(frames, at, crc32).records)
          this.records.push({ partition, offset, key, value: value ?? new Uint8Array(0) });
      }
    }
  }
}
