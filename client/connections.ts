/**
 * One channel per server address, and the two ways to use it. Must not know topics or brokers'
 * numbers.
 */
import { type ClientDuplexStream, Metadata, status as Status } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { fromCall, TidemarkError } from './errors.ts';
import type { ClientChannel, ClientPorts } from './ports.ts';
import type { Tracing } from './tracing.ts';

/** What a call needs of a generated method. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

const BACKOFF_MS_FIRST = 20;
const BACKOFF_MS_MAX = 500;

/**
 * Pause before try `attempt` (0, 1, ...): 20 ms doubling up to 500 ms, less up to a quarter, so
 * that clients do not come back in step.
 *
 * @param random in [0, 1)
 */
export function backoffMs(attempt: number, random: number): number {
  const base = Math.min(BACKOFF_MS_FIRST * 2 ** Math.min(attempt, 10), BACKOFF_MS_MAX);
  return base * (0.75 + random * 0.25);
}

/** Channels by address, opened on first use and kept until {@link close}. */
export class Connections {
  readonly #channels = new Map<string, ClientChannel>();
  readonly #ports: ClientPorts;
  #isClosed = false;

  constructor(ports: ClientPorts) {
    this.#ports = ports;
  }

  /** Hears of records, where the program has a provider of spans and metrics. */
  get tracing(): Tracing | undefined {
    return this.#ports.tracing;
  }

  get clock(): Clock {
    return this.#ports.clock;
  }

  /** A number in [0, 1). */
  random(): number {
    return this.#ports.random();
  }

  /** Pause before try `attempt` (0, 1, ...): see {@link backoffMs}. */
  backoffMs(attempt: number): number {
    return backoffMs(attempt, this.#ports.random());
  }

  /** Resolves after `ms`. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.after(ms, resolve);
    });
  }

  /** One request, one answer. Rejects with a {@link TidemarkError}. `signal` cancels the call. */
  unary<Request, Response>(
    address: string,
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Response> {
    const { tokens } = this.#ports;
    const once = (): Promise<Response> => this.#unary(address, method, request, options);
    if (tokens === undefined) return once();
    // A refused token did nothing: another one may be good.
    return once().catch((error: unknown) => {
      if (!(error instanceof TidemarkError) || error.code !== 'UNAUTHENTICATED') throw error;
      tokens.forget();
      return once();
    });
  }

  #unary<Request, Response>(
    address: string,
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#channel(address).makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: this.clock.wallMs() + options.timeoutMs },
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
    const call = this.#channel(address).makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
    );
    const { tokens } = this.#ports;
    // Whoever opens the next stream shows another one.
    if (tokens !== undefined)
      call.on('status', ({ code }) => {
        if (code === Status.UNAUTHENTICATED) tokens.forget();
      });
    return call;
  }

  /** Closes every channel. Calls without a connection fail; the others go on to their end. */
  close(): void {
    this.#isClosed = true;
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  #channel(address: string): ClientChannel {
    if (this.#isClosed)
      throw new TidemarkError('CLOSED', `Cannot call ${address}: the client is closed`);
    let channel = this.#channels.get(address);
    if (channel === undefined) {
      channel = this.#ports.dial(address);
      this.#channels.set(address, channel);
    }
    return channel;
  }
}
