/**
 * Where a program begins: one object for a cluster, which makes producers, consumers and the admin.
 */
import { PORT_MAX } from '../base/limits.ts';
import { ChannelCredentials } from '@grpc/grpc-js';
import { Admin } from './admin.ts';
import { checkArgument, fault, listOf, named, optional, shape, shown, text } from './check.ts';
import { Cluster } from './cluster.ts';
import type { AnyTopic } from './codecs.ts';
import { Connections } from './connections.ts';
import { systemPorts } from './ports.ts';
import { Consumer } from './consumer/consumer.ts';
import type { ConsumerOptions, KeyOf, LossOf, LossPolicy, ValueOf } from './consumer/types.ts';
import { TidemarkError } from './errors.ts';
import { GroupConsumer } from './group/group-consumer.ts';
import type { GroupOptions } from './group/types.ts';
import { Cursors, Groups } from './groups.ts';
import { QueueConsumer } from './queue/queue-consumer.ts';
import type { QueueOptions } from './queue/types.ts';
import { Queues } from './queues.ts';
import type { TokenSource } from './token.ts';
import { tlsCredentials, type TlsOptions } from './tls.ts';
import { PlainCalls } from './plain.ts';
import { Producer } from './producer/producer.ts';
import type { ProducerOptions } from './producer/types.ts';

/** How to reach a cluster. */
export interface ConnectOptions {
  /** `host:port`, comma-separated or as a list. One is enough; more survive its absence. */
  readonly servers: string | readonly string[];
  /** Default: no TLS. */
  readonly tls?: TlsOptions;
  /**
   * Shown with every call, where a listener asks who comes in; only over TLS. A function is called
   * again before the token ends, and once when a broker refuses it.
   */
  readonly token?: TokenSource;
  /** In place of `tls`, whatever grpc-js can do. */
  readonly credentials?: ChannelCredentials;
}

/** A cluster, as seen by one program. */
export class Tidemark {
  readonly #connections: Connections;
  readonly #cluster: Cluster;
  readonly #open = new Set<{ close(): Promise<void> }>();
  readonly #plain: PlainCalls;

  /** Use {@link connect}. */
  constructor(connections: Connections, cluster: Cluster) {
    this.#connections = connections;
    this.#cluster = cluster;
    // As given: others become known later.
    this.#plain = new PlainCalls(connections, cluster.servers);
  }

  /** Throws INVALID_ARGUMENT. Its connections are its own. */
  producer(options: ProducerOptions = {}): Producer {
    return this.#keep(new Producer(this.#connections, this.#cluster, options));
  }

  /** Throws INVALID_ARGUMENT. */
  consumer<T extends string | AnyTopic, const P extends LossPolicy = 'throw'>(
    options: ConsumerOptions<T> & { readonly onLoss?: P },
  ): Consumer<KeyOf<T>, ValueOf<T>, LossOf<P>> {
    return this.#keep(new Consumer(this.#connections, this.#cluster, options));
  }

  /**
   * A member of a group: it joins when it is iterated over, or run. Needs feature level 13. Throws
   * INVALID_ARGUMENT.
   */
  group<T extends string | AnyTopic, const P extends LossPolicy = 'throw'>(
    group: string,
    options: GroupOptions<T> & { readonly onLoss?: P },
  ): GroupConsumer<KeyOf<T>, ValueOf<T>, LossOf<P>> {
    return this.#keep(new GroupConsumer(this.#connections, this.#cluster, group, options));
  }

  /**
   * A member of a queue: it joins when it is iterated over, or run. Needs feature level 15. Throws
   * INVALID_ARGUMENT.
   */
  queue<T extends string | AnyTopic = string>(
    queue: string,
    options: QueueOptions<T> = {},
  ): QueueConsumer<KeyOf<T>, ValueOf<T>> {
    return this.#keep(new QueueConsumer(this.#connections, this.#cluster, queue, options));
  }

  /** Cursors of a group, for programs that commit by themselves. Throws INVALID_ARGUMENT. */
  cursors(group: string): Cursors {
    return new Cursors(this.#connections, this.#cluster, group);
  }

  groups(): Groups {
    return new Groups(this.#connections, this.#cluster);
  }

  /** Makes, changes, looks at and deletes queues. */
  queues(): Queues {
    return new Queues(this.#cluster);
  }

  /**
   * Appends and reads through the given servers alone, where brokers' own addresses cannot be
   * dialled.
   */
  plain(): PlainCalls {
    return this.#plain;
  }

  admin(): Admin {
    return new Admin(this.#cluster);
  }

  /** {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
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

const OPTIONS = shape({
  servers: (value, name) => {
    const isList = typeof value === 'string' || Array.isArray(value);
    if (!isList) return [fault(name, value, 'host:port[,host:port], or a list of them')];
    return typeof value === 'string' ? [] : listOf(text)(value, name);
  },
  tls: optional(
    shape({
      ca: optional(named),
      cert: optional(named),
      key: optional(named),
      serverName: optional(named),
    }),
  ),
  token: optional((value, name) =>
    typeof value === 'function' || (typeof value === 'string' && value !== '')
      ? []
      : [`${name} is no token, must be a string that is not empty, or a function`],
  ),
  credentials: optional((value, name) =>
    value instanceof ChannelCredentials
      ? []
      : [fault(name, value, 'ChannelCredentials of @grpc/grpc-js')],
  ),
});

const SERVER = /^(\[[0-9a-fA-F:.]+\]|[^\s:,/]+):([0-9]{1,5})$/;

/**
 * A cluster behind these servers. Opens no connection yet: the first call does. Throws
 * INVALID_ARGUMENT.
 */
export function connect(options: ConnectOptions): Tidemark {
  checkArgument('connect', OPTIONS, options);
  const { servers } = options;
  const all = (typeof servers === 'string' ? servers.split(',') : servers).map((one) => one.trim());
  // A comma at the end of a list, as templates write it, names nobody.
  const list = all.filter((one) => one !== '');
  const wrong = list.filter((server) => {
    const port = Number(SERVER.exec(server)?.[2] ?? 0);
    return port < 1 || port > PORT_MAX;
  });
  if (list.length === 0 || wrong.length > 0) {
    const given = wrong.map((server) => shown(server)).join(', ');
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Cannot connect: servers holds ${given || 'nothing'}, must be host:port[,host:port]`,
    );
  }
  const { tls, credentials } = options;
  if (tls !== undefined && credentials !== undefined)
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      'Cannot connect: tls and credentials are both given, must be one of them',
    );
  const secure = tls === undefined ? credentials : tlsCredentials(tls);
  const { token } = options;
  if (token !== undefined && secure?._isSecure() !== true)
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      'Cannot connect: token is given without tls, must be given with it: whoever listens on the way would have it',
    );
  const connections = new Connections(systemPorts(secure, token));
  return new Tidemark(connections, new Cluster(connections, list));
}
