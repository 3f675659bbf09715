/**
 * The safety function: what would stopping a set of brokers do? Rolls, drains, scale-down and
 * disruption budgets all ask it. It plays the loss through the same rules that fencing uses, so
 * that it cannot disagree with them. Must not know who asks, or why.
 */
import type { BrokerId, TopicId } from '../../base/units.ts';
import { countedMembers, dropGone, electionSize, viewOf } from './leader-election.ts';
import type { BrokerView } from './leader-election.ts';
import type { MetadataImage, PartitionState, TopicState } from './types.ts';

/**
 * What would happen to one partition. Only partitions with a member of S among the asked brokers
 * are judged.
 */
export interface PartitionVerdict {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  /** Appends would be refused, or would wait, until a broker is back. */
  readonly blocksWrites: boolean;
  /** The trusted logs that remain could not prove what is committed: only the asked brokers can. */
  readonly losesLastCopy: boolean;
  /** One sentence per fault; empty when there is none. */
  readonly reasons: readonly string[];
}

/** What would happen to the metadata quorum. */
export interface QuorumVerdict {
  readonly losesQuorum: boolean;
  readonly votersLeft: number;
  readonly votersNeeded: number;
  /** Empty when nothing is lost. */
  readonly reason: string;
}

/** The answer for one set of brokers. */
export interface DisruptionVerdict {
  /** Nothing would block or be lost. */
  readonly isSafe: boolean;
  readonly partitions: readonly PartitionVerdict[];
  readonly quorum: QuorumVerdict;
}

/**
 * Judges stopping all of `brokerIds` at once.
 *
 * @param voters brokers that vote in the metadata quorum; fenced ones are counted as lost already
 */
export function checkDisruption(
  image: MetadataImage,
  brokerIds: readonly BrokerId[],
  voters: readonly BrokerId[],
): DisruptionVerdict {
  const stopped = new Set(brokerIds);
  const partitions = [...image.topics.values()].flatMap((topic) =>
    topic.partitions
      .filter((state) => state.syncSet.some((id) => stopped.has(id)))
      .map((state) => judgePartition(image, topic, state, stopped)),
  );
  const quorum = judgeQuorum(image, stopped, voters);
  const isSafe = !quorum.losesQuorum && partitions.every((verdict) => verdict.reasons.length === 0);
  return { isSafe, partitions, quorum };
}

/** Why a broker should not stop yet. */
export interface StopVeto {
  /** In words. */
  readonly reason: string;
  /** Replicas on brokers that are there catch up: a matter of time. */
  readonly isRecovering: boolean;
}

/** Fewer voters have a quorum that takes no loss: waiting for more is in vain. */
const VOTERS_FOR_MAJORITY = 3;

/**
 * Whether broker `self`, which was told to stop by somebody who may not have asked, should wait:
 * null where its stop, together with those that are under way, harms nothing. What no waiting could
 * avoid is no harm either: a partition that by its own settings stops with any of its replicas, and
 * has them all.
 */
export function stopVeto(
  image: MetadataImage,
  self: BrokerId,
  voters: readonly BrokerId[],
): StopVeto | null {
  const isThere = (id: BrokerId): boolean => {
    const broker = image.brokers.get(id);
    return broker !== undefined && !broker.fenced && !broker.stopping;
  };
  const leaving = [...image.brokers.values()]
    .filter(({ brokerId, stopping }) => stopping && brokerId !== self)
    .map(({ brokerId }) => brokerId);
  const { partitions, quorum } = checkDisruption(image, [self, ...leaving], voters);
  const hurt = partitions.flatMap(({ topicId, topic, partition, reasons }) => {
    const state = image.topics.get(topicId)?.partitions[partition];
    const min = image.topics.get(topicId)?.config.minInSyncReplicas ?? 0;
    if (state === undefined || reasons.length === 0 || !state.syncSet.includes(self)) return [];
    const isInSync = (id: BrokerId): boolean =>
      state.syncSet.includes(id) && !state.suspects.includes(id);
    const others = state.replicas.filter((id) => id !== self);
    const isUnavoidable =
      min >= state.replicas.length && others.every((id) => isThere(id) && isInSync(id));
    if (isUnavoidable) return [];
    const isRecovering = others.some((id) => isThere(id) && !isInSync(id));
    return [{ name: `${topic}/${String(partition)} (${reasons.join('; ')})`, isRecovering }];
  });
  const takesQuorum =
    quorum.losesQuorum && voters.includes(self) && voters.length >= VOTERS_FOR_MAJORITY;
  const [first] = hurt;
  if (first === undefined && !takesQuorum) return null;
  const named =
    first === undefined
      ? []
      : [
          `${String(hurt.length)} partitions would suffer: ${first.name}${hurt.length > 1 ? ' …' : ''}`,
        ];
  return {
    reason: [...(takesQuorum ? [quorum.reason] : []), ...named].join('; '),
    isRecovering: hurt.some(({ isRecovering }) => isRecovering),
  };
}

function judgePartition(
  image: MetadataImage,
  topic: TopicState,
  state: PartitionState,
  stopped: ReadonlySet<BrokerId>,
): PartitionVerdict {
  const min = topic.config.minInSyncReplicas;
  const now = viewOf(image.brokers, () => false);
  const isLive = (id: BrokerId): boolean => now.isLive(id) && !stopped.has(id);
  const view: BrokerView = {
    isLive,
    isStopping: now.isStopping,
    isCordoned: now.isCordoned,
    isGone: (id) => !isLive(id),
  };
  const after = dropGone(state, min, view);
  const counted = countedMembers(after, view).length;
  const blocks = blockReasons(state, after, { min, counted, view });
  // Judged on the row as it is: a removal keeps |S| - q, so the bar is the same before and after.
  const copies = countedMembers(state, view).length;
  const losesLastCopy = copies < electionSize(state);
  const loss = losesLastCopy
    ? [
        `${String(copies)} trusted unfenced logs would be left, ${String(electionSize(state))} are needed to know what is committed`,
      ]
    : [];
  return {
    topicId: topic.topicId,
    topic: topic.name,
    partition: state.partition,
    blocksWrites: blocks.length > 0,
    losesLastCopy,
    reasons: [...blocks, ...loss],
  };
}

function blockReasons(
  before: PartitionState,
  after: PartitionState,
  left: { readonly min: number; readonly counted: number; readonly view: BrokerView },
): string[] {
  const reasons: string[] = [];
  if (left.counted < left.min) {
    reasons.push(
      `${String(left.counted)} trusted unfenced members of S would be left, minInSyncReplicas is ${String(left.min)}`,
    );
  }
  // HW is the q-th largest acknowledged end, and a member that is not there acknowledges nothing.
  const acking = after.syncSet.filter((id) => left.view.isLive(id)).length;
  if (acking < after.quorum) {
    reasons.push(
      `${String(acking)} members of S would be left to acknowledge, q would be ${String(after.quorum)}`,
    );
  }
  const hasLeader = before.syncSet.includes(before.leader) && left.view.isLive(before.leader);
  if (!hasLeader && left.counted < electionSize(after)) {
    reasons.push(
      `${String(left.counted)} trusted unfenced members of S would be left, an election needs ${String(electionSize(after))}`,
    );
  }
  return reasons;
}

function judgeQuorum(
  image: MetadataImage,
  stopped: ReadonlySet<BrokerId>,
  voters: readonly BrokerId[],
): QuorumVerdict {
  const votersLeft = voters.filter(
    (id) => !stopped.has(id) && image.brokers.get(id)?.fenced === false,
  ).length;
  const votersNeeded = Math.floor(voters.length / 2) + 1;
  const isTouched = voters.some((id) => stopped.has(id));
  const losesQuorum = isTouched && votersLeft < votersNeeded;
  const reason = losesQuorum
    ? `${String(votersLeft)} of ${String(voters.length)} metadata voters would be left, ${String(votersNeeded)} are needed`
    : '';
  return { losesQuorum, votersLeft, votersNeeded, reason };
}
