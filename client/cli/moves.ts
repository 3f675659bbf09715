/**
 * Progress of reassignments, from what metadata and the leaders say. Pure: estimates only, and it
 * says where it cannot.
 */
import type {
  Broker,
  DescribeBrokerResponse,
  ReplicaStatus,
} from '../../proto/gen/tidemark/v1/admin.ts';
import type { Topic } from '../admin-types.ts';

/** One partition on the move. */
export interface MoveProgress {
  readonly topic: string;
  readonly partition: number;
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  /** Bytes that its new replicas still lack, together; absent while its leader does not report. */
  readonly bytesLeft?: number;
  /**
   * By which they became fewer between two looks; absent without a second look, or when they did
   * not.
   */
  readonly bytesPerSecond?: number;
  /**
   * By the rate observed, else by the limit; absent when neither is known, or when it does not come
   * nearer.
   */
  readonly etaMs?: number;
  /** Why it does not come nearer, in words. */
  readonly stalled?: string;
}

/** One look at the cluster. */
export interface Look {
  readonly brokers: readonly Pick<Broker, 'brokerId' | 'fenced'>[];
  readonly topics: readonly Topic[];
  /** By broker; those that do not answer are missing. */
  readonly reports: ReadonlyMap<number, DescribeBrokerResponse>;
}

type Partition = Topic['partitions'][number];

/**
 * Moves under way at `now`. `before`: an earlier look, `elapsedMs` ago. `limit`: bytes per second
 * of one leader's broker, negative for none.
 */
export function movesUnderWay(
  now: Look,
  limit: number,
  before?: { readonly look: Look; readonly elapsedMs: number },
): MoveProgress[] {
  const leftByLeader = new Map<number, number>();
  const moves = now.topics.flatMap((topic) =>
    topic.partitions
      .filter(({ adding, removing }) => adding.length > 0 || removing.length > 0)
      .map((partition) => ({ topic, partition, left: bytesLeft(now, topic, partition) })),
  );
  for (const { partition, left = 0 } of moves)
    if (partition.leader !== undefined)
      leftByLeader.set(partition.leader, (leftByLeader.get(partition.leader) ?? 0) + left);
  return moves.map(({ topic, partition, left }) => {
    const gained = bytesGained(before?.look, topic, partition, left);
    const stalled = reasonToStall(now, partition, gained);
    const rate = before !== undefined && gained > 0 ? (gained / before.elapsedMs) * 1000 : 0;
    // The limit is shared by all that a leader moves.
    const shared = leftByLeader.get(partition.leader ?? -1) ?? 0;
    const etaMs = stalled === undefined ? timeLeft(left, rate, { shared, limit }) : undefined;
    return {
      topic: topic.name,
      partition: partition.partition,
      adding: partition.adding,
      removing: partition.removing,
      ...(left === undefined ? {} : { bytesLeft: left }),
      ...(rate === 0 ? {} : { bytesPerSecond: Math.round(rate) }),
      ...(etaMs === undefined ? {} : { etaMs: Math.round(etaMs) }),
      ...(stalled === undefined ? {} : { stalled }),
    };
  });
}

/** Milliseconds, where they can be told. */
function timeLeft(
  left: number | undefined,
  rate: number,
  { shared, limit }: { readonly shared: number; readonly limit: number },
): number | undefined {
  if (left === undefined || left === 0) return left;
  if (rate > 0) return (left / rate) * 1000;
  return limit > 0 ? (shared / limit) * 1000 : undefined;
}

/** What no rate and no limit says: who is missing, or that more is appended than copied. */
function reasonToStall(
  { brokers }: Look,
  { leader, adding }: Partition,
  gained: number,
): string | undefined {
  const isUp = (id: number): boolean =>
    brokers.some(({ brokerId, fenced }) => brokerId === id && !fenced);
  const missing = adding.filter((id) => !isUp(id));
  if (missing.length > 0)
    return `${missing.length === 1 ? 'broker' : 'brokers'} ${missing.join(', ')} down`;
  if (leader === undefined) return 'no leader';
  return gained < 0 ? 'appends are faster' : undefined;
}

/** Bytes by which a move came nearer since an earlier look; 0 where that is not known. */
function bytesGained(
  before: Look | undefined,
  topic: Topic,
  partition: Partition,
  left: number | undefined,
): number {
  const old = before?.topics
    .find(({ topicId }) => topicId === topic.topicId)
    ?.partitions.find((one) => one.partition === partition.partition);
  if (before === undefined || old === undefined || left === undefined) return 0;
  return (bytesLeft(before, topic, old) ?? left) - left;
}

/** What a broker says of its replica of a partition; undefined: nothing. */
export function replicaReport(
  { reports }: Pick<Look, 'reports'>,
  brokerId: number | undefined,
  { topicId }: Pick<Topic, 'topicId'>,
  { partition }: Pick<Partition, 'partition'>,
): ReplicaStatus | undefined {
  if (brokerId === undefined) return undefined;
  return reports
    .get(brokerId)
    ?.replicas.find((one) => one.topicId === topicId && one.partition === partition);
}

/** Records are told apart from bytes by the average of the leader's log. */
function bytesLeft(look: Look, topic: Topic, partition: Partition): number | undefined {
  const replica = replicaReport(look, partition.leader, topic, partition);
  if (replica?.leading !== true) return undefined;
  const records = Math.max(1, replica.logEnd - replica.logStart);
  const lacking = partition.adding.filter((brokerId) => !partition.syncSet.includes(brokerId));
  return lacking.reduce((sum, brokerId) => {
    const follower = replica.followers.find((one) => one.brokerId === brokerId);
    const lag = Math.min(follower?.lagRecords ?? records, records);
    return sum + Math.round((replica.sizeBytes * lag) / records);
  }, 0);
}
