/**
 * Which cluster a LogCluster runs. By default it is its own UID; volumes that an earlier one left,
 * and which say whose records they hold, bring theirs along, so that a LogCluster that was deleted
 * and applied again finds its records. Pure.
 */
import type { LogCluster } from '../api/types.ts';
import type { Action, ClaimView, Observation, Refusal } from './types.ts';

/** @param kept cluster ids that the claims of this LogCluster's name carry; null: none */
export function wantedClusterId(cluster: LogCluster, kept: readonly (string | null)[]): string {
  const { spec, status, metadata } = cluster;
  const ids = new Set(kept.filter((id) => id !== null));
  const [only] = ids;
  return (
    spec.clusterId ??
    status?.clusterId ??
    (only !== undefined && ids.size === 1 ? only : metadata.uid)
  );
}

/**
 * Whether some volume was marked as one of the wanted cluster: then the cluster was formed,
 * whatever the volumes hold by now.
 */
export function isMarked({
  clusterId,
  claims,
}: Pick<Observation, 'clusterId' | 'claims'>): boolean {
  return claims.some((claim) => claim.clusterId === clusterId);
}

/** Why the volumes that are there cannot be given to brokers; null where they can. */
export function foreignClaim({
  cluster,
  clusterId,
  claims,
}: Pick<Observation, 'cluster' | 'clusterId' | 'claims'>): Refusal | null {
  const isForeign = (claim: ClaimView): boolean =>
    claim.brokerId < cluster.spec.replicas &&
    claim.clusterId !== null &&
    claim.clusterId !== clusterId;
  const foreign = claims.find(isForeign);
  return foreign === undefined
    ? null
    : {
        gate: 'ForeignVolume',
        message: `claim ${foreign.name} holds records of cluster ${foreign.clusterId}, must be of ${clusterId}: delete the claims of the cluster that is not wanted, or make the LogCluster anew with spec.clusterId ${foreign.clusterId}`,
      };
}

/** Claims in use whose records are known to be this cluster's; others are left as they are. */
export function labelClaims({ clusterId, claims, workload }: Observation): Action[] {
  return claims
    .filter((claim) => !claim.isLabelled && !claim.isTerminating)
    .filter((claim) => claim.clusterId === clusterId)
    .filter(({ brokerId }) => brokerId < (workload?.replicas ?? 0))
    .map(({ name, uid }) => ({ kind: 'label-claim', name, uid }));
}

/** Writes on each claim whose records it holds, once its broker has said so. */
export function markClaims({ clusterId, claims, answers }: Observation): Action[] {
  const isFormatted = (brokerId: number): boolean =>
    answers.some((answer) => answer.brokerId === brokerId && answer.clusterId === clusterId);
  return claims
    .filter((claim) => claim.clusterId === null && !claim.isTerminating)
    .filter(({ brokerId }) => isFormatted(brokerId))
    .map(({ name }) => ({ kind: 'mark-claim', name, clusterId }));
}
