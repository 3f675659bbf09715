/** What a replica is at the moment, and where its tile stands. Pure. */
import type { BrokerSeen, ClusterSeen, PartitionSeen, ReplicaSeen } from '../snapshot.ts';

/**
 * State of one replica: `leader`; `in sync`; `catching up`: follows, and does not count; `suspect`:
 * counts, and its log is not evidence; `away`: its broker does not answer or count; `stopped`.
 */
export type ReplicaState = 'leader' | 'in sync' | 'catching up' | 'suspect' | 'away' | 'stopped';

/** Shown inside a tile, so that colour is never the only sign. */
export const SIGNS: Readonly<Record<ReplicaState, string>> = {
  leader: '★',
  'in sync': '✓',
  'catching up': '…',
  suspect: '?',
  away: '×',
  stopped: '!',
};

/** One replica of a partition, on a broker. */
export interface Tile {
  /** `topic/partition`. */
  readonly name: string;
  /** Names the partition of a topic, whatever becomes of the name. */
  readonly key: string;
  readonly state: ReplicaState;
  /** The partition takes no appends. */
  readonly refuses: boolean;
  /** What a screen reader says. */
  readonly label: string;
}

/** A broker with its tiles. */
export interface BrokerCard {
  readonly broker: BrokerSeen;
  readonly isController: boolean;
  readonly leads: number;
  readonly tiles: readonly Tile[];
}

/** A column. */
export interface RackColumn {
  readonly rack: string;
  readonly cards: readonly BrokerCard[];
}

/** Racks by name, brokers in them by id, tiles by topic and partition. */
export function columnsOf(cluster: ClusterSeen): RackColumn[] {
  const tiles = new Map<number, Tile[]>(cluster.brokers.map(({ brokerId }) => [brokerId, []]));
  const states = new Map(cluster.brokers.map(({ brokerId, state }) => [brokerId, state]));
  for (const partition of cluster.partitions)
    for (const replica of partition.replicas)
      tiles.get(replica.brokerId)?.push(tileOf(partition, replica, states));
  const racks = new Map<string, BrokerCard[]>();
  for (const broker of cluster.brokers) {
    const own = tiles.get(broker.brokerId) ?? [];
    const cards = racks.get(broker.rack) ?? [];
    racks.set(broker.rack, cards);
    cards.push({
      broker,
      isController: broker.brokerId === cluster.controller,
      leads: own.filter(({ state }) => state === 'leader').length,
      tiles: own,
    });
  }
  return [...racks]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([rack, cards]) => ({ rack, cards }));
}

function tileOf(
  partition: PartitionSeen,
  replica: ReplicaSeen,
  states: ReadonlyMap<number, BrokerSeen['state']>,
): Tile {
  const name = `${partition.topic}/${partition.partition}`;
  const state = replicaState(partition, replica, states.get(replica.brokerId));
  const [fault = ''] = partition.faults;
  return {
    name,
    key: keyOf(partition),
    state,
    refuses: partition.refusal !== '',
    label: `${name} on broker ${replica.brokerId}: ${state}${fault === '' ? '' : `; ${fault}`}`,
  };
}

/** Of a replica on a broker in this state; undefined: nobody knows the broker. */
export function replicaState(
  { leader, syncSet, suspects }: PartitionSeen,
  { brokerId, log }: ReplicaSeen,
  broker: BrokerSeen['state'] | undefined,
): ReplicaState {
  if (broker === undefined || broker === 'silent' || broker === 'fenced') return 'away';
  if (log !== null && log.stopped !== '') return 'stopped';
  if (leader === brokerId) return 'leader';
  if (suspects.includes(brokerId)) return 'suspect';
  return syncSet.includes(brokerId) ? 'in sync' : 'catching up';
}

/** The same for a partition in every snapshot. */
export function keyOf({ topicId, partition }: PartitionSeen): string {
  return `${topicId}/${partition}`;
}
