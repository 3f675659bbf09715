/** Offsets of a point in partitions, asked of their leaders. */
import {
  LogServiceService,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
  type PartitionOffset,
  type StartPoint,
} from '../../proto/gen/tidemark/v1/log.ts';
import { errorFromMessage, errorToMessage } from '../../wire/grpc/errors.ts';
import { assertNever } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { BrokerId, TopicId } from '../../base/units.ts';
import type { TopicState } from '../metadata/types.ts';
import { expected, type ReportDefect } from '../messages/handlers.ts';
import { offsetOfTime } from './time-look-up.ts';
import { Backoff, type Cluster, imageChangeOr, isRetriable } from './cluster.ts';

/** Where to look, once the request is checked. */
export type Point = NonNullable<StartPoint['point']>;

export const EARLIEST: Point = { $case: 'earliest', value: true };

export interface OffsetsQuestion {
  readonly topic: TopicState;
  readonly partitions: readonly number[];
  readonly point: Point;
  /** Who asks; absent or empty: nobody was asked for a name. */
  readonly principal?: string | undefined;
}

/** The point of a request; absent: earliest. */
export function pointField(start: StartPoint | undefined): Point {
  return start?.point ?? EARLIEST;
}

/** Answers from this broker's own replicas alone: NOT_LEADER for what it does not lead. */
export async function localOffsets(
  cluster: Cluster,
  { topic, partitions, point }: OffsetsQuestion,
  report: ReportDefect,
): Promise<PartitionOffset[]> {
  return Promise.all(
    partitions.map(async (partition) => {
      try {
        return await localOffset(cluster, topic.topicId, partition, point);
      } catch (error) {
        return failure(partition, expected(error, report));
      }
    }),
  );
}

/**
 * Answers from the leaders, wherever they are; asks again within the deadline what may yet be
 * answered. One per partition, in the order asked.
 */
export async function clusterOffsets(
  cluster: Cluster,
  { topic, partitions, point, principal }: OffsetsQuestion,
  deadlineMs: number,
  report: ReportDefect,
): Promise<PartitionOffset[]> {
  const untilMs = cluster.clock.monotonicMs() + deadlineMs;
  const answers = new Map<number, PartitionOffset>();
  const backoff = new Backoff();
  for (;;) {
    const open = partitions.filter((partition) => isOpen(answers.get(partition)));
    const leftMs = untilMs - cluster.clock.monotonicMs();
    if (open.length === 0 || (answers.size > 0 && leftMs <= 0)) break;
    if (answers.size > 0) await imageChangeOr(cluster.broker, Math.min(backoff.nextMs(), leftMs));
    const groups = byLeader(cluster, topic.topicId, open, answers);
    const asked = [...groups].map(async ([leader, group]) =>
      askLeader(
        cluster,
        leader,
        { topic, partitions: group, point, principal },
        Math.max(1, leftMs),
        report,
      ),
    );
    for (const answer of (await Promise.all(asked)).flat()) answers.set(answer.partition, answer);
  }
  return partitions.map((partition) => answers.get(partition)!);
}

function isOpen(answer: PartitionOffset | undefined): boolean {
  return (
    answer === undefined ||
    (answer.error !== undefined && isRetriable(errorFromMessage(answer.error)))
  );
}

function byLeader(
  cluster: Cluster,
  topicId: TopicId,
  partitions: readonly number[],
  answers: Map<number, PartitionOffset>,
): Map<BrokerId, number[]> {
  const groups = new Map<BrokerId, number[]>();
  for (const partition of partitions) {
    try {
      const leader = cluster.leader(topicId, partition);
      groups.set(leader, [...(groups.get(leader) ?? []), partition]);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      answers.set(partition, failure(partition, error));
    }
  }
  return groups;
}

async function askLeader(
  cluster: Cluster,
  leader: BrokerId,
  question: OffsetsQuestion,
  deadlineMs: number,
  report: ReportDefect,
): Promise<PartitionOffset[]> {
  if (cluster.isSelf(leader)) return localOffsets(cluster, question, report);
  const { topic, partitions, point, principal = '' } = question;
  const request: ListOffsetsRequest = {
    topic: topic.name,
    partitions: [...partitions],
    start: { point },
  };
  try {
    const { offsets }: ListOffsetsResponse = await cluster.forward(
      leader,
      LogServiceService.listOffsets,
      request,
      { deadlineMs, principal },
    );
    return offsets.filter(({ partition }) => partitions.includes(partition));
  } catch (thrown) {
    const error = expected(thrown, report);
    return partitions.map((partition) => failure(partition, error));
  }
}

async function localOffset(
  cluster: Cluster,
  topicId: TopicId,
  partition: number,
  point: Point,
): Promise<PartitionOffset> {
  const { broker } = cluster;
  const marks = broker.marks(topicId, partition);
  if (!marks.isLeader) {
    throw new BrokerError(
      'NOT_LEADER',
      `Broker ${broker.brokerId} does not lead partition ${partition}`,
      { leader: marks.leader, leaderEpoch: marks.leaderEpoch },
    );
  }
  const offset = await offsetOfPoint(cluster, topicId, partition, point);
  const { logStart, highWaterMark, leaderEpoch } = marks;
  return { partition, offset, logStart, highWaterMark, leaderEpoch, error: undefined };
}

async function offsetOfPoint(
  { broker }: Cluster,
  topicId: TopicId,
  partition: number,
  point: Point,
): Promise<number> {
  const { earliest, latest } = broker.marks(topicId, partition);
  switch (point.$case) {
    case 'earliest':
      if (earliest === null)
        throw new BrokerError(
          'OFFSET_NOT_AVAILABLE',
          `The earliest offset of partition ${partition} is not certain: a trim is not committed yet`,
        );
      return earliest;
    case 'latest':
      if (latest === null)
        throw new BrokerError(
          'OFFSET_NOT_AVAILABLE',
          `The latest offset of partition ${partition} is not certain: its leader, broker ${broker.brokerId}, has committed nothing in its epoch yet, hands over, ` +
            'or has not heard from the controller for a session',
        );
      return latest;
    case 'offset':
      return point.value;
    case 'timestampMs':
      return offsetOfTime(broker, topicId, partition, point.value);
    default:
      return assertNever(point);
  }
}

function failure(partition: number, error: BrokerError): PartitionOffset {
  return {
    partition,
    offset: undefined,
    logStart: 0,
    highWaterMark: 0,
    leaderEpoch: 0,
    error: errorToMessage(error),
  };
}
