/**
 * Chooses brokers for replicas. Replicas of a partition stand on distinct racks while racks
 * suffice; replicas and preferred leaders are spread evenly over brokers. A greedy choice, one
 * partition after the other, then `balance.ts` evens out what greed left uneven among the new
 * partitions: nothing that exists is moved. Deterministic for one topic id. Must not know why a
 * partition is made.
 */
import { assert } from '../../base/assert.ts';
import type { BrokerId, TopicId } from '../../base/units.ts';
import { Random } from '../../base/random.ts';
import { balanceLeaders, balanceReplicas } from './balance.ts';
import type { BalanceRow } from './balance.ts';
import { targetOf } from './reassignment.ts';
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
  /**
   * Place in the topic's own shuffle, which decides between equals so that small topics do not all
   * start at broker 0.
   */
  readonly turn: number;
  leaders: number;
  replicas: number;
}

/** Brokers that may take new replicas: unfenced, not stopping and not cordoned. */
export function placeableBrokers(image: MetadataImage): BrokerState[] {
  return [...image.brokers.values()]
    .filter((broker) => !broker.fenced && !broker.stopping && !broker.cordoned)
    .toSorted((a, b) => a.brokerId - b.brokerId);
}

/** Racks of all registered brokers. */
export function racksOf(image: MetadataImage): Map<BrokerId, string> {
  return new Map([...image.brokers.values()].map(({ brokerId, rack }) => [brokerId, rack]));
}

/**
 * Replica lists for `request.partitions` new partitions, each in the order of preference.
 * `request.replicationFactor` must be at most the number of placeable brokers.
 */
export function placeReplicas(image: MetadataImage, request: PlacementRequest): BrokerId[][] {
  const loads = measure(image, request.topicId);
  assert(
    request.replicationFactor <= loads.length,
    `replicationFactor ${String(request.replicationFactor)} must be at most the placeable brokers (${String(loads.length)})`,
  );
  const fixedReplicas = new Map(loads.map((load) => [load.brokerId, load.replicas]));
  const fixedLeaders = new Map(loads.map((load) => [load.brokerId, load.leaders]));
  const rows = Array.from(
    { length: request.partitions },
    (): BalanceRow => ({
      replicas: placePartition(loads, request.replicationFactor),
      before: [],
      bytes: 0,
    }),
  );
  balanceReplicas(rows, loads, fixedReplicas, racksOf(image));
  balanceLeaders(rows, loads, fixedLeaders);
  return rows.map(({ replicas }) => replicas);
}

/** Chooses replicas one at a time, counting each choice for the next ones. */
export class ReplicaChooser {
  readonly #loads: readonly Load[];
  readonly #racks: ReadonlyMap<BrokerId, string>;

  constructor(image: MetadataImage, topicId: TopicId) {
    this.#loads = measure(image, topicId);
    this.#racks = racksOf(image);
  }

  /**
   * The best broker beside `present`: on a rack that holds fewest of them, then the least loaded.
   * Null when there is none.
   */
  choose(present: readonly BrokerId[]): BrokerId | null {
    const free = this.#loads.filter((load) => !present.includes(load.brokerId));
    if (free.length === 0) return null;
    const next = least(free, (load) => [
      present.filter((id) => this.#racks.get(id) === load.rack).length,
      load.replicas,
      load.turn,
    ]);
    next.replicas += 1;
    return next.brokerId;
  }
}

function placePartition(loads: readonly Load[], replicationFactor: number): BrokerId[] {
  const chosen: Load[] = [];
  while (chosen.length < replicationFactor) {
    const isLeader = chosen.length === 0;
    const free = loads.filter((load) => !chosen.includes(load));
    const next = least(free, (load) => [
      ...(isLeader
        ? [load.leaders, leadersOfRack(loads, load.rack)]
        : [membersOfRack(chosen, load.rack)]),
      load.replicas,
      load.turn,
    ]);
    next.replicas += 1;
    if (isLeader) next.leaders += 1;
    chosen.push(next);
  }
  return chosen.map((load) => load.brokerId);
}

/**
 * Counts what the placeable brokers hold, or will hold. The preferred leader counts, whoever leads
 * at the moment.
 */
function measure(image: MetadataImage, topicId: TopicId): Load[] {
  const random = new Random(hashOf(topicId));
  const loads: Load[] = placeableBrokers(image).map(({ brokerId, rack }) => ({
    brokerId,
    rack,
    turn: random.next(),
    leaders: 0,
    replicas: 0,
  }));
  const byId = new Map(loads.map((load) => [load.brokerId, load]));
  for (const topic of image.topics.values()) {
    for (const state of topic.partitions) {
      targetOf(state).forEach((brokerId, index) => {
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
  const [best] = items
    .map((item) => ({ item, costs: costs(item) }))
    .toSorted((a, b) => compare(a.costs, b.costs));
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
  for (let index = 0; index < topicId.length; index += 1)
    hash = Math.imul(hash ^ topicId.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
