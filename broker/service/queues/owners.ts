/**
 * Asks the owners of a queue's partitions, wherever they are, and answers as one of them: the owner
 * is the leader of the partition of `__queues` that keeps the state. Knows nothing of callers: who
 * may ask was judged where the call came in.
 */
import {
  type DescribeOwnedResponse,
  type QueuesServiceServer,
  QueuesServiceService,
} from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import type { QueueMember, QueuePartition } from '../../../proto/gen/tidemark/v1/queues.ts';
import { BrokerError } from '../../../base/errors.ts';
import { QUEUES_TOPIC } from '../../../base/internal-topics.ts';
import { OFFSET_MAX, PARTITIONS_PER_TOPIC_MAX } from '../../../base/limits.ts';
import { type BrokerId, NO_BROKER } from '../../../base/units.ts';
import { errorToMessage } from '../../../wire/grpc/errors.ts';
import { remainingMs } from '../../messages/deadline.ts';
import { integerField, refuse, topicIdBytes, topicIdField } from '../../messages/fields.ts';
import { expected, unaryHandler } from '../../messages/handlers.ts';
import type { QueueDefinition } from '../../metadata/types.ts';
import { partitionOfQueue } from '../../runtime/queues/place.ts';
import { Backoff, type Cluster, imageChangeOr, isRetriable } from '../cluster.ts';
import { topicNamed } from '../decisions.ts';
import { type GroupParts, within } from '../groups/coordinated.ts';
import { partitionField } from '../groups/fields.ts';
import type { OwnedQueues } from './owned.ts';

export interface QueueParts extends GroupParts {
  /** Those of this broker. */
  readonly owned: OwnedQueues;
}

/** How partitions stand, in their order; one whose owner did not answer says why. */
export interface Standing {
  readonly partitions: QueuePartition[];
  /** By id, of owners that answered. */
  readonly members: QueueMember[];
}

/** Broker that owns a partition of the queue's topic. Throws where there is none at the moment. */
export function ownerOf(
  cluster: Cluster,
  { queueId, topicId }: QueueDefinition,
  partition: number,
): BrokerId {
  const topic = topicNamed(cluster.image(), QUEUES_TOPIC);
  if (topic === undefined)
    throw new BrokerError('BROKER_NOT_READY', `There is no topic "${QUEUES_TOPIC}" here yet`);
  return cluster.leader(topic.topicId, partitionOfQueue({ queue: queueId, topicId, partition }));
}

/** Asks each owner once. */
export async function standingOf(
  parts: QueueParts,
  queue: QueueDefinition,
  partitions: readonly number[],
  deadlineMs: number,
): Promise<Standing> {
  const found = new Map<number, QueuePartition>();
  const byOwner = new Map<BrokerId, number[]>();
  for (const partition of partitions) {
    try {
      const owner = ownerOf(parts.cluster, queue, partition);
      byOwner.set(owner, [...(byOwner.get(owner) ?? []), partition]);
    } catch (error) {
      found.set(partition, unknownPartition(partition, NO_BROKER, expected(error, parts.report)));
    }
  }
  const asked = [...byOwner].map(async ([owner, some]): Promise<readonly QueueMember[]> => {
    try {
      const answer = await describeAt(parts, owner, { queue, partitions: some, deadlineMs });
      for (const one of answer.partitions) found.set(one.partition, one);
      return answer.members;
    } catch (thrown) {
      const error = expected(thrown, parts.report);
      for (const one of some) found.set(one, unknownPartition(one, owner, error));
      return [];
    }
  });
  const members = (await Promise.all(asked)).flat();
  return {
    partitions: partitions.map((partition) => found.get(partition) ?? unheardOf(partition)),
    members: joined(members),
  };
}

function describeAt(
  { cluster, owned }: QueueParts,
  owner: BrokerId,
  {
    queue: { queueId },
    partitions,
    deadlineMs,
  }: {
    readonly queue: QueueDefinition;
    readonly partitions: readonly number[];
    readonly deadlineMs: number;
  },
): Promise<DescribeOwnedResponse> {
  if (cluster.isSelf(owner)) return owned.describe(queueId, partitions);
  const request = { queueId: topicIdBytes(queueId), partitions: [...partitions] };
  return cluster.forward(owner, QueuesServiceService.describeOwned, request, {
    deadlineMs,
    principal: '',
  });
}

/** A member is attached to each owner that it takes records of. */
function joined(members: readonly QueueMember[]): QueueMember[] {
  const byId = new Map<string, QueueMember>();
  for (const member of members) {
    const leased = (byId.get(member.memberId)?.leased ?? 0) + member.leased;
    byId.set(member.memberId, { ...member, leased });
  }
  return [...byId.values()].sort((one, other) => (one.memberId < other.memberId ? -1 : 1));
}

function unheardOf(partition: number): QueuePartition {
  const error = new BrokerError('INTERNAL', 'The owner left the partition out of its answer');
  return unknownPartition(partition, NO_BROKER, error);
}

/** A partition of which nothing is known but why. */
export function unknownPartition(
  partition: number,
  owner: BrokerId,
  error: BrokerError,
): QueuePartition {
  return {
    ...{ partition, owner: Math.max(0, owner), nextOffset: 0, floorOffset: 0 },
    ...{ lagRecords: 0, lagMs: 0, leased: 0, waiting: 0, delayed: 0, dying: 0, dyingMs: 0 },
    ...{ parked: 0, parkedOffsets: [], blocked: undefined },
    error: errorToMessage(error),
  };
}

/**
 * Asks the owner until it answers for certain. Rejects with its refusal; after an unknown outcome
 * it is not asked again.
 */
export async function freeKey(
  { cluster, owned, report }: QueueParts,
  { queueId, ...place }: QueueDefinition,
  { partition, offset }: { readonly partition: number; readonly offset: number },
  { untilMs, isGone }: { readonly untilMs: number; readonly isGone: () => boolean },
): Promise<void> {
  const { broker, clock } = cluster;
  const backoff = new Backoff();
  for (;;) {
    const leftMs = Math.max(1, untilMs - clock.monotonicMs());
    try {
      const owner = ownerOf(cluster, { queueId, ...place }, partition);
      if (cluster.isSelf(owner)) {
        await within(cluster, leftMs, owned.freeKey(queueId, partition, offset));
        return;
      }
      const request = { queueId: topicIdBytes(queueId), partition, offset };
      await cluster.forward(owner, QueuesServiceService.freeOwnedKey, request, {
        deadlineMs: leftMs,
        principal: '',
      });
      return;
    } catch (thrown) {
      const error = expected(thrown, report);
      const restMs = untilMs - clock.monotonicMs();
      if (!isRetriable(error) || error.effect !== 'none' || restMs <= 0 || isGone()) throw error;
      await imageChangeOr(broker, Math.min(backoff.nextMs(), restMs));
    }
  }
}

export type OwnedParts = Pick<QueueParts, 'cluster' | 'owned' | 'report'>;

/** What other brokers ask of this one as an owner. */
export function ownedCalls({
  cluster,
  owned,
  report,
}: OwnedParts): Pick<QueuesServiceServer, 'describeOwned' | 'freeOwnedKey'> {
  return {
    describeOwned: unaryHandler(({ queueId, partitions }) => {
      integerField('partitions length', partitions.length, 1, PARTITIONS_PER_TOPIC_MAX);
      for (const partition of partitions) partitionField('partitions', partition);
      if (new Set(partitions).size !== partitions.length)
        refuse('partitions', partitions.length, 'each named once');
      return owned.describe(topicIdField('queue_id', queueId), partitions);
    }, report),
    freeOwnedKey: unaryHandler(async ({ queueId, partition, offset }, call) => {
      const freed = owned.freeKey(
        topicIdField('queue_id', queueId),
        partitionField('partition', partition),
        integerField('offset', offset, 0, OFFSET_MAX),
      );
      await within(cluster, remainingMs(call, cluster.clock), freed);
      return {};
    }, report),
  };
}
