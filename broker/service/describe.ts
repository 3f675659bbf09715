/** Metadata and reports as messages of the public API. */
import { BrokerError } from '../../base/errors.ts';
import { CLIENT_LISTENER, INTERNAL_LISTENER } from '../../base/listeners.ts';
import type {
  Broker as BrokerMessage,
  CheckDisruptionResponse,
  DescribeBrokerResponse,
  DescribeClusterResponse,
  DescribeQuorumResponse,
  Partition as PartitionMessage,
  ReplicaStatus,
  Topic as TopicMessage,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type { CompactionStatus } from '../../proto/gen/tidemark/v1/cleanup.ts';
import type {
  CrossedLoss as CrossedLossMessage,
  LossReport as LossReportMessage,
} from '../../proto/gen/tidemark/v1/losses.ts';
import { OptionSource } from '../../proto/gen/tidemark/v1/options.ts';
import { type BrokerId, NO_BROKER } from '../../base/units.ts';
import type { ClockDoubt } from '../metadata/clock-trust.ts';
import type { DisruptionVerdict } from '../metadata/safety.ts';
import { isCompacted } from '../runtime/metadata-rules.ts';
import type {
  BrokerState,
  LossReport,
  MetadataImage,
  PartitionState,
  TopicState,
} from '../metadata/types.ts';
import type { RaftStatus } from '../raft/types.ts';
import type { BrokerApi, CompactionReport, OptionReport, ReplicaReport } from '../runtime/api.ts';
import type { AppendCounts } from '../telemetry/append-times.ts';
import type { CrossedLoss } from '../runtime/partitions/crossed-losses.ts';
import { settingsToMessage } from '../messages/settings.ts';
import { restartClassToMessage, topicConfigToMessage } from '../messages/topics.ts';

/** Partitions named by one CheckDisruption, as admin.proto says. */
const VERDICTS_MAX = 1_000;

export function describeTopic(topic: TopicState): TopicMessage {
  const { name, topicId, replicationFactor, config, partitions } = topic;
  return {
    name,
    topicId,
    replicationFactor,
    config: topicConfigToMessage(config),
    partitions: partitions.map(describePartition),
    followsMinInSyncReplicas: topic.followsMin === true,
  };
}

/** @param listener by which whoever asks came in: that of the addresses that it is told */
export function describeBrokers(broker: BrokerApi, listener: string): BrokerMessage[] {
  const voters = new Set(broker.report().raft?.voters.map(({ brokerId }) => brokerId));
  return [...broker.image().brokers.values()]
    .sort((left, right) => left.brokerId - right.brokerId)
    .map((state) => describeBroker(state, voters, listener));
}

/** @param listener as {@link describeBrokers} */
export function describeCluster(broker: BrokerApi, listener: string): DescribeClusterResponse {
  const { controller } = broker.nodeInfo();
  const image: MetadataImage = broker.image();
  if (image.index === 0 && broker.nodeInfo().clusterId !== '') {
    // A member without metadata would list no brokers as if there were none. An unformatted broker
    // has none to list, and says so.
    throw new BrokerError(
      'BROKER_NOT_READY',
      `Broker ${broker.brokerId} of cluster ${broker.nodeInfo().clusterId} is ${broker.phase()}`,
    );
  }
  return {
    // Of the directory where there is no metadata yet: formatted and unformatted brokers must not
    // answer alike.
    clusterId: image.clusterId === '' ? broker.nodeInfo().clusterId : image.clusterId,
    controller: idOrAbsent(controller),
    brokers: describeBrokers(broker, listener),
    featureLevel: image.featureLevel,
    losses: image.losses.map((loss) => describeLoss(loss, image)),
    answeredBy: broker.brokerId,
    metadataIndex: image.index,
    settings: settingsToMessage(image.settings),
  };
}

const OPTION_SOURCES = {
  default: OptionSource.OPTION_SOURCE_DEFAULT,
  environment: OptionSource.OPTION_SOURCE_ENVIRONMENT,
  flag: OptionSource.OPTION_SOURCE_FLAG,
  cluster: OptionSource.OPTION_SOURCE_CLUSTER,
} as const satisfies Record<OptionReport['source'], OptionSource>;

/** Ends `time retention paused:`. */
const CLOCK_DOUBTS = {
  'not-compared': 'clock not yet compared with a majority of brokers',
  unheard: 'clock not compared, the controller does not answer',
  off: "clock too far from the brokers' median",
  jumped: 'clock has jumped',
  settling: 'clock not yet good for long enough',
} as const satisfies Record<ClockDoubt, string>;

/** This broker's own state. @param times where the caller shows how long appends take */
export function describeSelf(
  broker: BrokerApi,
  version: string,
  times?: AppendCounts,
): DescribeBrokerResponse {
  const report = broker.report();
  return {
    brokerId: broker.brokerId,
    brokerEpoch: broker.nodeInfo().brokerEpoch,
    version,
    restartClass: restartClassToMessage(report.restartClass),
    restartReason: report.restartReason,
    replicas: report.replicas.map((replica) => describeReplica(replica, broker.brokerId)),
    freeBytes: Math.trunc(report.freeBytes),
    diskFault: report.diskFault ?? '',
    flushAgeMs: wholeMs(report.flushAgeMs),
    memoryBytes: process.memoryUsage.rss(),
    uptimeMs: wholeMs(report.uptimeMs),
    clockSkewMs: report.clockSkewMs === null ? undefined : Math.round(report.clockSkewMs),
    metadataFault: report.metadataFault ?? '',
    timeRetentionPaused: report.clockDoubt !== null,
    timeRetentionReason: report.clockDoubt === null ? '' : CLOCK_DOUBTS[report.clockDoubt],
    options: report.options.map(({ name, value, source, isLive }) => ({
      name,
      value,
      source: OPTION_SOURCES[source],
      live: isLive,
    })),
    appendTimes:
      times === undefined
        ? undefined
        : { boundsUs: [...times.boundsUs], counts: [...times.counts] },
  };
}

/** The quorum as its leader sees it. */
export function describeQuorum(status: RaftStatus, self: BrokerId): DescribeQuorumResponse {
  const voters = new Set(
    status.voters.map(({ brokerId, directoryId }) => `${brokerId}/${directoryId}`),
  );
  const own = status.voters.filter(({ brokerId }) => brokerId === self);
  const ownMembers = own.map((peer) => ({ ...peer, voter: true, matchIndex: status.durableIndex }));
  const others = status.progress.filter(({ peer }) => peer.brokerId !== self);
  const otherMembers = others.map(({ peer, matchIndex }) => ({
    ...peer,
    voter: voters.has(`${peer.brokerId}/${peer.directoryId}`),
    matchIndex,
  }));
  const members = [...ownMembers, ...otherMembers].sort(
    (left, right) => left.brokerId - right.brokerId,
  );
  return { leader: self, term: status.term, commitIndex: status.commitIndex, members };
}

export function describeDisruption({
  isSafe,
  partitions,
  quorum,
}: DisruptionVerdict): CheckDisruptionResponse {
  const suffering = partitions.filter(({ reasons }) => reasons.length > 0);
  const count = suffering.length === 0 ? [] : [`${suffering.length} partitions would suffer`];
  return {
    safe: isSafe,
    takesQuorum: quorum.losesQuorum,
    reason: [...(quorum.reason === '' ? [] : [quorum.reason]), ...count].join('; '),
    verdicts: suffering
      .slice(0, VERDICTS_MAX)
      .map(({ topic, partition, blocksWrites, losesLastCopy, reasons }) => ({
        topic,
        partition,
        stopsWrites: blocksWrites,
        takesLastCopy: losesLastCopy,
        reason: reasons.join('; '),
      })),
  };
}

function describeBroker(
  state: BrokerState,
  voters: ReadonlySet<BrokerId>,
  listener: string,
): BrokerMessage {
  const {
    brokerId,
    rack,
    brokerEpoch,
    directoryId,
    restartClass,
    fenced,
    stopping,
    cordoned,
    featureLevelMax,
  } = state;
  return {
    brokerId,
    ...reachedBy(state, listener),
    rack,
    brokerEpoch,
    directoryId,
    restartClass: restartClassToMessage(restartClass),
    fenced,
    stopping,
    voter: voters.has(brokerId),
    cordoned,
    featureLevelMax,
  };
}

/**
 * Where clients of the listener dial the broker. Whoever came by a named one is told of no other:
 * where else a broker stands is none of its business.
 */
function reachedBy(
  { brokerId, host, port, listeners = [] }: BrokerState,
  listener: string,
): Pick<BrokerMessage, 'host' | 'port' | 'unreachable' | 'listeners'> {
  if (listener === CLIENT_LISTENER) return { host, port, unreachable: '', listeners: [] };
  if (listener === INTERNAL_LISTENER)
    return { host, port, unreachable: '', listeners: listeners.map((each) => ({ ...each })) };
  const own = listeners.find((each) => each.listener === listener);
  if (own !== undefined) return { host: own.host, port: own.port, unreachable: '', listeners: [] };
  const unreachable = `broker ${brokerId} has no address for clients of listener "${listener}"`;
  return { host: '', port: 0, unreachable, listeners: [] };
}

export function describePartition(state: PartitionState): PartitionMessage {
  const { partition, replicas, syncSet, quorum, leader, leaderEpoch, partitionEpoch, suspects } =
    state;
  const { adding, removing, target = [], successor, cannotLead } = state;
  return {
    partition,
    replicas: [...replicas],
    syncSet: [...syncSet],
    quorum,
    leader: idOrAbsent(leader),
    leaderEpoch,
    partitionEpoch,
    suspects: [...suspects],
    adding: [...adding],
    removing: [...removing],
    successor: idOrAbsent(successor),
    target: [...target],
    cannotLead: [...cannotLead],
  };
}

/** A loss report that a reader comes across. */
export function describeCrossing(
  { report, toOffset }: CrossedLoss,
  image: MetadataImage,
): CrossedLossMessage {
  return { report: describeLoss(report, image), toOffset };
}

function describeLoss(
  { topic, topicId, partition, leaderEpoch, leader, fromOffset, atMs }: LossReport,
  { topics }: MetadataImage,
): LossReportMessage {
  const config = topics.get(topicId)?.config;
  return {
    // Compaction drops a value for a later one, and that one may be lost (rule K7).
    ...(config !== undefined && isCompacted(config) ? { compacted: true } : {}),
    topic,
    topicId,
    partition,
    leaderEpoch,
    leader: Math.max(0, leader),
    fromOffset,
    atMs: wholeMs(atMs),
  };
}

function describeReplica(
  { topicId, topic, partition, status, sizeBytes, stopped, compaction }: ReplicaReport,
  self: BrokerId,
): ReplicaStatus {
  return {
    topicId,
    topic,
    partition,
    leading: status.leader === self,
    leaderEpoch: status.leaderEpoch,
    logStart: status.logStart,
    logEnd: status.logEnd,
    highWaterMark: status.highWaterMark,
    sizeBytes,
    syncedOffset: status.syncedOffset,
    followers: status.followers.map(({ brokerId, endOffset, lagMs, isInSync }) => ({
      brokerId,
      endOffset: endOffset ?? 0,
      lagRecords: Math.max(0, status.writtenEnd - (endOffset ?? status.logStart)),
      lagMs: wholeMs(lagMs),
      inSync: isInSync,
    })),
    stopped: stopped ?? '',
    compaction: describeCompaction(compaction),
  };
}

function describeCompaction(report: CompactionReport): CompactionStatus | undefined {
  const { orderedTo, upTo, tombstonesBelow, cleanBytes, dirtyBytes } = report;
  const { phase, bytesNeeded, last, segments } = report;
  if (Math.max(orderedTo, tombstonesBelow, dirtyBytes) === 0) return undefined;
  return {
    orderedTo,
    compactedTo: upTo,
    tombstonesBelow,
    cleanBytes,
    dirtyBytes,
    phase,
    bytesNeeded,
    segments,
    lastPass: last === null ? undefined : { ...last, durationMs: wholeMs(last.durationMs) },
  };
}

function idOrAbsent(brokerId: BrokerId): BrokerId | undefined {
  return brokerId === NO_BROKER ? undefined : brokerId;
}

/** Clocks give fractions; the wire takes whole milliseconds. */
function wholeMs(durationMs: number): number {
  return Number.isFinite(durationMs) ? Math.max(0, Math.round(durationMs)) : 0;
}
