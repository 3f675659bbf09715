/**
 * Makes authorities and certificates, and what Secrets are to hold after one change. The chance of
 * keys is here; when and for whom is decided elsewhere.
 */
import { X509Certificate } from 'node:crypto';
import type { KubeObject } from '../api/kinds.ts';
import {
  authoritySecretName,
  CHANGED_ANNOTATION,
  certificatesSecretName,
  podHost,
  trustSecretName,
} from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';
import { AUTHORITY_DAYS, LEAF_DAYS } from '../decide/certificates.ts';
import { timeText } from '../decide/step.ts';
import type { Action } from '../decide/types.ts';
import { dataOf, textOf } from '../kube/secret-texts.ts';
import {
  AUTHORITY_FILES,
  leafFiles,
  leafName,
  leafUri,
  type Secrets,
  TRUST_FILE,
} from '../objects/secret-files.ts';
import { buildSecret, type SecretManifest } from '../objects/secrets.ts';
import { type KeyedCertificate, newAuthority, newCertificate } from '../../process/certificates.ts';

/** Actions that change a Secret. */
export type SecretAction = Extract<
  Action,
  { kind: 'apply-authority' | 'apply-certificates' | 'apply-trust' }
>;

type Texts = Readonly<Record<string, string>>;

/** What the Secret of an action holds after it. */
export function secretAfter(
  cluster: LogCluster,
  secrets: Secrets,
  action: SecretAction,
): SecretManifest {
  switch (action.kind) {
    case 'apply-authority':
      return authoritySecret(cluster, secrets, action);
    case 'apply-certificates':
      return certificatesSecret(cluster, secrets, action);
    case 'apply-trust':
      return secretOf(
        cluster,
        { name: trustSecretName(cluster.metadata.name), live: secrets.trust },
        { [TRUST_FILE]: trustedBy(secrets.authority) },
      );
  }
}

/** The authority's Secret after this change. */
function authoritySecret(
  cluster: LogCluster,
  { authority, certificates }: Secrets,
  { change, atMs }: Extract<Action, { kind: 'apply-authority' }>,
): SecretManifest {
  const { current, next, previous } = AUTHORITY_FILES;
  const standing = { [previous]: textOf(authority, previous), ...filesOf(authority, current) };
  const made = (files: typeof current | typeof next): Texts => {
    const commonName = `${cluster.metadata.name} ${timeText(atMs).replaceAll(/[-:]/g, '')}`;
    const sinceMs = madeAtMs(cluster);
    const terms = { commonName, days: AUTHORITY_DAYS, fromMs: atMs, sinceMs };
    return textsOf(files, newAuthority(terms));
  };
  const texts = ((): Texts => {
    switch (change) {
      case 'make':
        return made(current);
      case 'succeed':
        return { ...standing, ...made(next) };
      case 'replace':
        return { [previous]: textOf(certificates, TRUST_FILE), ...made(next) };
      case 'promote': {
        const before = [textOf(authority, current.cert), textOf(authority, previous)];
        const promoted = { cert: textOf(authority, next.cert), key: textOf(authority, next.key) };
        return { ...textsOf(current, promoted), [previous]: before.join('') };
      }
      case 'retire':
        return filesOf(authority, current);
    }
  })();
  const name = authoritySecretName(cluster.metadata.name);
  return secretOf(cluster, { name, live: authority }, texts);
}

/** The Secret of certificates after this change: those that stay, new ones, and whom all trust. */
function certificatesSecret(
  cluster: LogCluster,
  { authority, certificates }: Secrets,
  { clusterId, issue, keep, atMs }: Extract<Action, { kind: 'apply-certificates' }>,
): SecretManifest {
  const { name } = cluster.metadata;
  const kept = keep.map((brokerId) => filesOf(certificates, leafFiles(leafName(name, brokerId))));
  const issued = issue.map((brokerId) => {
    const { sinceMs, ...signer } = signerOf(authority);
    const leaf = newCertificate(signer, {
      commonName: leafName(name, brokerId),
      names: [...hostsOf(cluster, brokerId), leafUri(clusterId, brokerId)],
      days: LEAF_DAYS,
      fromMs: atMs,
      sinceMs,
    });
    return textsOf(leafFiles(leafName(name, brokerId)), leaf);
  });
  const texts = Object.assign({ [TRUST_FILE]: trustedBy(authority) }, ...kept, ...issued) as Texts;
  return secretOf(cluster, { name: certificatesSecretName(name), live: certificates }, texts, {
    [CHANGED_ANNOTATION]: timeText(atMs),
  });
}

/** Those of now, of later and of before. */
function trustedBy(authority: KubeObject | undefined): string {
  const { current, next, previous } = AUTHORITY_FILES;
  return [current.cert, next.cert, previous].map((file) => textOf(authority, file)).join('');
}

/**
 * What clients dial a broker by: its own host name, those of the Service, and this machine's, for
 * the command in the pod and for a forwarded port. Brokers go by ids.
 */
function hostsOf({ metadata }: LogCluster, brokerId: number | null): string[] {
  if (brokerId === null) return [];
  const { name, namespace } = metadata;
  const services = [`${name}.${namespace}.svc`, podHost(name, namespace, brokerId)];
  const whole = services.flatMap((host) => [host, `${host}.cluster.local`]);
  return [...whole, `${name}.${namespace}`, name, 'localhost', '127.0.0.1'];
}

function signerOf(
  authority: KubeObject | undefined,
): KeyedCertificate & { readonly commonName: string; readonly sinceMs: number } {
  const { cert, key } = AUTHORITY_FILES.current;
  const text = textOf(authority, cert);
  const { subject, validFromDate } = new X509Certificate(text);
  // Of one name, as newAuthority makes it.
  const commonName = subject.replace(/^CN=/, '');
  return { cert: text, key: textOf(authority, key), commonName, sinceMs: validFromDate.getTime() };
}

/**
 * By the API server's clock: all that is issued for it counts since then, so that nothing does
 * harm that this machine's clock, when it is ahead, dates into the future.
 */
function madeAtMs({ metadata }: LogCluster): number | undefined {
  const ms = Date.parse(metadata.creationTimestamp ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}

function textsOf(
  files: { readonly cert: string; readonly key: string },
  { cert, key }: KeyedCertificate,
): Texts {
  return { [files.cert]: cert, [files.key]: key };
}

function filesOf(
  secret: KubeObject | undefined,
  files: { readonly cert: string; readonly key: string },
): Texts {
  return textsOf(files, { cert: textOf(secret, files.cert), key: textOf(secret, files.key) });
}

function secretOf(
  cluster: LogCluster,
  { name, live }: { readonly name: string; readonly live: KubeObject | undefined },
  texts: Texts,
  annotations?: Texts,
): SecretManifest {
  return buildSecret(cluster, name, dataOf(texts, live), annotations);
}
