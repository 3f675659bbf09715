/**
 * Connections to other brokers. Two for each address: raft and unary calls do not wait behind a
 * megabyte of frames on `data`. Service code reaches other brokers through this too, as an
 * interface that main.ts hands it. How an address that swallows packets is left stands in
 * `wire/grpc/dial.ts`.
 */
import type { Client } from '@grpc/grpc-js';

import type { Clock } from '../../base/clock.ts';
import { dial } from '../../wire/grpc/dial.ts';
import { raiseHttp2Limits } from '../../wire/grpc/transport.ts';
import type { Address } from '../runtime/ports.ts';

/** Which of the two connections. */
export type Lane = 'control' | 'data';

export class ChannelPool {
  readonly #clock: Clock;
  readonly #channels = new Map<string, Client>();

  constructor(clock: Clock) {
    raiseHttp2Limits();
    this.#clock = clock;
  }

  /** The channel to an address; connects when first used. */
  dial(address: Address, lane: Lane): Client {
    const key = channelKey(address, lane);
    const known = this.#channels.get(key);
    if (known !== undefined) return known;
    const channel = dial(targetOf(address), { clock: this.#clock });
    this.#channels.set(key, channel);
    return channel;
  }

  /** Closes connections to all other addresses. */
  retain(addresses: Iterable<Address>): void {
    const kept = new Set<string>();
    for (const address of addresses)
      kept.add(channelKey(address, 'control')).add(channelKey(address, 'data'));
    for (const [key, channel] of this.#channels) {
      if (kept.has(key)) continue;
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

function channelKey({ host, port }: Address, lane: Lane): string {
  return `${lane} ${host} ${port}`;
}
