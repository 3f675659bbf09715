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
  trustSecretName,
} from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';
import { AUTHORITY_DAYS } from '../decide/certificates.ts';
import { LEAF_DAYS } from '../decide/certified.ts';
import { timeText } from '../decide/step.ts';
import type { Action } from '../decide/types.ts';
import { authorityId } from '../kube/certificate-texts.ts';
import { dataOf, pemsIn, textOf } from '../kube/secret-texts.ts';
import {
  AUTHORITY_FILES,
  ISSUED_FILES,
  leafFiles,
  leafHosts,
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
  { kind: 'apply-authority' | 'apply-certificates' | 'apply-issued' | 'apply-trust' }
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
    case 'apply-issued':
      return issuedSecret(cluster, secrets, action);
    case 'apply-trust':
      return secretOf(
        cluster,
        { name: trustSecretName(cluster.metadata.name), live: secrets.trust },
        {
          [TRUST_FILE]:
            cluster.spec.internalTls.issuerRef === undefined
              ? trustedBy(secrets.authority)
              : textOf(secrets.certificates, TRUST_FILE),
        },
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
      case 'keep':
        return {
          ...standing,
          ...filesOf(authority, next),
          [previous]: textOf(authority, previous) + unknownTo(authority, certificates),
        };
    }
  })();
  const name = authoritySecretName(cluster.metadata.name);
  return secretOf(cluster, { name, live: authority }, texts);
}

/** Authorities that all trust, and that the authority's Secret does not have. */
function unknownTo(
  authority: KubeObject | undefined,
  certificates: KubeObject | undefined,
): string {
  const known = pemsIn(trustedBy(authority));
  return pemsIn(textOf(certificates, TRUST_FILE))
    .filter((pem) => !known.includes(pem))
    .join('');
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
      names: [...leafHosts(cluster, brokerId), leafUri(clusterId, brokerId)],
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

/** The same, of certificates that an issuer has signed. */
function issuedSecret(
  cluster: LogCluster,
  { certificates, issued = new Map() }: Secrets,
  { take, keep, trust, atMs }: Extract<Action, { kind: 'apply-issued' }>,
): SecretManifest {
  const { name } = cluster.metadata;
  const kept = keep.map((brokerId) => filesOf(certificates, leafFiles(leafName(name, brokerId))));
  const taken = take.map((brokerId) => {
    const secret = issued.get(brokerId);
    const leaf = { cert: textOf(secret, ISSUED_FILES.cert), key: textOf(secret, ISSUED_FILES.key) };
    return textsOf(leafFiles(leafName(name, brokerId)), leaf);
  });
  const all = [certificates, ...issued.values()]
    .map((secret) => textOf(secret, TRUST_FILE))
    .join('\n');
  const trusted = new Set(pemsIn(all).filter((pem) => trust.includes(authorityId(pem))));
  const texts = Object.assign({ [TRUST_FILE]: [...trusted].join('') }, ...kept, ...taken) as Texts;
  return secretOf(cluster, { name: certificatesSecretName(name), live: certificates }, texts, {
    [CHANGED_ANNOTATION]: timeText(atMs),
  });
}

/** Those of now, of later and of before. */
function trustedBy(authority: KubeObject | undefined): string {
  const { current, next, previous } = AUTHORITY_FILES;
  return [current.cert, next.cert, previous].map((file) => textOf(authority, file)).join('');
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
