/** One channel per server address, and the two ways to use it. Must not know topics or brokers' numbers. */
import {
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ChannelCredentials,
  credentials as grpcCredentials,
  Metadata,
} from '@grpc/grpc-js';
import { fromCall, TidemarkError } from './errors.ts';

/** What a call needs of a generated method. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** Largest message either way: a frame of the format's largest size (8 MiB), and as much again around it. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

const CHANNEL_OPTIONS: ClientOptions = {
  // A killed broker comes back, or its successor answers, within a fraction of a second: the default first pause of 1 s would be most of the outage.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // A restarted pod keeps its name and gets another address: at the default of 30 s its partitions would stall that long.
  'grpc.dns_min_time_between_resolutions_ms': 500,
  // Proxies are for web traffic: a proxy variable in the environment must not swallow a broker's address.
  'grpc.enable_http_proxy': 0,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // HTTP/2's default of 64 KiB caps a stream near 180 MB/s (DESIGN.md section 10).
  'grpc-node.flow_control_window': 8 * 1024 * 1024,
  // A server that vanished without closing its connections is noticed after 15 s at the latest.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  // The producer re-sends by its own rules; the channel's own retries would keep a second copy of every message.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // Each client has connections of its own, so that two producers in one process do not share one window.
  'grpc.use_local_subchannel_pool': 1,
};

/** Channels by address, opened on first use and kept until {@link close}. */
export class Connections {
  readonly #clients = new Map<string, Client>();
  readonly #credentials: ChannelCredentials;
  #isClosed = false;

  constructor(credentials: ChannelCredentials = grpcCredentials.createInsecure()) {
    this.#credentials = credentials;
  }

  /** One request, one answer. Rejects with a {@link TidemarkError}. `signal` cancels the call. */
  unary<Request, Response>(
    address: string,
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#client(address).makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: Date.now() + options.timeoutMs },
        (error, response) => {
          if (response === undefined || error !== null) reject(fromCall(error, address));
          else resolve(response);
        },
      );
      options.signal?.addEventListener('abort', () => call.cancel(), { once: true });
    });
  }

  /** A stream in both directions. Its errors are gRPC's: convert them with `fromCall`. */
  stream<Request, Response>(
    address: string,
    method: UnaryMethod<Request, Response>,
  ): ClientDuplexStream<Request, Response> {
    const { path, requestSerialize, responseDeserialize } = method;
    return this.#client(address).makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  }

  /** Closes every channel; calls in flight fail. */
  close(): void {
    this.#isClosed = true;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #client(address: string): Client {
    if (this.#isClosed)
      throw new TidemarkError('CLOSED', `Cannot call ${address}: the client is closed`);
    let client = this.#clients.get(address);
    if (client === undefined) {
      client = new Client(address, this.#credentials, CHANNEL_OPTIONS);
      this.#clients.set(address, client);
    }
    return client;
  }
}
