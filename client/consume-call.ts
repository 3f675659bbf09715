/**
 * One Consume stream, as members of groups and of queues have it: opened, heard until it ends,
 * closed. What a broker sends that makes no sense ends it.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  type ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
} from '../proto/gen/tidemark/v1/consume.ts';
import type { UnaryMethod } from './connections.ts';
import { fromCall, fromCodec, TidemarkError } from './errors.ts';

const METHOD: UnaryMethod<ConsumeRequest, ConsumeResponse> = ConsumeServiceService.consume;

/** A message of a broker. */
export type ConsumeMessage = NonNullable<ConsumeResponse['message']>;

/** Opens a call to a broker. */
export interface Dialler {
  stream<Request, Response>(
    address: string,
    method: UnaryMethod<Request, Response>,
  ): ClientDuplexStream<Request, Response>;
}

/** Who hears what a stream brings. */
export interface CallEvents {
  readonly onMessage: (message: ConsumeMessage) => void;
  readonly onEnded: (attempt: number, error: TidemarkError) => void;
}

export class ConsumeCall {
  readonly attempt: number;
  readonly address: string;
  readonly #call: ClientDuplexStream<ConsumeRequest, ConsumeResponse>;
  readonly #events: CallEvents;
  #isOver = false;

  /** Throws CLOSED. */
  constructor(dialler: Dialler, open: ConsumeOpen, address: string, events: CallEvents) {
    this.attempt = open.attempt;
    this.address = address;
    this.#events = events;
    const call = dialler.stream(address, METHOD);
    this.#call = call;
    call.on('data', (response: ConsumeResponse) => this.#take(response));
    call.on('error', (error) => this.#end(fromCall(error, address)));
    call.on('status', () =>
      this.#end(
        new TidemarkError('UNREACHABLE', `Broker ${address} ended the member's stream`, 'refresh'),
      ),
    );
    call.write({ message: { $case: 'open', value: open } });
  }

  write(message: NonNullable<ConsumeRequest['message']>): void {
    if (!this.#isOver) this.#call.write({ message });
  }

  /** Ends the stream; nobody hears of it. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#call.cancel();
  }

  #end(error: TidemarkError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onEnded(this.attempt, error);
  }

  #take({ message }: ConsumeResponse): void {
    if (this.#isOver || message === undefined) return;
    try {
      this.#events.onMessage(message);
    } catch (cause) {
      this.#end(fromCodec(cause));
    }
  }
}
