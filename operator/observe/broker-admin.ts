/**
 * The brokers' AdminService, one channel for each address. Knows calls and deadlines, not what is decided with the answers. Rejections carry the broker's
 * own message, which names what failed and what is allowed.
 */
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { errorFromStatus } from '../../proto/grpc/errors.ts';

interface Method<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A topic of 2,000 partitions is a few hundred KiB; a cluster may have dozens. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const CHANNEL_OPTIONS = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // A restarted pod keeps its name and gets another address: at the default of 30 s a roll would wait that long for each broker.
  'grpc.dns_min_time_between_resolutions_ms': 500,
  'grpc.enable_http_proxy': 0,
  'grpc.max_receive_message_length': ANSWER_BYTES_MAX,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_retries': 0,
} as const;
/** Channels kept; pods come and go with addresses of their own, so old ones are closed. */
const CHANNELS_MAX = 500;

/** Calls to brokers, as whoever makes them sees it. */
export type BrokerCalls = Pick<BrokerAdmin, 'call'>;

export class BrokerAdmin {
  /** Least recently used first. */
  readonly #clients = new Map<string, Client>();

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
        { deadline: Date.now() + options.timeoutMs },
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
    const client = known ?? new Client(address, credentials.createInsecure(), CHANNEL_OPTIONS);
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
