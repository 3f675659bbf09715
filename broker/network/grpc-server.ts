/** One listener of a broker: hosts services, and knows nothing of what they do. */
import { lookup } from 'node:dns/promises';
import { createServer, isIP, type Server as NetServer, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerInterceptor,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { COMMON_OPTIONS, raiseHttp2Limits } from '../../wire/grpc/transport.ts';
import { errorToStatus } from '../../wire/grpc/errors.ts';
import { BrokerError } from '../../base/errors.ts';
import { hostPort } from '../../base/host-port.ts';
import { reasonOf } from '../../base/reason.ts';
import { listenOptions } from '../../base/listen-options.ts';
import type { Address } from '../runtime/ports.ts';
import { admitting } from './admission.ts';
import { type Costs, defaultCosts } from './costs.ts';
import { Connections } from './connections.ts';
import { guarded } from '../messages/guarded-service.ts';
import type { ReportDefect } from '../messages/handlers.ts';
import { HELD, overloaded } from '../messages/held.ts';
import { wrapHandlers } from '../messages/wrap-handlers.ts';

/** Pause between looks for connections that do nothing. */
const SWEEP_MS = 1_000;

/** A defect that nobody is told of must not pass. */
function stopTheProcess(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** What a listener asks of those who connect. */
export interface ServerSecurity {
  /** Default: no TLS. */
  readonly credentials?: ServerCredentials;
  /** Only brokers and the operator of this cluster may call: see `admission.ts`. */
  readonly clusterId?: string;
  /** Beside TLS, and told from it by the first byte of a connection. Default: no. */
  readonly takesPlaintext?: boolean;
}

/** Of TLS: a record of the handshake (RFC 8446, 5.1). HTTP/2 begins with a letter. */
const TLS_HANDSHAKE = 0x16;

type Handler = (call: { getPeer(): string }, ...rest: unknown[]) => unknown;

export class GrpcServer {
  readonly #server: Server;
  readonly #report: ReportDefect;
  readonly #security: ServerSecurity;
  readonly #connections: Connections;
  readonly #unaryPaths = new Set<string>();
  readonly #listeners: NetServer[] = [];
  #sweep: NodeJS.Timeout | undefined;

  constructor(
    report: ReportDefect = stopTheProcess,
    security: ServerSecurity = {},
    costs: Costs = defaultCosts(),
  ) {
    this.#report = report;
    this.#security = security;
    const { streamsPerConnection, ...counted } = costs;
    raiseHttp2Limits();
    // Without channelz, grpc-js 1.14 forgets its sessions, and a forced shutdown waits for clients
    // to leave.
    const options = {
      ...COMMON_OPTIONS,
      'grpc.enable_channelz': 1,
      'grpc.max_concurrent_streams': streamsPerConnection,
      interceptors: [this.#refusing],
    };
    this.#server = new Server(options);
    this.#connections = new Connections({
      ...counted,
      isUnary: (path) => this.#unaryPaths.has(path),
      nowMs: () => performance.now(),
    });
  }

  /** Adds a service. Before {@link listen}. */
  add<Implementation extends UntypedServiceImplementation>(
    definition: ServiceDefinition<Implementation>,
    implementation: Implementation,
  ): void {
    const { clusterId, takesPlaintext = false } = this.#security;
    const judged =
      clusterId === undefined
        ? implementation
        : admitting(definition, implementation, { clusterId, takesPlaintext });
    const service = guarded(definition, this.#counting(definition, judged), this.#report);
    for (const { path, requestStream, responseStream } of Object.values<ServiceDefinition[string]>(
      definition as ServiceDefinition,
    ))
      if (!requestStream && !responseStream) this.#unaryPaths.add(path);
    this.#server.addService(service.definition, service.implementation);
  }

  /**
   * Starts to answer; resolves with the port, which differs from the asked one only when that is 0.
   * Rejects when it is taken.
   */
  async listen({ host, port }: Address): Promise<number> {
    const { credentials, takesPlaintext = false } = this.#security;
    const plain = ServerCredentials.createInsecure();
    const injector = this.#server.createConnectionInjector(credentials ?? plain);
    const open = takesPlaintext ? this.#server.createConnectionInjector(plain) : null;
    this.#sweep = setInterval(() => this.#connections.sweep(), SWEEP_MS).unref();
    let bound = port;
    try {
      for (const address of await addressesOf(host))
        bound = await this.#listenOn(address, bound, (socket) => {
          if (open === null) injector.injectConnection(socket);
          else injectByFirstByte(socket, injector, open);
        });
    } catch (error) {
      throw new BrokerError(
        'INTERNAL',
        `Cannot listen on ${hostPort(host, port)}: ${reasonOf(error)}`,
        {},
        error,
      );
    }
    return bound;
  }

  /** Takes no new calls, lets those that run finish for `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void> {
    clearInterval(this.#sweep);
    for (const listener of this.#listeners) listener.close();
    return new Promise((resolve) => {
      const cut = (): void => {
        this.#server.forceShutdown();
        this.#connections.cut();
      };
      const timer = setTimeout(cut, graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        this.#connections.close();
        resolve();
      });
    });
  }

  /** Connections are taken here and not by gRPC, so that one too many costs nothing. */
  #listenOn(host: string, port: number, inject: (socket: Socket) => void): Promise<number> {
    const listener = createServer((socket) => {
      if (this.#connections.accept(socket)) inject(socket);
    });
    this.#listeners.push(listener);
    return new Promise((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(listenOptions(host, port), () => {
        listener.off('error', reject);
        // What a connection suffers before it is one is its peer's to notice.
        listener.on('error', () => undefined);
        const address = listener.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Before anything of a call is read: a refused one costs its headers. */
  readonly #refusing: ServerInterceptor = (_, call) => {
    const excess = this.#connections.refusal(call.getPeer());
    if (excess !== null) {
      const what = excess === 'streams' ? 'Too many calls are open' : 'Too much memory is held';
      call.sendStatus(errorToStatus(overloaded(what)));
    }
    // As it is: what the type asks for stands between a call and each of its messages.
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- alike
    return call as ReturnType<ServerInterceptor>;
  };

  /** Handlers that can count with its connection what their call holds. */
  #counting<Implementation extends UntypedServiceImplementation>(
    definition: ServiceDefinition<Implementation>,
    implementation: Implementation,
  ): Implementation {
    return wrapHandlers<Handler, Implementation>(
      definition,
      implementation,
      (handler) =>
        (call, ...rest) => {
          Object.assign(call, { [HELD]: this.#connections.held(call.getPeer()) });
          return handler(call, ...rest);
        },
    );
  }
}

/** Whoever says nothing is closed as any connection without a call is. */
function injectByFirstByte(
  socket: Socket,
  tls: ConnectionInjector,
  open: ConnectionInjector,
): void {
  const fail = (): void => void socket.destroy();
  socket.once('error', fail);
  const look = (): void => {
    const first = socket.read() as Buffer | null;
    if (first === null) return;
    socket.off('readable', look);
    socket.off('error', fail);
    // In one piece: Node 26 gives a session one piece after another, also when the first has ended
    // it, and then the process ends.
    socket.unshift(first);
    (first[0] === TLS_HANDSHAKE ? tls : open).injectConnection(socket);
  };
  socket.on('readable', look);
}

/** All that a name stands for, as it resolves here. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}
