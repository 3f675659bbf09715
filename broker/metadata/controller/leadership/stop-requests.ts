/**
 * What a broker that stops must be rid of first: leaderships (rule 22: it has drained before it
 * asks), and its vote where it leaves for good. Pure.
 */
import { NO_BROKER, partitionKey } from '../../../../base/units.ts';
import type { BrokerId } from '../../../../base/units.ts';
import { countedMembers, electionSize, leaderCandidates } from '../../leader-election.ts';
import type { BrokerView } from '../../leader-election.ts';
import type { MetadataImage, PartitionState } from '../../types.ts';
import type { VoterId } from '../../voters.ts';

/**
 * The row with another leader, if there is one to have: a broker that stops goes on leading rather
 * than leave the partition without. In quorum mode the successor must be found by reading logs, so
 * leadership is laid down; `mayElect` says whether that may be tried.
 */
export function handOver(
  state: PartitionState,
  view: BrokerView,
  mayElect: () => boolean,
): PartitionState {
  const successor = successorOf(state, view);
  if (successor === null) return state;
  if (electionSize(state) === 1) return { ...state, leader: successor };
  return mayElect() ? { ...state, leader: NO_BROKER } : state;
}

/**
 * How many partitions `brokerId` still leads, and whether any of them, or an election that may need
 * its log, should hold it back.
 *
 * @param isTried whether an election was held for this partition already because of the stop
 */
export function leadershipsLeft(
  image: MetadataImage,
  view: BrokerView,
  brokerId: BrokerId,
  isTried: (key: string) => boolean,
): { readonly leadersLeft: number; readonly isHeld: boolean } {
  let leadersLeft = 0;
  let isHeld = false;
  for (const topic of image.topics.values()) {
    for (const state of topic.partitions) {
      const isLed = state.leader === brokerId;
      const isElecting =
        state.leader === NO_BROKER &&
        electionSize(state) > 1 &&
        countedMembers(state, view).includes(brokerId);
      if (isLed) leadersLeft += 1;
      if (isLed && successorOf(state, view) !== null)
        isHeld ||= !isTried(partitionKey(topic.topicId, state.partition));
      if (isElecting) isHeld ||= countedMembers(state, view).length >= electionSize(state);
    }
  }
  return { leadersLeft, isHeld };
}

/**
 * Whether a broker that is being emptied still has a vote that another one can take. It would not
 * come back, so the quorum might not either: two brokers have one voter.
 *
 * @param voters null while not known
 */
export function isVoteLeaving(
  image: MetadataImage,
  voters: readonly VoterId[] | null,
  brokerId: BrokerId,
): boolean {
  if (image.brokers.get(brokerId)?.cordoned !== true) return false;
  const isVoter = voters?.some((voter) => voter.brokerId === brokerId) ?? true;
  return (
    isVoter &&
    [...image.brokers.values()].some((other) => !other.fenced && !other.stopping && !other.cordoned)
  );
}

/** A member that could lead instead of the present leader, and is not itself on its way out. */
function successorOf(state: PartitionState, view: BrokerView): BrokerId | null {
  if (countedMembers(state, view).length < electionSize(state)) return null;
  return (
    leaderCandidates(state, view).find((id) => id !== state.leader && !view.isStopping(id)) ?? null
  );
}
