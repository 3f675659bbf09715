/**
 * Rules of one partition's row: who leaves S, who is distrusted, who leads. Pure functions from a
 * row and a view of the brokers to the next row; they must not know of requests, timers or records.
 * Sources: docs/rules.md#sync-set-and-q (KIP-966, KIP-903 and the (S, q) model),
 * docs/rules.md#restart-classes. S is `syncSet`, q is `quorum`, m is minInSyncReplicas.
 *
 * Why it is safe: a committed record is on q members of S. Taking one member and one of q away
 * together keeps |S| - q, so any |S| - q + 1 trusted members of S still meet every committed
 * record. With q = |S| that is a single member, which is why in-sync elections ask nobody.
 */
import { assert } from '../../base/assert.ts';
import { quorumTarget } from '../../base/quorum-target.ts';
import { NO_BROKER } from '../../base/units.ts';
import type { BrokerId, LeaderEpoch, Offset } from '../../base/units.ts';
import type { BrokerState, MetadataImage, PartitionState, TopicConfig } from './types.ts';

/** What the rules need to know of brokers. */
export interface BrokerView {
  /** Registered and unfenced. */
  readonly isLive: (brokerId: BrokerId) => boolean;
  readonly isStopping: (brokerId: BrokerId) => boolean;
  /** Being decommissioned. */
  readonly isCordoned: (brokerId: BrokerId) => boolean;
  /**
   * Fenced, and no longer awaited: a fresh clean or warm registration is awaited for one session
   * before it counts as gone.
   */
  readonly isGone: (brokerId: BrokerId) => boolean;
}

/** A replica's log, as an inspection found it. */
export interface LogEnd {
  readonly brokerId: BrokerId;
  /** Epoch of the batch before the end, be it retired. */
  readonly lastEpoch: LeaderEpoch;
  readonly endOffset: Offset;
  readonly startOffset: Offset;
  /**
   * What retention is known to have reached, at or below the start. Below it: the log has lost its
   * beginning.
   */
  readonly retiredTo: Offset;
  /** High-water mark it knew, at or below the true one; 0 when unknown. */
  readonly highWaterMark: Offset;
}

/**
 * View of an image. `isAwaited` says which fenced brokers are still expected back within their
 * session.
 */
export function viewOf(
  brokers: ReadonlyMap<BrokerId, BrokerState>,
  isAwaited: (brokerId: BrokerId) => boolean,
): BrokerView {
  const isLive = (brokerId: BrokerId): boolean => brokers.get(brokerId)?.fenced === false;
  return {
    isLive,
    isStopping: (brokerId) => brokers.get(brokerId)?.stopping === true,
    isCordoned: (brokerId) => brokers.get(brokerId)?.cordoned === true,
    isGone: (brokerId) => !isLive(brokerId) && !isAwaited(brokerId),
  };
}

/**
 * Members of S that leave it as soon as q can spare them: a reassignment whose new replicas are all
 * in S (rule 19).
 */
export function leavingMembers(state: PartitionState): BrokerId[] {
  const isEveryoneThere = state.adding.every((id) => state.syncSet.includes(id));
  return isEveryoneThere ? state.syncSet.filter((id) => state.removing.includes(id)) : [];
}

/** q that the row aims at. */
export function quorumAim(
  state: PartitionState,
  config: Pick<TopicConfig, 'commitMode' | 'minInSyncReplicas'>,
): number {
  const { commitMode, minInSyncReplicas } = config;
  const [members, leaving] = [state.syncSet.length, leavingMembers(state).length];
  return quorumTarget({ commitMode, minInSyncReplicas, members, leaving });
}

/** Trusted logs that an election must have read: |S| - q + 1. */
export function electionSize(state: PartitionState): number {
  return state.syncSet.length - state.quorum + 1;
}

/** Members of S whose logs are evidence, in the order of preference. */
export function trustedMembers(state: PartitionState): BrokerId[] {
  return state.replicas.filter((id) => state.syncSet.includes(id) && !state.suspects.includes(id));
}

/**
 * Members of S that are trusted, unfenced and able to lead: what minInSyncReplicas counts, and who
 * may be asked for its log. A replica that stopped takes no records, and its log is read by nobody.
 */
export function countedMembers(
  state: PartitionState,
  view: Pick<BrokerView, 'isLive'>,
): BrokerId[] {
  return trustedMembers(state).filter((id) => view.isLive(id) && !isUnable(state, id));
}

/** Whether the replica's broker said that it cannot lead the partition. */
export function isUnable(state: PartitionState, brokerId: BrokerId): boolean {
  return state.cannotLead.some((unable) => unable.brokerId === brokerId);
}

/**
 * The row after the replica's broker said why it cannot lead, or, with an empty reason, that it
 * can. A leader that cannot is left to `settle`.
 */
export function withAbility(
  state: PartitionState,
  brokerId: BrokerId,
  reason: string,
): PartitionState {
  const before = state.cannotLead.find((unable) => unable.brokerId === brokerId);
  if ((before?.reason ?? '') === reason || !state.replicas.includes(brokerId)) return state;
  const others = state.cannotLead.filter((unable) => unable.brokerId !== brokerId);
  return { ...state, cannotLead: reason === '' ? others : [...others, { brokerId, reason }] };
}

/** Whether the leader of the row may go on leading. */
export function hasValidLeader(state: PartitionState, view: Pick<BrokerView, 'isLive'>): boolean {
  return countedMembers(state, view).includes(state.leader);
}

/**
 * Who may lead without asking anybody, best first. Members on their way out come last, those that
 * stop behind those that move away.
 */
export function leaderCandidates(
  state: PartitionState,
  view: Pick<BrokerView, 'isLive' | 'isStopping' | 'isCordoned'>,
): BrokerId[] {
  const rankOf = (id: BrokerId): number =>
    view.isStopping(id) ? 2 : state.removing.includes(id) || view.isCordoned(id) ? 1 : 0;
  return countedMembers(state, view).toSorted((a, b) => rankOf(a) - rankOf(b));
}

/**
 * S without `brokerId` and q - 1, in one step: always safe for what is committed
 * (docs/rules.md#sync-set-and-q, *Shrink*). Epochs are left to `changed`.
 */
export function withoutMember(state: PartitionState, brokerId: BrokerId): PartitionState {
  assert(
    state.syncSet.includes(brokerId),
    `broker ${String(brokerId)} must be in S (${state.syncSet.join()}) to leave it`,
  );
  return {
    ...state,
    syncSet: state.syncSet.filter((id) => id !== brokerId),
    suspects: state.suspects.filter((id) => id !== brokerId),
    quorum: state.quorum - 1,
  };
}

/** Whether taking a member out keeps q at or above m (rule 16). */
export function allowsRemoval(state: PartitionState, min: number): boolean {
  return state.quorum - 1 >= min;
}

/**
 * After a loss event of `brokerId`: its log is no evidence any more. It leaves S where q stays at
 * or above m, else it stays as a suspect, which blocks elections instead of being outvoted (P7;
 * KAFKA-18106).
 */
export function distrust(state: PartitionState, brokerId: BrokerId, min: number): PartitionState {
  if (!state.syncSet.includes(brokerId)) return state;
  if (allowsRemoval(state, min)) return withoutMember(state, brokerId);
  return state.suspects.includes(brokerId)
    ? state
    : { ...state, suspects: [...state.suspects, brokerId] };
}

/**
 * Takes members that are gone out of S while q stays at or above m and a trusted, unfenced member
 * remains; the others are frozen in S, where they stay electable because HW cannot move past them
 * (rule 16; ELR falls out for free). Suspects leave first, then the least preferred.
 */
export function dropGone(state: PartitionState, min: number, view: BrokerView): PartitionState {
  const gone = state.replicas
    .toReversed()
    .filter((id) => state.syncSet.includes(id) && view.isGone(id));
  const ordered = [
    ...gone.filter((id) => state.suspects.includes(id)),
    ...gone.filter((id) => !state.suspects.includes(id)),
  ];
  // Nobody who is gone counts, so this stays true through the loop.
  const isOneLeft = countedMembers(state, view).length > 0;
  let next = state;
  for (const brokerId of ordered) {
    if (isOneLeft && allowsRemoval(next, min)) next = withoutMember(next, brokerId);
  }
  return next;
}

/**
 * A leader for the row: the present one while it is valid, else one that needs no question, else
 * none.
 */
export function electLeader(state: PartitionState, view: BrokerView): PartitionState {
  if (hasValidLeader(state, view)) return state;
  const [candidate] = electionSize(state) === 1 ? leaderCandidates(state, view) : [];
  return { ...state, leader: candidate ?? NO_BROKER };
}

/**
 * Whether leadership may be handed to `brokerId`: it could lead without a question, is not the
 * leader, and is not itself about to stop.
 */
export function canSucceed(state: PartitionState, brokerId: BrokerId, view: BrokerView): boolean {
  return (
    brokerId !== state.leader &&
    hasValidLeader(state, view) &&
    countedMembers(state, view).includes(brokerId) &&
    !view.isStopping(brokerId)
  );
}

/**
 * The row after everything that brokers' coming and going asks for: gone members out, a leader in,
 * no successor that could not lead.
 */
export function settle(state: PartitionState, min: number, view: BrokerView): PartitionState {
  const next = electLeader(dropGone(state, min, view), view);
  return next.successor === NO_BROKER || canSucceed(next, next.successor, view)
    ? next
    : { ...next, successor: NO_BROKER };
}

/**
 * Stamps the epochs of a change: the partition epoch rises with every record, the leader epoch with
 * every change of leader, "none" included, so that both sides of any request can tell (rules 5,
 * 11). A successor ends with any change of leader, and with its own trust. Null when nothing
 * differs.
 */
export function changed(before: PartitionState, after: PartitionState): PartitionState | null {
  const isLeaderChanged = before.leader !== after.leader;
  const isSuccessorKept = !isLeaderChanged && trustedMembers(after).includes(after.successor);
  const successor = isSuccessorKept ? after.successor : NO_BROKER;
  if (successor === before.successor && isSameRow(before, after)) return null;
  const next: PartitionState = {
    ...after,
    cannotLead: after.cannotLead.filter(({ brokerId }) => after.replicas.includes(brokerId)),
    successor,
    partitionEpoch: before.partitionEpoch + 1,
    leaderEpoch: before.leaderEpoch + (isLeaderChanged ? 1 : 0),
  };
  const fault = rowFault(next);
  assert(fault === null, `partition ${String(next.partition)}: ${String(fault)}`);
  return next;
}

/**
 * What breaks the invariants of a row that hold after every record (invariants (h) and (k)), or
 * null.
 */
export function rowFault(state: PartitionState): string | null {
  const { replicas, syncSet, suspects, quorum, leader, successor } = state;
  const isDistinct = (ids: readonly BrokerId[]): boolean => new Set(ids).size === ids.length;
  if (!isDistinct(replicas) || !isDistinct(syncSet) || !isDistinct(suspects))
    return `a broker is listed twice: ${[replicas, syncSet, suspects].join('; ')}`;
  if (!syncSet.every((id) => replicas.includes(id)))
    return `S (${syncSet.join()}) must be within the replicas (${replicas.join()})`;
  if (!suspects.every((id) => syncSet.includes(id)))
    return `suspects (${suspects.join()}) must be within S (${syncSet.join()})`;
  if (quorum < 1 || quorum > syncSet.length)
    return `q is ${String(quorum)}, must be 1 to |S| (${String(syncSet.length)})`;
  if (leader !== NO_BROKER && !syncSet.includes(leader))
    return `leader ${String(leader)} must be in S (${syncSet.join()})`;
  if (suspects.includes(leader)) return `leader ${String(leader)} must not be a suspect`;
  const unable = state.cannotLead.map(({ brokerId }) => brokerId);
  if (!isDistinct(unable) || !unable.every((id) => replicas.includes(id)))
    return `those that cannot lead (${unable.join()}) must be within the replicas (${replicas.join()}), each once`;
  if (unable.includes(leader)) return `leader ${String(leader)} must be able to lead`;
  if (
    successor !== NO_BROKER &&
    (leader === NO_BROKER || successor === leader || !trustedMembers(state).includes(successor))
  ) {
    return `successor ${String(successor)} must be a trusted member of S (${syncSet.join()}) beside a leader (${String(leader)})`;
  }
  return reassignmentFault(state);
}

function reassignmentFault({ replicas, adding, removing, target }: PartitionState): string | null {
  const isUnderWay = adding.length > 0 || removing.length > 0;
  if (target === undefined) return isUnderWay ? 'a reassignment must have a target' : null;
  if (!isUnderWay) return `target (${target.join()}) must be absent without a reassignment`;
  if (target.length === 0) return 'target is empty, a partition must keep a replica';
  const expected = replicas.filter((id) => !removing.includes(id));
  const isTarget = target.length === expected.length && expected.every((id) => target.includes(id));
  if (!isTarget)
    return `target (${target.join()}) must be the replicas (${replicas.join()}) without those that leave (${removing.join()})`;
  if (!removing.every((id) => replicas.includes(id)))
    return `removing (${removing.join()}) must be within the replicas (${replicas.join()})`;
  if (!isSameList(replicas.slice(replicas.length - adding.length), adding))
    return `adding (${adding.join()}) must stand last in the replicas (${replicas.join()})`;
  return adding.some((id) => removing.includes(id))
    ? `a broker cannot be in adding (${adding.join()}) and in removing (${removing.join()})`
    : null;
}

/**
 * Whether no election by evidence can ever succeed: suspects and members given up by name leave
 * fewer than |S| - q + 1 trusted logs (P11). Fenced members count as possible: they may return with
 * their logs.
 */
export function isEvidenceGone(state: PartitionState, givenUp: ReadonlySet<BrokerId>): boolean {
  return trustedMembers(state).filter((id) => !givenUp.has(id)).length < electionSize(state);
}

/**
 * Whether a person may give up the replica of this broker by name: it is dead, or its broker says
 * that it cannot lead. A stopped replica testifies to nobody, and would be waited for without end.
 */
export function mayBeGivenUp(
  state: PartitionState,
  brokerId: BrokerId,
  view: Pick<BrokerView, 'isLive'>,
): boolean {
  return !view.isLive(brokerId) || isUnable(state, brokerId);
}

/**
 * The best of several logs: largest (last epoch, end). Among equals a whole one wins, then the
 * first in `order`.
 */
export function bestLog(logs: readonly LogEnd[], order: readonly BrokerId[]): LogEnd {
  const ranked = order.flatMap((id) => logs.filter((log) => log.brokerId === id));
  const [first, ...rest] = ranked;
  assert(
    first !== undefined && ranked.length === logs.length,
    `logs of ${logs.map((log) => log.brokerId).join()} must be of ${order.join()}`,
  );
  const isBetter = (log: LogEnd, than: LogEnd): boolean =>
    log.lastEpoch > than.lastEpoch ||
    (log.lastEpoch === than.lastEpoch && log.endOffset > than.endOffset) ||
    (log.lastEpoch === than.lastEpoch &&
      log.endOffset === than.endOffset &&
      lacksBeginning(than) &&
      !lacksBeginning(log));
  return rest.reduce((best, log) => (isBetter(log, best) ? log : best), first);
}

/**
 * The row after an unclean election (rule 18): the chosen replica alone makes up S. q = 1 lies
 * below m unless m is 1, so nothing is committed before S has been refilled.
 */
export function electUncleanly(state: PartitionState, leader: BrokerId): PartitionState {
  const next = changed(state, { ...state, leader, syncSet: [leader], quorum: 1, suspects: [] });
  assert(
    next !== null && next.leaderEpoch > state.leaderEpoch,
    `an unclean election of ${String(leader)} must follow a leaderless epoch`,
  );
  return { ...next, uncleanEpoch: next.leaderEpoch };
}

type LeaderlessRow = Pick<PartitionState, 'leader' | 'leaderEpoch' | 'uncleanEpoch'>;

/**
 * A log that starts above what retention reached may lack what was acknowledged: it is no evidence,
 * and may not lead but uncleanly.
 */
export function lacksBeginning({ startOffset, retiredTo }: LogEnd): boolean {
  return startOffset > retiredTo;
}

/**
 * First offset that an unclean election of `chosen` may have lost. If the log ends in the last
 * epoch that had a leader, it is a prefix of everything committed, and the loss starts at its end.
 * If it ends in an older one, a later leader may have committed other records below that end, and
 * only what the replica knew to be committed is sure. If it ends before an earlier unclean
 * election, even that may have been replaced since. If it has lost its beginning, the loss starts
 * where retention is known to have come.
 *
 * @param state the leaderless row before the election
 */
export function lossStart(state: LeaderlessRow, chosen: LogEnd): Offset {
  assert(
    state.leader === NO_BROKER,
    `leader is ${String(state.leader)}, must be none during an unclean election`,
  );
  if (lacksBeginning(chosen)) return Math.min(chosen.retiredTo, endLossStart(state, chosen));
  return endLossStart(state, chosen);
}

function endLossStart(state: LeaderlessRow, chosen: LogEnd): Offset {
  const lastLedEpoch = state.leaderEpoch - 1;
  if (chosen.lastEpoch >= lastLedEpoch) return chosen.endOffset;
  return chosen.lastEpoch >= state.uncleanEpoch
    ? Math.min(chosen.endOffset, chosen.highWaterMark)
    : 0;
}

/**
 * The row of a new partition: everybody who is there starts in S, since all logs are empty. Null
 * when nobody is there.
 */
export function newPartition(
  partition: number,
  replicas: readonly BrokerId[],
  config: Pick<TopicConfig, 'commitMode' | 'minInSyncReplicas'>,
  brokers: MetadataImage['brokers'],
): PartitionState | null {
  const syncSet = replicas.filter(
    (id) => brokers.get(id)?.fenced === false && brokers.get(id)?.stopping === false,
  );
  const [leader] = syncSet;
  if (leader === undefined) return null;
  const quorum = quorumTarget({ ...config, members: syncSet.length, leaving: 0 });
  return {
    partition,
    replicas,
    syncSet,
    quorum,
    leader,
    leaderEpoch: 1,
    partitionEpoch: 1,
    suspects: [],
    uncleanEpoch: 0,
    adding: [],
    removing: [],
    successor: NO_BROKER,
    cannotLead: [],
  };
}

function isSameRow(left: PartitionState, right: PartitionState): boolean {
  return (
    left.leader === right.leader &&
    left.quorum === right.quorum &&
    isSameList(left.syncSet, right.syncSet) &&
    isSameList(left.suspects, right.suspects) &&
    isSameList(left.replicas, right.replicas) &&
    isSameList(left.adding, right.adding) &&
    isSameList(left.removing, right.removing) &&
    isSameAbility(left, right) &&
    isSameList(left.target ?? [], right.target ?? [])
  );
}

function isSameAbility(left: PartitionState, right: PartitionState): boolean {
  const text = ({ cannotLead }: PartitionState): string =>
    cannotLead.map(({ brokerId, reason }) => `${String(brokerId)} ${reason}`).join();
  return text(left) === text(right);
}

function isSameList(left: readonly BrokerId[], right: readonly BrokerId[]): boolean {
  return left.length === right.length && left.every((id, index) => id === right[index]);
}
