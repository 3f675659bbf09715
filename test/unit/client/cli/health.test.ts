import { describe, expect, it } from 'vitest';
import type { DescribeBrokerResponse } from '../../../../proto/gen/tidemark/v1/admin.ts';
import type { Topic } from '../../../../client/admin-types.ts';
import { type HealthLook, healthOf, partitionFaults } from '../../../../client/cli/health.ts';

interface Scene {
  readonly brokers?: number;
  readonly voters?: readonly number[];
  readonly silent?: readonly number[];
  readonly fenced?: readonly number[];
  readonly full?: readonly number[];
  readonly controller?: number | undefined;
  readonly partitions?: readonly Partial<Topic['partitions'][number]>[];
  readonly min?: number;
  readonly losses?: number;
}

const PARTITION: Topic['partitions'][number] = {
  partition: 0,
  replicas: [1, 2, 3],
  syncSet: [1, 2, 3],
  quorum: 3,
  leader: 1,
  leaderEpoch: 1,
  partitionEpoch: 1,
  suspects: [],
  adding: [],
  removing: [],
  successor: undefined,
  target: [],
  cannotLead: [],
};

function lookAt(scene: Scene): HealthLook {
  const { brokers = 3, voters = [1, 2, 3], silent = [], fenced = [], full = [] } = scene;
  const { partitions = [{}], min = 2, losses = 0 } = scene;
  const ids = Array.from({ length: brokers }, (_, index) => index + 1);
  const report = (id: number): DescribeBrokerResponse =>
    ({ diskFault: full.includes(id) ? 'no room' : '', replicas: [] }) as never;
  return {
    brokers: ids.map((brokerId) => ({
      brokerId,
      fenced: fenced.includes(brokerId),
      stopping: false,
      voter: voters.includes(brokerId),
    })),
    topics: [
      {
        name: 'orders',
        topicId: 'id',
        replicationFactor: 3,
        followsMinInSyncReplicas: false,
        config: { commitMode: 'in-sync', minInSyncReplicas: min },
        partitions: partitions.map((one, index) => ({ ...PARTITION, partition: index, ...one })),
      },
    ],
    reports: new Map(
      ids
        .filter((id) => !silent.includes(id) && !fenced.includes(id))
        .map((id) => [id, report(id)]),
    ),
    controller: 'controller' in scene ? scene.controller : 1,
    losses: Array.from({ length: losses }, () => ({ topic: 'orders', partition: 0 })),
  };
}

const VERDICTS: readonly (Scene & {
  readonly name: string;
  readonly level: string;
  readonly sentence: string;
})[] = [
  { name: 'all is well', level: 'ok', sentence: 'safe to lose one broker' },
  {
    name: 'a loss that was reported',
    losses: 1,
    level: 'ok',
    sentence: 'safe to lose one broker; records may have been lost earlier (see cluster describe)',
  },
  {
    name: 'a topic of one copy',
    partitions: [{ replicas: [1], syncSet: [1], quorum: 1 }],
    min: 1,
    level: 'ok',
    sentence: 'safe to lose one broker, but for topic orders made to need every replica',
  },
  {
    name: 'a single broker',
    brokers: 1,
    voters: [1],
    partitions: [{ replicas: [1], syncSet: [1], quorum: 1 }],
    min: 1,
    level: 'ok',
    sentence: 'every append is taken; one broker alone is never safe to lose',
  },
  {
    name: 'one broker of three away',
    fenced: [3],
    partitions: [{ syncSet: [1, 2], quorum: 2 }],
    level: 'degraded',
    sentence: 'every append is taken, but broker 3 is fenced; no other may be lost',
  },
  {
    name: 'a broker that no partition and no vote needs',
    brokers: 4,
    fenced: [4],
    level: 'degraded',
    sentence: 'every append is taken, but broker 4 is fenced',
  },
  {
    name: 'a replica that is behind',
    partitions: [{ syncSet: [1, 2], quorum: 2 }, {}],
    level: 'degraded',
    sentence:
      'every append is taken, but orders/0 would refuse appends without another broker: 2 in sync, 2 needed',
  },
  {
    name: 'too few in sync',
    fenced: [2],
    partitions: [
      { syncSet: [1], quorum: 1 },
      { syncSet: [1], quorum: 1 },
      { syncSet: [1, 3], quorum: 2 },
    ],
    level: 'failing',
    sentence: 'orders/0 refuses appends: 1 of 2 in sync, and 1 more',
  },
  {
    name: 'suspects, which do not count',
    partitions: [{ suspects: [2, 3] }],
    level: 'failing',
    sentence: 'orders/0 refuses appends: 1 of 2 in sync',
  },
  {
    name: 'a partition without a leader',
    partitions: [{ leader: undefined }],
    level: 'failing',
    sentence: 'orders/0 has no leader',
  },
  {
    name: 'a leader that is silent and not fenced yet',
    silent: [1],
    controller: 2,
    level: 'failing',
    sentence: 'orders/0 takes no appends: its leader, broker 1, is silent',
  },
  {
    name: 'a leader without room',
    full: [1],
    level: 'failing',
    sentence: 'orders/0 takes no appends: the disk of its leader, broker 1, is full',
  },
  {
    name: 'a member that is silent and not fenced yet, all being needed',
    silent: [3],
    level: 'failing',
    sentence: 'orders/0 commits nothing until broker 3 answers or leaves the sync set',
  },
  {
    name: 'a member that is silent, a majority being enough',
    silent: [3],
    partitions: [{ quorum: 2 }],
    level: 'degraded',
    sentence: 'every append is taken, but broker 3 is silent; no other may be lost',
  },
  {
    name: 'a majority of the voters away',
    silent: [1, 3],
    controller: undefined,
    partitions: [{ leader: 2 }],
    level: 'failing',
    sentence: 'no controller: 2 of 3 voters are silent (1, 3); 1 partition takes no appends',
  },
  {
    name: 'a majority of the voters away, the answering broker not knowing yet',
    silent: [2, 3],
    controller: 1,
    partitions: [],
    level: 'failing',
    sentence: 'no controller: 2 of 3 voters are silent (2, 3)',
  },
  {
    name: 'no controller for a moment',
    controller: undefined,
    level: 'failing',
    sentence: 'no controller: the voters are electing one',
  },
  {
    name: 'a controller that is silent',
    silent: [3],
    controller: 3,
    partitions: [],
    level: 'failing',
    sentence: 'the controller, broker 3, is silent',
  },
];

describe('health', () => {
  it.each(VERDICTS)('of $name', ({ level, sentence, ...scene }) => {
    expect(healthOf(lookAt(scene))).toMatchObject({ level, sentence });
  });

  it('lists what is failing before what is degraded', () => {
    const { findings } = healthOf(
      lookAt({ fenced: [2], partitions: [{ syncSet: [1], quorum: 1 }] }),
    );
    expect(findings.map(({ level, subject }) => `${level} ${subject}`)).toEqual([
      'failing partition',
      'degraded quorum',
      'degraded broker',
    ]);
  });

  it.each([
    [{}, []],
    [{ fenced: [3], partitions: [{ syncSet: [1, 2], quorum: 2 }] }, ['under-replicated']],
    [{ silent: [1] }, ['takes no appends: its leader, broker 1, is silent']],
    [
      { partitions: [{ suspects: [3], cannotLead: [{ brokerId: 2, reason: 'stopped' }] }] },
      ['under-replicated', 'suspect: 3', '2 cannot lead: stopped'],
    ],
    [{ full: [3] }, ['disk full: 3']],
    [{ partitions: [{ replicas: [1, 2, 3, 4], adding: [4] }], brokers: 4 }, []],
  ] satisfies [Scene, string[]][])('of a partition: %j', (scene, faults) => {
    const look = lookAt(scene);
    const [topic] = look.topics;
    expect(partitionFaults(look, topic!, topic!.partitions[0]!)).toEqual(faults);
  });
});
