/** What the page is told: one look at a cluster as JSON. Pure. */
import type { ReplicaStatus } from '../../../proto/gen/tidemark/v1/admin.ts';
import type { ClusterSeen, PartitionSeen, Snapshot } from '../../../page/snapshot.ts';
import { placeOf } from '../rows.ts';
import { brokerHealth, healthOf, partitionFaults, refusalOf } from '../health.ts';
import type { ClusterLook } from '../look.ts';
import { type MoveProgress, movesUnderWay } from '../moves.ts';
import { lossSentence } from '../units.ts';

/** A look, and when it was taken: milliseconds since 1970-01-01 UTC. */
export interface TimedLook {
  readonly look: ClusterLook;
  readonly atMs: number;
}

/** What is told beside the cluster itself. */
export type Beside = Pick<Snapshot, 'processes' | 'logCluster' | 'groups'>;

const NOTHING_BESIDE: Beside = { processes: null, logCluster: null, groups: null };

/** @param before an earlier look, for the rates of moves */
export function snapshotOf(
  now: TimedLook,
  before?: TimedLook,
  beside: Beside = NOTHING_BESIDE,
): Snapshot {
  const { level, sentence } = healthOf(now.look);
  return { atMs: now.atMs, level, sentence, cluster: clusterOf(now, before), ...beside };
}

function clusterOf({ look, atMs }: TimedLook, before?: TimedLook): ClusterSeen {
  const { cluster, topics } = look;
  const replicas = replicasByBroker(look);
  const limit = cluster.settings?.moveBytesPerSecond ?? -1;
  const earlier =
    before === undefined || atMs <= before.atMs
      ? undefined
      : { look: before.look, elapsedMs: atMs - before.atMs };
  return {
    clusterId: cluster.clusterId,
    controller: cluster.controller ?? null,
    answeredBy: cluster.answeredBy,
    brokers: cluster.brokers.map((broker) => ({
      brokerId: broker.brokerId,
      address: placeOf(broker),
      rack: broker.rack,
      state: brokerHealth(look, broker),
      voter: broker.voter,
      brokerEpoch: broker.brokerEpoch,
      appends: look.reports.get(broker.brokerId)?.appendTimes ?? null,
    })),
    partitions: topics.flatMap((topic) =>
      topic.partitions.map(
        (partition): PartitionSeen => ({
          topic: topic.name,
          topicId: topic.topicId,
          partition: partition.partition,
          leader: partition.leader ?? null,
          leaderEpoch: partition.leaderEpoch,
          minInSync: topic.config.minInSyncReplicas ?? 1,
          syncSet: partition.syncSet,
          suspects: partition.suspects,
          refusal: refusalOf(look, topic, partition) ?? '',
          faults: partitionFaults(look, topic, partition),
          replicas: partition.replicas.map((brokerId) => ({
            brokerId,
            adding: partition.adding.includes(brokerId),
            log: logOf(replicas.get(brokerId)?.get(`${topic.topicId}/${partition.partition}`)),
          })),
        }),
      ),
    ),
    moves: movesUnderWay(look, limit, earlier).map(moveOf),
    losses: cluster.losses.map(lossSentence),
  };
}

/** Where nobody answers. */
export function unreachable(
  atMs: number,
  reason: string,
  beside: Beside = NOTHING_BESIDE,
): Snapshot {
  return { atMs, level: 'failing', sentence: reason, cluster: null, ...beside };
}

function replicasByBroker({ reports }: ClusterLook): Map<number, Map<string, ReplicaStatus>> {
  return new Map(
    [...reports].map(([id, { replicas }]) => [
      id,
      new Map(replicas.map((one) => [`${one.topicId}/${one.partition}`, one])),
    ]),
  );
}

function logOf(status: ReplicaStatus | undefined) {
  if (status === undefined) return null;
  const { logStart, logEnd, highWaterMark, leaderEpoch, sizeBytes, stopped } = status;
  return {
    start: logStart,
    end: logEnd,
    committed: highWaterMark,
    leaderEpoch,
    sizeBytes,
    stopped,
  };
}

function moveOf({ topic, partition, adding, removing, ...rest }: MoveProgress) {
  const { bytesLeft = null, etaMs = null, stalled = '' } = rest;
  return { topic, partition, adding, removing, bytesLeft, etaMs, stalled };
}
