/**
 * Certificates of `npm start -- --secure`: an authority that is kept beside the data, and what it
 * signs anew at each start. For this machine alone: whoever reads the folder is the authority.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { identityUri } from '../base/identity.ts';
import { tlsChannelCredentials } from '../wire/grpc/tls.ts';
import { type KeyedCertificate, newAuthority, newCertificate } from '../process/certificates.ts';

/** What brokers and the launcher use. */
export interface LocalCertificates {
  /** File that clients trust. */
  readonly caFile: string;
  /** Its content. */
  readonly ca: string;
  /** Of the launcher, at the brokers' own listener. */
  readonly credentials: ChannelCredentials;
  /** Options of one broker. */
  argumentsOf(brokerId: number): readonly string[];
}

const AUTHORITY = 'tidemark on this machine';

/** Makes what is missing. */
export function takeCertificates(
  dataDir: string,
  clusterId: string,
  brokerIds: readonly number[],
): LocalCertificates {
  const folder = join(dataDir, 'tls');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = (name: string): string => join(folder, name);
  const keep = (name: string, { cert, key }: KeyedCertificate): void => {
    writeFileSync(file(`${name}.key`), key, { mode: 0o600 });
    writeFileSync(file(`${name}.crt`), cert);
  };
  const caFile = file('ca.crt');
  if (!existsSync(caFile)) keep('ca', newAuthority({ commonName: AUTHORITY, days: 3_650 }));
  const ca = readFileSync(caFile, 'utf8');
  const authority = {
    commonName: AUTHORITY,
    cert: ca,
    key: readFileSync(file('ca.key'), 'utf8'),
  };
  for (const brokerId of brokerIds)
    keep(nameOf(brokerId), brokerCertificate(authority, clusterId, brokerId));
  const own = newCertificate(authority, {
    commonName: 'launcher',
    names: [identityUri({ kind: 'operator', clusterId })],
  });
  const context = createSecureContext({ ca, cert: own.cert, key: own.key });
  return {
    caFile,
    ca,
    credentials: tlsChannelCredentials({ context: () => context }),
    argumentsOf: (brokerId) => {
      const name = nameOf(brokerId);
      return tlsArguments({ cert: file(`${name}.crt`), key: file(`${name}.key`), ca: caFile });
    },
  };
}

/** Of a broker that clients and brokers dial on this machine. */
export function brokerCertificate(
  authority: KeyedCertificate & { readonly commonName: string },
  clusterId: string,
  brokerId: number,
): KeyedCertificate {
  const uri = identityUri({ kind: 'broker', clusterId, brokerId });
  const names = ['localhost', '127.0.0.1', uri];
  return newCertificate(authority, { commonName: nameOf(brokerId), names });
}

/** Options of a broker that uses these files on both listeners. */
export function tlsArguments({
  cert,
  key,
  ca,
}: Readonly<Record<'cert' | 'key' | 'ca', string>>): string[] {
  return [
    ...['--tls-cert', cert, '--tls-key', key, '--internal-tls-ca', ca],
    ...['--internal-tls-cert', cert, '--internal-tls-key', key],
  ];
}

function nameOf(brokerId: number): string {
  return `broker-${brokerId}`;
}
