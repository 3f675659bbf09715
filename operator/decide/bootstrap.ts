/**
 * Forms the cluster, once. Safe to repeat (DESIGN.md section 8): every broker is asked what it knows; only when all say "nothing", and the status has never held
 * an id, is the lowest one told to begin.
 */
import { refuses, type Step, acts, waits } from './step.ts';
import { counted } from './service.ts';
import type { Observation } from './types.ts';

/** What is to be done before there is a cluster; null once there is one. `clusterId` is recorded in the status as soon as a broker knows it. */
export function bootstrap(observation: Observation): {
  readonly step: Step | null;
  readonly clusterId: string | undefined;
} {
  const { cluster, answers, workload } = observation;
  const wanted = cluster.spec.clusterId ?? cluster.metadata.uid;
  const recorded = cluster.status?.clusterId;
  const doing = 'forming the cluster';
  const foreign = answers.find(
    ({ clusterId }) => clusterId !== null && clusterId !== '' && clusterId !== wanted,
  );
  if (foreign !== undefined) {
    const message = `broker ${foreign.brokerId} belongs to cluster ${foreign.clusterId}, must belong to ${wanted}: set spec.clusterId on a new LogCluster to adopt it`;
    return { step: refuses(doing, { gate: 'ForeignVolume', message }), clusterId: recorded };
  }
  if (answers.some(({ clusterId }) => clusterId === wanted))
    return { step: null, clusterId: wanted };
  const replicas = workload?.replicas ?? 0;
  const empty = answers.filter(({ clusterId }) => clusterId === '');
  const isSure = workload !== null && replicas > 0 && empty.length >= replicas;
  if (!isSure) {
    const silent = answers.find(({ fault }) => fault !== null);
    const why = silent === undefined ? '' : `; broker ${silent.brokerId}: ${silent.fault}`;
    const waitingFor = `waiting for every broker to say what its volume holds: ${empty.length} of ${counted(replicas, 'broker')} answered${why}`;
    return {
      step: waits(recorded === undefined ? doing : 'finding the cluster', waitingFor),
      clusterId: recorded,
    };
  }
  if (recorded !== undefined || cluster.spec.clusterId !== undefined) {
    const message = `cluster ${wanted} was formed before, and the volumes of all ${counted(replicas, 'broker')} are empty: a new cluster in its place would hide the loss; restore the volumes, or delete the LogCluster and make a new one`;
    return {
      step: refuses('finding the cluster', { gate: 'VolumesEmpty', message }),
      clusterId: recorded,
    };
  }
  const brokerId = Math.min(...empty.map((answer) => answer.brokerId));
  const note = `Forming cluster ${wanted} on broker ${brokerId}`;
  const step = acts(
    doing,
    [{ kind: 'bootstrap', brokerId, clusterId: wanted }],
    [{ type: 'Normal', reason: 'ClusterFormed', action: 'Bootstrap', note, brokerId }],
  );
  return { step, clusterId: undefined };
}
