/** A partition's assignment for tests: only what the case is about. */
import type { Assignment } from '../../../../broker/replication/types.ts';

/** Brokers in service, registered under 10 and their id. */
export function replicas(...brokerIds: readonly number[]): Assignment['replicas'] {
  return brokerIds.map((brokerId) => ({
    brokerId,
    brokerEpoch: 10 + brokerId,
    fenced: false,
    stopping: false,
  }));
}

/** Brokers 1, 2, 3 registered under 11, 12, 13; broker 1 leads epoch 5 with S of 1 and 2. */
export function assignment(fields: Partial<Assignment> = {}): Assignment {
  return {
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 1,
    replicas: replicas(1, 2, 3),
    syncSet: [1, 2],
    quorum: 2,
    suspects: [],
    uncleanEpoch: 0,
    successor: -1,
    minInSyncReplicas: 2,
    commitMode: 'in-sync',
    batchBytesMax: 1_000,
    ...fields,
  };
}
