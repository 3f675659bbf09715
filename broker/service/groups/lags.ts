/** How far positions are behind, asked of the partitions' leaders. Unknown is an error, never 0. */
import {
  GroupServiceService,
  type LagOutcome,
  type LagPosition,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import { errorFromMessage, errorToMessage } from '../../../wire/grpc/errors.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerId } from '../../../base/units.ts';
import type { TopicState } from '../../metadata/types.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import { Backoff, type Cluster, imageChangeOr, isRetriable } from '../cluster.ts';

export interface LagQuestion {
  readonly topic: TopicState;
  /** Each of another partition that the topic has. */
  readonly positions: readonly LagPosition[];
  readonly principal: string;
}

/** Of the partitions that this broker leads; the others are refused one by one. */
export function localLags(
  { broker }: Cluster,
  { topic, positions }: LagQuestion,
  report: ReportDefect,
): LagOutcome[] {
  return positions.map(({ partition, offset }) => {
    try {
      const lag = broker.groups().lagOf(topic.topicId, partition, offset);
      const { endOffset, records, ageMs, isLeast, leaderEpoch, logStart, epochBefore } = lag;
      const known = { partition, endOffset, records, leaderEpoch, logStart };
      const age = { ageMs: Math.round(ageMs), isAgeLeast: isLeast, positionEpoch: epochBefore };
      return { partition, lag: { ...known, ...age }, error: undefined };
    } catch (error) {
      return failure(partition, expected(error, report));
    }
  });
}

/** Wherever their leaders are, asked again within the deadline. In the order of the question. */
export async function clusterLags(
  cluster: Cluster,
  { topic, positions, principal }: LagQuestion,
  deadlineMs: number,
  report: ReportDefect,
): Promise<LagOutcome[]> {
  const { clock } = cluster;
  const untilMs = clock.monotonicMs() + deadlineMs;
  const answers = new Map<number, LagOutcome>();
  const backoff = new Backoff();
  for (;;) {
    const open = positions.filter(({ partition }) => isOpen(answers.get(partition)));
    const leftMs = untilMs - clock.monotonicMs();
    if (open.length === 0 || (answers.size > 0 && leftMs <= 0)) break;
    if (answers.size > 0) await imageChangeOr(cluster.broker, Math.min(backoff.nextMs(), leftMs));
    const asked = [...byLeader(cluster, topic, open, answers)].map(([leader, some]) =>
      askLeader(
        cluster,
        leader,
        { topic, positions: some, principal },
        Math.max(1, leftMs),
        report,
      ),
    );
    for (const outcome of (await Promise.all(asked)).flat())
      answers.set(outcome.partition, outcome);
  }
  return positions.map(({ partition }) => answers.get(partition) ?? unknown(partition));
}

function isOpen(outcome: LagOutcome | undefined): boolean {
  if (outcome === undefined) return true;
  return outcome.error !== undefined && isRetriable(errorFromMessage(outcome.error));
}

function byLeader(
  cluster: Cluster,
  { topicId }: TopicState,
  positions: readonly LagPosition[],
  answers: Map<number, LagOutcome>,
): Map<BrokerId, LagPosition[]> {
  const groups = new Map<BrokerId, LagPosition[]>();
  for (const position of positions) {
    try {
      const leader = cluster.leader(topicId, position.partition);
      const some = groups.get(leader);
      if (some === undefined) groups.set(leader, [position]);
      else some.push(position);
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      answers.set(position.partition, failure(position.partition, error));
    }
  }
  return groups;
}

async function askLeader(
  cluster: Cluster,
  leader: BrokerId,
  question: LagQuestion,
  deadlineMs: number,
  report: ReportDefect,
): Promise<LagOutcome[]> {
  if (cluster.isSelf(leader)) return localLags(cluster, question, report);
  const { topic, positions, principal } = question;
  const request = { topic: topic.name, positions: [...positions] };
  const method = GroupServiceService.describeLag;
  try {
    const { lags } = await cluster.forward(leader, method, request, { deadlineMs, principal });
    const wanted = new Set(positions.map(({ partition }) => partition));
    const found = lags.filter(({ partition }) => wanted.delete(partition));
    return [...found, ...[...wanted].map(unknown)];
  } catch (thrown) {
    const error = expected(thrown, report);
    return positions.map(({ partition }) => failure(partition, error));
  }
}

function unknown(partition: number): LagOutcome {
  return failure(
    partition,
    new BrokerError('LEADER_UNKNOWN', `The leader of partition ${partition} did not answer`),
  );
}

function failure(partition: number, error: BrokerError): LagOutcome {
  return { partition, lag: undefined, error: errorToMessage(error) };
}
