/** What the page of a cluster may do, as whom, and how a command reaches the same cluster. Pure. */
import { resolve } from 'node:path';
import type { About, Allowed } from '../../../page/snapshot.ts';
import type { TlsPaths } from '../tls.ts';

/** What is known of the connection. */
export interface Reach {
  /** `host:port,...` */
  readonly servers: string;
  /** A command takes these servers without being told. */
  readonly isDefault: boolean;
  readonly tls: TlsPaths | undefined;
  /** The file of the token that is shown; empty: it is of no file; undefined: none is shown. */
  readonly tokenFile: string | undefined;
}

/** @param dataDir of `npm start`; empty: of another cluster, or the usual one */
export function aboutOf(
  { servers, isDefault, tls, tokenFile }: Reach,
  allow: Allowed,
  dataDir = '',
): Omit<About, 'visit'> {
  const file = (path: string | undefined): string => (path === undefined ? '' : resolve(path));
  return {
    as: asWhom(tls, tokenFile),
    allow,
    servers,
    isDefault,
    tls:
      tls === undefined
        ? null
        : { ca: file(tls.tlsCa), cert: file(tls.tlsCert), key: file(tls.tlsKey) },
    token: tokenFile === undefined ? null : { file: tokenFile === '' ? '' : resolve(tokenFile) },
    dataDir,
  };
}

function asWhom(tls: TlsPaths | undefined, tokenFile: string | undefined): string {
  if (tokenFile === '') return 'it has the rights of the token that it was started with';
  if (tokenFile !== undefined) return `it has the rights of the token in ${tokenFile}`;
  if (tls?.tlsCert !== undefined) return `it has the rights of the certificate ${tls.tlsCert}`;
  return 'it shows brokers neither token nor certificate';
}
