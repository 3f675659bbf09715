/**
 * The Secrets of a LogCluster's certificates. Pure: what is in them comes as it is to be. No pod
 * mounts the authority's; every broker mounts the other as a directory, so that new certificates
 * reach it while it runs.
 */
import { objectMetadata } from './workload.ts';
import type { Manifest } from './workload.ts';
import type { LogCluster } from '../api/types.ts';

export interface SecretManifest {
  readonly apiVersion: 'v1';
  readonly kind: 'Secret';
  readonly metadata: Manifest['metadata'];
  readonly type: 'Opaque';
  /** In base64. */
  readonly data: Readonly<Record<string, string>>;
}

export function buildSecret(
  cluster: LogCluster,
  name: string,
  data: Readonly<Record<string, string>>,
  annotations?: Readonly<Record<string, string>>,
): SecretManifest {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...objectMetadata(cluster, name),
      ...(annotations === undefined ? {} : { annotations }),
    },
    type: 'Opaque',
    data,
  };
}
