/** The replicas of one partition as bars against its high-water mark. Pure. */
import type { ClusterSeen, PartitionSeen } from '../snapshot.ts';
import { type ReplicaState, replicaState } from './tiles.ts';

/** One replica; positions are shares of the width, 0 to 1. */
export interface Bar {
  readonly brokerId: number;
  readonly state: ReplicaState;
  /** Null where its broker is silent. */
  readonly range: { readonly from: number; readonly to: number } | null;
  readonly text: string;
}

/** All of a partition. */
export interface Bars {
  /** Position of the high-water mark; null where its leader does not tell. */
  readonly mark: number | null;
  readonly committed: number | null;
  readonly bars: readonly Bar[];
}

/**
 * The end of a log is what differs, so the axis holds the newest records: twice what the shortest
 * log lacks, and no fewer than this.
 */
const SPAN_MIN = 100;

/** Bars of a partition. */
export function barsOf(partition: PartitionSeen, { brokers }: ClusterSeen): Bars {
  const logs = partition.replicas.flatMap(({ log }) => log ?? []);
  const end = Math.max(0, ...logs.map((log) => log.end));
  const shortest = Math.min(end, ...logs.map((log) => log.end));
  const from = Math.max(0, end - Math.max(SPAN_MIN, 2 * (end - shortest)));
  const place = (offset: number): number =>
    end === from ? 0 : Math.min(1, Math.max(0, (offset - from) / (end - from)));
  const leading = partition.replicas.find(({ brokerId }) => brokerId === partition.leader);
  const committed = leading?.log?.committed ?? null;
  return {
    mark: committed === null ? null : place(committed),
    committed,
    bars: partition.replicas.map((replica): Bar => {
      const { brokerId, log } = replica;
      const known = brokers.find((broker) => broker.brokerId === brokerId)?.state;
      const state = replicaState(partition, replica, known);
      if (log === null) return { brokerId, state, range: null, text: 'silent' };
      const behind = end - log.end;
      const text = `${log.start}–${log.end}, epoch ${log.leaderEpoch}${behind === 0 ? '' : `, ${behind} behind`}`;
      return { brokerId, state, range: { from: place(log.start), to: place(log.end) }, text };
    }),
  };
}
