/**
 * TLS of channels and servers whose certificates change while they run: each connection takes what
 * is newest when it begins, and those that stand go on. Knows neither files nor identities.
 */
import { isIP, type Socket } from 'node:net';
import {
  connect as connectTls,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from 'node:tls';
import {
  CallCredentials,
  ChannelCredentials,
  type experimental,
  ServerCredentials,
} from '@grpc/grpc-js';

/** Why the server's certificate is not the one that was meant; undefined: it is. */
export type CheckServer = (host: string, certificate: PeerCertificate) => Error | undefined;

export interface ChannelTls {
  /** Authorities, and where it has one the certificate of this side. Asked for each connection. */
  readonly context: () => SecureContext;
  /** Default: one of the certificate's names is that of the server. */
  readonly check?: CheckServer;
  /** What the server is called, where that is not the host that is dialled. */
  readonly serverName?: string;
}

/**
 * Credentials of a channel. grpc-js's own name every host to the server, and Node refuses to name
 * an address so (RFC 6066).
 */
export function tlsChannelCredentials(tls: ChannelTls): ChannelCredentials {
  return new TlsChannelCredentials(tls);
}

class TlsChannelCredentials extends ChannelCredentials {
  readonly #tls: ChannelTls;

  constructor(tls: ChannelTls) {
    super();
    this.#tls = tls;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...[target, , given]: Parameters<ChannelCredentials['_createSecureConnector']>
  ): experimental.SecureConnector {
    const host = this.#tls.serverName ?? hostOf(target.path);
    const ofCalls = given ?? CallCredentials.createEmpty();
    return {
      connect: async (socket) => ({ socket: await secured(socket, host, this.#tls), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => ofCalls,
      destroy: () => undefined,
    };
  }
}

/** TLS on a socket that stands, once both sides are content with each other. */
export function secured(socket: Socket, host: string, tls: ChannelTls): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = connectTls({
      socket,
      host,
      secureContext: tls.context(),
      ALPNProtocols: ['h2'],
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(tls.check === undefined ? {} : { checkServerIdentity: tls.check }),
    });
    secure.once('secureConnect', () => resolve(secure));
    // Later ones are told by what is spoken on it.
    secure.on('error', reject);
    // Either side may go before they have agreed, without a word.
    secure.once('close', () => reject(new Error('the connection was closed before TLS stood')));
  });
}

/** Without the port, and without the brackets of IPv6. */
function hostOf(path: string): string {
  return path.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Those of a listener. */
export class LiveServerCredentials extends ServerCredentials {
  /** @param isMutual clients must show a certificate of one of the authorities */
  constructor(options: SecureContextOptions, isMutual: boolean) {
    super({ requestCert: isMutual, rejectUnauthorized: isMutual }, options);
  }

  /** Connections from now on. */
  update(options: SecureContextOptions): void {
    this.updateSecureContextOptions(options);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
