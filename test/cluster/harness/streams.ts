/** Streams of clients that are opened by the hundred, with few connections, and are not read. */
import { Client, type ClientDuplexStream, credentials, Metadata } from '@grpc/grpc-js';
import {
  ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
  ConsumeType,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { LogServiceService, ReadRequest } from '../../../proto/gen/tidemark/v1/log.ts';

/** Of one connection: fewer than a broker lets it have. */
const STREAMS_EACH = 200;

/** Which stream. */
export type Opening =
  | { readonly kind: 'read'; readonly topic: string }
  /** Each of a group of its own, whose name begins so. */
  | { readonly kind: 'member'; readonly topic: string; readonly group: string }
  | {
      readonly kind: 'consumer';
      readonly queue: string;
      readonly more?: Partial<ConsumeOpen>;
    };

/** All streams of one greedy program at one broker. */
export class ManyStreams {
  readonly #address: string;
  readonly #clients: Client[] = [];
  #opened = 0;
  /** Streams that were ended from the other side. */
  ended = 0;
  /** Streams that the broker has answered. */
  answered = 0;

  constructor(address: string) {
    this.#address = address;
  }

  open(count: number, opening: Opening): void {
    for (let each = 0; each < count; each += 1) this.openOne(opening);
  }

  openOne(opening: Opening): { readonly cancel: () => void } {
    if (this.#opened % STREAMS_EACH === 0) this.#clients.push(this.#connect());
    this.#opened += 1;
    const client = this.#clients.at(-1)!;
    const stream =
      opening.kind === 'read'
        ? read(client, opening.topic)
        : consume(client, opening, this.#opened);
    let isAnswered = false;
    stream.on('data', () => {
      if (!isAnswered) this.answered += 1;
      isAnswered = true;
    });
    stream.on('error', () => {});
    stream.on('status', () => (this.ended += 1));
    return stream;
  }

  close(): void {
    for (const client of this.#clients.splice(0)) client.close();
  }

  #connect(): Client {
    return new Client(this.#address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
  }
}

function read(client: Client, topic: string) {
  const { path, requestSerialize, responseDeserialize } = LogServiceService.read;
  const request = { ...ReadRequest.decode(new Uint8Array(0)), topic, follow: true };
  return client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    request,
    new Metadata(),
    {},
  );
}

function consume(
  client: Client,
  opening: Exclude<Opening, { readonly kind: 'read' }>,
  number: number,
): ClientDuplexStream<ConsumeRequest, ConsumeResponse> {
  const { path, requestSerialize, responseDeserialize } = ConsumeServiceService.consume;
  const call = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    new Metadata(),
    {},
  );
  const what: Partial<ConsumeOpen> =
    opening.kind === 'member'
      ? {
          ...{ group: `${opening.group}-${number}`, topics: [opening.topic] },
          type: ConsumeType.CONSUME_TYPE_GROUP,
        }
      : { group: opening.queue, type: ConsumeType.CONSUME_TYPE_QUEUE, ...opening.more };
  const usual = { ...ConsumeOpen.decode(new Uint8Array(0)), creditBytes: 1_000, creditRecords: 1 };
  call.write({ message: { $case: 'open', value: { ...usual, ...what } } });
  return call;
}
