/** A certificate of a broker or the operator, as decisions see it. */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { identityUri, readIdentity } from '../../base/identity.ts';
import type { LeafView } from '../decide/tls-views.ts';
import { leafUri } from '../objects/secret-files.ts';

/**
 * Null where it does not name whom it should.
 *
 * @param owner whose it is to be; `brokerId` null: the operator
 * @param hosts that it is to hold
 * @param signer id of the authority that signed it; null: none that is known
 */
export function leafView(
  certificate: X509Certificate,
  { clusterId, brokerId }: { readonly clusterId: string; readonly brokerId: number | null },
  hosts: readonly string[],
  signer: string | null,
): LeafView | null {
  const identity = readIdentity(certificate.subjectAltName ?? '');
  if (identity === null || identityUri(identity) !== leafUri(clusterId, brokerId)) return null;
  const missing = hosts.filter((host) => !holds(certificate, host));
  return { brokerId, signer, ...lifeOf(certificate), ...(missing.length === 0 ? {} : { missing }) };
}

function holds(certificate: X509Certificate, host: string): boolean {
  const name = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  return name !== undefined;
}

/** In milliseconds since 1970. */
export function lifeOf({ validFromDate, validToDate }: X509Certificate): {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
} {
  return { notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}
