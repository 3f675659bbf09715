/**
 * TLS of a broker's listeners and of what it dials, from the files that its options name. Each
 * listener has files of its own and takes changed ones while it runs.
 */
import type { X509Certificate } from 'node:crypto';
import { BrokerError } from '../base/errors.ts';
import type { OnFact } from '../base/events.ts';
import { CLIENT_LISTENER, INTERNAL_LISTENER } from '../base/listeners.ts';
import type { TlsPaths } from '../base/tls-paths.ts';
import { identityUri, readIdentity } from '../base/identity.ts';
import { TlsFiles, type TlsMaterial } from '../process/tls-files.ts';
import { LiveServerCredentials } from '../wire/grpc/tls.ts';
import type { Config } from './config.ts';
import type { ServerSecurity } from './network/grpc-server.ts';
import { InternalTls } from './network/internal-tls.ts';
import { reasonOf } from '../base/reason.ts';

export interface BrokerTls {
  readonly client: ServerSecurity;
  /** Of a named listener. */
  named(listener: string): ServerSecurity;
  /** In use by a named listener; null: it has no TLS. */
  certificateOf(listener: string): X509Certificate | null;
  readonly internal: ServerSecurity;
  /** For what this broker dials; null: no TLS. */
  readonly peers: InternalTls | null;
  /** Those in use. */
  certificates(): readonly { readonly listener: string; readonly notAfterMs: number }[];
  close(): void;
}

interface Listener {
  readonly files: TlsFiles;
  readonly credentials: LiveServerCredentials;
}

/** Rejects with INVALID_ARGUMENT where files cannot be used: they are told by name. */
export async function openTls(config: Config, onFact: OnFact): Promise<BrokerTls> {
  const { brokerId, clusterId, internalTls, internalTlsMode } = config;
  // What a client knows may be older than TLS 1.3; brokers are all of ours.
  const openFor = (name: string, tls: TlsPaths | null): Promise<Listener> | null =>
    tls === null ? null : openListener(name, tls, 'TLSv1.2', () => null, onFact);
  const client = await openFor(CLIENT_LISTENER, config.tls);
  const named = new Map<string, Listener | null>();
  for (const { name, tls } of config.listeners) named.set(name, await openFor(name, tls));
  const own = identityUri({ kind: 'broker', clusterId, brokerId });
  const fault = ({ subjectAltName = '' }: X509Certificate): string | null => {
    const identity = readIdentity(subjectAltName);
    if (identity !== null && identityUri(identity) === own) return null;
    return `it names ${identity === null ? 'no broker' : identityUri(identity)}, must name ${own}`;
  };
  const internal =
    internalTls === null
      ? null
      : await openListener(INTERNAL_LISTENER, internalTls, 'TLSv1.3', fault, onFact);
  const all = [[CLIENT_LISTENER, client], [INTERNAL_LISTENER, internal], ...named] as const;
  const listeners = all.flatMap(([listener, opened]) =>
    opened === null ? [] : [{ listener, files: opened.files }],
  );
  return {
    client: securityOf(client),
    named: (listener) => securityOf(named.get(listener) ?? null),
    certificateOf: (listener) => named.get(listener)?.files.material.certificate ?? null,
    internal:
      internal === null
        ? {}
        : {
            credentials: internal.credentials,
            clusterId,
            takesPlaintext: internalTlsMode !== 'require',
          },
    peers:
      internal === null || internalTlsMode === 'allow'
        ? null
        : new InternalTls(clusterId, () => internal.files.material.context),
    certificates: () =>
      listeners.map(({ listener, files }) => ({
        listener,
        notAfterMs: files.material.certificate.validToDate.getTime(),
      })),
    close: () => {
      for (const { files } of listeners) files.close();
    },
  };
}

function securityOf(opened: Listener | null): ServerSecurity {
  return opened === null ? {} : { credentials: opened.credentials };
}

async function openListener(
  listener: string,
  paths: TlsPaths,
  minVersion: 'TLSv1.2' | 'TLSv1.3',
  fault: (certificate: X509Certificate) => string | null,
  onFact: OnFact,
): Promise<Listener> {
  const onLoaded = ({ options, certificate }: TlsMaterial): void => {
    credentials.update(options);
    const { subject, fingerprint256: fingerprint, validTo: notAfter } = certificate;
    onFact('tls-loaded', { listener, subject, fingerprint, notAfter });
  };
  const onRefused = (reason: string): void => {
    onFact('tls-refused', { listener, reason });
  };
  const given = { paths, minVersion, fault, onLoaded, onRefused };
  const files = await TlsFiles.open(given).catch((error: unknown) => {
    const reason = reasonOf(error);
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `Cannot use the TLS files of the ${listener} listener: ${reason}`,
      {},
      error,
    );
  });
  const credentials = new LiveServerCredentials(files.material.options, paths.ca !== null);
  onLoaded(files.material);
  return { files, credentials };
}
