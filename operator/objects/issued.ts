/** What cert-manager is asked for: a Certificate for each broker, and for the operator. Pure. */
import { issuedSecretName } from '../api/names.ts';
import type { IssuerRef, LogCluster } from '../api/types.ts';
import { isAddress } from './listener-hosts.ts';
import { leafHosts, leafName, leafUri } from './secret-files.ts';
import { type Manifest, objectMetadata } from './workload.ts';

/** Ninety days, renewed when thirty are left. */
const DURATION = '2160h';
const RENEW_BEFORE = '720h';

/**
 * @param brokerId null: the operator's
 * @param issuer that signs it
 */
export function buildCertificate(
  cluster: LogCluster,
  clusterId: string,
  brokerId: number | null,
  issuer: IssuerRef,
): Manifest {
  const { name } = cluster.metadata;
  const secretName = issuedSecretName(name, brokerId);
  const hosts = leafHosts(cluster, brokerId);
  const dnsNames = hosts.filter((host) => !isAddress(host));
  const ipAddresses = hosts.filter((host) => isAddress(host));
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: objectMetadata(cluster, secretName),
    spec: {
      secretName,
      commonName: leafName(name, brokerId),
      uris: [leafUri(clusterId, brokerId)],
      ...(hosts.length === 0 ? {} : { dnsNames, ipAddresses }),
      duration: DURATION,
      renewBefore: RENEW_BEFORE,
      usages: ['digital signature', 'server auth', 'client auth'],
      privateKey: { algorithm: 'ECDSA', size: 256, encoding: 'PKCS8', rotationPolicy: 'Always' },
      issuerRef: { ...issuer },
    },
  };
}
