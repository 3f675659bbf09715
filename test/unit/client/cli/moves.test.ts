import { describe, expect, it } from 'vitest';
import type {
  DescribeBrokerResponse,
  ReplicaStatus,
  Topic,
} from '../../../../proto/gen/tidemark/v1/admin.ts';
import { type Look, movesUnderWay } from '../../../../client/cli/moves.ts';

const PARTITION: Topic['partitions'][number] = {
  partition: 0,
  replicas: [1, 2, 4],
  syncSet: [1, 2],
  quorum: 2,
  leader: 1,
  leaderEpoch: 1,
  partitionEpoch: 1,
  suspects: [],
  cannotLead: [],
  adding: [4],
  removing: [2],
  target: [1, 4],
};

interface Scene {
  /**
   * Records that broker 4 lacks of 1,000 records and 10,000 bytes; null: the leader does not know
   * it.
   */
  readonly lag?: number | null;
  readonly partition?: Partial<Topic['partitions'][number]>;
  readonly isSilent?: boolean;
  readonly isTargetDown?: boolean;
}

function lookAt({ lag = 0, partition = {}, isSilent = false, isTargetDown = false }: Scene): Look {
  const follower = { brokerId: 4, endOffset: 0, lagMs: 0, inSync: false };
  const replica = {
    topicId: 'id',
    topic: 'orders',
    partition: 0,
    leading: true,
    logStart: 500,
    logEnd: 1500,
    sizeBytes: 10_000,
    followers: lag === null ? [] : [{ ...follower, lagRecords: lag }],
  } as unknown as ReplicaStatus;
  const report = { replicas: [replica] } as unknown as DescribeBrokerResponse;
  const partitions = [{ ...PARTITION, ...partition }];
  const topic = {
    name: 'orders',
    topicId: 'id',
    replicationFactor: 2,
    followsMinInSyncReplicas: false,
    config: {},
    partitions,
  };
  const brokers = [1, 2, 4].map((brokerId) => ({
    brokerId,
    fenced: isTargetDown && brokerId === 4,
  }));
  return { brokers, topics: [topic], reports: new Map(isSilent ? [] : [[1, report]]) };
}

const BASE = { topic: 'orders', partition: 0, adding: [4], removing: [2] };

const ROWS: readonly {
  readonly name: string;
  readonly now: Scene;
  readonly limit?: number;
  readonly before?: Scene;
  readonly moves: unknown[];
}[] = [
  {
    name: 'nothing that stands still',
    now: { partition: { adding: [], removing: [] } },
    moves: [],
  },
  {
    name: 'the bytes left by the records left',
    now: { lag: 250 },
    moves: [{ ...BASE, bytesLeft: 2_500 }],
  },
  {
    name: 'the whole log for a follower that the leader has not heard of',
    now: { lag: null },
    moves: [{ ...BASE, bytesLeft: 10_000 }],
  },
  {
    name: 'nothing left for what is in the sync set',
    now: { lag: 250, partition: { syncSet: [1, 2, 4] } },
    moves: [{ ...BASE, bytesLeft: 0, etaMs: 0 }],
  },
  { name: 'nothing of a leader that does not report', now: { isSilent: true }, moves: [BASE] },
  {
    name: 'the time by the limit',
    now: { lag: 250 },
    limit: 1_000,
    moves: [{ ...BASE, bytesLeft: 2_500, etaMs: 2_500 }],
  },
  {
    name: 'the time by the rate between two looks, before the limit',
    now: { lag: 250 },
    limit: 1_000,
    before: { lag: 500 },
    moves: [{ ...BASE, bytesLeft: 2_500, bytesPerSecond: 1_250, etaMs: 2_000 }],
  },
  {
    name: 'the time by the limit where pieces come more seldom than looks',
    now: { lag: 250 },
    limit: 1_000,
    before: { lag: 250 },
    moves: [{ ...BASE, bytesLeft: 2_500, etaMs: 2_500 }],
  },
  {
    name: 'no time where more is appended than copied',
    now: { lag: 250 },
    limit: 1_000,
    before: { lag: 200 },
    moves: [{ ...BASE, bytesLeft: 2_500, stalled: 'appends are faster' }],
  },
  {
    name: 'no time while the target is down',
    now: { lag: 250, isTargetDown: true },
    limit: 1_000,
    before: { lag: 500 },
    moves: [{ ...BASE, bytesLeft: 2_500, bytesPerSecond: 1_250, stalled: 'broker 4 down' }],
  },
  {
    name: 'no time without a leader',
    now: { lag: 250, partition: { leader: undefined } },
    limit: 1_000,
    moves: [{ ...BASE, stalled: 'no leader' }],
  },
  {
    name: 'no rate for what did not come nearer',
    now: { lag: 250 },
    before: { lag: 250 },
    moves: [{ ...BASE, bytesLeft: 2_500 }],
  },
];

describe('movesUnderWay()', () => {
  it.each(ROWS)('tells $name', ({ now, limit = -1, before, moves }) => {
    const earlier = before === undefined ? undefined : { look: lookAt(before), elapsedMs: 2_000 };
    expect(movesUnderWay(lookAt(now), limit, earlier)).toEqual(moves);
  });
});
