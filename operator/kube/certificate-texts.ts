/** Certificates in the texts of Secrets. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { pemsIn } from './secret-texts.ts';

/** First half of the SHA-256 fingerprint, in hexadecimal digits; empty where it cannot be read. */
export function authorityId(certificate: X509Certificate | string): string {
  const read = typeof certificate === 'string' ? certificateOf(certificate) : certificate;
  return read?.fingerprint256.replaceAll(':', '').toLowerCase().slice(0, 32) ?? '';
}

/** Those that can be read, in their order. */
export function certificatesIn(text: string): X509Certificate[] {
  return pemsIn(text)
    .map(certificateOf)
    .filter((certificate) => certificate !== null);
}

/** The first certificate in a text; null where it cannot be read. */
export function certificateOf(text: string): X509Certificate | null {
  try {
    return new X509Certificate(text);
  } catch {
    return null;
  }
}

/** The same, where the key is its own. */
export function keyedCertificate(cert: string, key: string): X509Certificate | null {
  const certificate = certificateOf(cert);
  try {
    const isOwn = certificate?.checkPrivateKey(createPrivateKey(key));
    return isOwn === true ? certificate : null;
  } catch {
    return null;
  }
}

/**
 * Which of these authorities has signed a certificate, or one between them; null: none.
 *
 * @param chain the certificate, and those that are shown with it
 */
export function signerAmong(
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): X509Certificate | null {
  let [certificate] = chain;
  for (let depth = 0; certificate !== undefined && depth < chain.length; depth += 1) {
    const shown = certificate;
    const hasSigned = (each: X509Certificate): boolean =>
      shown.checkIssued(each) && shown.verify(each.publicKey);
    const found = authorities.find(hasSigned);
    if (found !== undefined) return found;
    certificate = chain.find((each) => each !== shown && hasSigned(each));
  }
  return null;
}
