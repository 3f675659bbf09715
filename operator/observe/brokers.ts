/**
 * Asks all brokers at once, then the controller about the whole. Silence is an answer too: it is
 * shown as a fault, in words.
 */
import { type ServiceError, status as Status } from '@grpc/grpc-js';
import { BrokerError } from '../../base/errors.ts';
import {
  AdminServiceService as ADMIN,
  CommitMode,
  RestartClass,
  type Broker,
  type CheckDisruptionResponse,
  type ClusterSettings,
  type DescribeBrokerResponse,
  type DescribeClusterResponse,
  type Partition,
  type ReplicaStatus,
  type Topic,
} from '../../proto/gen/tidemark/v1/admin.ts';
import { Cleanup, type CleanupConfig } from '../../proto/gen/tidemark/v1/cleanup.ts';
import type { Cleanup as CleanupWord, TlsPhase } from '../api/types.ts';
import type {
  BrokerAnswer,
  MetadataView,
  Move,
  PartitionView,
  RegisteredBroker,
  ReplicaView,
  RestartClass as RestartClassName,
  SettingsView,
  TopicConfigView,
  TopicView,
  Verdict,
} from '../decide/types.ts';
import type { BrokerCalls } from './broker-admin.ts';

/**
 * A healthy broker answers within milliseconds; a pass must not wait long for one that does not.
 */
const CALL_TIMEOUT_MS = 3_000;
/** Feature level from which a cluster keeps options and defaults, and brokers take a stop back. */
const LEVEL_OF_SETTINGS = 3;
/** Feature level from which every broker knows compacted topics. */
const LEVEL_OF_COMPACTION = 12;
/** Whether the minimum of a topic was chosen for it. */
const LEVEL_OF_FOLLOWING = 16;

export interface Asked {
  readonly brokerId: number;
  /** Null: it has none yet. */
  readonly address: string | null;
  /** Why it cannot be asked although it has one. */
  readonly fault?: string;
}

/** A broker's answers, and where it was asked. */
export interface Reached {
  readonly answer: BrokerAnswer;
  readonly address: string | null;
  readonly cluster: DescribeClusterResponse | null;
}

export async function askBroker(
  admin: BrokerCalls,
  { brokerId, address, fault }: Asked,
  signal: AbortSignal,
): Promise<Reached> {
  if (fault !== undefined) return { answer: silent(brokerId, fault), address: null, cluster: null };
  if (address === null)
    return { answer: silent(brokerId, 'its pod has no address yet'), address, cluster: null };
  const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
  try {
    const [cluster, self] = await Promise.all([
      admin.call(address, ADMIN.describeCluster, {}, options),
      admin.call(address, ADMIN.describeBroker, { brokerId: undefined }, options),
    ]);
    return { answer: answerOf(brokerId, cluster, self), address, cluster };
  } catch (error) {
    return { answer: silent(brokerId, whySilent(error)), address, cluster: null };
  }
}

/**
 * Why a broker did not answer. What gRPC says of a connection holds addresses, and changes from one
 * attempt to the next: a person reads this in a status.
 */
function whySilent(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = (error.cause ?? {}) as Partial<ServiceError>;
  if (code === Status.UNAVAILABLE) return 'no connection';
  if (code === Status.DEADLINE_EXCEEDED) return `no answer within ${CALL_TIMEOUT_MS / 1_000} s`;
  return error.message;
}

function silent(brokerId: number, fault: string): BrokerAnswer {
  return {
    brokerId,
    fault,
    clusterId: null,
    controller: null,
    brokerEpoch: 0,
    version: '',
    tlsPhase: null,
    freeBytes: null,
    replicas: [],
  };
}

function answerOf(
  brokerId: number,
  cluster: DescribeClusterResponse,
  self: DescribeBrokerResponse,
): BrokerAnswer {
  // An address may be another pod's by now.
  if (self.brokerId !== brokerId)
    return silent(brokerId, `broker ${self.brokerId} answers at its address`);
  const { brokerEpoch, version, freeBytes, replicas, options } = self;
  return {
    brokerId,
    fault: null,
    clusterId: cluster.clusterId,
    controller: cluster.controller ?? null,
    brokerEpoch,
    version,
    tlsPhase: tlsPhaseOf(options),
    freeBytes,
    replicas: replicas.map(replicaView),
  };
}

/** By the value of `internal-tls-mode`; a build that has no such option does not report it. */
const TLS_PHASES: ReadonlyMap<string | undefined, TlsPhase> = new Map([
  ['', 'Plaintext'],
  ['allow', 'Allow'],
  ['prefer', 'Prefer'],
  ['require', 'Require'],
]);

function tlsPhaseOf(options: DescribeBrokerResponse['options']): TlsPhase | null {
  const value = options.find(({ name }) => name === 'internal-tls-mode')?.value;
  return TLS_PHASES.get(value) ?? null;
}

function replicaView({
  topic,
  partition,
  leading,
  leaderEpoch,
  sizeBytes,
  logStart,
  logEnd,
  highWaterMark,
  followers,
  stopped,
}: ReplicaStatus): ReplicaView {
  return {
    topic,
    partition,
    isLeading: leading,
    leaderEpoch,
    logEnd,
    highWaterMark,
    bytesPerRecord: logEnd > logStart ? sizeBytes / (logEnd - logStart) : 0,
    followers: followers.map(({ brokerId, lagRecords, lagMs, inSync }) => ({
      brokerId,
      lagRecords,
      lagMs,
      isInSync: inSync,
    })),
    stopped,
  };
}

/**
 * The cluster as its controller has it; null where it was not reached, or does not believe itself
 * to be one.
 *
 * @param names of topics; empty: all
 */
export async function askController(
  admin: BrokerCalls,
  reached: readonly Pick<Reached, 'address' | 'cluster'>[],
  signal: AbortSignal,
  names: readonly string[] = [],
): Promise<{ readonly metadata: MetadataView; readonly address: string } | null> {
  const controller = reached.find(
    ({ cluster }) => cluster !== null && cluster.controller === cluster.answeredBy,
  );
  if (controller?.cluster == null || controller.address === null) return null;
  const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
  try {
    // The quorum's leader alone answers this: a deposed one that has not noticed is found out by
    // its silence.
    const [{ leader }, { topics }] = await Promise.all([
      admin.call(controller.address, ADMIN.describeQuorum, {}, options),
      askTopics(admin, controller.address, names, options),
    ]);
    if (leader !== controller.cluster.answeredBy) return null;
    return {
      metadata: metadataOf(controller.cluster, leader, topics),
      address: controller.address,
    };
  } catch {
    return null;
  }
}

/** Of these names those that exist; empty: all. */
async function askTopics(
  admin: BrokerCalls,
  address: string,
  names: readonly string[],
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<{ readonly topics: readonly Topic[] }> {
  try {
    const request = { names: [...names], includeInternal: false };
    return await admin.call(address, ADMIN.listTopics, request, options);
  } catch (error) {
    if (names.length > 0 && error instanceof BrokerError && error.code === 'UNKNOWN_TOPIC')
      return { topics: [] };
    throw error;
  }
}

/** The cluster as the broker at `address` has it where it is the controller, else null. */
export async function askControllerAt(
  admin: BrokerCalls,
  address: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<MetadataView | null> {
  try {
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal };
    const cluster = await admin.call(address, ADMIN.describeCluster, {}, options);
    return (await askController(admin, [{ address, cluster }], signal, names))?.metadata ?? null;
  } catch {
    return null;
  }
}

function metadataOf(
  { clusterId, brokers, losses, featureLevel, settings }: DescribeClusterResponse,
  controller: number,
  topics: readonly Topic[],
): MetadataView {
  return {
    clusterId,
    controller,
    brokers: brokers.map(brokerView),
    topics: topics.map(topicView),
    losses,
    moveBytesPerSecond: settings?.moveBytesPerSecond ?? -1,
    settings: featureLevel < LEVEL_OF_SETTINGS ? null : settingsView(settings),
    hasCompaction: featureLevel >= LEVEL_OF_COMPACTION,
    hasFollowing: featureLevel >= LEVEL_OF_FOLLOWING,
  };
}

function settingsView(settings: ClusterSettings | undefined): SettingsView {
  const { brokerOptions = {}, topicDefaults } = settings ?? {};
  const { replicationFactor, minInSyncReplicas } = topicDefaults ?? {};
  const commitMode = COMMIT_MODES[topicDefaults?.commitMode ?? 0];
  return {
    brokerOptions,
    topicDefaults: {
      ...(replicationFactor === undefined ? {} : { replicationFactor }),
      ...(minInSyncReplicas === undefined ? {} : { minInSyncReplicas }),
      ...(commitMode === undefined ? {} : { commitMode }),
    },
  };
}

const CLEANUPS: Readonly<Partial<Record<Cleanup, CleanupWord>>> = {
  [Cleanup.CLEANUP_DELETE]: 'Delete',
  [Cleanup.CLEANUP_COMPACT]: 'Compact',
  [Cleanup.CLEANUP_BOTH]: 'Both',
};

const COMMIT_MODES: Readonly<Partial<Record<CommitMode, 'InSync' | 'Quorum'>>> = {
  [CommitMode.COMMIT_MODE_IN_SYNC]: 'InSync',
  [CommitMode.COMMIT_MODE_QUORUM]: 'Quorum',
};

const RESTART_CLASSES: Readonly<Partial<Record<RestartClass, RestartClassName>>> = {
  [RestartClass.RESTART_CLASS_NEW]: 'new',
  [RestartClass.RESTART_CLASS_CLEAN]: 'clean',
  [RestartClass.RESTART_CLASS_WARM]: 'warm',
  [RestartClass.RESTART_CLASS_LOSSY]: 'lossy',
};

function brokerView({
  brokerId,
  rack,
  brokerEpoch,
  directoryId,
  restartClass,
  fenced,
  stopping,
  voter,
  cordoned,
  listeners,
}: Broker): RegisteredBroker {
  return {
    brokerId,
    rack,
    brokerEpoch,
    directoryId,
    restartClass: RESTART_CLASSES[restartClass] ?? 'unknown',
    isFenced: fenced,
    isStopping: stopping,
    isVoter: voter,
    isCordoned: cordoned,
    ...(listeners.length === 0 ? {} : { listeners }),
  };
}

function topicView({
  name,
  topicId,
  replicationFactor,
  config,
  partitions,
  followsMinInSyncReplicas,
}: Topic): TopicView {
  return {
    name,
    topicId,
    replicationFactor,
    config: {
      minInSyncReplicas: config?.minInSyncReplicas ?? 1,
      commitMode: config?.commitMode === CommitMode.COMMIT_MODE_QUORUM ? 'Quorum' : 'InSync',
      retentionMs: config?.retentionMs ?? -1,
      retentionBytes: config?.retentionBytes ?? -1,
      segmentBytes: config?.segmentBytes ?? 0,
      segmentMs: config?.segmentMs ?? 0,
      batchBytesMax: config?.batchBytesMax ?? 0,
      uncleanElection: config?.uncleanElection ?? false,
      ...cleanupView(config?.cleanup),
    },
    followsMin: followsMinInSyncReplicas,
    partitions: partitions.map(partitionView),
  };
}

function cleanupView(config: CleanupConfig | undefined): Partial<TopicConfigView> {
  const { cleanup = Cleanup.CLEANUP_UNSPECIFIED, ...numbers } = config ?? {};
  const word = CLEANUPS[cleanup];
  const stated = Object.entries({ ...numbers, cleanup: word });
  return Object.fromEntries(stated.filter(([, value]) => value !== undefined));
}

function partitionView({
  partition,
  replicas,
  syncSet,
  leader,
  leaderEpoch,
  suspects,
  adding,
  removing,
}: Partition): PartitionView {
  return {
    partition,
    replicas,
    syncSet,
    leader: leader ?? null,
    leaderEpoch,
    suspects,
    adding,
    removing,
  };
}

/** What the controller says of stopping `brokerIds` together; null where it does not say. */
export async function askVerdict(
  admin: BrokerCalls,
  address: string,
  brokerIds: readonly number[],
  signal: AbortSignal,
): Promise<Verdict | null> {
  try {
    const response = await admin.call(
      address,
      ADMIN.checkDisruption,
      { brokerIds: [...brokerIds] },
      { timeoutMs: CALL_TIMEOUT_MS, signal },
    );
    return verdictOf(brokerIds, response);
  } catch {
    return null;
  }
}

export function verdictOf(
  brokerIds: readonly number[],
  { safe, takesQuorum, reason, verdicts }: CheckDisruptionResponse,
): Verdict {
  return {
    brokerIds: brokerIds.toSorted((left, right) => left - right),
    isSafe: safe,
    takesQuorum,
    reason,
    partitions: verdicts,
  };
}

/** Moves that would balance the cluster; null where the controller does not say. */
export async function askRebalance(
  admin: BrokerCalls,
  address: string,
  signal: AbortSignal,
): Promise<readonly Move[] | null> {
  try {
    const { moves } = await admin.call(
      address,
      ADMIN.planRebalance,
      {},
      { timeoutMs: CALL_TIMEOUT_MS, signal },
    );
    return moves.map(({ topic, partition, to }) => ({ topic, partition, replicas: to }));
  } catch {
    return null;
  }
}
