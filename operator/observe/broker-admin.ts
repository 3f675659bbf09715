/**
 * The brokers' AdminService, one channel for each address. Knows calls and deadlines, not what is
 * decided with the answers. Rejections carry the broker's own message, which names what failed and
 * what is allowed.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import { type ChannelCredentials, type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../../base/clock.ts';
import { serverFault } from '../../base/identity.ts';
import { dial } from '../../wire/grpc/dial.ts';
import { tlsChannelCredentials } from '../../wire/grpc/tls.ts';
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

/** The operator's certificate of one cluster, its key, and whom it trusts there; texts of PEM. */
export interface PeerMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Who must stand at an address, and what it is shown. */
export interface PeerTls {
  readonly clusterId: string;
  readonly brokerId: number;
  readonly material: PeerMaterial;
}

interface Peer {
  readonly client: Client;
  /** Null: plaintext. */
  readonly tls: PeerTls | null;
}

export class BrokerAdmin {
  /** By address, least recently used first. */
  readonly #peers = new Map<string, Peer>();
  readonly #contexts = new WeakMap<PeerMaterial, SecureContext>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls to this address are made so from now on, until it is said otherwise: an address may be
   * another pod's by now. Null: in plaintext, as where nobody has said anything.
   */
  dialWith(address: string, tls: PeerTls | null): void {
    const known = this.#peers.get(address);
    if (known !== undefined && isSame(known.tls, tls)) return;
    if (known === undefined && tls === null) return;
    known?.client.close();
    this.#keep(address, this.#open(address, tls));
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
    for (const { client } of this.#peers.values()) client.close();
    this.#peers.clear();
  }

  #client(address: string): Client {
    const peer = this.#peers.get(address) ?? this.#open(address, null);
    this.#keep(address, peer);
    return peer.client;
  }

  #keep(address: string, peer: Peer): void {
    this.#peers.delete(address);
    const [oldest] = this.#peers;
    if (this.#peers.size >= CHANNELS_MAX && oldest !== undefined) {
      oldest[1].client.close();
      this.#peers.delete(oldest[0]);
    }
    this.#peers.set(address, peer);
  }

  #open(address: string, tls: PeerTls | null): Peer {
    const credentials = tls === null ? {} : { credentials: this.#credentials(tls) };
    const client = dial(address, { clock: this.#clock, options: CHANNEL_OPTIONS, ...credentials });
    return { client, tls };
  }

  #credentials({ clusterId, brokerId, material }: PeerTls): ChannelCredentials {
    const context = this.#contexts.get(material) ?? contextOf(material);
    this.#contexts.set(material, context);
    return tlsChannelCredentials({
      context: () => context,
      check: (_, certificate) => serverFault(certificate, clusterId, brokerId),
    });
  }
}

/** As brokers speak it with each other. */
function contextOf({ cert, key, ca }: PeerMaterial): SecureContext {
  return createSecureContext({ cert, key, ca, minVersion: 'TLSv1.3' });
}

function isSame(left: PeerTls | null, right: PeerTls | null): boolean {
  if (left === null || right === null) return left === right;
  return (
    left.clusterId === right.clusterId &&
    left.brokerId === right.brokerId &&
    left.material.cert === right.material.cert &&
    left.material.ca === right.material.ca
  );
}
