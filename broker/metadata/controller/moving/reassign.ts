/**
 * Judges requests to move replicas of one partition (rule 19): the row that begins the move or
 * turns it back, or a refusal. Pure.
 */
import { BrokerError } from '../../../../base/errors.ts';
import type { BrokerId } from '../../../../base/units.ts';
import type { ReassignRequest } from '../../controller-types.ts';
import { LEVEL_OF_MOVES, requireLevel } from '../../features.ts';
import { beginReassignment, originalOf } from '../../reassignment.ts';
import type { MetadataImage, MetadataRecord, PartitionState, TopicState } from '../../types.ts';
import { topicByName } from '../topics.ts';

/**
 * Records of the reassignment; none when the partition is there already, or on its way. Throws
 * {@link BrokerError}.
 */
export function reassign(image: MetadataImage, request: ReassignRequest): MetadataRecord[] {
  requireLevel(image, LEVEL_OF_MOVES, 'reassign replicas');
  const topic = topicByName(image, request.topic);
  const state = topic.partitions[request.partition];
  if (state === undefined)
    throw new BrokerError(
      'UNKNOWN_PARTITION',
      `Cannot reassign: topic "${topic.name}" has no partition ${String(request.partition)}`,
    );
  const next =
    request.replicas.length === 0
      ? cancel(image, topic, state)
      : begin(image, topic, state, request.replicas);
  return next === null ? [] : [{ kind: 'partition-changed', topicId: topic.topicId, state: next }];
}

/**
 * Back to where it came from. Without new replicas there is nothing to go back from: what leaves is
 * on its way out already.
 */
function cancel(
  image: MetadataImage,
  topic: TopicState,
  state: PartitionState,
): PartitionState | null {
  if (state.adding.length === 0) return null;
  const original = originalOf(state);
  const cordoned = original.filter((id) => image.brokers.get(id)?.cordoned === true);
  if (cordoned.length > 0) {
    // It would be moved away again at once.
    throw new BrokerError(
      'REFUSED',
      `Cannot cancel the reassignment of ${nameOf(topic, state)}: it leaves brokers ${cordoned.join()}, which are being decommissioned; recommission them instead`,
    );
  }
  if (original.length !== topic.replicationFactor) {
    throw new BrokerError(
      'REFUSED',
      `Cannot cancel the reassignment of ${nameOf(topic, state)}: replicas ${original.join()} would be left, replicationFactor is ${String(topic.replicationFactor)}; alter that instead`,
    );
  }
  return beginReassignment(state, original);
}

function begin(
  image: MetadataImage,
  topic: TopicState,
  state: PartitionState,
  target: readonly BrokerId[],
): PartitionState | null {
  const fault = targetFault(image, topic, target);
  if (fault !== null)
    throw new BrokerError('INVALID_ARGUMENT', `Cannot reassign ${nameOf(topic, state)}: ${fault}`);
  for (const id of target.filter((member) => !state.replicas.includes(member))) {
    const reason = newcomerFault(image, id);
    if (reason !== null)
      throw new BrokerError(
        'REFUSED',
        `Cannot reassign ${nameOf(topic, state)} to brokers ${target.join()}: broker ${String(id)} ${reason}`,
      );
  }
  return beginReassignment(state, target);
}

function targetFault(
  image: MetadataImage,
  topic: TopicState,
  target: readonly BrokerId[],
): string | null {
  if (new Set(target).size !== target.length)
    return `replicas is ${target.join()}, must name different brokers`;
  const strangers = target.filter((id) => !image.brokers.has(id));
  if (strangers.length > 0)
    return `replicas is ${target.join()}, brokers ${strangers.join()} are not registered`;
  if (target.length === topic.replicationFactor) return null;
  return `replicas is ${target.join()}, must name replicationFactor (${String(topic.replicationFactor)}) brokers`;
}

/** Why a broker cannot take a new replica, or null. */
function newcomerFault(image: MetadataImage, brokerId: BrokerId): string | null {
  const broker = image.brokers.get(brokerId);
  if (broker?.fenced !== false) return 'is fenced, must be unfenced to take a new replica';
  if (broker.stopping) return 'is stopping, must be running to take a new replica';
  return broker.cordoned ? 'is cordoned, must be recommissioned to take a new replica' : null;
}

function nameOf(topic: TopicState, state: PartitionState): string {
  return `${topic.name}/${String(state.partition)}`;
}
