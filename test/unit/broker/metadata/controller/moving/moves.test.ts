import { FeatureLevels } from '../../../../../../broker/metadata/controller/feature-level.ts';
import { FEATURE_LEVEL_MAX } from '../../../../../../broker/metadata/features.ts';
import { describe, expect, test } from 'vitest';
import { REMOVED_DIRECTORIES_MAX } from '../../../../../../broker/metadata/apply.ts';
import type {
  AlterTopicRequest,
  ControllerRequest,
} from '../../../../../../broker/metadata/controller-types.ts';
import { HANDOVER_WAIT_MS } from '../../../../../../broker/metadata/controller/leadership/handover-timers.ts';
import { MOVES_IN_FLIGHT_MAX } from '../../../../../../broker/metadata/controller/moving/move-planner.ts';
import { PREFERRED_MOVES_MAX } from '../../../../../../broker/metadata/controller/leadership/preferred-leaders.ts';
import type {
  BrokerState,
  PartitionState,
  TopicConfig,
  TopicState,
} from '../../../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../../fixtures.ts';
import { Bench, codeOf } from '../bench.ts';

function bench(
  row: Partial<PartitionState> = {},
  config: Partial<TopicConfig> = {},
  brokers: Readonly<Record<number, Partial<BrokerState>>> = {},
  topic: Partial<TopicState> = {},
): Bench {
  return new Bench(
    imageOf(
      [0, 1, 2, 3, 4].map((id) => brokerState(id, brokers[id])),
      [topicState([partitionState(row)], config, topic)],
    ),
  );
}

function alterTopic(patch: Partial<AlterTopicRequest>): AlterTopicRequest {
  return {
    kind: 'alter-topic',
    name: 't',
    config: {},
    partitions: 0,
    replicationFactor: 0,
    waitMs: 0,
    ...patch,
  };
}

function register(brokerId: number, patch: object = {}): ControllerRequest {
  return {
    kind: 'register',
    clusterId: 'c',
    brokerId,
    directoryId: `directory-${String(brokerId)}`,
    sessionEpoch: 0,
    restartClass: 'new',
    host: 'h',
    port: 1,
    rack: 'r',
    featureLevelMax: FEATURE_LEVEL_MAX,
    ...patch,
  };
}

describe('Controller: reassignment (rule 19)', () => {
  test('grows, catches up, shrinks, in the order of the target, with a new leader epoch', () => {
    const world = bench();
    expect(world.reassign([3, 0, 1])).toEqual({ kind: 'reassign' });
    expect(world.row()).toMatchObject({
      replicas: [0, 1, 2, 3],
      adding: [3],
      removing: [2],
      syncSet: [0, 1, 2],
      quorum: 3,
      leaderEpoch: 1,
      partitionEpoch: 2,
    });
    world.add(3);
    expect(world.row()).toMatchObject({
      replicas: [3, 0, 1],
      adding: [],
      removing: [],
      syncSet: [0, 1, 3],
      quorum: 3,
      leader: 0,
      leaderEpoch: 2,
    });
    expect(world.row()).not.toHaveProperty('target');
  });

  test('quorum mode raises q before a member takes one of it along', () => {
    const world = bench({ quorum: 2 }, { commitMode: 'quorum' });
    world.reassign([0, 3, 4]);
    world.add(3);
    world.add(4);
    expect(world.row()).toMatchObject({ syncSet: [0, 1, 2, 3, 4], quorum: 2, removing: [1, 2] });
    expect(codeOf(world.alter({ op: 'raise', quorum: 3 }))).toBe('ok');
    expect(world.row()).toMatchObject({ quorum: 3, removing: [1, 2] });
    expect(codeOf(world.alter({ op: 'raise', quorum: 4 }))).toBe('ok');
    expect(world.row()).toMatchObject({
      replicas: [0, 3, 4],
      syncSet: [0, 3, 4],
      quorum: 2,
      removing: [],
    });
  });

  test('a leader that leaves hands over first', () => {
    const world = bench();
    world.reassign([1, 2, 3]);
    world.add(3);
    expect(world.row()).toMatchObject({ leader: 0, leaderEpoch: 1, successor: 1, removing: [0] });
    world.alter({ op: 'hand-over', successor: 1 });
    expect(world.row()).toMatchObject({
      replicas: [1, 2, 3],
      syncSet: [1, 2, 3],
      quorum: 3,
      leader: 1,
      leaderEpoch: 3,
      successor: -1,
    });
  });

  test('a leader that leaves and does not answer is replaced', () => {
    const world = bench();
    world.reassign([1, 2, 3]);
    world.add(3);
    world.tick(HANDOVER_WAIT_MS - 1);
    expect(world.row()?.leader).toBe(0);
    world.tick(HANDOVER_WAIT_MS);
    expect(world.row()).toMatchObject({ replicas: [1, 2, 3], leader: 1, successor: -1 });
  });

  test.each<{ title: string; before: (world: Bench) => void }>([
    { title: 'before the new replica has caught up', before: () => undefined },
    {
      title: 'when it is in S already',
      before: (world) => {
        world.add(3);
        world.alter({ op: 'remove', member: 4 });
      },
    },
  ])('a cancel goes back to the replicas from before, $title', ({ before }) => {
    const world = bench();
    world.reassign([0, 3, 4]);
    before(world);
    expect(world.reassign([])).toEqual({ kind: 'reassign' });
    expect(world.row()).toMatchObject({
      replicas: [0, 1, 2],
      syncSet: [0, 1, 2],
      quorum: 3,
      adding: [],
      removing: [],
    });
    const { partitionEpoch } = world.row() ?? { partitionEpoch: 0 };
    world.reassign([]);
    expect(world.row()).toMatchObject({ replicas: [0, 1, 2], partitionEpoch });
  });

  test('a cancel of what leaves a cordoned broker is refused: it would begin again', () => {
    const world = bench({}, {}, { 2: { cordoned: true } });
    world.reassign([0, 1, 3]);
    expect(world.reassign([])).toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('recommission') as string,
    });
    expect(world.row()?.target).toEqual([0, 1, 3]);
  });

  test('a cancel that would leave S below min waits for the old replicas', () => {
    const world = bench({ syncSet: [0], quorum: 1 }, { minInSyncReplicas: 2 });
    world.reassign([0, 3, 4]);
    world.add(3);
    world.reassign([]);
    expect(world.row()).toMatchObject({
      replicas: [0, 1, 2, 3],
      syncSet: [0, 3],
      quorum: 2,
      removing: [3],
      adding: [],
    });
    world.add(1);
    expect(world.row()).toMatchObject({
      replicas: [0, 1, 2],
      syncSet: [0, 1],
      quorum: 2,
      removing: [],
    });
  });

  test('another target takes the place of the first', () => {
    const world = bench();
    world.reassign([0, 1, 3]);
    world.reassign([0, 2, 4]);
    expect(world.row()).toMatchObject({ replicas: [0, 1, 2, 4], adding: [4], removing: [1] });
    world.add(4);
    expect(world.row()).toMatchObject({ replicas: [0, 2, 4], syncSet: [0, 2, 4] });
  });

  test('a replica that leaves for another target leaves its epoch behind: nothing it acknowledged counts when it returns', () => {
    const world = bench();
    world.reassign([0, 1, 3]);
    world.reassign([0, 1, 4]);
    expect(world.row()).toMatchObject({ replicas: [0, 1, 2, 4], leader: 0, leaderEpoch: 2 });
  });

  test('no replica leaves while an election may have read its log', () => {
    const world = bench({ suspects: [0, 1, 2], leader: -1 }, { minInSyncReplicas: 3 });
    world.reassign([0, 1, 3]);
    world.reassign([]);
    expect(world.row()).toMatchObject({
      replicas: [0, 1, 2, 3],
      adding: [],
      removing: [3],
      leaderEpoch: 1,
    });
  });

  test('another order alone takes effect at once, and the present one is no change', () => {
    const world = bench();
    world.reassign([2, 1, 0]);
    expect(world.row()).toMatchObject({
      replicas: [2, 1, 0],
      leader: 0,
      leaderEpoch: 1,
      partitionEpoch: 2,
    });
    world.reassign([2, 1, 0]);
    expect(world.row()?.partitionEpoch).toBe(2);
  });

  test('waits for a dead newcomer, and not for a dead one that leaves', () => {
    const world = bench({ syncSet: [0, 1], quorum: 2 }, {}, { 2: { fenced: true } });
    world.reassign([0, 1, 3]);
    world.step({ kind: 'probed', brokerId: 3, brokerEpoch: 4, result: 'refused' });
    world.commit();
    expect(world.row()).toMatchObject({ adding: [3], removing: [2] });
    world.reassign([0, 1, 4]);
    world.add(4);
    expect(world.row()).toMatchObject({ replicas: [0, 1, 4], syncSet: [0, 1, 4], quorum: 3 });
  });

  test.each([
    {
      title: 'a broker named twice',
      replicas: [0, 0, 1],
      message: 'Cannot reassign t/0: replicas is 0,0,1, must name different brokers',
    },
    {
      title: 'another number of replicas',
      replicas: [0, 1],
      message: 'Cannot reassign t/0: replicas is 0,1, must name replicationFactor (3) brokers',
    },
    {
      title: 'a stranger',
      replicas: [0, 1, 9],
      message: 'Cannot reassign t/0: replicas is 0,1,9, brokers 9 are not registered',
    },
    {
      title: 'a fenced newcomer',
      replicas: [0, 1, 3],
      message:
        'Cannot reassign t/0 to brokers 0,1,3: broker 3 is fenced, must be unfenced to take a new replica',
    },
    {
      title: 'a cordoned newcomer',
      replicas: [0, 1, 4],
      message:
        'Cannot reassign t/0 to brokers 0,1,4: broker 4 is cordoned, must be recommissioned to take a new replica',
    },
  ])('refuses $title', ({ replicas, message }) => {
    expect(
      bench({}, {}, { 3: { fenced: true }, 4: { cordoned: true } }).reassign(replicas),
    ).toMatchObject({ message });
  });
});

describe('Controller: replication factor and min', () => {
  test('places, catches up and takes in another replica, on a rack that is free', () => {
    const world = bench({ replicas: [0, 1], syncSet: [0, 1] }, {}, {}, { replicationFactor: 2 });
    expect(codeOf(world.ask(alterTopic({ replicationFactor: 3 })))).toBe('ok');
    world.tick(300);
    expect(world.row()).toMatchObject({ replicas: [0, 1, 2], adding: [2] });
    world.add(2);
    expect(world.row()).toMatchObject({
      replicas: [0, 1, 2],
      syncSet: [0, 1, 2],
      quorum: 3,
      adding: [],
    });
  });

  test('lets the least worthy replica go, never the racks', () => {
    const world = bench({ replicas: [0, 1, 3] }, { minInSyncReplicas: 1 });
    world.ask(alterTopic({ replicationFactor: 2 }));
    world.tick(300);
    expect(world.row()).toMatchObject({ replicas: [0, 1], syncSet: [0, 1], quorum: 2 });
  });

  test.each([
    {
      title: 'below min',
      patch: { replicationFactor: 1 },
      message:
        'Cannot alter topic "t": minInSyncReplicas is 2, must be at most replicationFactor (1)',
    },
    {
      title: 'beyond the brokers',
      patch: { replicationFactor: 6 },
      message:
        'Cannot raise replicationFactor of topic "t" from 3 to 6: only 5 brokers are unfenced, not stopping and not cordoned',
    },
    {
      title: 'a quorum of two replicas',
      patch: { replicationFactor: 2, config: { commitMode: 'quorum' as const } },
      message:
        'Cannot alter topic "t": commitMode is "quorum", must be "in-sync" while replicationFactor (2) is below 3',
    },
  ])('refuses $title, naming both values', ({ patch, message }) => {
    expect(bench().ask(alterTopic(patch))).toMatchObject({ message });
  });

  test('a raised min waits for the sync sets, and is committed with the one that satisfies it', () => {
    const world = bench({ syncSet: [0, 1] });
    const requestId = world.send(alterTopic({ config: { minInSyncReplicas: 3 }, waitMs: 1000 }));
    world.commit();
    expect(world.replies.has(requestId)).toBe(false);
    world.add(2);
    expect(world.replies.get(requestId)).toEqual({ kind: 'alter-topic' });
    expect(world.image.topics.get('t')?.config.minInSyncReplicas).toBe(3);
  });

  test('a raised min is refused at the deadline, and at once where it may not wait', () => {
    const message =
      'Cannot raise minInSyncReplicas of topic "t" from 2 to 3: partition 0 has 2 trusted unfenced members in S that stay, must have 3';
    const world = bench({ syncSet: [0, 1] });
    expect(world.ask(alterTopic({ config: { minInSyncReplicas: 3 } }))).toMatchObject({
      code: 'REFUSED',
      message,
    });
    const requestId = world.send(alterTopic({ config: { minInSyncReplicas: 3 }, waitMs: 1000 }));
    world.tick(999);
    expect(world.replies.has(requestId)).toBe(false);
    world.tick(1000);
    expect(world.replies.get(requestId)).toMatchObject({ code: 'REFUSED', message });
  });

  test('commit modes change in both directions without moving data', () => {
    const world = bench();
    world.ask(alterTopic({ config: { commitMode: 'quorum' } }));
    expect(world.row()).toMatchObject({ syncSet: [0, 1, 2], quorum: 2, leaderEpoch: 1 });
    world.ask(alterTopic({ config: { commitMode: 'in-sync' } }));
    expect(world.row()).toMatchObject({ syncSet: [0, 1, 2], quorum: 2 });
    world.alter({ op: 'raise', quorum: 3 });
    expect(world.row()).toMatchObject({ quorum: 3, leader: 0, leaderEpoch: 1 });
  });
});

describe('Controller: brokers leave', () => {
  const decommission = (brokerId: number, isCancelled = false): ControllerRequest => ({
    kind: 'decommission',
    brokerId,
    isCancelled,
  });

  test('a decommissioned broker is emptied, a repeated call tells the progress', () => {
    const world = bench({ leader: 1 });
    expect(world.ask(decommission(2))).toEqual({ kind: 'decommission', replicasLeft: 1 });
    const [added = -1] = world.row()?.adding ?? [];
    expect(world.row()).toMatchObject({ replicas: [0, 1, 2, added], removing: [2] });
    world.add(added);
    expect(world.ask(decommission(2))).toEqual({ kind: 'decommission', replicasLeft: 0 });
    expect(world.image.brokers.get(2)?.cordoned).toBe(true);
  });

  test('a recommissioned one keeps what it still has', () => {
    const world = bench();
    world.ask(decommission(2));
    world.ask(decommission(2, true));
    expect(world.row()).toMatchObject({ replicas: [0, 1, 2], adding: [], removing: [] });
    expect(world.image.brokers.get(2)?.cordoned).toBe(false);
  });

  test('copies a bounded number of partitions at once', () => {
    const rows = Array.from({ length: 30 }, (_, partition) => partitionState({ partition }));
    const world = new Bench(
      imageOf(
        [0, 1, 2, 3, 4].map((id) => brokerState(id)),
        [topicState(rows)],
      ),
    );
    world.ask(decommission(2));
    world.tick(1000);
    expect(
      world.image.topics.get('t')?.partitions.filter(({ adding }) => adding.length > 0),
    ).toHaveLength(MOVES_IN_FLIGHT_MAX);
  });

  test('names the topics that too few brokers would be left for', () => {
    const world = new Bench(
      imageOf(
        [0, 1, 2].map((id) => brokerState(id)),
        [topicState([partitionState()])],
      ),
    );
    expect(world.ask(decommission(2))).toMatchObject({
      code: 'REFUSED',
      message:
        'Cannot decommission broker 2: 2 brokers that are not cordoned would remain, too few for topics "t" with replicationFactor 3',
    });
  });

  const remove = (brokerId: number): ControllerRequest => ({ kind: 'remove-broker', brokerId });

  test('a dead broker is removed once its replicas and its vote have other places, and its directory never returns', () => {
    const world = bench({ syncSet: [0, 1] }, {}, { 2: { fenced: true } });
    expect(world.ask(remove(2))).toMatchObject({
      message:
        'Cannot remove broker 2: it holds 1 replicas, which are moving away (t/0); ask again',
    });
    world.tick(300);
    const [added = -1] = world.row()?.adding ?? [];
    world.add(added);
    expect(world.ask(remove(2))).toMatchObject({
      message: 'Cannot remove broker 2: the metadata voters are not known yet; ask again',
    });
    world.step({ kind: 'voters', voters: [{ brokerId: 2, directoryId: 'directory-2' }] });
    expect(world.ask(remove(2))).toMatchObject({
      message: 'Cannot remove broker 2: it is a metadata voter, which is being replaced; ask again',
    });
    world.step({ kind: 'voters', voters: [{ brokerId: 0, directoryId: 'directory-0' }] });
    expect(world.ask(remove(2))).toEqual({ kind: 'remove-broker' });
    expect(world.image.removedDirectories).toEqual(['directory-2']);
    expect(REMOVED_DIRECTORIES_MAX).toBeGreaterThan(1);
    expect(world.ask(register(2))).toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining(
        'directory-2: that directory belongs to a broker that was removed',
      ) as string,
    });
    expect(codeOf(world.ask(register(2, { directoryId: 'new' })))).toBe('ok');
  });

  test('where nobody can take its replica, the partition goes on with one less', () => {
    const world = new Bench(
      imageOf(
        [brokerState(0), brokerState(1), brokerState(2, { fenced: true })],
        [topicState([partitionState({ syncSet: [0, 1] })])],
      ),
    );
    world.ask(remove(2));
    expect(world.row()).toMatchObject({ replicas: [0, 1], syncSet: [0, 1], removing: [] });
  });

  test('a target that would become smaller than min is left to wait', () => {
    const row = partitionState({ replicas: [0, 1], syncSet: [0], removing: [0], target: [1] });
    const brokers = [brokerState(0, { cordoned: true }), brokerState(1, { fenced: true })];
    const world = new Bench(
      imageOf(brokers, [topicState([row], { minInSyncReplicas: 1 }, { replicationFactor: 1 })]),
    );
    expect(codeOf(world.ask(remove(1)))).toBe('REFUSED');
    expect(world.row()?.target).toEqual([1]);
  });

  test.each([
    {
      title: 'while it is unfenced',
      id: 1,
      message: 'Cannot remove broker 1: it is unfenced, must be stopped or dead',
    },
    {
      title: 'with the last copies',
      id: 2,
      message:
        'Cannot remove broker 2: fewer trusted unfenced copies are elsewhere than minInSyncReplicas of t/0 (1 of 2); bring it, or other replicas of these partitions, back first',
    },
  ])('refuses to remove a broker $title', ({ id, message }) => {
    expect(bench({ suspects: [1] }, {}, { 2: { fenced: true } }).ask(remove(id))).toMatchObject({
      code: 'REFUSED',
      message,
    });
  });
});

describe('Controller: hand-over (rule 22)', () => {
  const elect = (target: number): ControllerRequest => ({
    kind: 'elect-leader',
    topic: 't',
    partition: 0,
    target,
    unclean: false,
    givenUp: [],
  });

  test('a planned election waits for the leader to drain', () => {
    const world = bench();
    const requestId = world.send(elect(1));
    world.commit();
    expect(world.row()).toMatchObject({ leader: 0, successor: 1 });
    expect(codeOf(world.alter({ op: 'hand-over', successor: 2 }))).toBe('REFUSED');
    world.alter({ op: 'hand-over', successor: 1 });
    expect(world.replies.get(requestId)).toEqual({
      kind: 'elect-leader',
      leader: 1,
      leaderEpoch: 2,
    });
  });

  test('a planned election is held although the leader does not answer', () => {
    const world = bench();
    const requestId = world.send(elect(1));
    world.tick(HANDOVER_WAIT_MS);
    expect(world.replies.get(requestId)).toMatchObject({ leader: 1 });
  });

  test('in quorum mode a leader that does not answer is replaced by an election that reads logs', () => {
    const world = bench({ quorum: 2 }, { commitMode: 'quorum' });
    world.send(elect(1));
    world.tick(HANDOVER_WAIT_MS);
    expect(world.row()).toMatchObject({ leader: -1, leaderEpoch: 2, successor: -1 });
  });

  test('a successor that is fenced is named no more, and the request is answered', () => {
    const world = bench();
    const requestId = world.send(elect(1));
    world.step({ kind: 'probed', brokerId: 1, brokerEpoch: 2, result: 'refused' });
    world.commit();
    expect(world.row()).toMatchObject({ leader: 0, successor: -1 });
    expect(codeOf(world.replies.get(requestId))).toBe('REFUSED');
  });

  test('leadership goes back to preferred replicas a few at a time, and a leader that does not answer goes on', () => {
    const rows = Array.from({ length: 50 }, (_, partition) =>
      partitionState({ partition, leader: 1 }),
    );
    const world = new Bench(
      imageOf(
        [0, 1, 2].map((id) => brokerState(id)),
        [topicState(rows)],
      ),
    );
    const handedOver = (): number =>
      world.image.topics.get('t')?.partitions.filter(({ successor }) => successor === 0).length ??
      0;
    for (let nowMs = 0; nowMs <= 5000; nowMs += 1000) world.tick(nowMs);
    expect(handedOver()).toBe(PREFERRED_MOVES_MAX);
    world.tick(6000);
    expect(handedOver()).toBe(PREFERRED_MOVES_MAX);
    world.tick(7000);
    expect(
      world.image.topics
        .get('t')
        ?.partitions.every(({ leader, leaderEpoch }) => leader === 1 && leaderEpoch === 1),
    ).toBe(true);
  });

  test('leadership leaves a cordoned broker', () => {
    const world = bench(
      {},
      {},
      { 0: { cordoned: true }, 3: { fenced: true }, 4: { fenced: true } },
    );
    for (let nowMs = 0; nowMs <= 6000; nowMs += 1000) world.tick(nowMs);
    expect(world.row()).toMatchObject({ leader: 0, successor: 1 });
  });
});

describe('Controller: feature level', () => {
  const at = (level: number, patches: Readonly<Record<number, Partial<BrokerState>>> = {}): Bench =>
    new Bench({
      ...imageOf(
        [0, 1, 2].map((id) => brokerState(id, patches[id])),
        [topicState([partitionState()])],
      ),
      featureLevel: level,
    });

  test('rises by one step once every broker can, for a while', () => {
    const world = at(1);
    world.tick(0);
    world.tick(4999);
    expect(world.image.featureLevel).toBe(1);
    world.tick(5000);
    expect(world.image.featureLevel).toBe(2);
  });

  test('goes on at once, each step once the one before is in force', () => {
    const world = at(1);
    for (let nowMs = 0; nowMs < 5_000; nowMs += 1_000) world.tick(nowMs);
    for (let step = 0; step < FEATURE_LEVEL_MAX; step += 1) world.tick(5_000 + step);
    expect(world.image.featureLevel).toBe(FEATURE_LEVEL_MAX);
    const levels = new FeatureLevels();
    const behind = at(1).image;
    levels.raise(behind, 0);
    expect(levels.raise(behind, 5_000)).toEqual([{ kind: 'feature-level', featureLevel: 2 }]);
    // It is on its way.
    expect(levels.raise(behind, 5_001)).toEqual([]);
    expect(levels.raise(at(2).image, 5_002)).toEqual([{ kind: 'feature-level', featureLevel: 3 }]);
    // Somebody left in between.
    levels.raise(at(3, { 2: { fenced: true } }).image, 5_003);
    expect(levels.raise(at(3).image, 5_004)).toEqual([]);
  });

  test.each([
    { title: 'a broker is one level behind', patch: { featureLevelMax: 1 } },
    { title: 'a broker is fenced', patch: { fenced: true } },
  ])('stays where it is while $title', ({ patch }) => {
    const world = at(1, { 2: patch });
    for (let nowMs = 0; nowMs <= 20_000; nowMs += 1000) world.tick(nowMs);
    expect(world.image.featureLevel).toBe(1);
  });

  test('what needs level 2 is refused below it, naming who holds it back', () => {
    const world = at(1, { 2: { featureLevelMax: 1 } });
    expect(world.reassign([2, 1, 0])).toMatchObject({
      message:
        'Cannot reassign replicas: it needs feature level 2, the cluster is at 1; brokers 2 cannot run it',
    });
  });

  test('below level 2 leadership moves without a successor', () => {
    const world = at(1, { 2: { featureLevelMax: 1 } });
    expect(
      world.ask({
        kind: 'elect-leader',
        topic: 't',
        partition: 0,
        target: 1,
        unclean: false,
        givenUp: [],
      }),
    ).toMatchObject({ leader: 1, leaderEpoch: 2 });
  });

  test('an older build is refused once the level is past it', () => {
    expect(
      at(2).ask(register(2, { featureLevelMax: 1, restartClass: 'warm', sessionEpoch: 3 })),
    ).toMatchObject({
      code: 'REFUSED',
      message:
        'Cannot register broker 2: its build runs feature level 1 at most, the cluster is at 2 and does not go back',
    });
  });
});
