/** What a LogCluster adds to the volume claims of its brokers. Pure. */
import type { LogCluster } from '../api/types.ts';

/** Labels and annotations alone: all else of a claim is of its StatefulSet, and of Kubernetes. */
export interface ClaimOverlay {
  readonly apiVersion: 'v1';
  readonly kind: 'PersistentVolumeClaim';
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** @param name of the claim */
export function buildClaimOverlay({ metadata, spec }: LogCluster, name: string): ClaimOverlay {
  const { labels, annotations } = spec.objects?.claims ?? {};
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name,
      namespace: metadata.namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
  };
}
