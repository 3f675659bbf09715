/**
 * Who made a call, as it is known where a listener authenticates: in the call's metadata, where the
 * listener's door has put it, and in that of the calls by which a broker hands it on. A client's
 * own word there counts nowhere: the doors take it away.
 */
import type { Metadata } from '@grpc/grpc-js';

/**
 * Set on calls that were handed on once, so that two brokers that disagree do not hand one to and
 * fro.
 */
export const FORWARDED_HEADER = 'tidemark-forwarded';

/** In bytes, since subjects of certificates hold any letters. */
const PRINCIPAL_HEADER = 'tidemark-principal-bin';

/** Empty: nobody was asked for a name. */
export function principalOf({ metadata }: { readonly metadata: Metadata }): string {
  const [value] = metadata.get(PRINCIPAL_HEADER);
  return value instanceof Buffer ? value.toString('utf8') : '';
}

/** Puts it in the place of any that was stated. Empty: takes that away. */
export function setPrincipal(metadata: Metadata, principal: string): Metadata {
  metadata.remove(PRINCIPAL_HEADER);
  if (principal !== '') metadata.set(PRINCIPAL_HEADER, Buffer.from(principal, 'utf8'));
  return metadata;
}

/** What a request to the controller says of it. */
export function onBehalfOf(call: { readonly metadata: Metadata }): { readonly principal?: string } {
  const principal = principalOf(call);
  return principal === '' ? {} : { principal };
}
