/**
 * Who speaks on an internal listener with TLS: by its certificate, never by what it says. Without
 * TLS there is none, and nothing is judged.
 */
import { BrokerError } from '../../base/errors.ts';
import { type Identity, identityUri, readIdentity } from '../../base/identity.ts';
import type { BrokerId } from '../../base/units.ts';

interface Call {
  getAuthContext?(): { readonly sslPeerCertificate?: { readonly subjectaltname?: string } } | null;
}

/** Whom the caller's certificate names; null without TLS. */
export function callerOf(call: unknown): Identity | null {
  const names = namesOf(call);
  return names === null ? null : readIdentity(names);
}

/** Whether the call came over TLS, so that whoever speaks has shown who it is. */
export function isTls(call: unknown): boolean {
  return namesOf(call) !== null;
}

/** Throws REFUSED where the certificate is of another than the broker that is claimed to speak. */
export function requireSpeaker(call: unknown, brokerId: BrokerId): void {
  const names = namesOf(call);
  if (names === null) return;
  const caller = readIdentity(names);
  if (caller?.kind === 'broker' && caller.brokerId === brokerId) return;
  const shown = caller === null ? 'nobody' : identityUri(caller);
  throw new BrokerError(
    'REFUSED',
    `The certificate is of ${shown}, and cannot speak for broker ${String(brokerId)}`,
  );
}

/** Null without TLS. */
function namesOf(call: unknown): string | null {
  const certificate = (call as Call).getAuthContext?.()?.sslPeerCertificate;
  return certificate === undefined ? null : (certificate.subjectaltname ?? '');
}
