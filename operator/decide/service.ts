/**
 * What it takes for a broker to be in service, and what stopping brokers would do, in words. Pure;
 * every gate and the status speak through these.
 */
import { podName } from '../api/names.ts';
import type {
  Action,
  Observation,
  PartitionView,
  PodView,
  RegisteredBroker,
  ReplicaView,
  TopicView,
  Verdict,
} from './types.ts';

/** Names in a message; the rest is counted. */
const NAMED_MAX = 3;
const VOTERS_FOR_MAJORITY = 3;

/** `a, b, c and 4 more`. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_MAX).join(', ');
  return names.length <= NAMED_MAX ? shown : `${shown} and ${names.length - NAMED_MAX} more`;
}

/**
 * At most `lengthMax` characters: where there are more, those after the last word that fits are an
 * ellipsis.
 */
export function shortened(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  const fitting = text.slice(0, lengthMax - 1);
  const space = text[lengthMax - 1] === ' ' ? fitting.length : fitting.lastIndexOf(' ');
  return `${(space > 0 ? fitting.slice(0, space) : fitting).trimEnd().toWellFormed()}…`;
}

export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

export function brokersNamed(brokerIds: readonly number[]): string {
  return brokerIds.length === 1 ? `broker ${brokerIds[0]}` : `brokers ${brokerIds.join(', ')}`;
}

/** Ids that the workload runs now. */
export function expectedBrokers({ workload }: Pick<Observation, 'workload'>): number[] {
  return Array.from({ length: workload?.replicas ?? 0 }, (_, id) => id);
}

export function podOf({ pods }: Pick<Observation, 'pods'>, brokerId: number): PodView | undefined {
  return pods.find((pod) => pod.brokerId === brokerId);
}

export function registeredBroker(
  { metadata }: Pick<Observation, 'metadata'>,
  brokerId: number,
): RegisteredBroker | undefined {
  return metadata?.brokers.find((broker) => broker.brokerId === brokerId);
}

/** Nothing is wrong with the broker itself, as far as is known. */
export const NO_CONTROLLER = 'no broker answers as controller';

/**
 * Why a broker is not in service; null where it is. Of several reasons, the one nearest to the
 * cause.
 */
export function serviceFault(observation: Observation, brokerId: number): string | null {
  const pod = podOf(observation, brokerId);
  const name = podName(observation.cluster.metadata.name, brokerId);
  if (pod === undefined) return `pod ${name} does not exist`;
  if (pod.isTerminating) return `pod ${name} is stopping`;
  if (pod.stuck !== null) return `pod ${name} does not run (${pod.stuck})`;
  const answer = observation.answers.find((each) => each.brokerId === brokerId);
  if (answer === undefined || answer.fault !== null)
    return `it does not answer${placeOf(pod)} (${answer?.fault ?? 'not asked'})`;
  if (observation.metadata === null) return NO_CONTROLLER;
  const registered = registeredBroker(observation, brokerId);
  if (registered === undefined) return 'the controller does not know it';
  if (registered.isFenced) return 'the controller has it fenced';
  if (registered.isStopping && !isWithdrawn(observation, brokerId))
    return 'it is in an orderly stop';
  if (registered.brokerEpoch !== answer.brokerEpoch)
    return `it registered anew (epoch ${answer.brokerEpoch}), which the controller does not show yet`;
  return pod.isReady ? null : `pod ${name} is not ready`;
}

/**
 * How long a broker leads nothing for its node's sake. `kubectl drain` evicts seconds after it has
 * cordoned; a broker that leads nothing takes no new replicas either, so that is not for ever.
 */
const WITHDRAWAL_MS_MAX = 300_000;

/**
 * The broker that a drain is about to evict: the only one whose node was cordoned of late. Of
 * several nobody knows which goes first, and brokers that stop together count as one loss.
 */
export function leavingBroker({
  cluster,
  pods,
  metadata,
}: Pick<Observation, 'cluster' | 'pods' | 'metadata'>): number | null {
  const leaving = pods.filter(
    ({ cordonedForMs }) => cordonedForMs !== null && cordonedForMs <= WITHDRAWAL_MS_MAX,
  );
  const [only] = leaving;
  const isOne = only !== undefined && leaving.length === 1 && !only.isTerminating;
  return isOne && pods.length > 1 && canStay({ metadata }) && cluster.spec.paused === undefined
    ? only.brokerId
    : null;
}

/** Leads nothing because its node is about to be drained, and serves otherwise. */
export function isWithdrawn(
  observation: Pick<Observation, 'cluster' | 'pods' | 'metadata' | 'answers'>,
  brokerId: number,
): boolean {
  return (
    leavingBroker(observation) === brokerId &&
    registeredBroker(observation, brokerId)?.isStopping === true &&
    catchUpFault(observation, brokerId) === null
  );
}

/** Whether brokers know how to take a stop back. */
export function canStay({ metadata }: Pick<Observation, 'metadata'>): boolean {
  return metadata?.settings != null;
}

/**
 * Told to stop, by us, and then left standing: it leads nothing until that is taken back, or it
 * starts anew. The very process that was told must still answer: the registration of one that has
 * stopped says so until the next one registers, and its new pod may be waiting for a node.
 */
export function isStranded(
  observation: Pick<Observation, 'cluster' | 'pods' | 'answers' | 'metadata'>,
  { brokerId, isTerminating }: PodView,
): boolean {
  const registered = registeredBroker(observation, brokerId);
  return (
    !isTerminating &&
    registered?.isStopping === true &&
    !isWithdrawn(observation, brokerId) &&
    observation.answers.some(
      (answer) =>
        answer.brokerId === brokerId &&
        answer.fault === null &&
        answer.brokerEpoch === registered.brokerEpoch,
    )
  );
}

/** Has the broker that answers hand over what it leads; one that is silent cannot. */
export function prepareStop(
  { answers }: Pick<Observation, 'answers'>,
  brokerId: number,
): Extract<Action, { readonly kind: 'prepare-stop' }>[] {
  const answer = answers.find((each) => each.brokerId === brokerId && each.fault === null);
  return answer === undefined
    ? []
    : [{ kind: 'prepare-stop', brokerId, brokerEpoch: answer.brokerEpoch }];
}

function placeOf({ node }: PodView): string {
  return node === null ? '' : ` on node ${node}`;
}

interface PlacedPartition {
  readonly topic: TopicView;
  readonly state: PartitionView;
}

function allPartitions({ metadata }: Pick<Observation, 'metadata'>): PlacedPartition[] {
  return (metadata?.topics ?? []).flatMap((topic) =>
    topic.partitions.map((state) => ({ topic, state })),
  );
}

/** All partitions with a replica on this broker that belongs there. */
export function partitionsOf(
  observation: Pick<Observation, 'metadata'>,
  brokerId: number,
): PlacedPartition[] {
  return allPartitions(observation).filter(({ state }) => state.replicas.includes(brokerId));
}

function partitionName({ topic, state }: PlacedPartition): string {
  return replicaKey({ topic: topic.name, partition: state.partition });
}

/**
 * What a broker that runs still has to catch up with:
 * `to rejoin 3 sync sets: orders/0, …; 41 MB behind`; null where nothing is left.
 */
export function catchUpFault(
  observation: Pick<Observation, 'metadata' | 'answers'>,
  brokerId: number,
): string | null {
  const behind = partitionsOf(observation, brokerId).filter(
    ({ state }) =>
      !state.adding.includes(brokerId) &&
      (!state.syncSet.includes(brokerId) || state.suspects.includes(brokerId)),
  );
  if (behind.length === 0) return null;
  const bytes = bytesBehind(observation, brokerId);
  const lag = bytes === 0 ? '' : `; ${bytesText(bytes)} behind`;
  return `to rejoin ${counted(behind.length, 'sync set')}: ${listed(behind.map(partitionName))}${lag}`;
}

/**
 * Leaderships that the controller gives back to a broker once it has been fit for a while; null
 * where it has them all.
 */
export function leadershipFault(observation: Observation, brokerId: number): string | null {
  const missing = partitionsOf(observation, brokerId).filter(
    ({ state }) =>
      state.replicas[0] === brokerId &&
      !state.removing.includes(brokerId) &&
      state.leader !== brokerId,
  );
  return missing.length === 0
    ? null
    : `to lead ${counted(missing.length, 'partition')} again: ${listed(missing.map(partitionName))}`;
}

/** A partition whose leader answers, and what that broker says of it where it leads. */
interface WordOfLeader {
  readonly placed: PlacedPartition;
  /** Undefined: it does not lead by the epoch that metadata has. */
  readonly led: ReplicaView | undefined;
}

/** Partitions that nobody leads, or whose leader is silent, are left out. */
function wordsOfLeaders({ answers, metadata }: Observation): WordOfLeader[] {
  const ledBy = new Map(
    answers
      .filter(({ fault }) => fault === null)
      .map(({ brokerId, replicas }) => {
        const led = replicas.filter(({ isLeading }) => isLeading);
        return [brokerId, new Map(led.map((replica) => [replicaKey(replica), replica]))] as const;
      }),
  );
  return allPartitions({ metadata }).flatMap((placed) => {
    const { topic, state } = placed;
    const answered = state.leader === null ? undefined : ledBy.get(state.leader);
    if (answered === undefined) return [];
    const led = answered.get(replicaKey({ topic: topic.name, partition: state.partition }));
    return [{ placed, led: led?.leaderEpoch === state.leaderEpoch ? led : undefined }];
  });
}

function replicaKey({ topic, partition }: Pick<ReplicaView, 'topic' | 'partition'>): string {
  return `${topic}/${partition}`;
}

/**
 * Partitions that somebody should lead who answers and does not say so: it has not seen the newest
 * metadata, or has not opened the log yet.
 */
export function unawareLeaders(observation: Observation): string[] {
  return wordsOfLeaders(observation)
    .filter(({ led }) => led === undefined)
    .map(({ placed }) => partitionName(placed));
}

/** How long followers may lag behind records that wait for them. */
const STALL_MS = 5_000;

/**
 * Partitions whose high-water mark stands still below the end of the leader's log, because too few
 * of those in sync follow.
 */
export function stalledPartitions(observation: Observation): string[] {
  return wordsOfLeaders(observation)
    .filter(({ placed, led }) => {
      if (led === undefined || led.highWaterMark >= led.logEnd) return false;
      const members = led.followers.filter(({ isInSync }) => isInSync);
      const following = members.filter(({ lagMs }) => lagMs <= STALL_MS).length;
      const { commitMode, minInSyncReplicas } = placed.topic.config;
      const majority = Math.floor((members.length + 1) / 2) + 1;
      const needed =
        commitMode === 'Quorum' ? Math.max(majority, minInSyncReplicas) : members.length + 1;
      return following + 1 < needed;
    })
    .map(({ placed }) => partitionName(placed));
}

/** Voters that answer and name another controller than the one there is, or none. */
export function deafVoters({ answers, metadata }: Observation): number[] {
  const voters = (metadata?.brokers ?? []).filter(({ isVoter }) => isVoter);
  return answers
    .filter(
      ({ brokerId, fault, controller }) =>
        fault === null &&
        controller !== metadata?.controller &&
        voters.some((voter) => voter.brokerId === brokerId),
    )
    .map(({ brokerId }) => brokerId);
}

/** As the leaders see it: an estimate from the mean size of their records. */
function bytesBehind({ answers }: Pick<Observation, 'answers'>, brokerId: number): number {
  return answers
    .flatMap(({ replicas }) => replicas)
    .flatMap(({ followers, bytesPerRecord }) =>
      followers.map((follower) => ({ ...follower, bytesPerRecord })),
    )
    .filter((follower) => follower.brokerId === brokerId)
    .reduce((sum, { lagRecords, bytesPerRecord }) => sum + lagRecords * bytesPerRecord, 0);
}

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** `41 MB`. */
export function bytesText(bytes: number): string {
  const power = bytes < 1_000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${Math.round(bytes / 1_000 ** power)} ${UNITS[power]}`;
}

export function verdictOn(
  { verdicts }: Observation,
  brokerIds: readonly number[],
): Verdict | undefined {
  const wanted = brokerIds.toSorted((left, right) => left - right).join();
  return verdicts.find((verdict) => verdict.brokerIds.join() === wanted);
}

/**
 * Harm that stopping these brokers would do, in words; null where it does none. What no waiting
 * could avoid is no harm: partitions that by their own settings stop with any of their replicas,
 * once all replicas are in sync; and a metadata quorum of fewer than three voters.
 */
export function harmOf(
  observation: Pick<Observation, 'metadata'>,
  verdict: Verdict,
): string | null {
  const { metadata } = observation;
  const voters = (metadata?.brokers ?? []).filter(({ isVoter }) => isVoter).length;
  const harms =
    verdict.takesQuorum && voters >= VOTERS_FOR_MAJORITY
      ? [verdict.reason.split('; ')[0] ?? verdict.reason]
      : [];
  const hurt = verdict.partitions.filter(
    ({ topic, partition }) =>
      !isUnavoidable(observation, topic, partition, verdict.brokerIds.length),
  );
  const named = hurt.map(({ topic, partition, reason }) => `${topic}/${partition} (${reason})`);
  if (named.length > 0)
    harms.push(`${counted(named.length, 'partition')} would suffer: ${listed(named)}`);
  return harms.length === 0 ? null : harms.join('; ');
}

function isUnavoidable(
  { metadata }: Pick<Observation, 'metadata'>,
  topicName: string,
  partition: number,
  stopped: number,
): boolean {
  const topic = metadata?.topics.find(({ name }) => name === topicName);
  const state = topic?.partitions.find((each) => each.partition === partition);
  if (topic === undefined || state === undefined || stopped > 1) return false;
  const isWhole =
    state.replicas.every((id) => state.syncSet.includes(id)) && state.suspects.length === 0;
  return isWhole && topic.config.minInSyncReplicas >= state.replicas.length;
}
