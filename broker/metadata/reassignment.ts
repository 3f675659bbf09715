/**
 * Rules of moving one partition's replicas: grow, catch up, shrink (rule 19; KAFKA-13972,
 * KAFKA-9672, KAFKA-9212). Pure functions from a row to the next one. New replicas join `replicas`
 * but not S; those that leave stay until every new one is in S, so that no moment has fewer copies
 * than before. A cancel is a move back: what was new leaves by the same rules, and nobody has to be
 * waited for, since the old replicas never left.
 */
import { NO_BROKER } from '../../base/units.ts';
import type { BrokerId } from '../../base/units.ts';
import {
  canSucceed,
  changed,
  countedMembers,
  hasValidLeader,
  leaderCandidates,
  leavingMembers,
} from './leader-election.ts';
import type { BrokerView } from './leader-election.ts';
import type { PartitionState } from './types.ts';

/** What a reassignment needs now. */
export type ReassignmentStep =
  /** A new replica must catch up, q must be raised, or a broker must come back. */
  | { readonly kind: 'wait' }
  /** The leader leaves: it is to hand over first (rule 22). */
  | { readonly kind: 'hand-over'; readonly successor: BrokerId }
  | { readonly kind: 'finish'; readonly state: PartitionState };

/** Whether replicas are on the move. */
export function isReassigning(state: PartitionState): boolean {
  return state.adding.length > 0 || state.removing.length > 0;
}

/** The replicas that the partition has, or will have. */
export function targetOf(state: PartitionState): readonly BrokerId[] {
  return state.target ?? state.replicas;
}

/** The replicas from before the reassignment. */
export function originalOf(state: PartitionState): readonly BrokerId[] {
  return state.replicas.filter((id) => !state.adding.includes(id));
}

/**
 * The row on its way to `target`, whatever it was on its way to before; null when it is there, or
 * on its way there.
 */
export function beginReassignment(
  state: PartitionState,
  target: readonly BrokerId[],
): PartitionState | null {
  const original = originalOf(state);
  const adding = target.filter((id) => !original.includes(id));
  // Replicas of an earlier target that never entered S hold nothing that counts, so they need not
  // be waited for; but nobody leaves while there is no leader: an election may have read a log that
  // the replica then deletes.
  const kept = state.replicas.filter(
    (id) => state.leader === NO_BROKER || original.includes(id) || state.syncSet.includes(id),
  );
  const staying = kept.filter((id) => !adding.includes(id));
  const removing = staying.filter((id) => !target.includes(id));
  if (adding.length === 0 && removing.length === 0)
    return ended(state, { ...state, replicas: target });
  return left(
    state,
    changed(state, { ...state, replicas: [...staying, ...adding], adding, removing, target }),
  );
}

/** What the reassignment of a row needs now. */
export function stepReassignment(
  state: PartitionState,
  min: number,
  view: BrokerView,
): ReassignmentStep {
  const counted = countedMembers(state, view);
  const isCaughtUp = isReassigning(state) && state.adding.every((id) => counted.includes(id));
  if (!isCaughtUp || !hasValidLeader(state, view)) return { kind: 'wait' };
  const leaving = leavingMembers(state);
  const staying = counted.filter((id) => !state.removing.includes(id));
  // Rule 19: the S that is left must satisfy min; each that leaves takes one of q along, which
  // keeps |S| - q, and q may not fall below min.
  if (staying.length < min || state.quorum - leaving.length < min) return { kind: 'wait' };
  if (state.removing.includes(state.leader)) {
    const successor = successorAmong(state, staying, view);
    return successor === null || state.successor === successor
      ? { kind: 'wait' }
      : { kind: 'hand-over', successor };
  }
  const isStaying = (id: BrokerId): boolean => !state.removing.includes(id);
  const next = ended(state, {
    ...state,
    replicas: targetOf(state),
    syncSet: state.syncSet.filter(isStaying),
    suspects: state.suspects.filter(isStaying),
    quorum: state.quorum - leaving.length,
  });
  return next === null ? { kind: 'wait' } : { kind: 'finish', state: next };
}

/**
 * Who is to lead instead of a leader that leaves: the one already named, else the first of the
 * target that can.
 */
function successorAmong(
  state: PartitionState,
  staying: readonly BrokerId[],
  view: BrokerView,
): BrokerId | null {
  if (staying.includes(state.successor) && canSucceed(state, state.successor, view))
    return state.successor;
  const able = leaderCandidates(state, view).filter(
    (id) => staying.includes(id) && canSucceed(state, id, view),
  );
  return targetOf(state).find((id) => able.includes(id)) ?? null;
}

/** The row without a reassignment. */
function ended(before: PartitionState, after: PartitionState): PartitionState | null {
  const { target: _, ...rest } = after;
  return left(before, changed(before, { ...rest, adding: [], removing: [] }));
}

/**
 * The leader epoch rises wherever a replica leaves. Whatever that replica still sends is of an old
 * epoch (KAFKA-9212), and should it come back, with an emptied log, nothing that it acknowledged
 * before can certify it (rule 13: a leader may see its removal and its return as one change). In a
 * leaderless epoch nobody leaves.
 */
function left(before: PartitionState, next: PartitionState | null): PartitionState | null {
  const isLeft = next !== null && before.replicas.some((id) => !next.replicas.includes(id));
  return isLeft ? { ...next, leaderEpoch: before.leaderEpoch + 1 } : next;
}
