import { describe, expect, test } from 'vitest';
import {
  decodeImage,
  decodeRecords,
  encodeImage,
  encodeRecords,
} from '../../../../../broker/metadata/codec.ts';
import { MIN_OF_CLUSTER } from '../../../../../base/units.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../../broker/metadata/config.ts';
import { FOLLOWERS_PER_LOOK_MAX } from '../../../../../broker/metadata/controller/followers.ts';
import { LEVEL_OF_FOLLOWING, levelOf } from '../../../../../broker/metadata/features.ts';
import type {
  PartitionState,
  TopicConfig,
  TopicState,
} from '../../../../../broker/metadata/types.ts';
import { brokerState, imageOf, partitionState, topicState } from '../fixtures.ts';
import { type Answer, Bench } from './bench.ts';

const ID = '11111111-1111-4111-8111-111111111111';

/** What of a topic is looked at: its minimum, and whether it follows. */
type Minimum = readonly [number | undefined, boolean];

class World extends Bench {
  #nowMs = 0;

  /** Long enough for a look at what moves by itself. */
  pass(): void {
    this.#nowMs += 1_000;
    this.tick(this.#nowMs);
  }

  create(config: Partial<TopicConfig>, patch: object = {}): Answer {
    return this.ask({
      kind: 'create-topic',
      ...{ topicId: ID, name: 'made', partitions: 1, replicationFactor: 3 },
      ...{ config, assignments: [], validateOnly: false, ...patch },
    });
  }

  change(config: Partial<TopicConfig>, patch: object = {}): Answer {
    return this.ask({
      kind: 'alter-topic',
      ...{ name: 't', config, partitions: 0, replicationFactor: 0, waitMs: 0, ...patch },
    });
  }

  setDefault(minInSyncReplicas: number): Answer {
    return this.ask({ kind: 'set-settings', settings: { topicDefaults: { minInSyncReplicas } } });
  }

  minimum(topicId: string): Minimum {
    const topic = this.image.topics.get(topicId);
    return [topic?.config.minInSyncReplicas, topic?.followsMin === true];
  }
}

/** Topic `t` has minimum 2, as nobody chose it for the topic. */
function following(row: Partial<PartitionState> = {}, patch: Partial<TopicState> = {}): World {
  const topic = topicState([partitionState(row)], {}, { followsMin: true, ...patch });
  return new World(
    imageOf(
      [0, 1, 2].map((id) => brokerState(id)),
      [topic],
    ),
  );
}

describe('a minInSyncReplicas that follows the default of the cluster', () => {
  test.each<{ title: string; config: Partial<TopicConfig>; minimum: Minimum }>([
    { title: 'nobody states', config: {}, minimum: [1, true] },
    { title: 'is left to the cluster', config: { minInSyncReplicas: 0 }, minimum: [1, true] },
    { title: 'is stated', config: { minInSyncReplicas: 2 }, minimum: [2, false] },
    { title: 'is stated as the default is', config: { minInSyncReplicas: 1 }, minimum: [1, false] },
  ])('a new topic whose minimum $title: $minimum', ({ config, minimum }) => {
    const world = following();
    world.setDefault(1);
    expect(world.create(config)).toMatchObject({ kind: 'create-topic' });
    expect(world.minimum(ID)).toEqual(minimum);
  });

  test.each<{ title: string; config: Partial<TopicConfig>; minimum: Minimum }>([
    { title: 'another config', config: { retentionMs: 5 }, minimum: [2, true] },
    { title: 'the value that it has', config: { minInSyncReplicas: 2 }, minimum: [2, false] },
    { title: 'another value', config: { minInSyncReplicas: 3 }, minimum: [3, false] },
    { title: 'the default', config: { minInSyncReplicas: 0 }, minimum: [2, true] },
  ])('a follower that is given $title: $minimum', ({ config, minimum }) => {
    const world = following();
    expect(world.change(config)).toEqual({ kind: 'alter-topic' });
    expect(world.minimum('t')).toEqual(minimum);
  });

  test('what was chosen follows again when asked to, at once', () => {
    const world = following();
    world.setDefault(1);
    world.change({ minInSyncReplicas: 3 });
    world.pass();
    expect(world.minimum('t')).toEqual([3, false]);
    expect(world.change({ minInSyncReplicas: MIN_OF_CLUSTER })).toEqual({ kind: 'alter-topic' });
    expect(world.minimum('t')).toEqual([1, true]);
  });

  test('is lowered and raised with the default; what was chosen stays', () => {
    const world = following();
    world.create({ minInSyncReplicas: 2 });
    for (const wanted of [1, 3, 2]) {
      world.setDefault(wanted);
      world.pass();
      expect(world.minimum('t')).toEqual([wanted, true]);
      expect(world.minimum(ID)).toEqual([2, false]);
    }
  });

  test('a default that is taken back leaves that of the brokers', () => {
    const world = following();
    world.setDefault(1);
    world.pass();
    world.setDefault(0);
    world.pass();
    expect(world.minimum('t')).toEqual([TOPIC_CONFIG_DEFAULTS.minInSyncReplicas, true]);
  });

  test('a lowered one lowers the count of partitions too', () => {
    const world = following(
      { quorum: 3 },
      { config: { ...TOPIC_CONFIG_DEFAULTS, commitMode: 'quorum', minInSyncReplicas: 3 } },
    );
    world.setDefault(2);
    world.pass();
    expect(world.minimum('t')).toEqual([2, true]);
    expect(world.row()?.quorum).toBe(2);
  });

  test('a raised one waits for sync sets, and nothing is tried meanwhile', () => {
    const world = following({ syncSet: [0, 1], quorum: 2 });
    world.setDefault(3);
    world.pass();
    const entries = world.entries.length;
    world.pass();
    expect(world.minimum('t')).toEqual([2, true]);
    expect(world.entries).toHaveLength(entries);
    expect(world.change({ minInSyncReplicas: 0 })).toMatchObject({ code: 'REFUSED' });
    world.add(2);
    world.pass();
    expect(world.minimum('t')).toEqual([3, true]);
  });

  test('is never above the replication factor', () => {
    const row = { replicas: [0, 1], syncSet: [0, 1], quorum: 2 };
    const world = following(row, { replicationFactor: 2 });
    world.setDefault(3);
    world.pass();
    expect(world.minimum('t')).toEqual([2, true]);
    expect(world.change({ minInSyncReplicas: 0 })).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('some topics change at a look, the others at the next ones', () => {
    const topics = Array.from({ length: FOLLOWERS_PER_LOOK_MAX + 1 }, (_, index) =>
      topicState(
        [partitionState()],
        {},
        {
          ...{ topicId: `t${String(index)}`, name: `t${String(index)}`, followsMin: true },
        },
      ),
    );
    const world = new World(
      imageOf(
        [0, 1, 2].map((id) => brokerState(id)),
        topics,
      ),
    );
    const behind = (): number =>
      [...world.image.topics.values()].filter(({ config }) => config.minInSyncReplicas === 2)
        .length;
    world.setDefault(1);
    world.pass();
    expect(behind()).toBe(1);
    world.pass();
    expect(behind()).toBe(0);
  });
});

describe('feature level 16', () => {
  test('is waited for: nothing is known of topics that are older', () => {
    const { image } = following({}, {});
    const [topic] = image.topics.values();
    const { followsMin: _, ...older } = topic!;
    const world = new World({
      ...image,
      topics: new Map([['t', older]]),
      featureLevel: LEVEL_OF_FOLLOWING - 1,
    });
    for (const [name, answer] of [
      ['t', world.change({ minInSyncReplicas: 0 })],
      ['made', world.create({ minInSyncReplicas: 0 })],
    ] as const)
      expect(answer).toMatchObject({
        code: 'REFUSED',
        message: `Cannot let minInSyncReplicas of topic "${name}" follow the default of the cluster: it needs feature level 16, the cluster is at 15; every broker can run it, it is raised once all are unfenced for a while`,
      });
    world.create({});
    world.setDefault(1);
    world.pass();
    expect(world.minimum('t')).toEqual([2, false]);
    expect(world.minimum(ID)).toEqual([2, false]);
  });

  test('is that of the records, which are read as they were written', () => {
    const world = following();
    world.create({});
    world.change({ minInSyncReplicas: 3 });
    world.change({ minInSyncReplicas: 0 });
    const records = world.entries.flatMap((entry) => entry.records);
    expect(decodeRecords(encodeRecords(records))).toEqual(records);
    expect(decodeImage(encodeImage(world.image))).toEqual(world.image);
    const levels = records
      .filter(({ kind }) => kind === 'topic-created' || kind === 'topic-altered')
      .map(levelOf);
    expect(levels).toEqual([LEVEL_OF_FOLLOWING, 1, LEVEL_OF_FOLLOWING]);
    expect(encodeRecords(records)).not.toContain('"followsMin":false');
  });
});
