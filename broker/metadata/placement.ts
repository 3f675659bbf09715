/**
 * Chooses brokers for new partitions. Replicas of a partition stand on distinct racks while racks suffice; preferred leaders are spread over
 * brokers, then racks; replica counts are kept even. Greedy, one partition after the other, over the counts of the image: deterministic for one
 * topic id, and nothing that exists is moved. Must not know why a partition is made.
 */
import { assert } from '../base/assert.ts';
import type { BrokerId, TopicId } from '../base/units.ts';
import { Random } from '../base/random.ts';
import type { BrokerState, MetadataImage } from './types.ts';

/** What is to be placed. */
export interface PlacementRequest {
  readonly topicId: TopicId;
  readonly partitions: number;
  readonly replicationFactor: number;
}

/** Running totals of one broker that may be chosen. */
interface Load {
  readonly brokerId: BrokerId;
  readonly rack: string;
  /** Place in the topic's own shuffle, which decides between equals so that small topics do not all start at broker 0. */
  readonly turn: number;
  leaders: number;
  replicas: number;
}

/** Brokers that may take new replicas: unfenced and not stopping. */
export function placeableBrokers(image: MetadataImage): BrokerState[] {
  return [...image.brokers.values()].filter((broker) => !broker.fenced && !broker.stopping).toSorted((a, b) => a.brokerId - b.brokerId);
}

/**
 * Replica lists for `request.partitions` new partitions, each in the order of preference. `request.replicationFactor` must be at most the number of
 * placeable brokers.
 */
export function placeReplicas(image: MetadataImage, request: PlacementRequest): BrokerId[][] {
  const loads = measure(image, request.topicId);
  assert(
    request.replicationFactor <= loads.length,
    `replicationFactor ${String(request.replicationFactor)} must be at most the placeable brokers (${String(loads.length)})`,
  );
  return Array.from({ length: request.partitions }, () => placePartition(loads, request.replicationFactor));
}

function placePartition(loads: readonly Load[], replicationFactor: number): BrokerId[] {
  const chosen: Load[] = [];
  while (chosen.length < replicationFactor) {
    const isLeader = chosen.length === 0;
    const free = loads.filter((load) => !chosen.includes(load));
    const next = least(free, (load) => [
      ...(isLeader ? [load.leaders, leadersOfRack(loads, load.rack)] : [membersOfRack(chosen, load.rack)]),
      load.replicas,
      load.turn,
    ]);
    next.replicas += 1;
    if (isLeader) next.leaders += 1;
    chosen.push(next);
  }
  return chosen.map((load) => load.brokerId);
}

/** Counts what the placeable brokers hold. The preferred leader counts, whoever leads at the moment. */
function measure(image: MetadataImage, topicId: TopicId): Load[] {
  const random = new Random(hashOf(topicId));
  const loads: Load[] = placeableBrokers(image).map(({ brokerId, rack }) => ({ brokerId, rack, turn: random.next(), leaders: 0, replicas: 0 }));
  const byId = new Map(loads.map((load) => [load.brokerId, load]));
  for (const topic of image.topics.values()) {
    for (const { replicas } of topic.partitions) {
      replicas.forEach((brokerId, index) => {
        const load = byId.get(brokerId);
        if (load === undefined) return;
        load.replicas += 1;
        if (index === 0) load.leaders += 1;
      });
    }
  }
  return loads;
}

function leadersOfRack(loads: readonly Load[], rack: string): number {
  return loads.filter((load) => load.rack === rack).reduce((sum, load) => sum + load.leaders, 0);
}

function membersOfRack(chosen: readonly Load[], rack: string): number {
  return chosen.filter((load) => load.rack === rack).length;
}

/** The item whose costs are least, compared one after the other. */
function least<T>(items: readonly T[], costs: (item: T) => readonly number[]): T {
  const [best] = items.map((item) => ({ item, costs: costs(item) })).toSorted((a, b) => compare(a.costs, b.costs));
  assert(best !== undefined, 'there must be a broker left to choose');
  return best.item;
}

function compare(left: readonly number[], right: readonly number[]): number {
  const differing = left.findIndex((value, index) => value !== right[index]);
  return differing < 0 ? 0 : (left[differing] ?? 0) - (right[differing] ?? 0);
}

/** FNV-1a over the characters of a topic id. */
function hashOf(topicId: TopicId): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < topicId.length; index += 1) hash = Math.imul(hash ^ topicId.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
