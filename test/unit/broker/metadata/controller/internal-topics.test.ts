import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import {
  GROUPS_PARTITIONS,
  GROUPS_TOPIC,
  QUEUES_PARTITIONS,
  QUEUES_TOPIC,
} from '../../../../../base/internal-topics.ts';
import type { ControllerRequest } from '../../../../../broker/metadata/controller-types.ts';
import { LEVEL_OF_GROUPS, LEVEL_OF_QUEUES } from '../../../../../broker/metadata/features.ts';
import type { MetadataImage, TopicState } from '../../../../../broker/metadata/types.ts';
import { brokerState, imageOf } from '../fixtures.ts';
import { Bench } from './bench.ts';

const TOPIC_ID = '11111111-1111-4111-8111-111111111111';
const OTHER_ID = '22222222-2222-4222-8222-222222222222';
const make = (topicId = TOPIC_ID, name = GROUPS_TOPIC): ControllerRequest => ({
  kind: 'make-internal-topic',
  topicId,
  name,
});

function imageWith(brokers: number, patch: Partial<MetadataImage> = {}): MetadataImage {
  const states = Array.from({ length: brokers }, (_, id) => brokerState(id));
  return { ...imageOf(states), ...patch };
}

function groupsIn({ image }: Bench): TopicState | undefined {
  return image.topics.get(image.topicIdsByName.get(GROUPS_TOPIC) ?? '');
}

describe('make-internal-topic', () => {
  test.each([
    { brokers: 1, copies: 1, min: 1 },
    { brokers: 2, copies: 2, min: 1 },
    { brokers: 3, copies: 3, min: 2 },
    { brokers: 5, copies: 3, min: 2 },
  ])('gives $brokers brokers $copies copies, of which $min', ({ brokers, copies, min }) => {
    const world = new Bench(imageWith(brokers));
    expect(world.ask(make())).toEqual({ kind: 'make-internal-topic' });
    const topic = groupsIn(world);
    expect(topic).toMatchObject({
      topicId: TOPIC_ID,
      replicationFactor: copies,
      config: {
        minInSyncReplicas: min,
        commitMode: 'in-sync',
        retentionMs: -1,
        retentionBytes: -1,
        uncleanElection: false,
      },
    });
    expect(topic?.partitions).toHaveLength(GROUPS_PARTITIONS);
    expect(topic?.partitions.every(({ replicas }) => replicas.length === copies)).toBe(true);
  });

  test('takes nothing from the defaults of the cluster', () => {
    const { settings, ...image } = imageWith(3);
    const world = new Bench({
      ...image,
      settings: {
        ...settings,
        topicDefaults: { replicationFactor: 1, minInSyncReplicas: 1, commitMode: 'quorum' },
      },
    });
    world.ask(make());
    expect(groupsIn(world)).toMatchObject({
      replicationFactor: 3,
      config: { minInSyncReplicas: 2, commitMode: 'in-sync' },
    });
  });

  test('is made once, whoever asks', () => {
    const world = new Bench(imageWith(3));
    world.ask(make());
    expect(world.ask(make(OTHER_ID))).toEqual({ kind: 'make-internal-topic' });
    expect(groupsIn(world)?.topicId).toBe(TOPIC_ID);
    expect(world.image.topics.size).toBe(1);
  });

  test.each([
    { name: 'a name of nobody', request: make(TOPIC_ID, '__other'), code: 'INVALID_ARGUMENT' },
    { name: "a client's name", request: make(TOPIC_ID, 'orders'), code: 'INVALID_ARGUMENT' },
  ])('refuses $name', ({ request, code }) => {
    const world = new Bench(imageWith(3));
    expect(world.ask(request)).toMatchObject({ code });
    expect(world.image.topics.size).toBe(0);
  });

  test.each([
    { name: GROUPS_TOPIC, level: LEVEL_OF_GROUPS },
    { name: QUEUES_TOPIC, level: LEVEL_OF_QUEUES },
  ])('waits until every build knows that no client may write to $name', ({ name, level }) => {
    const world = new Bench(imageWith(3, { featureLevel: level - 1 }));
    expect(world.ask(make(TOPIC_ID, name))).toMatchObject({ code: 'REFUSED' });
    expect(world.image.topics.size).toBe(0);
    const ready = new Bench(imageWith(3, { featureLevel: level }));
    expect(ready.ask(make(TOPIC_ID, name))).toEqual({ kind: 'make-internal-topic' });
  });

  test('makes that of queues as that of groups, and widens both', () => {
    const world = new Bench(imageWith(1));
    world.ask(make());
    world.ask(make(OTHER_ID, QUEUES_TOPIC));
    const [groups, queues] = [world.image.topics.get(TOPIC_ID), world.image.topics.get(OTHER_ID)];
    expect(queues).toMatchObject({ name: QUEUES_TOPIC, config: groups?.config });
    expect(queues?.partitions).toHaveLength(QUEUES_PARTITIONS);
    const joined = new Bench({ ...world.image, brokers: imageWith(3).brokers });
    joined.tick(1_000);
    const factors = [...joined.image.topics.values()].map((topic) => topic.replicationFactor);
    expect(factors).toEqual([3, 3]);
  });
});

describe('an internal topic', () => {
  test('gets more copies as brokers join, then asks two of them', () => {
    const world = new Bench(imageWith(1));
    world.ask(make());
    const [first] = imageWith(1).brokers.values();
    const three = new Map(
      [first, brokerState(1), brokerState(2)].map((one) => [one!.brokerId, one!]),
    );
    const joined = new Bench({ ...world.image, brokers: three });
    joined.tick(1_000);
    expect(groupsIn(joined)).toMatchObject({
      replicationFactor: 3,
      config: { minInSyncReplicas: 1 },
    });
    const moved = groupsIn(joined);
    expect(moved?.partitions.some(({ adding }) => adding.length > 0)).toBe(true);

    // As its leaders would have it once all copies have caught up.
    const whole = moved!.partitions.map(({ target: _, ...state }) => ({
      ...state,
      replicas: [0, 1, 2],
      syncSet: [0, 1, 2],
      quorum: 3,
      adding: [],
      removing: [],
    }));
    const topics = new Map([[TOPIC_ID, { ...moved!, partitions: whole }]]);
    const last = new Bench({ ...joined.image, topics });
    last.tick(2_000);
    expect(groupsIn(last)?.config.minInSyncReplicas).toBe(2);
  });

  test('asks no more of sync sets that are not whole', () => {
    const world = new Bench(imageWith(3));
    world.ask(make());
    const topic = groupsIn(world)!;
    const partitions = topic.partitions.map((state, at) =>
      at === 7 ? { ...state, syncSet: state.syncSet.slice(0, 2), quorum: 2 } : state,
    );
    const config = { ...topic.config, minInSyncReplicas: 1 };
    const topics = new Map([[TOPIC_ID, { ...topic, config, partitions }]]);
    const other = new Bench({ ...world.image, topics });
    other.tick(1_000);
    expect(groupsIn(other)?.config.minInSyncReplicas).toBe(1);
  });

  test.each<{ what: string; request: ControllerRequest }>([
    { what: 'deleted', request: { kind: 'delete-topic', name: GROUPS_TOPIC } },
    {
      what: 'altered',
      request: {
        kind: 'alter-topic',
        name: GROUPS_TOPIC,
        config: { uncleanElection: true },
        partitions: 0,
        replicationFactor: 0,
        waitMs: 0,
      },
    },
    {
      what: 'given more partitions',
      request: {
        kind: 'alter-topic',
        name: GROUPS_TOPIC,
        config: {},
        partitions: 17,
        replicationFactor: 0,
        waitMs: 0,
      },
    },
  ])('is not $what by anybody', ({ request }) => {
    const world = new Bench(imageWith(3));
    world.ask(make());
    const before = groupsIn(world);
    const answer = world.ask(request);
    expect(answer).toBeInstanceOf(BrokerError);
    expect(answer).toMatchObject({ code: 'REFUSED', effect: 'none' });
    expect(groupsIn(world)).toBe(before);
  });

  test('is made by no client', () => {
    const world = new Bench(imageWith(3));
    const answer = world.ask({
      kind: 'create-topic',
      topicId: TOPIC_ID,
      name: GROUPS_TOPIC,
      partitions: 1,
      replicationFactor: 1,
      config: {},
      assignments: [],
      validateOnly: false,
    });
    expect(answer).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
