/** One listener of a broker: hosts services, and knows nothing of what they do. */
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { COMMON_OPTIONS, raiseHttp2Limits } from '../../wire/grpc/transport.ts';
import { BrokerError } from '../../base/errors.ts';
import { hostPort } from '../../base/host-port.ts';
import type { Address } from '../runtime/ports.ts';
import { admitting } from './admission.ts';
import { guarded } from '../messages/guarded-service.ts';
import type { ReportDefect } from '../messages/handlers.ts';

/**
 * Calls that one connection may have open: far above any client's need, far below what exhausts
 * memory.
 */
const STREAMS_PER_CONNECTION_MAX = 1_000;

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
}

export class GrpcServer {
  readonly #server: Server;
  readonly #report: ReportDefect;
  readonly #security: ServerSecurity;

  constructor(report: ReportDefect = stopTheProcess, security: ServerSecurity = {}) {
    this.#report = report;
    this.#security = security;
    raiseHttp2Limits();
    // Without channelz, grpc-js 1.14 forgets its sessions, and a forced shutdown waits for clients
    // to leave.
    const options = {
      ...COMMON_OPTIONS,
      'grpc.enable_channelz': 1,
      'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
    };
    this.#server = new Server(options);
  }

  /** Adds a service. Before {@link listen}. */
  add<Implementation extends UntypedServiceImplementation>(
    definition: ServiceDefinition<Implementation>,
    implementation: Implementation,
  ): void {
    const { clusterId } = this.#security;
    const judged =
      clusterId === undefined ? implementation : admitting(definition, implementation, clusterId);
    const service = guarded(definition, judged, this.#report);
    this.#server.addService(service.definition, service.implementation);
  }

  /**
   * Starts to answer; resolves with the port, which differs from the asked one only when that is 0.
   * Rejects when it is taken.
   */
  listen({ host, port }: Address): Promise<number> {
    const target = hostPort(host, port);
    return new Promise((resolve, reject) => {
      const credentials = this.#security.credentials ?? ServerCredentials.createInsecure();
      this.#server.bindAsync(target, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else
          reject(
            new BrokerError('INTERNAL', `Cannot listen on ${target}: ${error.message}`, {}, error),
          );
      });
    });
  }

  /** Takes no new calls, lets those that run finish for `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#server.forceShutdown(), graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
