/**
 * What cert-manager was asked for and has issued. Read by name from the API server itself, like all
 * Secrets; that of a Certificate again only once cert-manager has changed the Certificate.
 */
import { isObject } from '../api/schema.ts';
import { CERTIFICATE, type Kind, type KubeObject, type ObjectName, SECRET } from '../api/kinds.ts';
import { issuedSecretName } from '../api/names.ts';
import type { IssuerRef, LogCluster } from '../api/types.ts';
import type { IssuedCertificate, IssuedView, LeafView } from '../decide/tls-views.ts';
import {
  authorityId,
  certificatesIn,
  keyedCertificate,
  signerAmong,
} from '../kube/certificate-texts.ts';
import { KubeError } from '../kube/kube-error.ts';
import { textOf } from '../kube/secret-texts.ts';
import { differences } from '../objects/compare.ts';
import { buildCertificate } from '../objects/issued.ts';
import { isControlledBy } from '../objects/owners.ts';
import { ISSUED_FILES, TRUST_FILE } from '../objects/secret-files.ts';
import { leafView } from './leaf.ts';

/** On the Secret of a Certificate, by cert-manager. */
const NAME_ANNOTATION = 'cert-manager.io/certificate-name';

export interface ObjectReader {
  get(
    type: Kind,
    name: ObjectName,
    options: { readonly signal: AbortSignal },
  ): Promise<KubeObject | undefined>;
}

export interface IssuedSeen {
  readonly view: IssuedView;
  readonly secrets: ReadonlyMap<number | null, KubeObject>;
}

interface Remembered {
  /** Of the Certificate when its Secret was read. */
  readonly version: string;
  readonly secret: KubeObject;
}

export class IssuedReader {
  /** By the name of the Secret; for one LogCluster. */
  readonly #known = new Map<string, Remembered>();

  async read(
    client: ObjectReader,
    {
      cluster,
      clusterId,
      issuer,
      ids,
    }: {
      readonly cluster: LogCluster;
      readonly clusterId: string;
      readonly issuer: IssuerRef;
      readonly ids: readonly (number | null)[];
    },
    signal: AbortSignal,
  ): Promise<IssuedSeen> {
    const { name, namespace, uid } = cluster.metadata;
    const secrets = new Map<number | null, KubeObject>();
    let found: readonly (readonly [number | null, KubeObject | undefined])[];
    try {
      found = await Promise.all(
        ids.map(async (id) => {
          const asked = { namespace, name: issuedSecretName(name, id) };
          return [id, await client.get(CERTIFICATE, asked, { signal })] as const;
        }),
      );
    } catch (error) {
      const fault = faultOf(error, issuer);
      if (fault === null) throw error;
      return { view: { fault, certificates: [] }, secrets };
    }
    const certificates = await Promise.all(
      found.map(async ([brokerId, live]): Promise<IssuedCertificate> => {
        // One of somebody else, or of a LogCluster before: it is not asked, and not believed.
        if (live === undefined || !isControlledBy(live, uid))
          return { brokerId, isCurrent: false, fault: null, leaf: null, trusted: [] };
        const secret = await this.#secretOf(client, live, signal);
        if (secret !== undefined) secrets.set(brokerId, secret);
        const wanted = buildCertificate(cluster, clusterId, brokerId, issuer);
        const trusted = certificatesIn(textOf(secret, TRUST_FILE));
        const leaf = leafOf(secret, { name, clusterId, brokerId });
        // What cannot be used may be mended without a word in the Certificate.
        if (leaf?.signer == null) this.#known.delete(live.metadata.name);
        return {
          brokerId,
          isCurrent: differences(live, wanted).length === 0,
          fault: whyNot(live) ?? (secret === undefined ? null : secretFault(secret, leaf)),
          leaf,
          trusted: [...new Set(trusted.map(authorityId))],
        };
      }),
    );
    return { view: { fault: null, certificates }, secrets };
  }

  async #secretOf(
    client: ObjectReader,
    { metadata }: KubeObject,
    signal: AbortSignal,
  ): Promise<KubeObject | undefined> {
    const { name, namespace, uid = '', resourceVersion = '' } = metadata;
    const version = `${uid}/${resourceVersion}`;
    const known = this.#known.get(name);
    if (known?.version === version) return known.secret;
    const secret = await client.get(SECRET, { namespace, name }, { signal });
    const isOfIt = secret?.metadata.annotations?.[NAME_ANNOTATION] === name;
    if (secret === undefined || !isOfIt) return undefined;
    this.#known.set(name, { version, secret });
    return secret;
  }
}

/** Why nothing can be asked of cert-manager; null: it is something else. */
function faultOf(error: unknown, { group, kind, name }: IssuerRef): string | null {
  if (!(error instanceof KubeError)) return null;
  const asked = `spec.internalTls.issuerRef names ${kind} ${name} of ${group}`;
  const type = `${CERTIFICATE.plural}.${CERTIFICATE.apiVersion.split('/')[0]}`;
  if (error.status === 404)
    return `${asked}, and this cluster has no ${type} (${CERTIFICATE.apiVersion}): install cert-manager, or take issuerRef out`;
  return error.status === 403
    ? `${asked}, and the operator may not read ${type} (chart value rbac.certManager): ${error.message}`
    : null;
}

/** What cert-manager says of a Certificate that is not Ready. */
function whyNot(certificate: KubeObject): string | null {
  const { conditions } = (certificate['status'] ?? {}) as { readonly conditions?: unknown };
  const all = Array.isArray(conditions) ? conditions.filter(isObject) : [];
  const ready = all.find(({ type }) => type === 'Ready');
  if (ready === undefined || ready['status'] === 'True') return null;
  return `${String(ready['reason'])}: ${String(ready['message'])}`;
}

function secretFault(secret: KubeObject, leaf: LeafView | null): string | null {
  const { name } = secret.metadata;
  if (textOf(secret, ISSUED_FILES.cert) === '') return null;
  if (certificatesIn(textOf(secret, TRUST_FILE)).length === 0)
    return `Secret ${name} has no ${TRUST_FILE}: its issuer names no authority that brokers could trust`;
  if (leaf === null)
    return `Secret ${name} holds no certificate with its key and the URI that was asked for`;
  return leaf.signer === null
    ? `the certificate in Secret ${name} is not of the authority in ${TRUST_FILE} there`
    : null;
}

function leafOf(
  secret: KubeObject | undefined,
  owner: { readonly name: string; readonly clusterId: string; readonly brokerId: number | null },
): LeafView | null {
  const text = textOf(secret, ISSUED_FILES.cert);
  const certificate = keyedCertificate(text, textOf(secret, ISSUED_FILES.key));
  if (certificate === null) return null;
  const authorities = certificatesIn(textOf(secret, TRUST_FILE));
  const signer = signerAmong(certificatesIn(text), authorities);
  return leafView(certificate, owner, [], signer === null ? null : authorityId(signer));
}
