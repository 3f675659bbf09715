/**
 * Judges requests to empty a broker, to take that back, and to forget one that is dead. Pure;
 * `move-planner.ts` plans the moves that follow.
 */
import { BrokerError } from '../../../../base/errors.ts';
import type { BrokerId } from '../../../../base/units.ts';
import type { DecommissionRequest, RemoveBrokerRequest } from '../../controller-types.ts';
import { countedMembers } from '../../leader-election.ts';
import type { BrokerView } from '../../leader-election.ts';
import { LEVEL_OF_MOVES, requireLevel } from '../../features.ts';
import { beginReassignment, targetOf } from '../../reassignment.ts';
import type {
  BrokerState,
  MetadataImage,
  MetadataRecord,
  PartitionState,
  TopicState,
} from '../../types.ts';
import type { VoterId } from '../../voters.ts';
import { withoutEvacuation } from './move-planner.ts';

/** Topics and partitions named in one message. */
const NAMES_MAX = 5;

/** One partition with its topic. */
interface Held {
  readonly topic: TopicState;
  readonly state: PartitionState;
}

/**
 * Records that cordon the broker or uncordon it, and the replicas it still holds. Repeated requests
 * report progress. Throws {@link BrokerError}.
 */
export function decommission(
  image: MetadataImage,
  view: BrokerView,
  request: DecommissionRequest,
): { readonly records: MetadataRecord[]; readonly replicasLeft: number } {
  const { brokerId, isCancelled } = request;
  const what = isCancelled ? 'recommission' : 'decommission';
  const broker = registered(image, brokerId, what);
  requireLevel(image, LEVEL_OF_MOVES, `${what} broker ${String(brokerId)}`);
  const held = heldBy(image, brokerId);
  const records: MetadataRecord[] = [];
  if (broker.cordoned === isCancelled) {
    if (!isCancelled) refuseTooFew(image, brokerId);
    records.push({ kind: 'broker-cordoned', brokerId, cordoned: !isCancelled });
    if (isCancelled) records.push(...turnedBack(held, brokerId, view));
  }
  return { records, replicasLeft: held.length };
}

/**
 * Records towards forgetting a dead broker, and why it is not forgotten yet: null when the records
 * forget it. Until then it is cordoned, so that its replicas and its vote find other places; asking
 * again goes on.
 */
export function removeBroker(
  image: MetadataImage,
  view: BrokerView,
  request: RemoveBrokerRequest,
  voters: readonly VoterId[] | null,
): { readonly records: MetadataRecord[]; readonly refusal: BrokerError | null } {
  const { brokerId } = request;
  const broker = registered(image, brokerId, 'remove');
  requireLevel(image, LEVEL_OF_MOVES, `remove broker ${String(brokerId)}`);
  if (!broker.fenced) throw refused(brokerId, 'it is unfenced, must be stopped or dead');
  const held = heldBy(image, brokerId);
  refuseLastCopies(brokerId, held, view);
  const votes = voters === null || voters.some((voter) => voter.brokerId === brokerId);
  if (held.length === 0 && !votes)
    return { records: [{ kind: 'broker-removed', brokerId }], refusal: null };
  const records: MetadataRecord[] = broker.cordoned
    ? []
    : [{ kind: 'broker-cordoned', brokerId, cordoned: true }];
  for (const { topic, state } of held) {
    const others = targetOf(state).filter((id) => id !== brokerId);
    const isShrinking =
      !hasReplacement(image, brokerId, state) && others.length >= topic.config.minInSyncReplicas;
    const next = isShrinking ? beginReassignment(state, others) : null;
    if (next !== null)
      records.push({ kind: 'partition-changed', topicId: topic.topicId, state: next });
  }
  return { records, refusal: refused(brokerId, waitsFor(held, voters)) };
}

function waitsFor(held: readonly Held[], voters: readonly VoterId[] | null): string {
  if (held.length > 0) {
    const names = held.map(({ topic, state }) => `${topic.name}/${String(state.partition)}`);
    return `it holds ${String(held.length)} replicas, which are moving away (${listed(names)}); ask again`;
  }
  return voters === null
    ? 'the metadata voters are not known yet; ask again'
    : 'it is a metadata voter, which is being replaced; ask again';
}

/** Partitions whose replicas include the broker. */
function heldBy(image: MetadataImage, brokerId: BrokerId): Held[] {
  return [...image.topics.values()].flatMap((topic) =>
    topic.partitions
      .filter((state) => state.replicas.includes(brokerId))
      .map((state) => ({ topic, state })),
  );
}

function turnedBack(held: readonly Held[], brokerId: BrokerId, view: BrokerView): MetadataRecord[] {
  return held.flatMap(({ topic, state }): MetadataRecord[] => {
    const next = withoutEvacuation(topic, state, brokerId, view);
    return next === null
      ? []
      : [{ kind: 'partition-changed', topicId: topic.topicId, state: next }];
  });
}

function refuseTooFew(image: MetadataImage, brokerId: BrokerId): void {
  const remaining = [...image.brokers.values()].filter(
    (broker) => !broker.cordoned && broker.brokerId !== brokerId,
  ).length;
  const tooWide = [...image.topics.values()].filter((topic) => topic.replicationFactor > remaining);
  if (remaining > 0 && tooWide.length === 0) return;
  const names = tooWide.map(
    (topic) => `"${topic.name}" with replicationFactor ${String(topic.replicationFactor)}`,
  );
  const reason = names.length === 0 ? 'one must be left' : `too few for topics ${listed(names)}`;
  throw new BrokerError(
    'REFUSED',
    `Cannot decommission broker ${String(brokerId)}: ${String(remaining)} brokers that are not cordoned would remain, ${reason}`,
  );
}

/** A dead broker's copies are given up only where enough others are certain. */
function refuseLastCopies(brokerId: BrokerId, held: readonly Held[], view: BrokerView): void {
  const needed = held.flatMap(({ topic, state }) => {
    const elsewhere = countedMembers(state, view).filter((id) => id !== brokerId).length;
    const min = topic.config.minInSyncReplicas;
    return elsewhere >= min
      ? []
      : [`${topic.name}/${String(state.partition)} (${String(elsewhere)} of ${String(min)})`];
  });
  if (needed.length === 0) return;
  throw refused(
    brokerId,
    `fewer trusted unfenced copies are elsewhere than minInSyncReplicas of ${listed(needed)}; bring it, or other replicas of these partitions, back first`,
  );
}

/** Whether some broker, there at the moment or not, could take the replica. */
function hasReplacement(image: MetadataImage, brokerId: BrokerId, state: PartitionState): boolean {
  return [...image.brokers.values()].some(
    (broker) =>
      broker.brokerId !== brokerId &&
      !broker.cordoned &&
      !targetOf(state).includes(broker.brokerId),
  );
}

function registered(image: MetadataImage, brokerId: BrokerId, what: string): BrokerState {
  const broker = image.brokers.get(brokerId);
  if (broker === undefined)
    throw new BrokerError(
      'UNKNOWN_BROKER',
      `Cannot ${what} broker ${String(brokerId)}: it is not registered`,
    );
  return broker;
}

function refused(brokerId: BrokerId, reason: string): BrokerError {
  return new BrokerError('REFUSED', `Cannot remove broker ${String(brokerId)}: ${reason}`);
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  return more > 0
    ? `${names.slice(0, NAMES_MAX).join(', ')} and ${String(more)} more`
    : names.join(', ');
}
