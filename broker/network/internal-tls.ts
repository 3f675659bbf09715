/** How this broker dials others with TLS: with its own certificate, and only who is meant. */
import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { readIdentity, serverFault } from '../../base/identity.ts';
import type { BrokerId } from '../../base/units.ts';
import { secured, tlsChannelCredentials } from '../../wire/grpc/tls.ts';

export class InternalTls {
  readonly #clusterId: string;
  readonly #context: () => SecureContext;

  /** @param context the newest, with the broker's own certificate */
  constructor(clusterId: string, context: () => SecureContext) {
    this.#clusterId = clusterId;
    this.#context = context;
  }

  /** For a channel to this broker and no other. */
  credentials(brokerId: BrokerId): ChannelCredentials {
    return tlsChannelCredentials({
      context: this.#context,
      check: (_, certificate) => serverFault(certificate, this.#clusterId, brokerId),
    });
  }

  /** TLS with any broker of the cluster, on a socket that stands. */
  secure(socket: Socket, host: string): Promise<TLSSocket> {
    return secured(socket, host, {
      context: this.#context,
      check: (_, certificate) => serverFault(certificate, this.#clusterId, null),
    });
  }

  /** Which broker stands at the other end; null: none. */
  brokerAt(socket: TLSSocket): BrokerId | null {
    const identity = readIdentity(socket.getPeerCertificate().subjectaltname ?? '');
    return identity?.kind === 'broker' ? identity.brokerId : null;
  }
}
