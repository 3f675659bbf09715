/**
 * Reports the partitions whose replicas do not span as many racks as they could or should, and why.
 * Must not know how to change that.
 */
import type { BrokerId, TopicId } from '../../base/units.ts';
import { isReassigning, targetOf } from './reassignment.ts';
import type { MetadataImage, PartitionState, TopicState } from './types.ts';

/**
 * `racks-unknown`: brokers did not say where they stand. `too-few-racks`: the brokers stand on
 * fewer racks than the partition has replicas. `moving`: a reassignment is under way that mends it.
 * `misplaced`: a rebalance would mend it.
 */
export type SpreadReason = 'racks-unknown' | 'too-few-racks' | 'moving' | 'misplaced';

/** One partition whose replicas share a rack. */
export interface SpreadFault {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly reason: SpreadReason;
  /** One sentence that names brokers and racks. */
  readonly message: string;
}

/**
 * Partitions of which a rack holds more than one replica, in the order of topics and partitions.
 */
export function reportSpread(image: MetadataImage): SpreadFault[] {
  const racks = new Set(
    [...image.brokers.values()].filter((broker) => !broker.cordoned).map((broker) => broker.rack),
  );
  return [...image.topics.values()].flatMap((topic) =>
    topic.partitions.flatMap((state) => faultOf(image, racks, topic, state) ?? []),
  );
}

function faultOf(
  image: MetadataImage,
  racks: ReadonlySet<string>,
  topic: TopicState,
  state: PartitionState,
): SpreadFault | null {
  const { topicId, name } = topic;
  const replicas = targetOf(state);
  const rackOf = (id: BrokerId): string => image.brokers.get(id)?.rack ?? '';
  const present = isReassigning(state)
    ? state.replicas.filter((id) => !state.adding.includes(id))
    : replicas;
  const fault = (reason: SpreadReason, message: string): SpreadFault => ({
    topicId,
    topic: name,
    partition: state.partition,
    reason,
    message,
  });
  const unknown = replicas.filter((id) => rackOf(id) === '');
  if (unknown.length > 0)
    return fault('racks-unknown', `the racks of brokers ${unknown.join()} are not known`);
  const isSpread = (ids: readonly BrokerId[]): boolean =>
    new Set(ids.map(rackOf)).size === ids.length;
  if (isSpread(replicas) && isSpread(present)) return null;
  const places = (ids: readonly BrokerId[]): string =>
    ids.map((id) => `${String(id)} on ${rackOf(id)}`).join(', ');
  if (isSpread(replicas))
    return fault(
      'moving',
      `replicas stand at brokers ${places(present)}, and are moving to ${places(replicas)}`,
    );
  const used = new Set(replicas.map(rackOf)).size;
  const few = `${String(replicas.length)} replicas, ${String(racks.size)} racks`;
  if (used >= racks.size)
    return fault('too-few-racks', `replicas stand at brokers ${places(replicas)}: ${few}`);
  return fault(
    'misplaced',
    `replicas stand at brokers ${places(replicas)}: ${few}, only ${String(used)} of them used`,
  );
}
