import { describe, expect, test } from 'vitest';
import { encodeImage, decodeImage, encodeRecords } from '../../../../broker/metadata/codec.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../../broker/metadata/config.ts';
import type { ControllerRequest } from '../../../../broker/metadata/controller-types.ts';
import { LEVEL_OF_COMPACTION, levelOf } from '../../../../broker/metadata/features.ts';
import type {
  MetadataImage,
  MetadataRecord,
  TopicConfig,
} from '../../../../broker/metadata/types.ts';
import { Bench } from './controller/bench.ts';
import { brokerState, imageOf, partitionState, topicState } from './fixtures.ts';

/** Every config of feature level 12, each away from its default. */
const COMPACTED: Partial<TopicConfig> = {
  cleanup: 'both',
  tombstoneRetentionMs: 0,
  compactionDirtyPercent: 10,
  compactionLagMinMs: 1,
  compactionLagMaxMs: 2,
  retentionRecords: 5,
};
const TOPIC_ID = '11111111-1111-4111-8111-111111111111';

function worldAt(featureLevel: number): Bench {
  const brokers = [0, 1, 2].map((id) => brokerState(id));
  return new Bench({ ...imageOf(brokers, [topicState([partitionState()])]), featureLevel });
}

function create(config: Partial<TopicConfig>): ControllerRequest {
  return {
    kind: 'create-topic',
    topicId: TOPIC_ID,
    name: 'state',
    partitions: 1,
    replicationFactor: 3,
    config,
    assignments: [],
    validateOnly: false,
  };
}

function alter(config: Partial<TopicConfig>): ControllerRequest {
  return { kind: 'alter-topic', name: 't', config, partitions: 0, replicationFactor: 0, waitMs: 0 };
}

function configIn(image: MetadataImage, topicId: string): TopicConfig | undefined {
  return image.topics.get(topicId)?.config;
}

describe('feature level 12', () => {
  test.each(Object.entries(COMPACTED))('is waited for by %s', (name, value) => {
    const world = worldAt(LEVEL_OF_COMPACTION - 1);
    const config = { [name]: value };
    for (const request of [create(config), alter(config)]) {
      const asked = request.kind === 'create-topic' ? 'state' : 't';
      expect(world.ask(request)).toMatchObject({
        code: 'REFUSED',
        message: `Cannot set ${name} of topic "${asked}": it needs feature level 12, the cluster is at 11; every broker can run it, it is raised once all are unfenced for a while`,
      });
    }
    expect(world.image.topics.size).toBe(1);
    expect(configIn(world.image, 't')).toEqual(TOPIC_CONFIG_DEFAULTS);
  });

  test('is not waited for by what brokers do anyway', () => {
    const world = worldAt(LEVEL_OF_COMPACTION - 1);
    expect(world.ask(create(TOPIC_CONFIG_DEFAULTS))).toMatchObject({ kind: 'create-topic' });
    expect(world.ask(alter({ cleanup: 'delete', retentionRecords: -1 }))).toMatchObject({
      kind: 'alter-topic',
    });
  });

  test('lets a topic become compacted, and be one no more', () => {
    const world = worldAt(LEVEL_OF_COMPACTION);
    expect(world.ask(create(COMPACTED))).toMatchObject({ kind: 'create-topic' });
    expect(configIn(world.image, TOPIC_ID)).toEqual({ ...TOPIC_CONFIG_DEFAULTS, ...COMPACTED });
    world.ask(alter({ cleanup: 'compact' }));
    expect(configIn(world.image, 't')?.cleanup).toBe('compact');
    expect(decodeImage(encodeImage(world.image))).toEqual(world.image);
    world.ask(alter({ cleanup: 'delete' }));
    expect(configIn(world.image, 't')).toEqual(TOPIC_CONFIG_DEFAULTS);
  });

  test('leaves no trace in what is written of a topic that does without', () => {
    const plain = topicState([partitionState()]);
    const altered: MetadataRecord = { kind: 'topic-altered', topicId: 't', config: plain.config };
    const created: MetadataRecord = { kind: 'topic-created', topic: plain };
    const text = encodeImage(worldAt(1).image) + encodeRecords([created, altered]);
    for (const field of Object.keys(COMPACTED)) expect(text).not.toContain(`"${field}"`);
    const config = { ...plain.config, ...COMPACTED };
    expect(
      [created, altered, { ...created, topic: { ...plain, config } }, { ...altered, config }].map(
        levelOf,
      ),
    ).toEqual([1, 1, 12, 12]);
  });
});
