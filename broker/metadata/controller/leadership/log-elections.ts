/**
 * Elections that must look at logs: quorum mode (q < |S|) and unclean ones. Every leaderless
 * partition has an entry here; most only wait for a broker to come back. The leaderless epoch is
 * committed first, then the logs are sealed at it and read, then a leader is chosen
 * (BookKeeper-style fencing; docs/rules.md#sync-set-and-q; P11, rule 18). Decides from values; the
 * controller asks, proposes and replies.
 */
import type {
  BrokerEpoch,
  BrokerId,
  LeaderEpoch,
  MonotonicMs,
  TopicId,
} from '../../../../base/units.ts';
import { NO_BROKER, partitionKey } from '../../../../base/units.ts';
import {
  bestLog,
  changed,
  countedMembers,
  distrust,
  electionSize,
  electUncleanly,
  isEvidenceGone,
  mayBeGivenUp,
  isUnable,
  lacksBeginning,
  leaderCandidates,
  lossStart,
} from '../../leader-election.ts';
import type { BrokerView, LogEnd } from '../../leader-election.ts';
import type { MetadataImage, PartitionState, TopicState } from '../../types.ts';

/** Pause before a replica that did not answer is asked again. */
const INSPECTION_RETRY_MS = 1000;
/**
 * With enough trusted logs read, the others are waited for so long: one of them may be a better
 * leader (not stopping, or asked for by name).
 */
const INSPECTION_PATIENCE_MS = 500;

/** One leaderless partition. */
export interface PendingElection {
  readonly topicId: TopicId;
  readonly partition: number;
  /** The leaderless epoch: what the logs are sealed at. */
  readonly leaderEpoch: LeaderEpoch;
  /** Proposal that commits that epoch; nothing may be asked before. 0: committed already. */
  readonly sealProposalId: number;
  readonly startedMs: MonotonicMs;
  /** Declared gone for ever by a person. */
  givenUp: ReadonlySet<BrokerId>;
  /** Wins among equal logs; NO_BROKER for the usual order. */
  preferred: BrokerId;
  /** A client waits for the outcome. */
  request: { readonly requestId: number; readonly deadlineMs: MonotonicMs } | null;
  readonly asked: Map<
    BrokerId,
    { readonly brokerEpoch: BrokerEpoch; readonly atMs: MonotonicMs; isInFlight: boolean }
  >;
  readonly logs: Map<BrokerId, { readonly brokerEpoch: BrokerEpoch; readonly log: LogEnd }>;
}

/** What a pending election should do now. */
export type ElectionStep =
  | {
      readonly kind: 'wait';
      readonly ask: readonly BrokerId[];
      readonly missing: readonly BrokerId[];
    }
  | { readonly kind: 'elect'; readonly state: PartitionState }
  /**
   * A log that was to testify has lost its beginning: its replica is distrusted, and the election
   * goes on without it.
   */
  | { readonly kind: 'distrust'; readonly state: PartitionState }
  | {
      readonly kind: 'elect-uncleanly';
      readonly state: PartitionState;
      readonly fromOffset: number;
    };

/** A leaderless row in its surroundings. */
export interface ElectionContext {
  readonly image: MetadataImage;
  readonly topic: TopicState;
  readonly state: PartitionState;
  readonly view: BrokerView;
  readonly nowMs: MonotonicMs;
}

export class PendingElections {
  readonly #pending = new Map<string, PendingElection>();

  get all(): readonly PendingElection[] {
    return [...this.#pending.values()];
  }

  /** Clients waiting for an outcome. */
  get requests(): number {
    return this.all.filter((pending) => pending.request !== null).length;
  }

  get(topicId: TopicId, partition: number): PendingElection | null {
    return this.#pending.get(partitionKey(topicId, partition)) ?? null;
  }

  /** Follows a row that is new or changed. Returns the entry that ended with it, if any. */
  follow(
    topicId: TopicId,
    state: PartitionState,
    sealProposalId: number,
    nowMs: MonotonicMs,
  ): PendingElection | null {
    const key = partitionKey(topicId, state.partition);
    const before = this.#pending.get(key) ?? null;
    if (state.leader === NO_BROKER && before?.leaderEpoch === state.leaderEpoch) return null;
    this.#pending.delete(key);
    if (state.leader === NO_BROKER) {
      this.#pending.set(key, {
        topicId,
        partition: state.partition,
        leaderEpoch: state.leaderEpoch,
        sealProposalId,
        startedMs: nowMs,
        givenUp: new Set(),
        preferred: NO_BROKER,
        request: null,
        asked: new Map(),
        logs: new Map(),
      });
    }
    return before;
  }

  /** The topic is gone. Returns what ended with it. */
  dropTopic(topicId: TopicId): readonly PendingElection[] {
    const dropped = this.all.filter((pending) => pending.topicId === topicId);
    for (const { partition } of dropped) this.#pending.delete(partitionKey(topicId, partition));
    return dropped;
  }
}

/** What `pending` should do now. Total: an election that cannot succeed waits. */
export function stepElection(pending: PendingElection, context: ElectionContext): ElectionStep {
  const { state, topic, view } = context;
  // Somebody given up who is back can be asked like anybody else, but who cannot lead is not.
  const givenUp = new Set([...pending.givenUp].filter((id) => mayBeGivenUp(state, id, view)));
  if (!isEvidenceGone(state, givenUp))
    return electionSize(state) === 1 ? waitFor([], pending, context) : stepClean(pending, context);
  return topic.config.uncleanElection
    ? stepUnclean(pending, context, givenUp)
    : waitFor([], pending, context);
}

/**
 * Reads |S| - q + 1 trusted logs: these meet every committed record, so the best of them has all of
 * it.
 */
function stepClean(pending: PendingElection, context: ElectionContext): ElectionStep {
  const { state, view, nowMs } = context;
  const members = countedMembers(state, view);
  const logs = freshLogs(pending, context, members);
  const unfit = logs.find(lacksBeginning);
  if (unfit !== undefined) {
    const { minInSyncReplicas } = context.topic.config;
    const next = changed(state, distrust(state, unfit.brokerId, minInSyncReplicas));
    if (next !== null) return { kind: 'distrust', state: next };
  }
  const isPatienceOver = nowMs - pending.startedMs >= INSPECTION_PATIENCE_MS;
  const isEnough =
    logs.length >= electionSize(state) && (logs.length === members.length || isPatienceOver);
  if (!isEnough) return waitFor(members, pending, context);
  const candidates = leaderCandidates(state, view);
  const order = [
    ...candidates.filter((id) => id === pending.preferred),
    ...candidates.filter((id) => id !== pending.preferred),
  ];
  const next = changed(state, { ...state, leader: bestLog(logs, order).brokerId });
  return next === null ? waitFor(members, pending, context) : { kind: 'elect', state: next };
}

/**
 * Reads every last-known log that was not given up by name, suspects included, and takes the best
 * (rule 18, P11).
 */
function stepUnclean(
  pending: PendingElection,
  context: ElectionContext,
  givenUp: ReadonlySet<BrokerId>,
): ElectionStep {
  const { state, view } = context;
  const lastKnown = state.replicas.filter((id) => !givenUp.has(id));
  const logs = freshLogs(
    pending,
    context,
    lastKnown.filter((id) => view.isLive(id)),
  );
  if (lastKnown.length === 0 || logs.length < lastKnown.length)
    return waitFor(lastKnown, pending, context);
  const order = [
    ...lastKnown.filter((id) => !view.isStopping(id)),
    ...lastKnown.filter((id) => view.isStopping(id)),
  ];
  const chosen = bestLog(logs, order);
  // The best log would be thrown away for a worse one: its broker has to be able to lead first, or
  // be given up by name.
  if (isUnable(state, chosen.brokerId)) return waitFor([chosen.brokerId], pending, context);
  return {
    kind: 'elect-uncleanly',
    state: electUncleanly(state, chosen.brokerId),
    fromOffset: lossStart(state, chosen),
  };
}

/**
 * Logs of `members` as their present incarnations stated them: an earlier one may have had records
 * that the disk lost since.
 */
function freshLogs(
  pending: PendingElection,
  context: ElectionContext,
  members: readonly BrokerId[],
): LogEnd[] {
  return members.flatMap((id) => {
    const answer = pending.logs.get(id);
    return answer !== undefined && answer.brokerEpoch === context.image.brokers.get(id)?.brokerEpoch
      ? [answer.log]
      : [];
  });
}

function waitFor(
  members: readonly BrokerId[],
  pending: PendingElection,
  context: ElectionContext,
): ElectionStep {
  const fresh = new Set(freshLogs(pending, context, members).map((log) => log.brokerId));
  const missing = members.filter((id) => !fresh.has(id));
  const ask = missing.filter((id) => context.view.isLive(id) && isAskable(pending, id, context));
  return { kind: 'wait', ask, missing };
}

function isAskable(
  pending: PendingElection,
  brokerId: BrokerId,
  context: ElectionContext,
): boolean {
  const asked = pending.asked.get(brokerId);
  if (asked === undefined || asked.brokerEpoch !== context.image.brokers.get(brokerId)?.brokerEpoch)
    return true;
  return !asked.isInFlight && context.nowMs - asked.atMs >= INSPECTION_RETRY_MS;
}
