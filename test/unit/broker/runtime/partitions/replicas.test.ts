import { crc32 } from 'node:zlib';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../../base/errors.ts';
import { FEATURE_LEVEL_MAX } from '../../../../../broker/metadata/features.ts';
import type { MetadataImage, TopicState } from '../../../../../broker/metadata/types.ts';
import { Replicas } from '../../../../../broker/runtime/partitions/replicas.ts';
import { brokerState, CONFIG, FakeCluster, TOPIC_ID } from '../../service/fake-broker.ts';
import { FakeClock } from '../fake-clock.ts';

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
    cannotLead: [],
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

/** Replicas of a disk that opens and deletes as `answer` says, with everything they tell. */
function onDisk(answer: (call: 'open' | 'delete', partition: number) => unknown): {
  readonly replicas: Replicas;
  readonly clock: FakeClock;
  readonly failures: unknown[];
  readonly calls: string[];
  /** Whose stream is to begin anew, and in which role. */
  readonly restarted: string[];
  readonly space: { isShort: boolean };
} {
  const clock = new FakeClock();
  const failures: unknown[] = [];
  const calls: string[] = [];
  const restarted: string[] = [];
  const space = { isShort: false };
  const run = async (call: 'open' | 'delete', partition: number): Promise<unknown> => {
    calls.push(`${call} ${partition}`);
    const result = answer(call, partition);
    if (result instanceof BrokerError) throw result;
    return result;
  };
  const options = {
    self: 1,
    disk: {
      openPartition: (_: string, partition: number) => run('open', partition),
      deletePartition: (_: string, partition: number) => run('delete', partition),
      shortage: () => (space.isShort ? 'no space' : null),
    },
    host: {
      clock,
      crc32,
      onChanged: () => undefined,
      onFact: () => undefined,
      sendPosition: () => undefined,
      producerFault: () => null,
      producersGiven: () => 0,
      proposeSyncSet: async () => undefined,
      isHeard: () => true,
    },
    lagMsMax: () => 1_000,
    appendsPendingMax: 10,
    producersMax: 10,
    onOpened: () => undefined,
    onReopened: (leader: number) => restarted.push(`leader ${leader}`),
    onLeaderReopened: (follower: number) => restarted.push(`follower ${follower}`),
    onFailure: (error: unknown) => failures.push(error),
  };
  const replicas = new Replicas(options as unknown as ConstructorParameters<typeof Replicas>[0]);
  return { replicas, clock, failures, calls, restarted, space };
}

function logWith(damage: object | null): object {
  return {
    recovery: { state: STATE, snapshot: null, headers: [], damage },
    configure: () => undefined,
    noteHighWaterMark: () => undefined,
    saveSnapshot: () => undefined,
    close: async () => undefined,
  };
}

const FULL = new BrokerError('DISK_FULL', 'no space');

describe('Replicas with a disk that fails', () => {
  it('answers for no log that was found damaged after the start, and has the broker leave', async () => {
    const damage = { fromOffset: 0, reason: 'all its files are missing' };
    const { replicas, failures, clock, calls } = onDisk((_, partition) =>
      logWith(partition === 1 ? damage : null),
    );
    replicas.begin(1, imageOf());
    await setImmediate();
    expect(failures).toEqual([expect.objectContaining({ code: 'DATA_CORRUPT' })]);
    expect([0, 1, 2].map((partition) => replicas.get(TOPIC_ID, partition) !== null)).toEqual([
      true,
      false,
      true,
    ]);
    clock.advance(10_000);
    replicas.resume();
    await setImmediate();
    expect([replicas.get(TOPIC_ID, 1), calls.length]).toEqual([null, 3]);
  });

  it('opens later what it cannot open now', async () => {
    let isFull = true;
    const { replicas, failures, clock } = onDisk((_, partition) =>
      isFull && partition === 2 ? FULL : logWith(null),
    );
    replicas.begin(1, imageOf());
    await setImmediate();
    expect(replicas.get(TOPIC_ID, 2)).toBeNull();
    isFull = false;
    clock.advance(10_000);
    replicas.resume();
    await setImmediate();
    expect(replicas.get(TOPIC_ID, 2)).not.toBeNull();
    expect(failures).toEqual([]);
  });

  it('has those who follow it state their positions again where a leader was opened again', async () => {
    let isFull = true;
    const append = async (): Promise<void> => {
      if (isFull) throw FULL;
    };
    const { replicas, failures, clock, restarted } = onDisk(() => ({ ...logWith(null), append }));
    const led = { replicas: [3, 1, 2], syncSet: [1], quorum: 1, leader: 1, leaderEpoch: 2 };
    replicas.begin(
      11,
      changed({ ...imageOf(), brokers: new Map([[1, brokerState(1, 1)]]) }, (topic) => ({
        ...topic,
        partitions: [{ ...topic.partitions[0]!, ...led }],
      })),
    );
    await setImmediate();
    expect([replicas.get(TOPIC_ID, 0)?.isFull, restarted]).toEqual([true, []]);
    isFull = false;
    clock.advance(10_000);
    replicas.resume();
    await setImmediate();
    expect(replicas.get(TOPIC_ID, 0)?.isLeader).toBe(true);
    expect(restarted).toEqual(['follower 3', 'follower 2']);
    expect(failures).toEqual([]);
  });

  it('deletes later what it cannot delete now', async () => {
    let isFull = true;
    const { replicas, failures, clock, calls } = onDisk((call) =>
      call === 'delete' && isFull ? FULL : logWith(null),
    );
    replicas.begin(1, imageOf());
    await setImmediate();
    replicas.update({ ...imageOf(), topics: new Map() });
    await setImmediate();
    isFull = false;
    calls.length = 0;
    clock.advance(10_000);
    replicas.resume();
    await setImmediate();
    clock.advance(10_000);
    replicas.resume();
    await setImmediate();
    expect(calls).toEqual(['delete 0', 'delete 1', 'delete 2']);
    expect(failures).toEqual([]);
  });
});

describe('Replicas.abilities()', () => {
  /** Broker 2 is in S of the first partition; of the second it is too, and cannot lead. */
  function shared(): MetadataImage {
    const cluster = new FakeCluster();
    const [first, second, third] = imageOf().topics.get(TOPIC_ID)!.partitions;
    const both = { replicas: [1, 2], syncSet: [1, 2], quorum: 2, leader: 1 };
    const partitions = [
      { ...first!, ...both },
      { ...second!, ...both, cannotLead: [{ brokerId: 2, reason: 'stopped' }] },
      third!,
    ];
    const other = { ...cluster.image.brokers.get(1)!, brokerId: 2, fenced: false };
    return {
      ...changed(imageOf(), (topic) => ({ ...topic, partitions })),
      featureLevel: FEATURE_LEVEL_MAX,
      brokers: new Map([[2, other]]),
    };
  }

  it('gives way where space is short and another can lead, until there was room for a while', async () => {
    const { replicas, clock, space } = onDisk(() => logWith(null));
    replicas.begin(1, shared());
    await setImmediate();
    const said = (): string[] =>
      replicas.abilities().map(({ partition, reason }) => `${partition} ${reason}`);

    const before = said();
    space.isShort = true;
    const short = said();
    space.isShort = false;
    clock.advance(9_999);
    const soon = said();
    clock.advance(1);

    expect([before, short, soon, said()]).toEqual([[], ['0 disk-short'], ['0 disk-short'], []]);
  });

  it('keeps a leadership that comes back while space is short for a moment', async () => {
    const { replicas, clock, space } = onDisk(() => logWith(null));
    replicas.begin(1, shared());
    await setImmediate();
    space.isShort = true;
    const said = (): number => replicas.abilities().length;
    const first = said();
    const ledAgain = changed(shared(), (topic) => ({
      ...topic,
      partitions: topic.partitions.map((state) => ({ ...state, leaderEpoch: 9 })),
    }));
    replicas.update(ledAgain);
    const again = said();
    clock.advance(1_000);

    expect([first, again, said()]).toEqual([1, 0, 1]);
  });
});
