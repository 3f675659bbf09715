/**
 * Which brokers vote in the metadata quorum: 1 or an odd number up to a maximum, spread over racks, repaired one change at a time.
 * Raft thesis 4.1 (single-server changes); KIP-853 for the identity of a voter; DESIGN.md section 4.
 */
import type { BrokerId } from '../base/units.ts';
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

/** Largest odd number of voters that the unfenced brokers allow: two brokers get one voter, since two cannot lose either. */
export function votersWanted(brokersAlive: number, votersMax: number): number {
  const bound = Math.min(brokersAlive, votersMax);
  return bound % 2 === 1 ? bound : Math.max(1, bound - 1);
}

/**
 * The next set of voters, which differs from the present one by one member, or null when nothing is to be done. The dead leave before
 * their successors join, so that the group never needs a majority that counts two dead members where it could count one.
 */
export function nextVoters(image: MetadataImage, view: VoterView, policy: VoterPolicy): readonly VoterId[] | null {
  if (!view.isLeaderReady || !view.areVotersCommitted) return null;
  const candidates = joinOrder(image, view.voters);
  const gone = view.voters.find((voter) => isReplaceable(image, voter, view, policy));
  if (gone !== undefined && candidates.length > 0) {
    return view.voters.filter((voter) => voter !== gone);
  }
  const standing = view.voters.filter((voter) => isStanding(image, voter)).length;
  const wanted = votersWanted(standing + candidates.length, policy.votersMax);
  const [candidate] = candidates;
  if (view.voters.length < wanted && candidate !== undefined) {
    return [...view.voters, { brokerId: candidate.brokerId, directoryId: candidate.directoryId }];
  }
  return null;
}

/** A voter whose directory was replaced, or that was deregistered or fenced for long. Never the leader itself. */
function isReplaceable(image: MetadataImage, voter: VoterId, view: VoterView, policy: VoterPolicy): boolean {
  if (view.leader?.brokerId === voter.brokerId && view.leader.directoryId === voter.directoryId) return false;
  const broker = image.brokers.get(voter.brokerId);
  if (broker === undefined || broker.directoryId !== voter.directoryId) return true;
  return broker.fenced && policy.isGone(voter.brokerId);
}

function isStanding(image: MetadataImage, voter: VoterId): boolean {
  const broker = image.brokers.get(voter.brokerId);
  return broker !== undefined && broker.directoryId === voter.directoryId && !broker.fenced;
}

/** Unfenced brokers that do not vote, those in racks with the fewest voters first, then by id. */
function joinOrder(image: MetadataImage, voters: readonly VoterId[]): readonly BrokerState[] {
  const votersIn = (rack: string): number =>
    voters.filter((voter) => isStanding(image, voter) && image.brokers.get(voter.brokerId)?.rack === rack).length;
  const votes = (broker: BrokerState): boolean =>
    voters.some((voter) => voter.brokerId === broker.brokerId && voter.directoryId === broker.directoryId);
  return [...image.brokers.values()]
    .filter((broker) => !broker.fenced && !broker.stopping && !votes(broker))
    .sort((a, b) => votersIn(a.rack) - votersIn(b.rack) || a.brokerId - b.brokerId);
}
