/**
 * Who a certificate of a cluster names: a broker by cluster and id, or the operator. It stands in
 * the certificate as a URI among the subject's alternative names, as SPIFFE has it. Pure.
 */
import { BROKER_ID_MAX } from './limits.ts';
import type { BrokerId } from './units.ts';

/** The one that holds the private key. */
export type Identity =
  | { readonly kind: 'broker'; readonly clusterId: string; readonly brokerId: BrokerId }
  | { readonly kind: 'operator'; readonly clusterId: string };

const SCHEME = 'tidemark://';
const FORM = /^tidemark:\/\/([0-9a-f-]{36})\/(?:(operator)|broker\/(0|[1-9]\d{0,9}))$/;

/** `tidemark://<cluster id>/broker/<broker id>` or `tidemark://<cluster id>/operator`. */
export function identityUri(identity: Identity): string {
  const who = identity.kind === 'operator' ? 'operator' : `broker/${String(identity.brokerId)}`;
  return `${SCHEME}${identity.clusterId}/${who}`;
}

/**
 * The identity among these names; null where there is none, or more than one.
 *
 * @param names as Node shows them: `DNS:a, URI:b`, with what holds a comma in quotes
 */
export function readIdentity(names: string): Identity | null {
  const uris = uriNames(names).filter((uri) => uri.startsWith(SCHEME));
  const match = uris.length === 1 ? FORM.exec(uris[0] ?? '') : null;
  if (match === null) return null;
  const [, clusterId = '', operator, digits = ''] = match;
  if (operator !== undefined) return { kind: 'operator', clusterId };
  const brokerId = Number(digits);
  return brokerId <= BROKER_ID_MAX ? { kind: 'broker', clusterId, brokerId } : null;
}

/**
 * The URIs among a certificate's names. What stands in quotes is one name, whatever it looks like;
 * a URI there holds what none of ours does, and is shown with its quotes.
 *
 * @param names as Node shows them
 */
export function uriNames(names: string): readonly string[] {
  const each = names.match(/(?:[^",]|"(?:[^"\\]|\\.)*"?)+/gu) ?? [];
  return each
    .map((name) => name.trimStart())
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length));
}

/**
 * Why a server's certificate is not that of the broker which was dialled.
 *
 * @param brokerId null: any broker of the cluster
 */
export function serverFault(
  { subjectaltname = '' }: { readonly subjectaltname?: string | undefined },
  clusterId: string,
  brokerId: BrokerId | null,
): Error | undefined {
  const identity = readIdentity(subjectaltname);
  const isMeant =
    identity?.kind === 'broker' &&
    identity.clusterId === clusterId &&
    (brokerId === null || identity.brokerId === brokerId);
  if (isMeant) return undefined;
  const shown = identity === null ? 'no broker' : identityUri(identity);
  const wanted = brokerId === null ? 'a broker' : `broker ${String(brokerId)}`;
  return new Error(`the certificate is of ${shown}, must be of ${wanted} of cluster ${clusterId}`);
}
