/**
 * Services, StatefulSet and how many pods it is to run. Pure. Pods are added at once; they are
 * taken away by `scale.ts` alone, one by one.
 */
import { foreignClaim } from './identity.ts';
import { firstRefusal, isCertified, notPaused, rolloutPermitted } from './gates.ts';
import { leftoverClaims } from './scale.ts';
import type { Action, Observation, Refusal } from './types.ts';

/** Number of pods to run now: never fewer than there are, or than the metadata still counts on. */
export function replicasToRun({
  cluster,
  clusterId,
  workload,
  metadata,
  pods,
  claims,
}: Observation): number {
  const { replicas } = cluster.spec;
  if (workload !== null) return Math.max(workload.replicas, replicas);
  // The StatefulSet is gone, its pods or its brokers may not be: made too small, it would delete
  // some.
  const ids = [
    ...pods.map(({ brokerId }) => brokerId),
    ...(metadata?.brokers ?? []).map(({ brokerId }) => brokerId),
    // Brokers of a cluster that is taken over: what they hold has to be moved before they are too
    // many.
    ...claims.filter((claim) => claim.clusterId === clusterId).map(({ brokerId }) => brokerId),
  ];
  return Math.max(replicas, ...ids.map((id) => id + 1));
}

export function workloadActions(observation: Observation, nowMs: number): Action[] {
  const { services, isPolicyCurrent, workload } = observation;
  const replicas = replicasToRun(observation);
  const actions: Action[] = [];
  if (!services.isBrokersCurrent) actions.push({ kind: 'apply-brokers-service' });
  if (!services.isClientsCurrent) actions.push({ kind: 'apply-clients-service' });
  if (!isPolicyCurrent) actions.push({ kind: 'apply-network-policy' });
  actions.push(...listenerActions(observation));
  const leftovers = leftoverClaims(observation);
  for (const { name, uid, isTerminating } of leftovers)
    if (!isTerminating) actions.push({ kind: 'delete-claim', name, uid });
  // While volumes of removed brokers are on their way out, or it is not known which these are,
  // nobody may come to use them.
  const isHeld =
    leftovers.length > 0 ||
    (workload !== null &&
      observation.metadata === null &&
      observation.claims.some(({ brokerId }) => brokerId >= workload.replicas));
  const present = workload?.replicas ?? 0;
  // A pod that comes before its certificate would crash until it sees it.
  const isUncertified = Array.from({ length: replicas }, (_, id) => id)
    .slice(present)
    .some((id) => !isCertified(observation, id, nowMs));
  const isKept = isUncertified || (isHeld && workload !== null);
  const wanted = isKept ? present : replicas;
  if (isForeign(observation, 'StatefulSet') || wanted === 0) return actions;
  // Volumes of another cluster are not even to be mounted.
  if (workload === null && foreignClaim(observation) !== null) return actions;
  const isNew = workload?.templateHash !== observation.template.hash;
  const isRolled = workload !== null && isNew && mayRoll(observation, nowMs);
  if (workload?.isCurrent !== true || workload.replicas !== wanted || isRolled) {
    actions.push({
      kind: 'apply-workload',
      replicas: wanted,
      ...(isRolled ? { hasNewTemplate: true } : {}),
      resourceVersion: workload?.resourceVersion ?? null,
    });
  }
  return actions;
}

/** Before the pods: a port that nobody leads to, and a file that is not there, harm nobody. */
function listenerActions({ listeners }: Observation): Action[] {
  if (listeners === null) return [];
  const { outdated, leftovers, areAddressesCurrent } = listeners;
  return [
    ...outdated.map((name) => ({ kind: 'apply-listener-service', name }) as const),
    ...(areAddressesCurrent ? [] : [{ kind: 'apply-addresses' } as const]),
    ...leftovers.map(({ name, uid }) => ({ kind: 'delete-service', name, uid }) as const),
  ];
}

/**
 * Whether the first gate of a roll is open. Until then the template of before stands: a pod that
 * somebody evicts would else take the new one, whatever the policy says.
 */
function mayRoll(observation: Observation, nowMs: number): boolean {
  return firstRefusal([notPaused, rolloutPermitted], observation, [], nowMs) === null;
}

/** An object of this kind has our name, and is not ours. */
export function isForeign({ foreign }: Pick<Observation, 'foreign'>, kind: string): boolean {
  return foreign.some((each) => each.kind === kind);
}

/** What is to be said of objects that have our names; null where there is none. */
export function namesTaken({ foreign, cluster }: Observation): Refusal | null {
  const taken = foreign.filter(({ isLeaving }) => !isLeaving);
  if (taken.length === 0) return null;
  const named = taken.map(({ kind, name }) => `${kind} ${name}`).join(', ');
  const message = `${named} in namespace ${cluster.metadata.namespace} ${taken.length === 1 ? 'is' : 'are'} not of this LogCluster (no controller reference to it), and left alone: delete what is not needed, or name the LogCluster otherwise`;
  return { gate: 'NameTaken', message };
}
