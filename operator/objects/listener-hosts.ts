/** Names that certificates of the operator hold for clients of listeners. Pure. */
import { isIssued } from '../api/clients.ts';
import { ID_PLACE } from '../api/listeners.ts';
import { listenerServiceName } from '../api/names.ts';
import type { LogCluster } from '../api/types.ts';

/**
 * Hosts by which clients of listeners dial a broker, whose certificates the operator issues: each
 * that the spec names, and each that a cloud has given, which the status holds.
 */
export function listenerHosts(
  { spec, status, metadata }: LogCluster,
  brokerId: number,
): readonly string[] {
  const issued = (spec.listeners ?? []).filter(({ tls }) => isIssued(tls));
  return issued.flatMap(({ name, bootstrapHost, advertisedHost, brokers = [] }) => {
    const own = brokers.find(({ broker }) => broker === brokerId);
    const seen = status?.listeners?.find((each) => each.name === name);
    const given = [
      seen?.bootstrap,
      seen?.brokers.find(({ broker }) => broker === brokerId)?.address,
    ].flatMap((address) => (address === undefined ? [] : [hostOf(address)]));
    const begin = listenerServiceName(metadata.name, name, null);
    return [
      `${begin}.${metadata.namespace}.svc`,
      ...[bootstrapHost, own?.host, advertisedHost?.replaceAll(ID_PLACE, String(brokerId))].filter(
        (host) => host !== undefined,
      ),
      ...given,
    ];
  });
}

/** Without port and brackets. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/** Is it an address and no name? */
export function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(':');
}
