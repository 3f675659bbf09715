/** Where a program begins: one object for a cluster, which makes producers, consumers and the admin. */
import type { ChannelCredentials } from '@grpc/grpc-js';
import { Admin } from './admin.ts';
import { Cluster } from './cluster.ts';
import { Connections } from './connections.ts';
import { Consumer } from './consumer/consumer.ts';
import type { ConsumerOptions } from './consumer/types.ts';
import { TidemarkError } from './errors.ts';
import { Producer } from './producer/producer.ts';
import type { ProducerOptions } from './producer/types.ts';

/** How to reach a cluster. */
export interface ConnectOptions {
  /** `host:port`, comma-separated or as a list. One is enough; more survive its absence. */
  readonly servers: string | readonly string[];
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials;
}

/** A cluster, as seen by one program. */
export class Tidemark {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #open = new Set<{ close(): Promise<void> }>();

  /** Use {@link connect}. */
  constructor(connections: Connections, cluster: Cluster) {
    this.#connections = connections;
    this.#cluster = cluster;
  }

  /** Throws INVALID_ARGUMENT. Its connections are its own. */
  producer(options: ProducerOptions = {}): Producer {
    return this.#keep(new Producer(this.#connections, this.#cluster, options));
  }

  /** Throws INVALID_ARGUMENT. */
  consumer(options: ConsumerOptions): Consumer {
    return this.#keep(new Consumer(this.#connections, this.#cluster, options));
  }

  admin(): Admin {
    return new Admin(this.#cluster);
  }

  /** Flushes and closes producers, closes consumers, then the connections. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#open].map((one) => one.close()));
    this.#open.clear();
    this.#connections.close();
  }

  #keep<T extends { close(): Promise<void> }>(one: T): T {
    this.#open.add(one);
    return one;
  }
}

const SERVER = /^(\[[0-9a-fA-F:.]+\]|[^\s:,/]+):([0-9]{1,5})$/;

/** A cluster behind these servers. Opens no connection yet: the first call does. Throws INVALID_ARGUMENT. */
export function connect(options: ConnectOptions): Tidemark {
  const { servers } = options;
  const list =
    typeof servers === 'string' ? servers.split(',').map((server) => server.trim()) : [...servers];
  const wrong = list.filter((server) => {
    const port = Number(SERVER.exec(server)?.[2] ?? 0);
    return port < 1 || port > 65_535;
  });
  if (list.length === 0 || wrong.length > 0) {
    const named = wrong.map((server) => `"${server}"`).join(', ');
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Cannot connect: servers holds ${named || 'nothing'}, must be host:port[,host:port]`,
    );
  }
  const connections = new Connections(options.credentials);
  return new Tidemark(connections, new Cluster(connections, list));
}
