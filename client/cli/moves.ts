/** Progress of reassignments, from what metadata and the leaders say. Pure: estimates only, and it says where it cannot. */
import type { DescribeBrokerResponse, Topic } from '../../proto/gen/tidemark/v1/admin.ts';

/** One partition on the move. */
export interface MoveProgress {
  readonly topic: string;
  readonly partition: number;
  readonly adding: readonly number[];
  readonly removing: readonly number[];
  /** Bytes that its new replicas still lack, together; absent while its leader does not report. */
  readonly bytesLeft?: number;
  /** As observed between two looks; absent without a second look, or when it did not fall. */
  readonly bytesPerSecond?: number;
  /** By the rate observed, else by the limit; absent when neither is known. */
  readonly etaMs?: number;
}

/** One look at the cluster. */
export interface Look {
  readonly topics: readonly Topic[];
  /** By broker; those that do not answer are missing. */
  readonly reports: ReadonlyMap<number, DescribeBrokerResponse>;
}

type Partition = Topic['partitions'][number];

/** Moves under way at `now`. `before`: an earlier look, `elapsedMs` ago. `limit`: bytes per second of one leader's broker, negative for none. */
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
    const rate = observedRate(before, topic, partition, left);
    // The limit is shared by all that a leader moves.
    const shared = leftByLeader.get(partition.leader ?? -1) ?? 0;
    const byLimit = limit > 0 && left !== undefined ? (shared / limit) * 1000 : undefined;
    const etaMs = left === 0 ? 0 : rate !== undefined ? ((left ?? 0) / rate) * 1000 : byLimit;
    return {
      topic: topic.name,
      partition: partition.partition,
      adding: partition.adding,
      removing: partition.removing,
      ...(left === undefined ? {} : { bytesLeft: left }),
      ...(rate === undefined ? {} : { bytesPerSecond: Math.round(rate) }),
      ...(etaMs === undefined ? {} : { etaMs: Math.round(etaMs) }),
    };
  });
}

function observedRate(
  before: { readonly look: Look; readonly elapsedMs: number } | undefined,
  topic: Topic,
  partition: Partition,
  left: number | undefined,
): number | undefined {
  const old = before?.look.topics
    .find(({ topicId }) => topicId === topic.topicId)
    ?.partitions.find((one) => one.partition === partition.partition);
  if (before === undefined || old === undefined || left === undefined) return undefined;
  const leftBefore = bytesLeft(before.look, topic, old);
  if (leftBefore === undefined || leftBefore <= left) return undefined;
  return ((leftBefore - left) / before.elapsedMs) * 1000;
}

/** Records are told apart from bytes by the average of the leader's log. */
function bytesLeft({ reports }: Look, topic: Topic, partition: Partition): number | undefined {
  const report = partition.leader === undefined ? undefined : reports.get(partition.leader);
  const replica = report?.replicas.find(
    (one) => one.topicId === topic.topicId && one.partition === partition.partition && one.leading,
  );
  if (replica === undefined) return undefined;
  const records = Math.max(1, replica.logEnd - replica.logStart);
  const lacking = partition.adding.filter((brokerId) => !partition.syncSet.includes(brokerId));
  return lacking.reduce((sum, brokerId) => {
    const follower = replica.followers.find((one) => one.brokerId === brokerId);
    const lag = Math.min(follower?.lagRecords ?? records, records);
    return sum + Math.round((replica.sizeBytes * lag) / records);
  }, 0);
}
