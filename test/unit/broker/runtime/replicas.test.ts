import { crc32 } from 'node:zlib';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { MetadataImage, TopicState } from '../../../../broker/metadata/types.ts';
import { Replicas } from '../../../../broker/runtime/replicas.ts';
import { CONFIG, FakeCluster, TOPIC_ID } from '../service/fake-broker.ts';
import { FakeClock } from './fake-clock.ts';

const STATE = { startOffset: 0, endOffset: 0, epochs: [], highWaterMark: 0, syncedOffset: 0 };

/** Three partitions of one topic, on broker 1 alone, without a leader. */
function imageOf(): MetadataImage {
  const partitions = [0, 1, 2].map((partition) => ({
    partition,
    replicas: [1],
    syncSet: [1],
    quorum: 1,
    leader: -1,
    leaderEpoch: 1,
    partitionEpoch: 1,
    suspects: [],
    uncleanEpoch: 0,
    adding: [],
    removing: [],
    successor: -1,
  }));
  const topic = {
    topicId: TOPIC_ID,
    name: 'events',
    replicationFactor: 1,
    config: CONFIG,
    partitions,
  };
  return { ...new FakeCluster().image, topics: new Map([[TOPIC_ID, topic]]) };
}

function changed(image: MetadataImage, change: (topic: TopicState) => TopicState): MetadataImage {
  const topic = image.topics.get(TOPIC_ID);
  return topic === undefined ? image : { ...image, topics: new Map([[TOPIC_ID, change(topic)]]) };
}

describe('Replicas.update()', () => {
  const cases = [
    {
      name: 'the replica of the partition that changed',
      change: (image: MetadataImage) =>
        changed(image, (topic) => {
          const state = { ...topic.partitions[1]!, partitionEpoch: 2 };
          return { ...topic, partitions: topic.partitions.with(1, state) };
        }),
      expected: [1],
    },
    {
      name: 'all of them when the topic is configured',
      change: (image: MetadataImage) =>
        changed(image, (topic) => ({ ...topic, config: { ...CONFIG, segmentMs: 2_000 } })),
      expected: [0, 1, 2],
    },
    {
      name: 'all of them when a broker changed',
      change: (image: MetadataImage) => ({ ...image, brokers: new Map() }),
      expected: [0, 1, 2],
    },
  ];
  it.each(cases)('tells $name', async ({ change, expected }) => {
    const told: number[] = [];
    const openPartition = async (_: string, partition: number): Promise<unknown> => ({
      recovery: { state: STATE, snapshot: null, headers: [], damage: null },
      configure: () => told.push(partition),
      noteHighWaterMark: () => undefined,
    });
    const options = {
      self: 1,
      disk: { openPartition },
      host: { clock: new FakeClock(), crc32, onChanged: () => undefined, isHeard: () => true },
      lagMsMax: () => 1_000,
      appendsPendingMax: 10,
      producersMax: 10,
      onOpened: () => undefined,
      onFailure: (error: unknown) => {
        throw error;
      },
    };
    const replicas = new Replicas(options as unknown as ConstructorParameters<typeof Replicas>[0]);
    const image = imageOf();
    replicas.begin(1, image);
    await setImmediate();
    told.length = 0;

    replicas.update(change(image));

    expect(told).toEqual(expected);
  });
});
