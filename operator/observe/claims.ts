/** The volume claims of a LogCluster, from the cache and, where that is too old, the API server. */
import { CLAIM, type KubeObject, NODE, VOLUME } from '../api/kinds.ts';
import type { LogCluster } from '../api/types.ts';
import type { ClaimView, PodView } from '../decide/types.ts';
import {
  asksForLess,
  claimView,
  growthPatch,
  HOSTNAME_LABEL,
  nodeOfVolume,
  volumeOf,
} from './objects.ts';
import type { ObjectSource, UncachedSource } from './sources.ts';
import type { Sightings } from './sightings.ts';

/** As far as claims are looked up with it. */
export interface ClaimSources {
  readonly cache: ObjectSource;
  readonly client: UncachedSource;
  readonly canReadNodes: boolean;
  /** Of nodes that are missing. */
  readonly sightings: Sightings;
  readonly monotonicMs: () => number;
}

/** A claim as the cache has it. */
export interface CachedClaim {
  readonly claim: KubeObject;
  readonly brokerId: number;
  /** See {@link ClaimView}. */
  readonly isLabelled: boolean;
}

/**
 * Volumes are looked up only where it matters on which node they are. Whether claims may grow
 * depends on their storage class, which only an administrator may read: the API server is asked
 * about the first one that is to.
 */
export function readClaims(
  options: ClaimSources,
  { spec }: LogCluster,
  claims: readonly CachedClaim[],
  { pods, isFaulty }: { readonly pods: readonly PodView[]; readonly isFaulty: boolean },
  signal: AbortSignal,
): Promise<ClaimView[]> {
  const { size } = spec.storage;
  const growing = isFaulty
    ? undefined
    : claims.find(({ claim, brokerId }) => brokerId < spec.replicas && asksForLess(claim, size));
  return Promise.all(
    claims.map(async ({ claim, brokerId, isLabelled }) => {
      const isPending = pods.some((pod) => pod.brokerId === brokerId && pod.node === null);
      const growthRefusal =
        claim === growing?.claim
          ? await options.client.refusalOfPatch(CLAIM, claim.metadata, growthPatch(size), {
              signal,
            })
          : null;
      const place = await readPlace(options, claim, isPending, signal);
      return claimView(claim, brokerId, { ...place, growthRefusal, isLabelled });
    }),
  );
}

/** Where the volume of a claim is, of a pod that waits for a node. */
async function readPlace(
  { cache, client, canReadNodes, sightings, monotonicMs }: ClaimSources,
  claim: KubeObject,
  isPending: boolean,
  signal: AbortSignal,
): Promise<Pick<ClaimView, 'node' | 'missing'>> {
  const name = volumeOf(claim);
  const key = claim.metadata.uid ?? '';
  const volume =
    isPending && canReadNodes && name !== null
      ? await client.get(VOLUME, { name }, { signal })
      : undefined;
  const node = volume === undefined ? null : nodeOfVolume(volume);
  // The cache may be behind: before it is believed that a node is gone, the API server is asked.
  if (node === null || isCached(cache, node) || (await isThere(client, node, signal))) {
    sightings.found(key);
    return { node, missing: null };
  }
  return { node, missing: sightings.missed(key, monotonicMs()) };
}

function isCached(cache: ObjectSource, node: string): boolean {
  return cache
    .list(NODE)
    .some(({ metadata: { name, labels } }) => name === node || labels?.[HOSTNAME_LABEL] === node);
}

async function isThere(
  client: UncachedSource,
  node: string,
  signal: AbortSignal,
): Promise<boolean> {
  if ((await client.get(NODE, { name: node }, { signal })) !== undefined) return true;
  const labelSelector = `${HOSTNAME_LABEL}=${node}`;
  return (await client.list(NODE, { labelSelector, signal })).items.length > 0;
}
