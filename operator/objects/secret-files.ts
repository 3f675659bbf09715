/** Names of files in the Secrets of certificates, and in the pods that mount them. Pure. */
import { identityUri } from '../../base/identity.ts';
import type { KubeObject } from '../api/kinds.ts';
import { podHost, podName } from '../api/names.ts';
import { listenerHosts } from './listener-hosts.ts';
import type { LogCluster } from '../api/types.ts';

/** The Secrets as they are; absent: there is none of ours. */
export interface Secrets {
  readonly authority?: KubeObject;
  readonly certificates?: KubeObject;
  readonly trust?: KubeObject;
  /** Of issuers, by the broker's id; null: the operator's. */
  readonly issued?: ReadonlyMap<number | null, KubeObject>;
}

/** Where brokers find their certificates. */
export const TLS_PATH = '/etc/tidemark/tls';
/** Authorities that are trusted, in every Secret of certificates. */
export const TRUST_FILE = 'ca.crt';

/** Files of a Secret that cert-manager makes; whom to trust stands in {@link TRUST_FILE}. */
export const ISSUED_FILES = { cert: 'tls.crt', key: 'tls.key' } as const;

/** Files of the authority's Secret. */
export const AUTHORITY_FILES = {
  current: { cert: 'ca.crt', key: 'ca.key' },
  next: { cert: 'next.crt', key: 'next.key' },
  previous: 'previous.crt',
} as const;

/**
 * Whose a certificate is, in the names of its files.
 *
 * @param brokerId null: the operator
 */
export function leafName(cluster: string, brokerId: number | null): string {
  return brokerId === null ? 'operator' : podName(cluster, brokerId);
}

/** The same, where others look for it: see base/identity.ts. */
export function leafUri(clusterId: string, brokerId: number | null): string {
  return identityUri(
    brokerId === null ? { kind: 'operator', clusterId } : { kind: 'broker', clusterId, brokerId },
  );
}

/** Files of one certificate, by the name of the pod or `operator`. */
export function leafFiles(name: string): { readonly cert: string; readonly key: string } {
  return { cert: `${name}.crt`, key: `${name}.key` };
}

/**
 * What clients dial a broker by: its own host name, those of the Service, and this machine's, for
 * the command in the pod and for a forwarded port. Brokers go by ids.
 */
export function leafHosts(cluster: LogCluster, brokerId: number | null): string[] {
  if (brokerId === null) return [];
  const { metadata } = cluster;
  const { name, namespace } = metadata;
  const services = [`${name}.${namespace}.svc`, podHost(name, namespace, brokerId)];
  const whole = services.flatMap((host) => [host, `${host}.cluster.local`]);
  const plain = [...whole, `${name}.${namespace}`, name, 'localhost', '127.0.0.1'];
  return [...new Set([...plain, ...listenerHosts(cluster, brokerId)])];
}
