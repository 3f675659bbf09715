/** CommitCursors: judged by topics and leaders first, then by what the group has committed. */
import {
  type CommitCursorsRequest,
  type CommitCursorsResponse,
  type CursorOutcome,
  GroupServiceService,
} from '../../../proto/gen/tidemark/v1/groups.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { CursorCommit } from '../../groups/cursors.ts';
import type { CommittingMember } from '../../runtime/api.ts';
import { cursorAt } from '../../runtime/groups/group-rules.ts';
import { topicNamed } from '../decisions.ts';
import { askCoordinator, type GroupParts, type Onwards, refuseNameOfQueue } from './coordinated.ts';
import { commitsField, groupField, imageOf, memberField, outcomeToMessage } from './fields.ts';
import { clusterLags } from './lags.ts';

/** A leader that is asked about an epoch answers within this, or counts as not heard. */
const EPOCH_DEADLINE_MS = 500;

/** A request that makes sense. */
export interface AskedCommits {
  readonly request: CommitCursorsRequest;
  readonly group: string;
  readonly commits: readonly CursorCommit[];
  readonly member: CommittingMember | null;
}

/** Throws INVALID_ARGUMENT. */
export function askedCommits(request: CommitCursorsRequest): AskedCommits {
  const group = groupField(request.group);
  const commits = commitsField(group, request.cursors);
  return { request, group, commits, member: memberField(request.member, commits) };
}

/** @param onHere what is written here lasts so long, whether anybody waits for it or not */
export function commitCursors(
  parts: GroupParts,
  { request, group, commits, member }: AskedCommits,
  onwards: Onwards,
  onHere: (written: Promise<unknown>) => void = () => {},
): Promise<CommitCursorsResponse> {
  const call = {
    ...{ group, method: GroupServiceService.commitCursors, request },
    here: async (): Promise<CommitCursorsResponse> => {
      refuseNameOfQueue(parts.cluster, group);
      const outcomes = commitHere(parts, commits, member, onwards);
      onHere(outcomes);
      return { outcomes: await outcomes };
    },
  };
  return askCoordinator(parts, call, onwards);
}

/** As the coordinator. Each is judged by itself; in their order. */
async function commitHere(
  parts: GroupParts,
  commits: readonly CursorCommit[],
  member: CommittingMember | null,
  onwards: Onwards,
): Promise<CursorOutcome[]> {
  const heard = await epochsOf(parts, commits, onwards);
  const refusals = commits.map((commit, at) => refusalOf(parts, commit, onwards, heard.get(at)));
  const valid = commits.filter((_, at) => refusals[at] === null);
  const { broker } = parts.cluster;
  const epochs = member?.epochs.filter((_, at) => refusals[at] === null) ?? [];
  const done = await broker.groups().commit(valid, member === null ? null : { ...member, epochs });
  const view = imageOf(broker.groups().view(commits[0]?.group ?? ''), commits[0]?.group ?? '');
  let next = 0;
  return commits.map((commit, at) => {
    const refusal = refusals[at];
    const outcome = refusal ?? done[next++];
    if (!(outcome instanceof BrokerError)) return outcomeToMessage(outcome, null);
    // The caller may read the topic that it names, and need not the one of the id.
    const present = cursorAt(view, commit);
    return outcomeToMessage(present?.topic === commit.topic ? present : undefined, outcome);
  });
}

/**
 * Epochs of leaders, by the place of the commit, where one states an epoch that the coordinator has
 * not heard of: its leader has. One question for each topic and leader. Absent: not asked, or none.
 */
async function epochsOf(
  { cluster, report }: GroupParts,
  commits: readonly CursorCommit[],
  { principal }: Onwards,
): Promise<ReadonlyMap<number, number>> {
  const { topics } = cluster.image();
  const asked = new Map<string, number[]>();
  for (const [at, { topicId, partition, leaderEpoch }] of commits.entries()) {
    const known = topics.get(topicId)?.partitions[partition]?.leaderEpoch ?? Infinity;
    if (leaderEpoch > known) asked.set(topicId, [...(asked.get(topicId) ?? []), at]);
  }
  const epochs = new Map<number, number>();
  const asking = [...asked].map(async ([topicId, places]) => {
    const topic = topics.get(topicId);
    if (topic === undefined) return;
    const positions = places.flatMap((at) => commits[at] ?? []);
    const question = { topic, positions, principal };
    const lags = await clusterLags(cluster, question, EPOCH_DEADLINE_MS, report);
    for (const [index, { lag }] of lags.entries())
      if (lag !== undefined) epochs.set(places[index] ?? -1, lag.leaderEpoch);
  });
  await Promise.all(asking);
  return epochs;
}

/**
 * Why a cursor cannot be of this topic; null: it can.
 *
 * @param heard epoch of its leader, where that was asked and answered
 */
function refusalOf(
  { cluster }: GroupParts,
  commit: CursorCommit,
  { isForwarded: isSecondHand }: Onwards,
  heard: number | undefined,
): BrokerError | null {
  const { topicId, partition, leaderEpoch } = commit;
  const topic = cluster.image().topics.get(topicId);
  if (topic === undefined || topic.name !== commit.topic) {
    const text = `No topic "${commit.topic}" has id ${topicId}`;
    // Whoever handed it on may know more.
    return isSecondHand &&
      topic === undefined &&
      topicNamed(cluster.image(), commit.topic) === undefined
      ? new BrokerError('BROKER_NOT_READY', `${text}, as far as the coordinator knows`)
      : new BrokerError('UNKNOWN_TOPIC', text);
  }
  const state = topic.partitions[partition];
  if (state === undefined)
    return new BrokerError(
      'UNKNOWN_PARTITION',
      `Topic "${topic.name}" has no partition ${partition}, must be 0 to ${topic.partitions.length - 1}`,
    );
  if (leaderEpoch <= state.leaderEpoch) return null;
  return heard === undefined || heard >= leaderEpoch
    ? null
    : new BrokerError(
        'POSITION_DIVERGED',
        `The cursor on ${topic.name}/${partition} is of leader epoch ${leaderEpoch}, its leader is in ${heard}`,
        { leaderEpoch: heard },
      );
}
