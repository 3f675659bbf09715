/** Which broker a member opens its next stream at, and what the end of one means for it. */
import type { Cluster } from './cluster.ts';
import type { Connections } from './connections.ts';
import type { TidemarkError } from './errors.ts';
import type { StreamEnd } from './group/member/types.ts';

export class Proxies {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  /** A broker that failed is asked last. */
  #avoided = '';
  #wasUnauthenticated = false;

  constructor(connections: Connections, cluster: Cluster) {
    this.#connections = connections;
    this.#cluster = cluster;
  }

  /** Any that is known, so that members spread over brokers; not the one that failed last. */
  choose(): string {
    const all = this.#cluster.servers;
    const others = all.filter((address) => address !== this.#avoided);
    const from = others.length > 0 ? others : all;
    return from[Math.floor(this.#connections.random() * from.length)]!;
  }

  /** A stream to the broker ended. */
  ended(address: string, { code, retry }: TidemarkError): StreamEnd {
    this.#avoided = address;
    if (code === 'FENCED') return 'fenced';
    // A token that ran out is shown anew, once.
    const isFirst = code === 'UNAUTHENTICATED' && !this.#wasUnauthenticated;
    this.#wasUnauthenticated = code === 'UNAUTHENTICATED';
    return retry !== 'no' || isFirst ? 'broken' : 'refused';
  }
}
