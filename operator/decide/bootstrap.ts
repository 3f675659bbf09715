/**
 * Forms the cluster, once. Safe to repeat (docs/rules.md#formation): every broker is asked what it
 * knows; only when all say "nothing", and the status has never held an id, is the lowest one told
 * to begin.
 */
import { foreignClaim, isMarked } from './identity.ts';
import { refuses, type Step, acts, waits } from './step.ts';
import { counted, serviceFault } from './service.ts';
import type { EventNote, Observation } from './types.ts';

/**
 * What is to be done before there is a cluster; null once there is one. `clusterId` is recorded in
 * the status as soon as a broker knows it.
 */
export function bootstrap(observation: Observation): {
  readonly step: Step | null;
  readonly clusterId: string | undefined;
} {
  const { cluster, clusterId: wanted, answers, workload } = observation;
  const recorded = cluster.status?.clusterId;
  const isNew = recorded === undefined && cluster.spec.clusterId === undefined;
  const doing = isNew && !isMarked(observation) ? 'forming the cluster' : 'finding the cluster';
  const foreign = answers.find(
    ({ clusterId }) => clusterId !== null && clusterId !== '' && clusterId !== wanted,
  );
  if (foreign !== undefined) {
    const message = `broker ${foreign.brokerId} belongs to cluster ${foreign.clusterId}, must belong to ${wanted}: make the LogCluster anew with spec.clusterId ${foreign.clusterId} to take it over`;
    return { step: refuses(doing, { gate: 'ForeignVolume', message }), clusterId: recorded };
  }
  if (answers.some(({ clusterId }) => clusterId === wanted))
    return { step: null, clusterId: wanted };
  const kept = foreignClaim(observation);
  if (kept !== null) return { step: refuses(doing, kept), clusterId: recorded };
  const replicas = workload?.replicas ?? 0;
  const empty = answers.filter(({ clusterId }) => clusterId === '');
  const isSure = workload !== null && replicas > 0 && empty.length >= replicas;
  if (!isSure) {
    const silent = answers.find(({ fault }) => fault !== null);
    const why =
      silent === undefined
        ? ''
        : `; broker ${silent.brokerId}: ${serviceFault(observation, silent.brokerId)}`;
    const waitingFor = `waiting for every broker to say what its volume holds: ${empty.length} of ${counted(replicas, 'broker')} answered${why}`;
    return { step: waits(doing, waitingFor), clusterId: recorded };
  }
  if (!isNew || isMarked(observation)) {
    const message = `cluster ${wanted} was formed before, and the volumes of all ${counted(replicas, 'broker')} are empty: a new cluster in its place would hide the loss; restore the volumes, or delete the LogCluster and its volume claims and make a new one`;
    return { step: refuses(doing, { gate: 'VolumesEmpty', message }), clusterId: recorded };
  }
  const brokerId = Math.min(...empty.map((answer) => answer.brokerId));
  const note = `Forming cluster ${wanted} on broker ${brokerId}`;
  const step = acts(
    doing,
    [{ kind: 'bootstrap', brokerId, clusterId: wanted }],
    [{ reason: 'ClusterFormed', note, brokerId }],
  );
  return { step, clusterId: undefined };
}

/** Told when the status first names a cluster that another LogCluster formed. */
export function adoptionEvents({ cluster, clusterId }: Observation): EventNote[] {
  const { metadata, status } = cluster;
  if (status?.clusterId !== undefined || clusterId === metadata.uid) return [];
  const note = `Took over cluster ${clusterId} with the volumes that were kept of it`;
  return [{ reason: 'ClusterAdopted', note }];
}
