/**
 * The most even spread of replicas there can be, found the slow and obvious way: one replica at a
 * time to the broker that has fewest and may have more.
 */
import type { BrokerState } from '../../../../broker/metadata/types.ts';

/** Squares of the counts summed up: the less, the more even. */
export function unevenness(counts: Iterable<number>): number {
  return [...counts].reduce((sum, count) => sum + count * count, 0);
}

/**
 * Replicas per broker when `partitions` partitions of `width` replicas each span as many racks as
 * there are. A rack holds at most one replica of a partition while racks suffice; where they do
 * not, every rack holds at least one.
 */
export function bestCounts(
  brokers: readonly BrokerState[],
  partitions: number,
  width: number,
): Map<number, number> {
  const counts = new Map(brokers.map(({ brokerId }) => [brokerId, 0]));
  const racks = [...new Set(brokers.map(({ rack }) => rack))];
  const rackTotal = (rack: string): number =>
    brokers
      .filter((broker) => broker.rack === rack)
      .reduce((sum, { brokerId }) => sum + (counts.get(brokerId) ?? 0), 0);
  const give = (mayHave: (broker: BrokerState) => boolean): void => {
    const able = brokers.filter(
      (broker) => (counts.get(broker.brokerId) ?? 0) < partitions && mayHave(broker),
    );
    const [least] = able.toSorted(
      (a, b) => (counts.get(a.brokerId) ?? 0) - (counts.get(b.brokerId) ?? 0),
    );
    if (least === undefined) throw new Error('the replicas must fit');
    counts.set(least.brokerId, (counts.get(least.brokerId) ?? 0) + 1);
  };
  let left = partitions * width;
  if (width >= racks.length) {
    for (const rack of racks) {
      for (let partition = 0; partition < partitions; partition += 1)
        give((broker) => broker.rack === rack);
    }
    left -= partitions * racks.length;
  }
  for (; left > 0; left -= 1)
    give(({ rack }) => width >= racks.length || rackTotal(rack) < partitions);
  return counts;
}
