import { describe, expect, it } from 'vitest';
import { snapshotOf } from '../../../../../client/cli/page/snapshot.ts';
import type { ClusterLook } from '../../../../../client/cli/look.ts';

const BROKERS = [1, 2, 3].map((brokerId) => ({
  ...{ brokerId, host: 'h', port: 9640 + brokerId, rack: `rack-${brokerId}`, brokerEpoch: 7 },
  ...{ fenced: brokerId === 3, stopping: false, voter: true, directoryId: 'd', cordoned: false },
  ...{ restartClass: 0, featureLevelMax: 1 },
}));
const REPLICA = {
  ...{ topicId: 'id', topic: 'orders', partition: 0, leading: true, leaderEpoch: 2, logStart: 1 },
  ...{ logEnd: 9, highWaterMark: 8, sizeBytes: 70, syncedOffset: 0, followers: [], stopped: '' },
};
const PARTITION = {
  ...{ partition: 0, replicas: [1, 2, 3], syncSet: [1], quorum: 1, leader: 1, leaderEpoch: 2 },
  ...{ partitionEpoch: 1, suspects: [], adding: [], removing: [], target: [], cannotLead: [] },
};

function lookAt(): ClusterLook {
  const losses = [
    {
      topic: 'orders',
      topicId: 'id',
      partition: 0,
      leaderEpoch: 2,
      leader: 1,
      fromOffset: 5,
      atMs: 0,
    },
  ];
  const cluster = {
    ...{ clusterId: 'c', controller: 1, brokers: BROKERS, featureLevel: 1, losses },
    ...{ answeredBy: 2, metadataIndex: 4, settings: undefined },
  };
  const config = { minInSyncReplicas: 2 };
  const topics = [
    { name: 'orders', topicId: 'id', replicationFactor: 3, config, partitions: [PARTITION] },
  ];
  const reports = new Map([[1, { brokerId: 1, diskFault: '', replicas: [REPLICA] }]]);
  return { cluster, brokers: BROKERS, controller: 1, losses, topics, reports } as never;
}

describe('snapshotOf()', () => {
  it('says what cluster health says, and what every broker and replica is', () => {
    const { level, sentence, cluster } = snapshotOf({ look: lookAt(), atMs: 5 });
    expect(level).toBe('failing');
    expect(sentence).toContain('no controller: 2 of 3 voters are silent (2, 3)');
    expect(cluster?.brokers.map(({ state }) => state)).toEqual(['up', 'silent', 'fenced']);
    expect(cluster?.partitions[0]).toMatchObject({
      leader: 1,
      minInSync: 2,
      refusal: 'refuses appends: 1 of 2 in sync',
      replicas: [
        { brokerId: 1, log: { start: 1, end: 9, committed: 8, leaderEpoch: 2 } },
        { brokerId: 2, log: null },
        { brokerId: 3, log: null },
      ],
    });
    expect(cluster?.losses).toEqual([expect.stringContaining('orders/0 from offset 5')]);
  });

  it('is JSON without loss', () => {
    const snapshot = snapshotOf({ look: lookAt(), atMs: 5 });
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
  });
});
