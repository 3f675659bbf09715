/**
 * Connections to other brokers. Two for each address: raft and unary calls do not wait behind a megabyte of frames on `data`.
 * Service code reaches other brokers through this too, as an interface that main.ts hands it.
 */
import { Client, connectivityState, credentials } from '@grpc/grpc-js';

import { CHANNEL_OPTIONS, raiseHttp2Limits } from '../../proto/grpc/transport.ts';
import type { Address } from '../runtime/ports.ts';

/** Which of the two connections. */
export type Lane = 'control' | 'data';

/**
 * A connection attempt older than this is given up when the next call comes: packets to a pod that is gone may vanish for minutes, while its
 * successor listens under the same name at another address. Doubles with each attempt in vain, for grpc-js keeps the socket of an abandoned one
 * until the other side closes it, and a stopped process does not.
 */
const PATIENCE_MS_FIRST = 1_000;
const PATIENCE_MS_LAST = 30_000;

interface Channel {
  readonly client: Client;
  patienceMs: number;
  connectingSinceMs: number | null;
}

export class ChannelPool {
  readonly #channels = new Map<string, Channel>();

  constructor() {
    raiseHttp2Limits();
  }

  /** The client for an address; dials when first used. Do not keep it: the next call may need another. */
  dial(address: Address, lane: Lane): Client {
    const key = channelKey(address, lane);
    const channel = this.#channels.get(key);
    if (channel !== undefined && !isStuck(channel)) return channel.client;
    channel?.client.close();
    const client = connect(address);
    const patienceMs = Math.min(
      (channel?.patienceMs ?? PATIENCE_MS_FIRST / 2) * 2,
      PATIENCE_MS_LAST,
    );
    this.#channels.set(key, { client, patienceMs, connectingSinceMs: null });
    return client;
  }

  /** Closes connections to all other addresses. */
  retain(addresses: Iterable<Address>): void {
    const kept = new Set<string>();
    for (const address of addresses)
      kept.add(channelKey(address, 'control')).add(channelKey(address, 'data'));
    for (const [key, { client }] of this.#channels) {
      if (kept.has(key)) continue;
      client.close();
      this.#channels.delete(key);
    }
  }

  /** Closes everything. */
  close(): void {
    this.retain([]);
  }
}

function connect({ host, port }: Address): Client {
  const target = host.includes(':') ? `ipv6:[${host}]:${port}` : `dns:///${host}:${port}`;
  return new Client(target, credentials.createInsecure(), CHANNEL_OPTIONS);
}

function isStuck(channel: Channel): boolean {
  const state = channel.client.getChannel().getConnectivityState(false);
  if (state === connectivityState.READY) channel.patienceMs = PATIENCE_MS_FIRST;
  if (state !== connectivityState.CONNECTING) {
    channel.connectingSinceMs = null;
    return false;
  }
  const nowMs = performance.now();
  channel.connectingSinceMs ??= nowMs;
  return nowMs - channel.connectingSinceMs > channel.patienceMs;
}

function channelKey({ host, port }: Address, lane: Lane): string {
  return `${lane} ${host} ${port}`;
}
