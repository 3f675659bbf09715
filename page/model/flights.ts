/** Which tiles move between two snapshots: of another leader, of a replica elsewhere. Pure. */
import type { ClusterSeen } from '../snapshot.ts';
import { keyOf } from './tiles.ts';

/** One tile on its way from broker to broker. */
export interface Flight {
  /** Of the partition. */
  readonly key: string;
  readonly kind: 'leader' | 'replica';
  readonly from: number;
  readonly to: number;
}

/** Where everything was: by key of the partition. */
export type Places = ReadonlyMap<string, Place>;

interface Place {
  /** The last that was known: between two leaders there may be none. */
  readonly leader: number | null;
  readonly replicas: readonly number[];
}

/** At one time; more would say nothing, and cost frames. */
const FLIGHTS_MAX = 48;

/** Where everything is, for {@link flightsTo} of the next snapshot. */
export function placesOf({ partitions }: ClusterSeen, before: Places): Places {
  return new Map(
    partitions.map((partition) => {
      const key = keyOf(partition);
      const leader = partition.leader ?? before.get(key)?.leader ?? null;
      return [key, { leader, replicas: partition.replicas.map(({ brokerId }) => brokerId) }];
    }),
  );
}

/**
 * A leader comes from the broker that led before; a new replica from the leader, which it copies.
 * Where more move than are shown, leaders come first.
 */
export function flightsTo({ partitions }: ClusterSeen, before: Places): Flight[] {
  const [leaders, replicas]: [Flight[], Flight[]] = [[], []];
  for (const partition of partitions) {
    const key = keyOf(partition);
    const old = before.get(key);
    if (old === undefined) continue;
    const { leader } = partition;
    if (leader !== null && old.leader !== null && old.leader !== leader)
      leaders.push({ key, kind: 'leader', from: old.leader, to: leader });
    const source = leader ?? old.leader;
    for (const { brokerId } of partition.replicas)
      if (source !== null && source !== brokerId && !old.replicas.includes(brokerId))
        replicas.push({ key, kind: 'replica', from: source, to: brokerId });
  }
  return [...leaders, ...replicas].slice(0, FLIGHTS_MAX);
}
