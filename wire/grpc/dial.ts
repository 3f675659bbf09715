/**
 * Makes every connection of brokers, clients and the operator. grpc-js waits for one as long as
 * TCP does, which is minutes: the address of a deleted pod refuses for half a second and then
 * swallows SYNs, and a stopped process takes connections and says nothing. Streams and calls wait
 * with it, and nobody looks the name up again.
 *
 * Here an attempt that takes too long is made to fail as a refused one does, by closing its socket.
 * Then the library does what it does well: it fails what waits, looks the name up again and comes
 * back after a pause. The sockets are found as `transport.ts` finds sessions, on Node's public
 * diagnostics channels; the context of the attempt tells them from everybody else's.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import {
  ChannelCredentials,
  type ChannelOptions,
  Client,
  credentials as grpcCredentials,
  type experimental,
} from '@grpc/grpc-js';
import type { Cancel, Clock } from '../../base/clock.ts';
import { CHANNEL_OPTIONS } from './transport.ts';

/**
 * How long an attempt may take, until the other side has answered in HTTP/2. Doubles with each
 * attempt in vain, for slow networks and busy machines.
 */
export const CONNECT_MS_FIRST = 1_000;
export const CONNECT_MS_LAST = 4_000;

type DialClock = Pick<Clock, 'after' | 'soon'>;

export interface DialOptions {
  readonly clock: DialClock;
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials;
  /** Beside and above those of every channel. */
  readonly options?: ChannelOptions;
}

/** A channel to a target of gRPC's naming, opened with its first call and again after it broke. */
export function dial(target: string, { clock, credentials, options }: DialOptions): Client {
  const bounded = new BoundedCredentials(credentials ?? grpcCredentials.createInsecure(), clock);
  return new Client(target, bounded, { ...CHANNEL_OPTIONS, ...options });
}

/** One attempt to connect to one address. */
class Attempt {
  #socket: Socket | null = null;
  /** What HTTP/2 is spoken on: with TLS, the socket inside. */
  #inner: Socket | null = null;
  #isEnded = false;
  #isGivenUp = false;
  #cancel: Cancel = () => {};

  start(clock: DialClock, boundMs: number): void {
    // A loop that stood still takes in first what has arrived meanwhile.
    this.#cancel = clock.after(boundMs, () => {
      clock.soon(() => {
        if (this.#isEnded || this.isAnswered) return;
        this.#isGivenUp = true;
        this.#socket?.destroy(new Error(`no answer within ${boundMs} ms`));
      });
    });
  }

  /** The other side's settings are the first that it says. */
  get isAnswered(): boolean {
    return this.#inner !== null && this.#inner.bytesRead > 0;
  }

  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /** The first socket of the attempt's context: later ones are others', in callbacks of calls. */
  adopt(socket: Socket): void {
    if (this.#socket === null && !this.#isEnded) this.#socket = socket;
  }

  connected(inner: Socket): void {
    this.#inner = inner;
  }

  /** Another attempt follows. Contexts may hold this one for long. */
  end(): void {
    this.#isEnded = true;
    this.#cancel();
    this.#socket = null;
    this.#inner = null;
  }

  /** Nobody wants the connection any more. Calls on one that stands may go on. */
  abandon(): void {
    if (!this.isAnswered) this.#socket?.destroy();
    this.end();
  }
}

/* eslint-disable no-restricted-syntax -- Node's channels belong to the process. */
const attempts = new AsyncLocalStorage<Attempt>();
let isSubscribed = false;
/* eslint-enable no-restricted-syntax */

function watchSockets(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe('net.client.socket', (message) => {
    attempts.getStore()?.adopt((message as { readonly socket: Socket }).socket);
  });
}

/** Credentials that bound each attempt to connect. One connector for each address of a channel. */
class BoundedCredentials extends ChannelCredentials {
  readonly #credentials: ChannelCredentials;
  readonly #clock: DialClock;

  constructor(credentials: ChannelCredentials, clock: DialClock) {
    super();
    watchSockets();
    this.#credentials = credentials;
    this.#clock = clock;
  }

  override _isSecure(): boolean {
    return this.#credentials._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...target: Parameters<ChannelCredentials['_createSecureConnector']>
  ): experimental.SecureConnector {
    return boundedConnector(this.#credentials._createSecureConnector(...target), this.#clock);
  }
}

function boundedConnector(
  connector: experimental.SecureConnector,
  clock: DialClock,
): experimental.SecureConnector {
  let attempt: Attempt | null = null;
  let boundMs = CONNECT_MS_FIRST;
  return {
    // The library calls this first in each attempt, in the context that opens the socket.
    waitForReady: () => {
      boundMs =
        attempt?.isGivenUp === true ? Math.min(boundMs * 2, CONNECT_MS_LAST) : CONNECT_MS_FIRST;
      attempt?.end();
      attempt = new Attempt();
      attempt.start(clock, boundMs);
      attempts.enterWith(attempt);
      return connector.waitForReady();
    },
    connect: async (socket) => {
      const current = attempt;
      const result = await connector.connect(socket);
      current?.connected(result.socket);
      return result;
    },
    getCallCredentials: () => connector.getCallCredentials(),
    destroy: () => {
      attempt?.abandon();
      connector.destroy();
    },
  };
}
