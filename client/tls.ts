/** TLS of a program's connections, as `connect` takes it. */
import { createSecureContext } from 'node:tls';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { tlsChannelCredentials } from '../wire/grpc/tls.ts';
import { TidemarkError } from './errors.ts';
import { reasonOf } from '../base/reason.ts';

/** What a program knows of its cluster's certificates. Texts are PEM, not names of files. */
export interface TlsOptions {
  /** Authorities that vouch for the servers. Default: those that Node trusts. */
  readonly ca?: string;
  /** The program's own certificate, where servers ask for one. Goes with `key`. */
  readonly cert?: string;
  /** Private key of `cert`. */
  readonly key?: string;
  /** A name in the servers' certificates, where they are dialled by another. */
  readonly serverName?: string;
}

/** Throws INVALID_ARGUMENT where texts are no PEM, or do not belong together. */
export function tlsCredentials({ ca, cert, key, serverName }: TlsOptions): ChannelCredentials {
  if ((cert === undefined) !== (key === undefined))
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Cannot connect: tls.${cert === undefined ? 'cert' : 'key'} is absent, must be given with tls.${cert === undefined ? 'key' : 'cert'}`,
    );
  const given = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
  try {
    const context = createSecureContext(given);
    const named = serverName === undefined ? {} : { serverName };
    return tlsChannelCredentials({ context: () => context, ...named });
  } catch (error) {
    const reason = reasonOf(error);
    throw new TidemarkError(
      'INVALID_ARGUMENT',
      `Cannot connect: tls cannot be used: ${reason}`,
      'no',
      {},
      error,
    );
  }
}
