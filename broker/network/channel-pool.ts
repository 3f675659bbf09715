/**
 * Connections to other brokers. Three for each address: raft and unary calls do not wait behind a
 * megabyte of frames on `data`, nor replication behind what clients have their brokers fetch for
 * them on `relay`, where one client opens as many streams as it may. Service code reaches other
 * brokers through this too, as an interface that main.ts hands it. How an address that swallows
 * packets is left stands in `wire/grpc/dial.ts`.
 */
import type { Client } from '@grpc/grpc-js';

import type { Clock } from '../../base/clock.ts';
import { dial } from '../../wire/grpc/dial.ts';
import { raiseHttp2Limits } from '../../wire/grpc/transport.ts';
import type { BrokerId } from '../../base/units.ts';
import type { Address } from '../runtime/ports.ts';
import type { InternalTls } from './internal-tls.ts';

/** Which of the connections. */
export type Lane = 'control' | 'data' | 'relay';

export class ChannelPool {
  readonly #clock: Clock;
  readonly #tls: InternalTls | null;
  readonly #channels = new Map<string, { readonly address: Address; readonly channel: Client }>();

  /** @param tls null: none */
  constructor(clock: Clock, tls: InternalTls | null = null) {
    raiseHttp2Limits();
    this.#clock = clock;
    this.#tls = tls;
  }

  /** The channel to a broker at an address; connects when first used. */
  dial(address: Address, lane: Lane, brokerId: BrokerId): Client {
    const key = `${lane} ${placeOf(address)} ${brokerId}`;
    const known = this.#channels.get(key);
    if (known !== undefined) return known.channel;
    const credentials = this.#tls?.credentials(brokerId);
    const channel = dial(targetOf(address), {
      clock: this.#clock,
      ...(credentials === undefined ? {} : { credentials }),
    });
    this.#channels.set(key, { address, channel });
    return channel;
  }

  /** Closes connections to all other addresses. */
  retain(addresses: Iterable<Address>): void {
    const kept = new Set([...addresses].map(placeOf));
    for (const [key, { address, channel }] of this.#channels) {
      if (kept.has(placeOf(address))) continue;
      channel.close();
      this.#channels.delete(key);
    }
  }

  /** Closes everything. */
  close(): void {
    this.retain([]);
  }
}

function targetOf({ host, port }: Address): string {
  return host.includes(':') ? `ipv6:[${host}]:${port}` : `dns:///${host}:${port}`;
}

function placeOf({ host, port }: Address): string {
  return `${host} ${port}`;
}
