/**
 * Plans the moves that metadata itself asks for: partitions leave cordoned brokers, and follow
 * their topic's replication factor. What is to be done follows from the image alone, so a new
 * controller goes on where the last one stopped. Pure.
 */
import type { BrokerId } from '../../../../base/units.ts';
import type { BrokerView } from '../../leader-election.ts';
import { LEVEL_OF_MOVES, hasLevel } from '../../features.ts';
import { ReplicaChooser } from '../../placement.ts';
import { beginReassignment, isReassigning, originalOf, targetOf } from '../../reassignment.ts';
import type { MetadataImage, MetadataRecord, PartitionState, TopicState } from '../../types.ts';

/**
 * Partitions that may be copied at once on behalf of metadata. Each holds segments of its source
 * and its target busy; the rate limit is shared by all, so more of them would all end later instead
 * of one after the other.
 */
export const MOVES_IN_FLIGHT_MAX = 10;

/** Records that begin the moves that are due. */
export function planMoves(image: MetadataImage, view: BrokerView): MetadataRecord[] {
  if (!hasLevel(image, LEVEL_OF_MOVES)) return [];
  const records: MetadataRecord[] = [];
  let room = MOVES_IN_FLIGHT_MAX - movesInFlight(image, view);
  for (const topic of image.topics.values()) {
    const due = topic.partitions.filter((state) => isMoveDue(topic, state, view));
    const chooser = due.length === 0 ? null : new ReplicaChooser(image, topic.topicId);
    for (const state of due) {
      const isCopying = targetOf(state).length <= topic.replicationFactor;
      if (chooser === null || (isCopying && room <= 0)) continue;
      const next = beginReassignment(state, wantedReplicas({ image, view, topic, state }, chooser));
      if (next === null) continue;
      records.push({ kind: 'partition-changed', topicId: topic.topicId, state: next });
      if (next.adding.length > 0) room -= 1;
    }
  }
  return records;
}

/** Those that wait for a dead broker copy nothing, and must not keep the others waiting. */
function movesInFlight(image: MetadataImage, view: BrokerView): number {
  const isCopying = (state: PartitionState): boolean =>
    state.adding.length > 0 && !state.adding.some((id) => view.isGone(id));
  return [...image.topics.values()].reduce(
    (sum, topic) => sum + topic.partitions.filter(isCopying).length,
    0,
  );
}

function isMoveDue(topic: TopicState, state: PartitionState, view: BrokerView): boolean {
  const target = targetOf(state);
  if (target.some((id) => isMisplaced(state, id, view))) return true;
  return !isReassigning(state) && target.length !== topic.replicationFactor;
}

/**
 * Cordoned; or the new place of a replica that leaves a cordoned broker, and dead itself. A
 * person's own target is waited for instead.
 */
function isMisplaced(state: PartitionState, brokerId: BrokerId, view: BrokerView): boolean {
  if (view.isCordoned(brokerId)) return true;
  return (
    state.adding.includes(brokerId) &&
    view.isGone(brokerId) &&
    state.removing.some((id) => view.isCordoned(id))
  );
}

interface Place {
  readonly image: MetadataImage;
  readonly view: BrokerView;
  readonly topic: TopicState;
  readonly state: PartitionState;
}

/**
 * Fewer first, then others in the place of those that leave, then more. What cannot be replaced
 * stays.
 */
function wantedReplicas(place: Place, chooser: ReplicaChooser): BrokerId[] {
  const { topic, state, view } = place;
  let wanted = [...targetOf(state)];
  while (wanted.length > topic.replicationFactor) {
    const least = leastWorthy(place, wanted);
    wanted = wanted.filter((id) => id !== least);
  }
  for (const id of wanted.filter((member) => isMisplaced(state, member, view))) {
    const others = wanted.filter((member) => member !== id);
    const choice = chooser.choose([...others, id]);
    if (choice !== null) wanted = wanted.map((member) => (member === id ? choice : member));
  }
  while (wanted.length < topic.replicationFactor) {
    const choice = chooser.choose(wanted);
    if (choice === null) break;
    wanted.push(choice);
  }
  return wanted;
}

/**
 * Who goes first when there are too many: the misplaced, the dead, those outside S, those that
 * share a rack, then the least preferred.
 */
function leastWorthy(
  { image, view, state }: Place,
  wanted: readonly BrokerId[],
): BrokerId | undefined {
  const rackOf = (id: BrokerId): string => image.brokers.get(id)?.rack ?? '';
  const sharesRack = (id: BrokerId): boolean =>
    wanted.some((other) => other !== id && rackOf(other) === rackOf(id));
  const worth = (id: BrokerId): number => {
    if (isMisplaced(state, id, view)) return 0;
    if (!view.isLive(id)) return 1;
    if (!state.syncSet.includes(id)) return 2;
    return sharesRack(id) ? 3 : 4;
  };
  return wanted.toReversed().toSorted((a, b) => worth(a) - worth(b))[0];
}

/** The row on its way back, if it is on the move only because `brokerId` is cordoned; else null. */
export function withoutEvacuation(
  topic: TopicState,
  state: PartitionState,
  brokerId: BrokerId,
  view: BrokerView,
): PartitionState | null {
  const isOnlyReason =
    state.removing.includes(brokerId) &&
    !state.removing.some((id) => id !== brokerId && view.isCordoned(id));
  const original = originalOf(state);
  return isOnlyReason && state.adding.length > 0 && original.length === topic.replicationFactor
    ? beginReassignment(state, original)
    : null;
}
