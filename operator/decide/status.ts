/**
 * The status of a LogCluster, from what was seen and what is being done. Pure. A status that says
 * nothing new is not written.
 */
import { selectorText } from '../api/names.ts';
import { DEPARTED_MAX, LOSSES_MAX } from '../api/status.ts';
import type { LogClusterStatus } from '../api/types.ts';
import { internalTlsStatus } from './certificates.ts';
import { isSameStatus, withConditions, type ConditionNow } from './conditions.ts';
import { departed } from './departed.ts';
import type { GateName } from './events.ts';
import {
  brokersNamed,
  catchUpFault,
  counted,
  expectedBrokers,
  listed,
  NO_CONTROLLER,
  podOf,
  serviceFault,
  stalledPartitions,
  unawareLeaders,
} from './service.ts';
import { timeText } from './step.ts';
import type { Observation, Outcome, PartitionView, TopicConfigView } from './types.ts';
import { fullBrokers, volumeFaults } from './volumes.ts';

/** The next status; null where it is the present one. */
export function nextStatus(
  observation: Observation,
  outcome: Outcome,
  nowMs: number,
): LogClusterStatus | null {
  const { cluster, pods, template, answers, metadata } = observation;
  const before = cluster.status ?? {};
  const versions = [
    ...new Set(answers.flatMap(({ version }) => (version === '' ? [] : [version]))),
  ].sort();
  const racks = [
    ...new Set((metadata?.brokers ?? []).flatMap(({ rack }) => (rack === '' ? [] : [rack]))),
  ].sort();
  const next: LogClusterStatus = {
    observedGeneration: cluster.metadata.generation,
    conditions: withConditions(
      before.conditions ?? [],
      cluster.metadata.generation,
      nowMs,
      conditions(observation, outcome, nowMs),
    ),
    replicas: pods.length,
    readyReplicas: pods.filter(({ isReady }) => isReady).length,
    updatedReplicas: pods.filter(({ templateHash }) => templateHash === template.hash).length,
    labelSelector: selectorText(cluster.metadata.name),
    image: template.image,
    templateHash: template.hash,
    durability: durability(observation) ?? before.durability ?? 'not known yet',
    ...optional('clusterId', outcome.clusterId),
    ...optional('internalTls', internalTlsStatus(observation, outcome.tlsPhase)),
    ...optional(
      'listeners',
      observation.faults.length > 0
        ? before.listeners
        : listedOrNone(observation.listeners?.statuses ?? []),
    ),
    ...optional('version', versions.length > 0 ? versions.join(', ') : before.version),
    ...optional('minInSyncReplicas', outcome.minInSyncReplicas),
    ...optional(
      'minInSyncReplicasPending',
      outcome.minInSyncReplicasPending.length > 0 ? outcome.minInSyncReplicasPending : undefined,
    ),
    ...optional('step', outcome.doing ?? undefined),
    ...optional('waitingFor', outcome.waitingFor ?? undefined),
    ...optional('disruption', outcome.disruption ?? undefined),
    ...optional('topicsToDelete', listedOrNone(departed(observation).slice(0, DEPARTED_MAX))),
    ...(metadata === null ? optional('racks', before.racks) : { racks }),
    ...(metadata === null
      ? optional('losses', before.losses)
      : { losses: losses(metadata.losses) }),
  };
  return isSameStatus(next, before) ? null : next;
}

function listedOrNone<Item>(items: readonly Item[]): readonly Item[] | undefined {
  return items.length === 0 ? undefined : items;
}

function optional<Name extends keyof LogClusterStatus>(
  name: Name,
  value: LogClusterStatus[Name] | undefined,
): Pick<LogClusterStatus, Name> | Record<string, never> {
  return value === undefined ? {} : ({ [name]: value } as Pick<LogClusterStatus, Name>);
}

function losses(
  all: NonNullable<Observation['metadata']>['losses'],
): NonNullable<LogClusterStatus['losses']> {
  return all
    .toSorted((left, right) => right.atMs - left.atMs)
    .slice(0, LOSSES_MAX)
    .map(({ topic, partition, leaderEpoch, fromOffset, atMs }) => ({
      topic,
      partition,
      leaderEpoch,
      fromOffset,
      at: timeText(atMs),
    }));
}

function conditions(observation: Observation, outcome: Outcome, nowMs: number): ConditionNow[] {
  const available = availability(observation, outcome);
  const degraded = degradation(observation, outcome, nowMs);
  const progressing = progress(observation, outcome);
  return [
    readiness(observation, outcome, { available, degraded, progressing }),
    available,
    progressing,
    degraded,
    pause(observation),
    ...mutation(observation),
  ];
}

/** Only while it holds: most clusters never see it. */
function mutation({ mutated }: Observation): ConditionNow[] {
  if (mutated.length === 0) return [];
  const message = mutationText(mutated);
  return [{ type: 'TemplateMutated', status: 'True', reason: 'KeptOtherwise', message }];
}

export function mutationText(mutated: Observation['mutated']): string {
  const named = mutated.map(({ object, fields }) => `${object} (${listed(fields)})`).join(', ');
  return `something keeps objects otherwise than they are applied: ${named}; they are applied again less and less often, and all else goes on`;
}

function readiness(
  { faults }: Observation,
  { refusals }: Outcome,
  {
    available,
    degraded,
    progressing,
  }: {
    readonly available: ConditionNow;
    readonly degraded: ConditionNow;
    readonly progressing: ConditionNow;
  },
): ConditionNow {
  const type = 'Ready';
  const not = (reason: string, message: string): ConditionNow => ({
    type,
    status: 'False',
    reason,
    message,
  });
  const [refusal] = refusals;
  if (faults.length > 0) return not('InvalidSpec', faults.join('; '));
  if (available.status !== 'True') return not(available.reason, available.message);
  if (refusal !== undefined) return not(refusal.gate, refusal.message);
  if (progressing.status === 'True') return not(progressing.reason, progressing.message);
  if (degraded.status === 'True') return not(degraded.reason, degraded.message);
  return {
    type,
    status: 'True',
    reason: 'AsSpecified',
    message: 'the cluster is as the spec wants it',
  };
}

/** Without certificates of its own the operator asks no broker. */
const BLINDING: readonly GateName[] = ['CertificatesUnreadable', 'CertificateAuthorityLost'];

function whyBlind(refusals: Outcome['refusals']): Pick<ConditionNow, 'reason' | 'message'> {
  const blind = refusals.find(({ gate }) => BLINDING.includes(gate));
  if (blind === undefined) return { reason: 'ControllerUnknown', message: NO_CONTROLLER };
  return { reason: blind.gate, message: `${NO_CONTROLLER}: ${blind.message}` };
}

function availability(
  observation: Observation,
  { clusterId, refusals, waitingFor }: Outcome,
): ConditionNow {
  const { metadata } = observation;
  const type = 'Available';
  const [refusal] = refusals;
  if (clusterId === undefined) {
    return {
      type,
      status: 'False',
      reason: refusal?.gate ?? 'NotFormed',
      message:
        refusal?.message ??
        ['the cluster is not formed yet', waitingFor].filter((part) => part !== null).join(': '),
    };
  }
  if (metadata === null) return { type, status: 'Unknown', ...whyBlind(refusals) };
  const full = fullBrokers(observation);
  const closed = metadata.topics.flatMap(({ name, config, partitions }) =>
    partitions
      .filter(
        ({ leader, syncSet, suspects }) =>
          leader === null ||
          full.includes(leader) ||
          syncSet.filter((id) => !suspects.includes(id)).length < config.minInSyncReplicas,
      )
      .map(({ partition }) => `${name}/${partition}`),
  );
  const silent = metadata.topics.flatMap(({ name, partitions }) =>
    partitions
      .filter(({ leader }) =>
        observation.answers.some(({ brokerId, fault }) => brokerId === leader && fault !== null),
      )
      .map(({ partition }) => `${name}/${partition}`),
  );
  if (closed.length === 0 && silent.length > 0)
    return {
      type,
      status: 'Unknown',
      reason: 'LeaderSilent',
      message: `the leader of ${counted(silent.length, 'partition')} does not answer: ${listed(silent)}`,
    };
  const unaware = unawareLeaders(observation);
  if (closed.length === 0 && unaware.length > 0)
    return {
      type,
      status: 'Unknown',
      reason: 'MetadataBehind',
      message: `the leader of ${counted(unaware.length, 'partition')} has not seen the newest metadata: ${listed(unaware)}`,
    };
  const stalled = stalledPartitions(observation);
  if (closed.length === 0 && stalled.length > 0)
    return {
      type,
      status: 'False',
      reason: 'AppendsStalled',
      message: `records of ${counted(stalled.length, 'partition')} wait for followers that are in sync and do not follow: ${listed(stalled)}`,
    };
  if (closed.length === 0)
    return {
      type,
      status: 'True',
      reason: 'AppendsAccepted',
      message: 'every partition takes appends',
    };
  return {
    type,
    status: 'False',
    reason: 'AppendsRefused',
    message: `${counted(closed.length, 'partition')} without a leader, below the minimum in sync or on a full volume: ${listed(closed)}`,
  };
}

function progress(
  { pods, template, cluster, workload }: Observation,
  { doing, waitingFor, clusterId }: Outcome,
): ConditionNow {
  const type = 'Progressing';
  if (clusterId === undefined)
    return {
      type,
      status: 'True',
      reason: 'Forming',
      message: waitingFor ?? doing ?? 'the cluster is being formed',
    };
  const message = [doing, waitingFor].filter((part) => part !== null).join(': ');
  if (doing !== null) return { type, status: 'True', reason: 'Changing', message };
  const outdated = pods.filter(({ templateHash }) => templateHash !== template.hash).length;
  const isWhole =
    outdated === 0 &&
    workload?.replicas === cluster.spec.replicas &&
    pods.length >= cluster.spec.replicas;
  if (isWhole)
    return { type, status: 'False', reason: 'AsSpecified', message: 'nothing is to be done' };
  return { type, status: 'True', reason: 'Changing', message: 'pods are being made' };
}

/** A broker that a restart keeps away for longer than this is a loss of redundancy after all. */
const PLANNED_MS_MAX = 300_000;

/** Brokers that are away by plan, and not for too long. */
function plannedAway({ disruption }: Outcome, nowMs: number): readonly number[] {
  const isPlanned = disruption !== null && disruption.kind !== 'ReplaceVolume';
  return isPlanned && disruption.startedAt > timeText(nowMs - PLANNED_MS_MAX)
    ? disruption.brokerIds
    : [];
}

/** Why a pod will not run by itself, as a reason; null where it is not that. */
export function stuckReason(observation: Observation): 'ImageUnavailable' | 'BrokerCrashes' | null {
  const stuck = observation.pods.flatMap(({ stuck: why }) => (why === null ? [] : [why]));
  if (stuck.some((why) => /^(ErrImage|ImagePull|InvalidImage)/.test(why)))
    return 'ImageUnavailable';
  return stuck.some((why) => why.startsWith('CrashLoopBackOff')) ? 'BrokerCrashes' : null;
}

function degradation(observation: Observation, outcome: Outcome, nowMs: number): ConditionNow {
  const { clusterId, refusals } = outcome;
  const type = 'Degraded';
  const serious = refusals.find(({ gate }) => ['VolumesEmpty', 'ForeignVolume'].includes(gate));
  if (serious !== undefined)
    return { type, status: 'True', reason: serious.gate, message: serious.message };
  if (clusterId === undefined)
    return {
      type,
      status: 'Unknown',
      reason: 'NotFormed',
      message: 'the cluster is not formed yet',
    };
  const volumes = volumeFaults(observation);
  if (volumes.length > 0)
    return { type, status: 'True', reason: 'VolumeFault', message: volumes.join('; ') };
  const stuck = (id: number): boolean => (podOf(observation, id)?.stuck ?? null) !== null;
  const planned = plannedAway(outcome, nowMs).filter((id) => !stuck(id));
  const brokers = expectedBrokers(observation).filter((id) => !planned.includes(id));
  const down = brokers.flatMap((id) => {
    const why = serviceFault(observation, id);
    return why === null || why === NO_CONTROLLER ? [] : [`broker ${id} is not in service: ${why}`];
  });
  if (down.length > 0)
    return {
      type,
      status: 'True',
      reason: stuckReason(observation) ?? 'BrokerOutOfService',
      message: down.join('; '),
    };
  if (observation.metadata === null)
    return { type, status: 'Unknown', reason: 'ControllerUnknown', message: NO_CONTROLLER };
  const behind = brokers.flatMap((id) => {
    const why = catchUpFault(observation, id);
    return why === null ? [] : [`broker ${id} has ${why}`];
  });
  if (behind.length > 0)
    return { type, status: 'True', reason: 'ReplicasBehind', message: behind.join('; ') };
  if (planned.length > 0)
    return {
      type,
      status: 'False',
      reason: 'PlannedRestart',
      message: `${brokersNamed(planned)} is away by plan; every other broker is in service and every other replica in sync`,
    };
  return {
    type,
    status: 'False',
    reason: 'FullRedundancy',
    message: 'every broker is in service and every replica in sync',
  };
}

function pause({ cluster }: Observation): ConditionNow {
  const type = 'ReconciliationPaused';
  const { paused } = cluster.spec;
  if (paused === undefined)
    return { type, status: 'False', reason: 'NotPaused', message: 'changes are carried out' };
  const message =
    paused === 'All'
      ? 'spec.paused is All: nothing is changed'
      : 'spec.paused is Disruptions: no broker is restarted, moved or removed';
  return { type, status: 'True', reason: paused, message };
}

/**
 * What acknowledged records survive as things stand, in the partition that is worst off; null where
 * that is not known.
 */
function durability({ metadata }: Observation): string | null {
  if (metadata === null) return null;
  const partitions = metadata.topics.flatMap(({ config, partitions: states }) =>
    states.map((state) => ({ state, copies: copiesOf(config, state) })),
  );
  if (partitions.length === 0) return 'no topics yet';
  const disks = Math.max(0, Math.min(...partitions.map(({ copies }) => copies)) - 1);
  const rackOf = (id: number): string =>
    metadata.brokers.find(({ brokerId }) => brokerId === id)?.rack ?? '';
  const spans = partitions.every(({ state: { replicas } }) => {
    const racks = replicas.map(rackOf);
    return !racks.includes('') && new Set(racks).size === racks.length;
  });
  const loss = disks === 0 ? 'the loss of no disk' : `the loss of ${counted(disks, 'disk')}`;
  return `survives any process crash and ${loss}; racks span: ${spans ? 'yes' : 'no'}`;
}

/** Trusted replicas that surely hold every acknowledged record. */
function copiesOf(
  { commitMode, minInSyncReplicas }: TopicConfigView,
  { syncSet, suspects }: PartitionView,
): number {
  const trusted = syncSet.filter((id) => !suspects.includes(id)).length;
  if (commitMode === 'InSync') return trusted;
  const holders = Math.max(Math.floor(syncSet.length / 2) + 1, minInSyncReplicas);
  // Those that are not trusted may be among the holders.
  return Math.min(trusted, Math.max(0, holders - (syncSet.length - trusted)));
}
