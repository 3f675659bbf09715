/**
 * Who a caller is, as text, from what proves it. Everything here was checked already: the
 * certificate by its authority, the token by its issuer's key. What cannot be told apart from
 * somebody else is nobody.
 */
import { principalFault } from '../../base/access.ts';
import { uriNames } from '../../base/identity.ts';

/** What counts of a certificate. */
export interface CertificateNames {
  /** One part a line, as Node shows it: what has a meaning in a part is escaped (RFC 2253). */
  readonly subject: string;
  /** As Node shows them. */
  readonly subjectAltName: string;
}

const SPIFFE = 'spiffe://';
/** Trust domain and path, as SPIFFE has it; nothing that a text could hide behind. */
const SPIFFE_FORM = /^spiffe:\/\/[a-z0-9._-]+(?:\/[A-Za-z0-9._-]+)+$/;
/** Of a pod's account. Names of namespaces and accounts hold no colon. */
const SERVICE_ACCOUNT = /^system:serviceaccount:[a-z0-9.-]{1,63}:[a-z0-9.-]{1,253}$/;

/** The issuer whose subjects of pods' accounts stand for themselves. */
export const KUBERNETES_ALIAS = 'kubernetes';

/**
 * `cert:<SPIFFE URI>`, else `cert:<subject>`; null: it names nobody, or more than one.
 */
export function principalOfCertificate({
  subject,
  subjectAltName,
}: CertificateNames): string | null {
  const ids = uriNames(subjectAltName).filter((uri) => uri.startsWith(SPIFFE));
  const [id] = ids;
  if (id !== undefined)
    return ids.length === 1 && SPIFFE_FORM.test(id) ? sound(`cert:${id}`) : null;
  return subject === '' ? null : sound(`cert:${subject.replaceAll('\n', ',')}`);
}

/** Of a token in the file of tokens. */
export function principalOfToken(name: string): string {
  return `token:${name}`;
}

/**
 * `oidc:<alias>/<subject>`; of a pod's account, where the issuer is Kubernetes, as Kubernetes
 * writes it. Null: it cannot be written.
 */
export function principalOfSubject(alias: string, subject: string): string | null {
  if (subject === '') return null;
  if (alias === KUBERNETES_ALIAS && SERVICE_ACCOUNT.test(subject)) return subject;
  return sound(`oidc:${alias}/${subject}`);
}

function sound(principal: string): string | null {
  return principalFault(principal) === null ? principal : null;
}
