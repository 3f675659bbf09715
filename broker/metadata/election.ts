/**
 * Rules of one partition's row: who leaves S, who is distrusted, who leads. Pure functions from a row and a view of the brokers to the next
 * row; they must not know of requests, timers or records. Sources: logs.md sections 2 to 4 (KIP-966, KIP-903 and the (S, q) model); DESIGN.md
 * sections 5 and 6. S is `syncSet`, q is `quorum`, m is minInSyncReplicas.
 *
 * Why it is safe: a committed record is on q members of S. Taking one member and one of q away together keeps |S| - q, so any |S| - q + 1 trusted
 * members of S still meet every committed record. With q = |S| that is a single member, which is why in-sync elections ask nobody.
 */
import { assert } from '../base/assert.ts';
import { NO_BROKER } from '../base/units.ts';
import type { BrokerId, LeaderEpoch, Offset } from '../base/units.ts';
import type {
  BrokerState,
  CommitMode,
  MetadataImage,
  PartitionState,
  TopicConfig,
} from './types.ts';

/** What the rules need to know of brokers. */
export interface BrokerView {
  /** Registered and unfenced. */
  readonly isLive: (brokerId: BrokerId) => boolean;
  readonly isStopping: (brokerId: BrokerId) => boolean;
  /** Being decommissioned. */
  readonly isCordoned: (brokerId: BrokerId) => boolean;
  /** Fenced, and no longer awaited: a fresh clean or warm registration is awaited for one session before it counts as gone. */
  readonly isGone: (brokerId: BrokerId) => boolean;
}

/** End of a replica's log, as an inspection found it. */
export interface LogEnd {
  readonly brokerId: BrokerId;
  readonly lastEpoch: LeaderEpoch;
  readonly endOffset: Offset;
  /** High-water mark it knew, at or below the true one; 0 when unknown. */
  readonly highWaterMark: Offset;
}

/** View of an image. `isAwaited` says which fenced brokers are still expected back within their session. */
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

/** q that a mode aims at. A majority, but never below m: HW stands still while q < m. */
export function quorumTarget(mode: CommitMode, members: number, min: number): number {
  if (mode === 'in-sync') return members;
  return Math.min(members, Math.max(min, Math.floor(members / 2) + 1));
}

/** Members of S that leave it as soon as q can spare them: a reassignment whose new replicas are all in S (rule 19). */
export function leavingMembers(state: PartitionState): BrokerId[] {
  const isEveryoneThere = state.adding.every((id) => state.syncSet.includes(id));
  return isEveryoneThere ? state.syncSet.filter((id) => state.removing.includes(id)) : [];
}

/** q that the row aims at: what the mode asks of those who stay, and one for each member about to leave, since each takes one of q along. */
export function quorumAim(
  state: PartitionState,
  config: Pick<TopicConfig, 'commitMode' | 'minInSyncReplicas'>,
): number {
  const leaving = leavingMembers(state).length;
  return (
    quorumTarget(config.commitMode, state.syncSet.length - leaving, config.minInSyncReplicas) +
    leaving
  );
}

/** Trusted logs that an election must have read: |S| - q + 1. */
export function electionSize(state: PartitionState): number {
  return state.syncSet.length - state.quorum + 1;
}

/** Members of S whose logs are evidence, in the order of preference. */
export function trustedMembers(state: PartitionState): BrokerId[] {
  return state.replicas.filter((id) => state.syncSet.includes(id) && !state.suspects.includes(id));
}

/** Members of S that are trusted and unfenced: what minInSyncReplicas counts. */
export function countedMembers(
  state: PartitionState,
  view: Pick<BrokerView, 'isLive'>,
): BrokerId[] {
  return trustedMembers(state).filter((id) => view.isLive(id));
}

/** Whether the leader of the row may go on leading. */
export function hasValidLeader(state: PartitionState, view: Pick<BrokerView, 'isLive'>): boolean {
  return countedMembers(state, view).includes(state.leader);
}

/** Who may lead without asking anybody, best first. Members on their way out come last, those that stop behind those that move away. */
export function leaderCandidates(
  state: PartitionState,
  view: Pick<BrokerView, 'isLive' | 'isStopping' | 'isCordoned'>,
): BrokerId[] {
  const rankOf = (id: BrokerId): number =>
    view.isStopping(id) ? 2 : state.removing.includes(id) || view.isCordoned(id) ? 1 : 0;
  return countedMembers(state, view).toSorted((a, b) => rankOf(a) - rankOf(b));
}

/** S without `brokerId` and q - 1, in one step: always safe for what is committed (logs.md section 4, *Shrink*). Epochs are left to `changed`. */
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
 * After a loss event of `brokerId`: its log is no evidence any more. It leaves S where q stays at or above m, else it stays as a suspect, which
 * blocks elections instead of being outvoted (P7; KAFKA-18106).
 */
export function distrust(state: PartitionState, brokerId: BrokerId, min: number): PartitionState {
  if (!state.syncSet.includes(brokerId)) return state;
  if (allowsRemoval(state, min)) return withoutMember(state, brokerId);
  return state.suspects.includes(brokerId)
    ? state
    : { ...state, suspects: [...state.suspects, brokerId] };
}

/**
 * Takes members that are gone out of S while q stays at or above m and a trusted, unfenced member remains; the others are frozen in S, where
 * they stay electable because HW cannot move past them (rule 16; ELR falls out for free). Suspects leave first, then the least preferred.
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

/** A leader for the row: the present one while it is valid, else one that needs no question, else none. */
export function electLeader(state: PartitionState, view: BrokerView): PartitionState {
  if (hasValidLeader(state, view)) return state;
  const [candidate] = electionSize(state) === 1 ? leaderCandidates(state, view) : [];
  return { ...state, leader: candidate ?? NO_BROKER };
}

/** Whether leadership may be handed to `brokerId`: it could lead without a question, is not the leader, and is not itself about to stop. */
export function canSucceed(state: PartitionState, brokerId: BrokerId, view: BrokerView): boolean {
  return (
    brokerId !== state.leader &&
    hasValidLeader(state, view) &&
    countedMembers(state, view).includes(brokerId) &&
    !view.isStopping(brokerId)
  );
}

/** The row after everything that brokers' coming and going asks for: gone members out, a leader in, no successor that could not lead. */
export function settle(state: PartitionState, min: number, view: BrokerView): PartitionState {
  const next = electLeader(dropGone(state, min, view), view);
  return next.successor === NO_BROKER || canSucceed(next, next.successor, view)
    ? next
    : { ...next, successor: NO_BROKER };
}

/**
 * Stamps the epochs of a change: the partition epoch rises with every record, the leader epoch with every change of leader, "none" included, so that
 * both sides of any request can tell (rules 5, 11). A successor ends with any change of leader, and with its own trust. Null when nothing differs.
 */
export function changed(before: PartitionState, after: PartitionState): PartitionState | null {
  const isLeaderChanged = before.leader !== after.leader;
  const isSuccessorKept = !isLeaderChanged && trustedMembers(after).includes(after.successor);
  const successor = isSuccessorKept ? after.successor : NO_BROKER;
  if (successor === before.successor && isSameRow(before, after)) return null;
  const next: PartitionState = {
    ...after,
    successor,
    partitionEpoch: before.partitionEpoch + 1,
    leaderEpoch: before.leaderEpoch + (isLeaderChanged ? 1 : 0),
  };
  const fault = rowFault(next);
  assert(fault === null, `partition ${String(next.partition)}: ${String(fault)}`);
  return next;
}

/** What breaks the invariants of a row that hold after every record (h and k of logs.md section 5), or null. */
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
 * Whether no election by evidence can ever succeed: suspects and members given up by name leave fewer than |S| - q + 1 trusted logs (P11). Fenced
 * members count as possible: they may return with their logs.
 */
export function isEvidenceGone(state: PartitionState, givenUp: ReadonlySet<BrokerId>): boolean {
  return trustedMembers(state).filter((id) => !givenUp.has(id)).length < electionSize(state);
}

/** The best of several logs: largest (last epoch, end). Among equals the first in `order` wins. */
export function bestLog(logs: readonly LogEnd[], order: readonly BrokerId[]): LogEnd {
  const ranked = order.flatMap((id) => logs.filter((log) => log.brokerId === id));
  const [first, ...rest] = ranked;
  assert(
    first !== undefined && ranked.length === logs.length,
    `logs of ${logs.map((log) => log.brokerId).join()} must be of ${order.join()}`,
  );
  const isBetter = (log: LogEnd, than: LogEnd): boolean =>
    log.lastEpoch > than.lastEpoch ||
    (log.lastEpoch === than.lastEpoch && log.endOffset > than.endOffset);
  return rest.reduce((best, log) => (isBetter(log, best) ? log : best), first);
}

/**
 * The row after an unclean election (rule 18): the chosen replica alone makes up S. q = 1 lies below m unless m is 1, so nothing is committed
 * before S has been refilled.
 */
export function electUncleanly(state: PartitionState, leader: BrokerId): PartitionState {
  const next = changed(state, { ...state, leader, syncSet: [leader], quorum: 1, suspects: [] });
  assert(
    next !== null && next.leaderEpoch > state.leaderEpoch,
    `an unclean election of ${String(leader)} must follow a leaderless epoch`,
  );
  return { ...next, uncleanEpoch: next.leaderEpoch };
}

/**
 * First offset that an unclean election of `chosen` may have lost. If the log ends in the last epoch that had a leader, it is a prefix of
 * everything committed, and the loss starts at its end. If it ends in an older one, a later leader may have committed other records below that
 * end, and only what the replica knew to be committed is sure. If it ends before an earlier unclean election, even that may have been replaced since.
 *
 * @param state the leaderless row before the election
 */
export function lossStart(state: PartitionState, chosen: LogEnd): Offset {
  assert(
    state.leader === NO_BROKER,
    `leader is ${String(state.leader)}, must be none during an unclean election`,
  );
  const lastLedEpoch = state.leaderEpoch - 1;
  if (chosen.lastEpoch >= lastLedEpoch) return chosen.endOffset;
  return chosen.lastEpoch >= state.uncleanEpoch
    ? Math.min(chosen.endOffset, chosen.highWaterMark)
    : 0;
}

/** The row of a new partition: everybody who is there starts in S, since all logs are empty. Null when nobody is there. */
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
  const quorum = quorumTarget(config.commitMode, syncSet.length, config.minInSyncReplicas);
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
    isSameList(left.target ?? [], right.target ?? [])
  );
}

function isSameList(left: readonly BrokerId[], right: readonly BrokerId[]): boolean {
  return left.length === right.length && left.every((id, index) => id === right[index]);
}
