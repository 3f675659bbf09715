/**
 * What the Secrets of a LogCluster's certificates hold. They are read from the API server itself,
 * by name: no cache holds keys, and the operator needs no right to list Secrets. What cannot be
 * used is as if it were not there.
 */
import type { X509Certificate } from 'node:crypto';
import { type KubeObject, SECRET } from '../api/kinds.ts';
import { issuesForClients } from '../api/listeners.ts';
import {
  authoritySecretName,
  certificatesSecretName,
  CHANGED_ANNOTATION,
  trustSecretName,
} from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';
import type {
  AuthorityView,
  CertificatesView,
  LeafView,
  SignerView,
  TlsView,
  TrustView,
} from '../decide/tls-views.ts';
import {
  authorityId,
  certificatesIn,
  keyedCertificate,
  signerAmong,
} from '../kube/certificate-texts.ts';
import { KubeError } from '../kube/kube-error.ts';
import { isControlledBy } from '../objects/owners.ts';
import { listenerHosts } from '../objects/listener-hosts.ts';
import { textOf } from '../kube/secret-texts.ts';
import {
  AUTHORITY_FILES,
  leafFiles,
  leafName,
  type Secrets,
  TRUST_FILE,
} from '../objects/secret-files.ts';
import type { PeerMaterial } from './broker-admin.ts';
import { IssuedReader, type ObjectReader } from './issued.ts';
import { leafView, lifeOf } from './leaf.ts';
import { ordinalOf } from './objects.ts';

export interface CertificatesSeen {
  readonly view: TlsView;
  readonly secrets: Secrets;
  /** Under our names, of somebody else. */
  readonly foreign: readonly KubeObject[];
  /** With what the operator dials brokers; null: it has no certificate. */
  readonly own: PeerMaterial | null;
}

/**
 * Reads certificates of one cluster, and parses them again only where they have changed, or it has:
 * another may have taken its name before the Secrets of the one before are gone.
 */
export class CertificateReader {
  #readOf = '';
  #seen: CertificatesSeen | null = null;
  readonly #issued = new IssuedReader();

  /** @param brokers so many that certificates are looked for, where an issuer signs them */
  async read(
    client: ObjectReader,
    of: { readonly cluster: LogCluster; readonly clusterId: string; readonly brokers: number },
    signal: AbortSignal,
  ): Promise<CertificatesSeen> {
    const seen = await this.#readSecrets(client, of, signal);
    const issuer = of.cluster.spec.internalTls.issuerRef;
    if (issuer === undefined || seen.view.fault !== null) return seen;
    const ids = [...Array.from({ length: of.brokers }, (_, id) => id), null];
    const issued = await this.#issued.read(client, { ...of, issuer, ids }, signal);
    return {
      ...seen,
      view: { ...seen.view, issued: issued.view },
      secrets: { ...seen.secrets, issued: issued.secrets },
    };
  }

  async #readSecrets(
    client: ObjectReader,
    { cluster, clusterId }: { readonly cluster: LogCluster; readonly clusterId: string },
    signal: AbortSignal,
  ): Promise<CertificatesSeen> {
    const { name, namespace, uid } = cluster.metadata;
    const get = (secret: string): Promise<KubeObject | undefined> =>
      client.get(SECRET, { namespace, name: secret }, { signal });
    let found: readonly (KubeObject | undefined)[];
    try {
      found = await Promise.all([
        get(authoritySecretName(name)),
        get(certificatesSecretName(name)),
        issuesForClients(cluster.spec) ? get(trustSecretName(name)) : undefined,
      ]);
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 403) throw error;
      const view = {
        fault: error.message,
        authority: null,
        certificates: null,
        trust: null,
        issued: null,
      };
      return { view, secrets: {}, foreign: [], own: null };
    }
    // What certificates are to hold changes with addresses that clouds give.
    const hosts = JSON.stringify([cluster.spec.listeners, cluster.status?.listeners]);
    const readOf = [uid, clusterId, hosts, ...found.map(versionOf)].join(' ');
    if (this.#seen === null || readOf !== this.#readOf) {
      const [authority, certificates, trust] = found.map((each) =>
        isControlledBy(each, uid) ? each : undefined,
      );
      const foreign = found.filter(
        (each) => each !== undefined && !isControlledBy(each, uid),
      ) as KubeObject[];
      const secrets = {
        ...(authority === undefined ? {} : { authority }),
        ...(certificates === undefined ? {} : { certificates }),
        ...(trust === undefined ? {} : { trust }),
      };
      this.#readOf = readOf;
      this.#seen = { ...viewOf(secrets, { cluster, clusterId }), secrets, foreign };
    }
    return this.#seen;
  }
}

function versionOf(object: KubeObject | undefined): string {
  return object === undefined
    ? '-'
    : `${object.metadata.uid ?? ''}/${object.metadata.resourceVersion ?? ''}`;
}

function viewOf(
  { authority, certificates, trust }: Secrets,
  of: { readonly cluster: LogCluster; readonly clusterId: string },
): Pick<CertificatesSeen, 'view' | 'own'> {
  const current = signerOf(authority, AUTHORITY_FILES.current);
  const next = signerOf(authority, AUTHORITY_FILES.next);
  const previous = certificatesIn(textOf(authority, AUTHORITY_FILES.previous));
  const trusted = certificatesIn(textOf(certificates, TRUST_FILE));
  const known = [current, next, ...previous, ...trusted].filter((each) => each !== null);
  const leaves = leavesOf(certificates, of, known);
  const authorityView: AuthorityView | null =
    authority === undefined
      ? null
      : {
          resourceVersion: authority.metadata.resourceVersion ?? '',
          current: current === null ? null : signerView(current),
          next: next === null ? null : signerView(next),
          previous: previous.map(authorityId),
        };
  const certificatesView: CertificatesView | null =
    certificates === undefined
      ? null
      : {
          resourceVersion: certificates.metadata.resourceVersion ?? '',
          trusted: [...new Set(trusted.map(authorityId))],
          changedAtMs: timeOf(certificates.metadata.annotations?.[CHANGED_ANNOTATION]),
          leaves,
        };
  const hasOwn = trusted.length > 0 && leaves.some(({ brokerId }) => brokerId === null);
  return {
    view: {
      fault: null,
      authority: authorityView,
      certificates: certificatesView,
      trust: trust === undefined ? null : trustView(trust),
      issued: null,
    },
    own: hasOwn ? materialOf(certificates, trusted) : null,
  };
}

function trustView(trust: KubeObject): TrustView {
  const trusted = certificatesIn(textOf(trust, TRUST_FILE)).map(authorityId);
  return { resourceVersion: trust.metadata.resourceVersion ?? '', trusted: [...new Set(trusted)] };
}

type Files = { readonly cert: string; readonly key: string };

/** The certificate in these files, where the key beside it is its own; else null. */
function keyed(secret: KubeObject | undefined, { cert, key }: Files): X509Certificate | null {
  return keyedCertificate(textOf(secret, cert), textOf(secret, key));
}

function signerOf(secret: KubeObject | undefined, files: Files): X509Certificate | null {
  const certificate = keyed(secret, files);
  // With a name that its certificates can repeat.
  const isSigner = certificate?.ca === true && /^CN=.+$/.test(certificate.subject);
  return isSigner ? certificate : null;
}

function signerView(certificate: X509Certificate): SignerView {
  return { id: authorityId(certificate), ...lifeOf(certificate) };
}

function leavesOf(
  secret: KubeObject | undefined,
  { cluster, clusterId }: { readonly cluster: LogCluster; readonly clusterId: string },
  authorities: readonly X509Certificate[],
): LeafView[] {
  const { name } = cluster.metadata;
  const files = Object.keys(secret?.['data'] ?? {});
  const owners = files.flatMap((file): (number | null)[] => {
    if (file === leafFiles('operator').cert) return [null];
    const brokerId = file.endsWith('.crt') ? ordinalOf(file.slice(0, -'.crt'.length), name) : null;
    return brokerId === null ? [] : [brokerId];
  });
  return owners.flatMap((brokerId) => {
    const files = leafFiles(leafName(name, brokerId));
    const certificate = keyed(secret, files);
    if (certificate === null) return [];
    const signer = signerAmong(certificatesIn(textOf(secret, files.cert)), authorities);
    const id = signer === null ? null : authorityId(signer);
    const hosts = brokerId === null ? [] : listenerHosts(cluster, brokerId);
    return leafView(certificate, { clusterId, brokerId }, hosts, id) ?? [];
  });
}

function materialOf(
  secret: KubeObject | undefined,
  trusted: readonly X509Certificate[],
): PeerMaterial {
  const { cert, key } = leafFiles('operator');
  return {
    cert: textOf(secret, cert),
    key: textOf(secret, key),
    ca: trusted.map(String).join(''),
  };
}

function timeOf(text: string | undefined): number | null {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? null : ms;
}
