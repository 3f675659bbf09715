/**
 * Plans which replicas to move so that every broker has its share: partitions leave brokers that
 * are cordoned, span as many racks as there are, and are spread evenly, in this order, and nothing
 * moves beyond that. A new broker takes its share from the others, and only that. Pure: the plan is
 * a list to be shown or to be carried out as reassignments; partitions already on the move count
 * where they go and are left alone.
 */
import type { BrokerId, PartitionKey, TopicId } from '../../base/units.ts';
import { partitionKey } from '../../base/units.ts';
import { balanceLeaders, balanceReplicas, rackCount } from './balance.ts';
import type { BalanceRow } from './balance.ts';
import { placeableBrokers, racksOf } from './placement.ts';
import { isReassigning, targetOf } from './reassignment.ts';
import type { BrokerState, MetadataImage } from './types.ts';

/** One partition to be moved. */
export interface PlannedMove {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
  readonly from: readonly BrokerId[];
  readonly to: readonly BrokerId[];
  /** Bytes to be copied: 0 where only the order changes. */
  readonly bytes: number;
}

/** The moves in the order of topics and partitions, and what they cost together. */
export interface RebalancePlan {
  readonly moves: readonly PlannedMove[];
  readonly bytes: number;
}

interface PlanRow extends BalanceRow {
  readonly topicId: TopicId;
  readonly topic: string;
  readonly partition: number;
}

/**
 * Plans the moves for the brokers that may hold replicas now.
 *
 * @param sizes bytes of one replica by partition; partitions that are absent count as empty
 */
export function planRebalance(
  image: MetadataImage,
  sizes: ReadonlyMap<PartitionKey, number>,
): RebalancePlan {
  const brokers = placeableBrokers(image);
  const racks = racksOf(image);
  const { rows, fixedReplicas, fixedLeaders } = readRows(image, sizes);
  const loads = new Map(fixedReplicas);
  for (const id of rows.flatMap(({ replicas }) => replicas))
    loads.set(id, (loads.get(id) ?? 0) + 1);
  for (const row of rows) evacuate(image, row, { brokers, racks, loads });
  for (const row of rows) spread(row, { brokers, racks, loads });
  balanceReplicas(rows, brokers, fixedReplicas, racks);
  balanceLeaders(rows, brokers, fixedLeaders);
  const moves = rows.filter((row) => !isSame(row.before, row.replicas)).map(moveOf);
  return { moves, bytes: moves.reduce((sum, move) => sum + move.bytes, 0) };
}

function readRows(
  image: MetadataImage,
  sizes: ReadonlyMap<PartitionKey, number>,
): { rows: PlanRow[]; fixedReplicas: Map<BrokerId, number>; fixedLeaders: Map<BrokerId, number> } {
  const rows: PlanRow[] = [];
  const [fixedReplicas, fixedLeaders] = [new Map<BrokerId, number>(), new Map<BrokerId, number>()];
  for (const { topicId, name, partitions } of image.topics.values()) {
    for (const state of partitions) {
      const { partition, replicas } = state;
      if (!isReassigning(state)) {
        rows.push({
          topicId,
          topic: name,
          partition,
          before: replicas,
          replicas: [...replicas],
          bytes: sizes.get(partitionKey(topicId, partition)) ?? 0,
        });
        continue;
      }
      const [first] = targetOf(state);
      for (const id of targetOf(state)) fixedReplicas.set(id, (fixedReplicas.get(id) ?? 0) + 1);
      if (first !== undefined) fixedLeaders.set(first, (fixedLeaders.get(first) ?? 0) + 1);
    }
  }
  return { rows, fixedReplicas, fixedLeaders };
}

interface Ground {
  readonly brokers: readonly BrokerState[];
  readonly racks: ReadonlyMap<BrokerId, string>;
  readonly loads: Map<BrokerId, number>;
}

/**
 * Replaces members that are cordoned or not registered any more; those that are merely fenced may
 * return. One partition after the other, so that a choice may leave a later one with a crowded
 * broker, which `balance.ts` then relieves.
 */
function evacuate(image: MetadataImage, row: BalanceRow, ground: Ground): void {
  for (const id of row.replicas) {
    const broker = image.brokers.get(id);
    if (broker !== undefined && !broker.cordoned) continue;
    const others = row.replicas.filter((other) => other !== id);
    const used = new Set(others.map((other) => ground.racks.get(other)));
    const choice =
      leastLoaded(ground, row, (rack) => !used.has(rack)) ?? leastLoaded(ground, row, () => true);
    if (choice !== null) replace(row, ground, id, choice);
  }
}

/**
 * Gives the partition one more rack as long as a member shares its rack and another rack has a
 * broker. The least preferred member goes.
 */
function spread(row: BalanceRow, ground: Ground): void {
  for (;;) {
    const racksUsed = new Set(row.replicas.map((id) => ground.racks.get(id)));
    const shared = row.replicas.toReversed().find(
      (id) =>
        rackCount(
          row.replicas.filter((other) => other !== id),
          ground.racks,
        ) === racksUsed.size,
    );
    const choice =
      shared === undefined ? null : leastLoaded(ground, row, (rack) => !racksUsed.has(rack));
    if (shared === undefined || choice === null) return;
    replace(row, ground, shared, choice);
  }
}

function leastLoaded(
  { brokers, loads }: Ground,
  row: BalanceRow,
  isRack: (rack: string) => boolean,
): BrokerId | null {
  const loadOf = (broker: BrokerState): number => loads.get(broker.brokerId) ?? 0;
  const [choice] = brokers
    .filter((broker) => !row.replicas.includes(broker.brokerId) && isRack(broker.rack))
    .toSorted((a, b) => loadOf(a) - loadOf(b) || a.brokerId - b.brokerId);
  return choice?.brokerId ?? null;
}

function replace(row: BalanceRow, { loads }: Ground, from: BrokerId, to: BrokerId): void {
  row.replicas = row.replicas.map((id) => (id === from ? to : id));
  loads.set(from, (loads.get(from) ?? 0) - 1);
  loads.set(to, (loads.get(to) ?? 0) + 1);
}

function moveOf({ topicId, topic, partition, before, replicas, bytes }: PlanRow): PlannedMove {
  const added = replicas.filter((id) => !before.includes(id)).length;
  return { topicId, topic, partition, from: before, to: replicas, bytes: added * bytes };
}

function isSame(left: readonly BrokerId[], right: readonly BrokerId[]): boolean {
  return left.length === right.length && left.every((id, index) => id === right[index]);
}
