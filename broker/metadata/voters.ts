/**
 * Which brokers vote in the metadata quorum: 1 or an odd number up to a maximum, spread over racks,
 * repaired one change at a time. Raft thesis 4.1 (single-server changes); KIP-853 for the identity
 * of a voter; docs/rules.md#metadata-quorum.
 */
import { votersWanted } from '../../base/voters-wanted.ts';
import type { BrokerId } from '../../base/units.ts';
import type { BrokerState, MetadataImage } from './types.ts';

/** A voter: a broker with one certain directory. */
export interface VoterId {
  readonly brokerId: BrokerId;
  readonly directoryId: string;
}

/** What raft knows of its group. */
export interface VoterView {
  readonly voters: readonly VoterId[];
  readonly areVotersCommitted: boolean;
  readonly isLeaderReady: boolean;
  readonly leader: VoterId | null;
}

export interface VoterPolicy {
  /** 1, 3 or 5. */
  readonly votersMax: number;
  /** The broker has been fenced for so long that another may take its place. */
  readonly isGone: (brokerId: BrokerId) => boolean;
}

/** Rank of a voter that is not to leave. */
const KEEP = Infinity;

/** The group as it stands, looked at once. */
interface Group {
  readonly image: MetadataImage;
  readonly view: VoterView;
  readonly policy: VoterPolicy;
  /** Unfenced brokers that could join, the best first. */
  readonly candidates: readonly BrokerState[];
  /**
   * How many voters the registered brokers allow: those that are merely fenced are expected back.
   */
  readonly wanted: number;
}

/**
 * The next set of voters, which differs from the present one by one member, or null when nothing is
 * to be done. In this order: the dead leave before their successors join, so that the group never
 * needs a majority that counts two dead members where it could count one; those about to go leave
 * after their successors joined; then the group shrinks or grows to its size, then it spreads over
 * racks. The leader of the group leaves only where it is about to go, and last of those: raft has
 * it lead until its own removal is committed, and name a successor then (thesis 4.2.2).
 */
export function nextVoters(
  image: MetadataImage,
  view: VoterView,
  policy: VoterPolicy,
): readonly VoterId[] | null {
  if (!view.isLeaderReady || !view.areVotersCommitted) return null;
  const permanent = [...image.brokers.values()].filter((broker) => !broker.cordoned).length;
  const group: Group = {
    image,
    view,
    policy,
    candidates: joinOrder(image, view.voters),
    wanted: votersWanted(permanent, policy.votersMax),
  };
  return (
    withoutDead(group) ?? withSuccessor(group) ?? shrunk(group) ?? grown(group) ?? respread(group)
  );
}

/**
 * A dead voter goes where somebody can take its place. Without that, the group would only get
 * smaller: it may come back.
 */
function withoutDead(group: Group): readonly VoterId[] | null {
  if (group.candidates.length === 0) return null;
  const dead = group.view.voters.find((voter) => isDead(group, voter));
  return dead === undefined ? null : without(group, dead);
}

/** One who stands, but is to go, is outnumbered first. */
function withSuccessor(group: Group): readonly VoterId[] | null {
  const { view, wanted, candidates } = group;
  const isLeaving = view.voters.some(
    (voter) => isCordoned(group, voter) && isStanding(group.image, voter),
  );
  return isLeaving && view.voters.length <= wanted && candidates.length > 0
    ? withCandidate(group)
    : null;
}

/**
 * Too many: those that are not there go first, then those about to go, the leader last of them,
 * then one of the rack that has most.
 */
function shrunk(group: Group): readonly VoterId[] | null {
  const { image, view, wanted } = group;
  if (view.voters.length <= wanted) return null;
  const rank = (voter: VoterId): number => {
    if (isLeader(view, voter)) return isCordoned(group, voter) ? 2 : KEEP;
    if (!isStanding(image, voter)) return 0;
    return isCordoned(group, voter) ? 1 : 3;
  };
  const [least] = view.voters
    .filter((voter) => rank(voter) !== KEEP)
    .toSorted(
      (a, b) => rank(a) - rank(b) || crowd(group, b) - crowd(group, a) || b.brokerId - a.brokerId,
    );
  return least === undefined ? null : without(group, least);
}

function grown(group: Group): readonly VoterId[] | null {
  const { image, view, policy, candidates, wanted } = group;
  const standing = view.voters.filter((voter) => isStanding(image, voter)).length;
  const reachable = votersWanted(standing + candidates.length, policy.votersMax);
  return view.voters.length < Math.min(wanted, reachable) && candidates.length > 0
    ? withCandidate(group)
    : null;
}

/**
 * While everybody stands, one more voter on a rack that has at least two less than another: the
 * group is then too large by one, and shrinks on the rack that has most. Nothing moves for less, so
 * the set does not swing.
 */
function respread(group: Group): readonly VoterId[] | null {
  const { image, view, candidates, wanted } = group;
  const [candidate] = candidates;
  if (
    candidate === undefined ||
    view.voters.length !== wanted ||
    !view.voters.every((voter) => isStanding(image, voter))
  )
    return null;
  const most = Math.max(
    0,
    ...view.voters.filter((voter) => !isLeader(view, voter)).map((voter) => crowd(group, voter)),
  );
  return most - votersOn(image, view.voters, candidate.rack) >= 2 ? withCandidate(group) : null;
}

function withCandidate({ view, candidates }: Group): readonly VoterId[] | null {
  // A broker has one vote: its old directory must have left before.
  const candidate = candidates.find(
    ({ brokerId }) => !view.voters.some((voter) => voter.brokerId === brokerId),
  );
  return candidate === undefined
    ? null
    : [...view.voters, { brokerId: candidate.brokerId, directoryId: candidate.directoryId }];
}

/** Null where those who stand would be no majority of the rest. */
function without({ image, view }: Group, leaving: VoterId): readonly VoterId[] | null {
  const rest = view.voters.filter((voter) => voter !== leaving);
  const standing = rest.filter((voter) => isStanding(image, voter)).length;
  return rest.length > 0 && standing > rest.length / 2 ? rest : null;
}

/** A voter whose directory was replaced, or that was deregistered or fenced for long. */
function isDead({ image, view, policy }: Group, voter: VoterId): boolean {
  if (isLeader(view, voter)) return false;
  const broker = image.brokers.get(voter.brokerId);
  if (broker === undefined || broker.directoryId !== voter.directoryId) return true;
  return broker.fenced && (broker.cordoned || policy.isGone(voter.brokerId));
}

function isLeader(view: VoterView, voter: VoterId): boolean {
  return view.leader?.brokerId === voter.brokerId && view.leader.directoryId === voter.directoryId;
}

function isCordoned({ image }: Group, voter: VoterId): boolean {
  return image.brokers.get(voter.brokerId)?.cordoned === true;
}

function isStanding(image: MetadataImage, voter: VoterId): boolean {
  const broker = image.brokers.get(voter.brokerId);
  return broker !== undefined && broker.directoryId === voter.directoryId && !broker.fenced;
}

/** Standing voters on the voter's rack, itself included. */
function crowd({ image, view }: Group, voter: VoterId): number {
  return votersOn(image, view.voters, image.brokers.get(voter.brokerId)?.rack ?? '');
}

function votersOn(image: MetadataImage, voters: readonly VoterId[], rack: string): number {
  return voters.filter(
    (voter) => isStanding(image, voter) && image.brokers.get(voter.brokerId)?.rack === rack,
  ).length;
}

/**
 * Unfenced brokers that do not vote, or only with a directory they have no more: those in racks
 * with the fewest voters first, then by id.
 */
function joinOrder(image: MetadataImage, voters: readonly VoterId[]): readonly BrokerState[] {
  const votes = ({ brokerId, directoryId }: BrokerState): boolean =>
    voters.some((voter) => voter.brokerId === brokerId && voter.directoryId === directoryId);
  return [...image.brokers.values()]
    .filter((broker) => !broker.fenced && !broker.stopping && !broker.cordoned && !votes(broker))
    .toSorted(
      (a, b) =>
        votersOn(image, voters, a.rack) - votersOn(image, voters, b.rack) ||
        a.brokerId - b.brokerId,
    );
}
