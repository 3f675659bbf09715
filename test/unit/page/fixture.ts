/** Snapshots for tests of the page. */
import type { PageUser } from '../../../client/cli/page/visit.ts';
import type {
  About,
  BrokerSeen,
  ClusterSeen,
  PartitionSeen,
  Snapshot,
} from '../../../page/snapshot.ts';

/** A page that shows the cluster alone. */
export const BESIDE = { processes: null, logCluster: null, groups: null };

/** A partition on brokers 1, 2 and 3, led by 1. */
export function partitionSeen(change: Partial<PartitionSeen> = {}): PartitionSeen {
  const log = {
    start: 0,
    end: 10,
    committed: 10,
    leaderEpoch: 1,
    sizeBytes: 100,
    stopped: '',
  };
  return {
    topic: 'orders',
    topicId: 'id',
    partition: 0,
    leader: 1,
    leaderEpoch: 1,
    minInSync: 2,
    syncSet: [1, 2, 3],
    suspects: [],
    refusal: '',
    faults: [],
    replicas: [1, 2, 3].map((brokerId) => ({ brokerId, adding: false, log })),
    ...change,
  };
}

/** Three brokers, a rack each. */
export function clusterSeen(
  change: Partial<ClusterSeen> = {},
  states: Readonly<Record<number, BrokerSeen['state']>> = {},
): ClusterSeen {
  return {
    clusterId: 'c',
    controller: 1,
    answeredBy: 1,
    brokers: [1, 2, 3].map((brokerId) => ({
      brokerId,
      address: `127.0.0.1:${9640 + brokerId}`,
      rack: `rack-${brokerId}`,
      state: states[brokerId] ?? 'up',
      voter: true,
      brokerEpoch: brokerId,
      appends: null,
    })),
    partitions: [partitionSeen()],
    moves: [],
    losses: [],
    ...change,
  };
}

/** A look at a cluster. */
export function snapshot(atMs: number, cluster: ClusterSeen | null = clusterSeen()): Snapshot {
  return { atMs, level: 'ok', sentence: 'safe to lose one broker', cluster, ...BESIDE };
}

/** A page that only looks, at a cluster of `npm start`. */
export const ABOUT: Omit<About, 'visit'> = {
  as: 'it shows brokers neither token nor certificate',
  allow: { read: false, append: false, processes: false },
  servers: '127.0.0.1:9641',
  isDefault: true,
  tls: null,
  token: null,
  dataDir: '',
};

/** A user of the page's server who looks by `look`. */
export function fakeUser(look: () => Promise<Snapshot>, change: Partial<PageUser> = {}): PageUser {
  return {
    about: ABOUT,
    look,
    tail: () => Promise.resolve({ records: [], next: 0, skipped: 0 }),
    carryOut: () => Promise.resolve('done'),
    close: () => Promise.resolve(),
    ...change,
  };
}
