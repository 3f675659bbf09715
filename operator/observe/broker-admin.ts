/**
 * The brokers' AdminService, one channel for each address. Knows calls and deadlines, not what is
 * decided with the answers. Rejections carry the broker's own message, which names what failed and
 * what is allowed.
 */
import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../../base/clock.ts';
import { dial } from '../../wire/grpc/dial.ts';
import { errorFromStatus } from '../../wire/grpc/errors.ts';

interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A topic of 2,000 partitions is a few hundred KiB; a cluster may have dozens. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const CHANNEL_OPTIONS = { 'grpc.max_receive_message_length': ANSWER_BYTES_MAX } as const;
/** Channels kept; pods come and go with addresses of their own, so old ones are closed. */
const CHANNELS_MAX = 500;

/** Calls to brokers, as whoever makes them sees it. */
export type BrokerCalls = Pick<BrokerAdmin, 'call'>;

export class BrokerAdmin {
  /** Least recently used first. */
  readonly #clients = new Map<string, Client>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One call. Rejects with a BrokerError; `signal` cancels it. */
  call<Request, Response>(
    address: string,
    method: Method<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const cancel = (): void => call.cancel();
      const call = this.#client(address).makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: this.#clock.wallMs() + options.timeoutMs },
        (error: ServiceError | null, response?: Response) => {
          options.signal.removeEventListener('abort', cancel);
          if (error !== null) reject(errorFromStatus(error));
          else resolve(response as Response);
        },
      );
      options.signal.addEventListener('abort', cancel, { once: true });
    });
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client(address: string): Client {
    const known = this.#clients.get(address);
    const client = known ?? dial(address, { clock: this.#clock, options: CHANNEL_OPTIONS });
    this.#clients.delete(address);
    const [oldest] = this.#clients;
    if (this.#clients.size >= CHANNELS_MAX && oldest !== undefined) {
      oldest[1].close();
      this.#clients.delete(oldest[0]);
    }
    this.#clients.set(address, client);
    return client;
  }
}
